#include "weft/http/status.h"

#include <errno.h>
#include <stddef.h>

#include "weft/base/util.h"

static const struct status_name {
    int status;
    const char *title, *type;
} names[] = {
    {HTTP_SERVER_ERROR, "Internal Server Error", "HTTPInternalServerError"}, /* The first stands for those that are not here. */
    {HTTP_BAD_REQUEST, "Bad Request", "HTTPBadRequest"},
    {HTTP_UNAUTHORIZED, "Unauthorized", "HTTPUnauthorized"},
    {HTTP_FORBIDDEN, "Forbidden", "HTTPForbidden"},
    {HTTP_NOT_FOUND, "Not Found", "HTTPNotFound"},
    {HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed", "HTTPMethodNotAllowed"},
    {HTTP_CONFLICT, "Conflict", "HTTPConflict"},
    {HTTP_PRECONDITION_FAILED, "Precondition Failed", "HTTPPreconditionFailed"},
    {HTTP_TOO_LARGE, "Request Entity Too Large", "HTTPRequestEntityTooLarge"},
    {HTTP_TOO_MANY_REQUESTS, "Too Many Requests", "HTTPTooManyRequests"},
    {HTTP_NOT_IMPLEMENTED, "Not Implemented", "HTTPNotImplemented"},
    {HTTP_UNAVAILABLE, "Service Unavailable", "HTTPServiceUnavailable"},
    {HTTP_GATEWAY_TIMEOUT, "Gateway Timeout", "HTTPGatewayTimeout"},
};

static const struct status_name *find(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].status == status)
            return &names[i];
    return &names[0];
}

const char *http_status_title(int status)
{
    return find(status)->title;
}

const char *http_status_type(int status)
{
    return find(status)->type;
}

int http_status_of_code(int code)
{
    switch (code) {
    case -EINVAL:
    case -ERANGE: return HTTP_BAD_REQUEST;
    case -EACCES: return HTTP_UNAUTHORIZED;
    case -EOPNOTSUPP: return HTTP_NOT_IMPLEMENTED;
    case -EPERM: return HTTP_FORBIDDEN;
    case -ENOENT: return HTTP_NOT_FOUND;
    case -EEXIST:
    case -EBUSY:
    case -ENOSPC: return HTTP_CONFLICT;
    case -ESTALE: return HTTP_PRECONDITION_FAILED;
    case -E2BIG: return HTTP_TOO_LARGE;
    case -ENOMEM:
    case -EAGAIN: return HTTP_UNAVAILABLE;
    default: return HTTP_SERVER_ERROR;
    }
}
