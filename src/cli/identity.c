#include "weft/cli/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/request.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

#define MAX_PASSWORD 4096

static void fclosep(FILE **file)
{
    if (*file && *file != stdin)
        fclose(*file);
}

/* The file's first line; "-" is standard input. */
static int read_password(struct call *call, const char *path, char password[MAX_PASSWORD])
{
    _cleanup_(fclosep) FILE *file = streq(path, "-") ? stdin : fopen(path, "re");

    if (!file)
        return error_set(&call->error, -errno, "password-file", "--password-file: '%s': %s", path, strerror(errno));
    if (!fgets(password, MAX_PASSWORD, file))
        return error_set(&call->error, -EINVAL, "password-file", "--password-file: '%s' is empty", path);
    password[strcspn(password, "\r\n")] = '\0';
    return 0;
}

int run_user_create(struct call *call)
{
    _cleanup_(json_decrefp) json_t *body = NULL, *answer = NULL, *user = NULL;
    const char *file = call_flag(call, "password-file");
    char password[MAX_PASSWORD] = "";
    int r;

    user = json_pack("{s:s,s:s}", "name", call_argument(call, 0), "domain_id", "default");
    if (!user)
        return error_set(&call->error, -EINVAL, "name", "name: '%s' is not UTF-8", call_argument(call, 0));
    r = request_attributes(call, user);
    if (r >= 0 && file) {
        r = read_password(call, file, password);
        if (r >= 0)
            json_object_set_new(user, "password", json_string(password));
    }
    if (r < 0)
        return r;
    if (!json_object_get(user, "password"))
        return error_set(&call->error, -EINVAL, "password", "give --password or --password-file");
    body = json_pack("{s:O}", "user", user);
    r = body ? session_request(call->session, SERVICE_IDENTITY, "POST", "/users", body, &answer, &call->error) : -ENOMEM;
    return r < 0 ? r : output_object(call, json_object_get(answer, "user"));
}

static int grant(struct call *call, const char *method)
{
    _cleanup_(json_decrefp) json_t *role = NULL, *user = NULL, *project = NULL;
    const char *user_name = call_flag(call, "user"), *project_name = call_flag(call, "project");
    _cleanup_(freep) char *path = NULL;
    int r;

    if (!user_name || !project_name)
        return error_set(&call->error, -EINVAL, user_name ? "project" : "user", "--%s is missing",
                         user_name ? "project" : "user");
    r = resource_find(call->session, &resource_role, call_argument(call, 0), &role, &call->error);
    if (r >= 0)
        r = resource_find(call->session, &resource_user, user_name, &user, &call->error);
    if (r >= 0)
        r = resource_find(call->session, &resource_project, project_name, &project, &call->error);
    if (r < 0)
        return r;
    if (text_format(&path, "/projects/%s/users/%s/roles/%s", resource_id(project), resource_id(user), resource_id(role)) < 0)
        return -ENOMEM;
    return session_request(call->session, SERVICE_IDENTITY, method, path, NULL, NULL, &call->error);
}

int run_role_add(struct call *call)
{
    return grant(call, "PUT");
}

int run_role_remove(struct call *call)
{
    return grant(call, "DELETE");
}

/* What Identity says of our own token. */
static int own_token(struct call *call, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(freep) char *header = NULL;
    const char *token;
    int r;

    r = session_token(call->session, &token, &call->error);
    if (r < 0)
        return r;
    if (text_format(&header, "X-Subject-Token: %s", token) < 0)
        return -ENOMEM;
    r = session_request_with(call->session, SERVICE_IDENTITY, "GET", "/auth/tokens", NULL, header, 0, &answer,
                             &call->error);
    if (r < 0)
        return r;
    *ret = json_incref(json_object_get(answer, "token"));
    return *ret ? 0 : error_set(&call->error, -EREMOTEIO, "token", "the API's answer has no 'token'");
}

int run_token_issue(struct call *call)
{
    _cleanup_(json_decrefp) json_t *token = NULL, *shown = NULL;
    const char *text;
    int r;

    r = own_token(call, &token);
    if (r >= 0)
        r = session_token(call->session, &text, &call->error);
    if (r < 0)
        return r;
    shown = json_pack("{s:s,s:O?,s:O?,s:O?}", "id", text, "expires_at", json_object_get(token, "expires_at"), "project_id",
                      json_object_get(json_object_get(token, "project"), "id"), "user_id",
                      json_object_get(json_object_get(token, "user"), "id"));
    return shown ? output_object(call, shown) : -ENOMEM;
}

/* ---- quotas ------------------------------------------------------------------------------------------------------ */

/* "/quotas/<id of the project named, or of our own>". */
static int quota_path(struct call *call, char **ret)
{
    _cleanup_(json_decrefp) json_t *project = NULL, *token = NULL;
    const char *name = call_argument(call, 0), *id = name;
    struct error cause = {0};
    int r;

    if (name) {
        r = resource_find(call->session, &resource_project, name, &project, &cause);
        if (r >= 0) {
            id = resource_id(project);
        } else if (r != -EACCES) {
            call->error = cause;
            return r;
        }
    } else {
        r = own_token(call, &token);
        if (r < 0)
            return r;
        id = resource_id(json_object_get(token, "project"));
        if (!*id)
            return error_set(&call->error, -EINVAL, "project", "the token is of no project: name one");
    }
    return text_format(ret, "/quotas/%s", id);
}

static int show_quota(struct call *call, const char *method, const json_t *changes)
{
    _cleanup_(json_decrefp) json_t *body = changes ? json_pack("{s:O}", "quota", changes) : NULL, *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    const json_t *quota;
    int r;

    r = quota_path(call, &path);
    if (r >= 0)
        r = session_request(call->session, SERVICE_NETWORK, method, path, body, &answer, &call->error);
    if (r < 0)
        return r;
    quota = json_object_get(answer, "quota");
    return quota ? output_object(call, quota) : 0;
}

int run_quota_show(struct call *call)
{
    return show_quota(call, "GET", NULL);
}

int run_quota_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *changes = json_object();
    int r = changes ? request_attributes(call, changes) : -ENOMEM;

    if (r < 0)
        return r;
    if (json_object_size(changes) == 0)
        return error_set(&call->error, -EINVAL, "options", "nothing to change was given; see 'weft quota set --help'");
    return show_quota(call, "PUT", changes);
}

int run_quota_reset(struct call *call)
{
    return show_quota(call, "DELETE", NULL);
}
