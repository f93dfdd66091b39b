/* Status codes of HTTP (RFC 9110, 15; 429 RFC 6585), and what they are called in error bodies. */
#ifndef WEFT_HTTP_STATUS_H
#define WEFT_HTTP_STATUS_H

enum http_status {
    HTTP_OK = 200, HTTP_CREATED = 201, HTTP_ACCEPTED = 202, HTTP_NO_CONTENT = 204, HTTP_MULTIPLE_CHOICES = 300,
    HTTP_BAD_REQUEST = 400, HTTP_UNAUTHORIZED = 401, HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404,
    HTTP_METHOD_NOT_ALLOWED = 405, HTTP_CONFLICT = 409, HTTP_PRECONDITION_FAILED = 412, HTTP_TOO_LARGE = 413,
    HTTP_TOO_MANY_REQUESTS = 429, HTTP_SERVER_ERROR = 500, HTTP_NOT_IMPLEMENTED = 501, HTTP_UNAVAILABLE = 503,
    HTTP_GATEWAY_TIMEOUT = 504,
};

/* Of an error: for people ("Not Found") and for programs ("HTTPNotFound").  An unknown one is called as 500 is. */
const char *http_status_title(int status);
const char *http_status_type(int status);

/* The status that says what a library's negative code means: -EINVAL -ERANGE 400, -EACCES 401, -EPERM 403, -ENOENT 404,
 * -EEXIST -EBUSY -ENOSPC 409, -ESTALE 412, -E2BIG 413, -ENOMEM -EAGAIN 503, anything else 500. */
int http_status_of_code(int code);

#endif
