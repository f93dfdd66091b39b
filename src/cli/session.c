/* Authentication and requests.  The order of one request: token (given, cached or fetched) -> HTTP -> error in the
 * server's words, or JSON. */
#include "weft/cli/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/cli/text.h"
#include "weft/cli/token-cache.h"

#define TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 5000
#define MAX_ANSWER (256u << 20)
#define DEFAULT_AGENT_SOCKET "/run/weft/agent.sock"
#define DEFAULT_FABRIC_URL "http://127.0.0.1:9697"
#define MAX_FABRIC_TOKEN 256

struct session {
    struct settings_values settings;
    bool debug;
    CURL *curl;
    char *token;        /* NULL until needed. */
    bool from_cache;
    char *identity;     /* ".../v3" */
    char *endpoint;     /* Of Networking and ours, without "/v2.0" or a slash at the end. */
    char *fabric;       /* ".../fabric/v1" */
    char *fabric_header; /* With its token; NULL: none is known. */
};

int session_new(struct settings_values *settings, bool debug, struct session **ret)
{
    struct session *session = calloc(1, sizeof *session);

    if (!session)
        return -ENOMEM;
    session->curl = curl_easy_init();
    if (!session->curl) {
        free(session);
        return -ENOMEM;
    }
    session->settings = *settings;
    memset(settings, 0, sizeof *settings);
    session->debug = debug;
    *ret = session;
    return 0;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    settings_clear(&session->settings);
    curl_easy_cleanup(session->curl);
    free(session->token);
    free(session->identity);
    free(session->endpoint);
    free(session->fabric);
    free(session->fabric_header);
    free(session);
}

const char *session_agent_socket(const struct session *session)
{
    const char *path = session->settings.values[SETTING_AGENT_SOCKET];

    return path ? path : DEFAULT_AGENT_SOCKET;
}

char *session_escape(struct session *session, const char *text)
{
    char *escaped = curl_easy_escape(session->curl, text, (int)strlen(text)), *copy;

    copy = escaped ? strdup(escaped) : NULL;
    curl_free(escaped);
    return copy;
}

/* ---- one HTTP exchange ------------------------------------------------------------------------------------------- */

struct exchange {
    const char *cacert; /* NULL: the system's. */
    bool is_insecure;
    struct buffer body; /* Here begins the answer. */
    char *subject_token;
    long status;
};

static void exchange_clear(struct exchange *exchange)
{
    buffer_clear(&exchange->body);
    free(exchange->subject_token);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct exchange *exchange = user;

    if (exchange->body.size + size * n > MAX_ANSWER || buffer_append(&exchange->body, data, size * n) < 0)
        return 0;
    return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
    static const char name[] = "X-Subject-Token:";
    struct exchange *exchange = user;
    size_t length = size * n, skip = sizeof name - 1;

    if (length > skip && strncasecmp(data, name, skip) == 0) {
        while (skip < length && data[skip] == ' ')
            skip++;
        while (length > skip && (data[length - 1] == '\r' || data[length - 1] == '\n' || data[length - 1] == ' '))
            length--;
        free(exchange->subject_token);
        exchange->subject_token = strndup(data + skip, length - skip);
    }
    return size * n;
}

static void curl_slist_freep(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static int add_header(struct curl_slist **headers, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*headers, text);

    if (!longer)
        return -ENOMEM;
    *headers = longer;
    return 0;
}

static bool is_true(const char *text)
{
    return text && (streq(text, "1") || strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0);
}

static int set_headers(struct session *session, bool has_body, const char *header, bool with_token,
                       struct curl_slist **headers)
{
    _cleanup_(freep) char *token = NULL;

    if (add_header(headers, "Accept: application/json") < 0 || add_header(headers, "Expect:") < 0)
        return -ENOMEM;
    if (has_body && add_header(headers, "Content-Type: application/json") < 0)
        return -ENOMEM;
    if (header && add_header(headers, header) < 0)
        return -ENOMEM;
    if (with_token && session->token &&
        (text_format(&token, "X-Auth-Token: %s", session->token) < 0 || add_header(headers, token) < 0))
        return -ENOMEM;
    return 0;
}

/* What --debug shows is pasted into reports: passwords, tokens and join tokens are not in it. */
static bool asks_with_secret(const char *url)
{
    return strstr(url, "/auth/") || strstr(url, "/v3/users");
}

static bool answers_with_secret(const char *method, const char *url)
{
    return strstr(url, "/auth/") || (streq(method, "POST") && strstr(url, "/weft/v1/hosts"));
}

/* Whom to trust, for the API. */
static void trust_api(const struct session *session, struct exchange *exchange)
{
    exchange->cacert = session->settings.values[SETTING_CACERT];
    exchange->is_insecure = is_true(session->settings.values[SETTING_INSECURE]);
}

static int exchange_run(struct session *session, const char *method, const char *url, const json_t *body,
                        const char *header, bool with_token, long timeout_ms, struct exchange *exchange,
                        struct error *error)
{
    _cleanup_(curl_slist_freep) struct curl_slist *headers = NULL;
    _cleanup_(freep) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    char cause[CURL_ERROR_SIZE] = "";
    CURL *curl = session->curl;
    CURLcode code;

    if ((body && !text) || set_headers(session, body != NULL, header, with_token, &headers) < 0)
        return -ENOMEM;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, cause);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms ? timeout_ms : (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "weft/" WEFT_VERSION);
    if (exchange->cacert)
        curl_easy_setopt(curl, CURLOPT_CAINFO, exchange->cacert);
    if (exchange->is_insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (text)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, text);
    if (session->debug)
        fprintf(stderr, "> %s %s %s\n", method, url, !text ? "" : asks_with_secret(url) ? "(credentials)" : text);
    code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return error_set(error, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ECONNREFUSED, "url", "%s: %s", url,
                         *cause ? cause : curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange->status);
    if (!buffer_string(&exchange->body))
        return -ENOMEM;
    if (session->debug)
        fprintf(stderr, "< %ld %s\n", exchange->status,
                answers_with_secret(method, url) && exchange->status < 300 ? "(token)" : exchange->body.data);
    return 0;
}

static int code_of_status(long status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    default:
        return status >= 500 ? -EREMOTEIO : -EINVAL;
    }
}

/* {"NeutronError": {"type", "message"}}, {"error": {"message"}} (Keystone's), {"faultstring"} (Octavia's), {"error": "..."} or anything else. */
static int refusal(const struct exchange *exchange, const char *url, struct error *error)
{
    _cleanup_(json_decrefp) json_t *answer = json_loads(exchange->body.data, 0, NULL);
    int code = code_of_status(exchange->status);
    const json_t *inner = json_object_get(answer, "NeutronError");
    const char *type, *message;

    if (!inner)
        inner = json_object_get(answer, "error");
    type = json_string_value(json_object_get(inner, "type"));
    message = json_is_string(inner) ? json_string_value(inner) : json_string_value(json_object_get(inner, "message"));
    if (!message)
        message = json_string_value(json_object_get(answer, "faultstring"));
    if (!message)
        return error_set(error, code, "url", "%s: status %ld", url, exchange->status);
    return error_set_type(error, code, type ? type : "", NULL, "%s", message);
}

/* ---- who and where ----------------------------------------------------------------------------------------------- */

/* "http://h:9696", ".../identity" and ".../identity/v3" are all right; so is a Keystone's "http://h:5000/v3". */
static int find_identity(struct session *session, struct error *error)
{
    const char *url = session->settings.values[SETTING_AUTH_URL], *path;
    size_t length;

    if (session->identity)
        return 0;
    if (!url)
        return error_set(error, -EINVAL, "auth-url", "the API's address is not known: set %s or give --%s",
                         setting_variable(SETTING_AUTH_URL), setting_flag(SETTING_AUTH_URL));
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return error_set(error, -EINVAL, "auth-url", "auth-url: '%s' does not begin with http:// or https://", url);
    for (length = strlen(url); length > 0 && url[length - 1] == '/'; length--)
        ;
    path = strchr(strstr(url, "//") + 2, '/');
    if (path && path >= url + length)
        path = NULL;
    if (length >= 3 && strncmp(url + length - 3, "/v3", 3) == 0)
        session->identity = strndup(url, length);
    else if (text_format(&session->identity, "%.*s%s", (int)length, url, path ? "/v3" : "/identity/v3") < 0)
        session->identity = NULL;
    return session->identity ? 0 : -ENOMEM;
}

static int set_endpoint(struct session *session, const char *url)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length >= 5 && strncmp(url + length - 5, "/v2.0", 5) == 0)
        length -= 5;
    free(session->endpoint);
    session->endpoint = strndup(url, length);
    return session->endpoint ? 0 : -ENOMEM;
}

/* The public endpoint of type "network" in the token's catalogue, or NULL. */
static const char *catalogue_endpoint(const json_t *token)
{
    const json_t *service, *endpoint;
    size_t i, j;

    json_array_foreach (json_object_get(token, "catalog"), i, service) {
        const char *type = json_string_value(json_object_get(service, "type"));

        if (!type || !streq(type, "network"))
            continue;
        json_array_foreach (json_object_get(service, "endpoints"), j, endpoint) {
            const char *interface = json_string_value(json_object_get(endpoint, "interface"));

            if (interface && streq(interface, "public"))
                return json_string_value(json_object_get(endpoint, "url"));
        }
    }
    return NULL;
}

/* Where OS_TOKEN came without a catalogue: weft's own Identity stands beside Networking. */
static int guess_endpoint(struct session *session, struct error *error)
{
    _cleanup_(freep) char *url = NULL;
    char *identity;
    int r;

    r = find_identity(session, error);
    if (r < 0)
        return r;
    url = strdup(session->identity);
    if (!url)
        return -ENOMEM;
    identity = strstr(url, "/identity/v3");
    if (!identity)
        return error_set(error, -EINVAL, "endpoint", "the Networking API's address is not known: set %s",
                         setting_variable(SETTING_ENDPOINT));
    *identity = '\0';
    return set_endpoint(session, url);
}

static json_t *domain_of(const struct settings_values *settings, enum setting setting)
{
    const char *name = settings->values[setting];

    return name ? json_pack("{s:s}", "name", name) : json_pack("{s:s}", "id", "default");
}

/* The body of POST /v3/auth/tokens. */
static json_t *credentials(const struct settings_values *settings)
{
    const char *const *values = (const char *const *)settings->values;
    json_t *user, *scope = NULL;

    if (values[SETTING_USER_ID])
        user = json_pack("{s:s,s:s}", "id", values[SETTING_USER_ID], "password", values[SETTING_PASSWORD]);
    else
        user = json_pack("{s:s,s:o,s:s}", "name", values[SETTING_USERNAME], "domain",
                         domain_of(settings, SETTING_USER_DOMAIN_NAME), "password", values[SETTING_PASSWORD]);
    if (values[SETTING_PROJECT_ID])
        scope = json_pack("{s:{s:s}}", "project", "id", values[SETTING_PROJECT_ID]);
    else if (values[SETTING_PROJECT_NAME])
        scope = json_pack("{s:{s:s,s:o}}", "project", "name", values[SETTING_PROJECT_NAME], "domain",
                          domain_of(settings, SETTING_PROJECT_DOMAIN_NAME));
    return json_pack("{s:{s:{s:[s],s:{s:o}},s:o*}}", "auth", "identity", "methods", "password", "password", "user", user,
                     "scope", scope);
}

static int take_token(struct session *session, struct exchange *exchange, struct error *error)
{
    _cleanup_(json_decrefp) json_t *answer = json_loads(exchange->body.data, 0, NULL), *entry = NULL;
    const json_t *token = json_object_get(answer, "token");
    const char *endpoint = catalogue_endpoint(token), *expires = json_string_value(json_object_get(token, "expires_at"));
    char expires_s[21];

    if (!token || !exchange->subject_token)
        return error_set(error, -EREMOTEIO, "auth-url", "auth-url: '%s' did not answer as Identity v3 does",
                         session->identity);
    free(session->token);
    session->token = TAKE_PTR(exchange->subject_token);
    session->from_cache = false;
    if (endpoint && !session->settings.values[SETTING_ENDPOINT] && set_endpoint(session, endpoint) < 0)
        return -ENOMEM;
    if (!expires || strlen(expires) < 19)
        return 0;
    /* Keystone writes microseconds too. */
    snprintf(expires_s, sizeof expires_s, "%.19sZ", expires);
    entry = json_pack("{s:s,s:s*,s:s}", "token", session->token, "endpoint", endpoint, "expires_at", expires_s);
    if (entry)
        token_cache_store(&session->settings, entry);
    return 0;
}

static int authenticate(struct session *session, struct error *error)
{
    const struct settings_values *settings = &session->settings;
    _cleanup_(exchange_clear) struct exchange exchange = {0};
    _cleanup_(json_decrefp) json_t *body = NULL;
    _cleanup_(freep) char *url = NULL;
    int r;

    r = find_identity(session, error);
    if (r < 0)
        return r;
    if (!settings->values[SETTING_USERNAME] && !settings->values[SETTING_USER_ID])
        return error_set(error, -EINVAL, "username", "the user is not known: set %s or give --%s",
                         setting_variable(SETTING_USERNAME), setting_flag(SETTING_USERNAME));
    if (!settings->values[SETTING_PASSWORD])
        return error_set(error, -EINVAL, "password", "the password is not known: set %s",
                         setting_variable(SETTING_PASSWORD));
    body = credentials(settings);
    if (!body || text_format(&url, "%s/auth/tokens", session->identity) < 0)
        return -ENOMEM;
    trust_api(session, &exchange);
    r = exchange_run(session, "POST", url, body, NULL, false, 0, &exchange, error);
    if (r < 0)
        return r;
    if (exchange.status >= 300)
        return refusal(&exchange, url, error);
    return take_token(session, &exchange, error);
}

static int prepare(struct session *session, struct error *error)
{
    const struct settings_values *settings = &session->settings;
    int r;

    if (!session->endpoint && settings->values[SETTING_ENDPOINT] &&
        set_endpoint(session, settings->values[SETTING_ENDPOINT]) < 0)
        return -ENOMEM;
    if (!session->token && settings->values[SETTING_TOKEN]) {
        session->token = strdup(settings->values[SETTING_TOKEN]);
        if (!session->token)
            return -ENOMEM;
    }
    /* Without authentication, as --os-auth-type none of the openstack command: an endpoint and no user. */
    if (!session->token &&
        (settings->values[SETTING_USERNAME] || settings->values[SETTING_USER_ID] || !session->endpoint)) {
        _cleanup_(json_decrefp) json_t *entry = token_cache_load(settings);
        const char *endpoint = json_string_value(json_object_get(entry, "endpoint"));

        if (entry) {
            session->token = strdup(json_string_value(json_object_get(entry, "token")));
            session->from_cache = true;
            if (!session->token || (!session->endpoint && endpoint && set_endpoint(session, endpoint) < 0))
                return -ENOMEM;
        } else {
            r = authenticate(session, error);
            if (r < 0)
                return r;
        }
    }
    return session->endpoint ? 0 : guess_endpoint(session, error);
}

int session_token(struct session *session, const char **ret_token, struct error *error)
{
    int r = prepare(session, error);

    if (r < 0)
        return r;
    *ret_token = session->token ? session->token : "";
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int url_of(struct session *session, enum service service, const char *path, char **ret, struct error *error)
{
    int r;

    if (service == SERVICE_IDENTITY) {
        r = find_identity(session, error);
        if (r < 0)
            return r;
        return text_format(ret, "%s%s", session->identity, path);
    }
    return text_format(ret, "%s%s%s", session->endpoint,
                       service == SERVICE_WEFT            ? "/weft/v1"
                       : service == SERVICE_LOAD_BALANCER ? "/load-balancer/v2.0/lbaas"
                                                          : "/v2.0",
                       path);
}

static int parse_answer(const struct exchange *exchange, const char *url, json_t **ret_answer, struct error *error)
{
    json_error_t where;

    if (!ret_answer)
        return 0;
    *ret_answer = exchange->body.size ? json_loads(exchange->body.data, 0, &where) : NULL;
    if (exchange->body.size && !*ret_answer)
        return error_set(error, -EREMOTEIO, "url", "%s: the answer is not JSON: %s", url, where.text);
    return 0;
}

/* ---- weft-fabric ------------------------------------------------------------------------------------------------- */

static void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* The first line of a file, as weft-fabric itself reads it. */
static int read_fabric_token(const char *path, char token[MAX_FABRIC_TOKEN], struct error *error)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "re");

    if (!file)
        return error_set(error, -errno, "fabric-token-file", "fabric-token-file: cannot read '%s': %s", path, strerror(errno));
    if (!fgets(token, MAX_FABRIC_TOKEN, file))
        return error_set(error, -EINVAL, "fabric-token-file", "fabric-token-file: '%s' is empty", path);
    token[strcspn(token, "\r\n")] = '\0';
    return 0;
}

static int prepare_fabric(struct session *session, struct error *error)
{
    char *const *values = session->settings.values;
    const char *url = values[SETTING_FABRIC_URL] ? values[SETTING_FABRIC_URL] : DEFAULT_FABRIC_URL, *token = values[SETTING_FABRIC_TOKEN];
    char from_file[MAX_FABRIC_TOKEN];
    size_t length = strlen(url);

    if (session->fabric)
        return 0;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return error_set(error, -EINVAL, "fabric-url", "fabric-url: '%s' does not begin with http:// or https://", url);
    if (values[SETTING_FABRIC_TOKEN_FILE]) {
        int r = read_fabric_token(values[SETTING_FABRIC_TOKEN_FILE], from_file, error);

        if (r < 0)
            return r;
        token = from_file;
    }
    if (token && strpbrk(token, "\r\n"))
        return error_set(error, -EINVAL, "fabric-token", "%s: has more than one line", setting_variable(SETTING_FABRIC_TOKEN));
    if (token && text_format(&session->fabric_header, "Authorization: Bearer %s", token) < 0)
        return -ENOMEM;
    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length >= 10 && strncmp(url + length - 10, "/fabric/v1", 10) == 0)
        length -= 10;
    return text_format(&session->fabric, "%.*s/fabric/v1", (int)length, url);
}

static int fabric_request(struct session *session, const char *method, const char *path, const json_t *body, long timeout_ms,
                          json_t **ret_answer, struct error *error)
{
    _cleanup_(exchange_clear) struct exchange exchange = {.cacert = session->settings.values[SETTING_FABRIC_CA]};
    _cleanup_(freep) char *url = NULL;
    struct error cause = {0};
    int r;

    r = prepare_fabric(session, error);
    if (r >= 0)
        r = text_format(&url, "%s%s", session->fabric, path);
    if (r >= 0)
        r = exchange_run(session, method, url, body, session->fabric_header, false, timeout_ms, &exchange, &cause);
    if (r == -ECONNREFUSED)
        return error_set(error, r, "fabric-url",
                         "weft-fabric cannot be reached: %s.  Start it ('weft-fabric'), or say where it is with --%s or %s",
                         cause.message, setting_flag(SETTING_FABRIC_URL), setting_variable(SETTING_FABRIC_URL));
    if (r < 0)
        return r;
    if (exchange.status == 401)
        return error_set(error, -EACCES, "fabric-token", "weft-fabric wants %s token: set %s or give --%s",
                         session->fabric_header ? "another" : "a", setting_variable(SETTING_FABRIC_TOKEN),
                         setting_flag(SETTING_FABRIC_TOKEN_FILE));
    if (exchange.status < 200 || exchange.status >= 300)
        return refusal(&exchange, url, error);
    return parse_answer(&exchange, url, ret_answer, error);
}

/* ---- any of them ------------------------------------------------------------------------------------------------- */

int session_request_with(struct session *session, enum service service, const char *method, const char *path,
                         const json_t *body, const char *header, long timeout_ms, json_t **ret_answer,
                         struct error *error)
{
    _cleanup_(freep) char *url = NULL;
    int r;

    if (service == SERVICE_FABRIC)
        return fabric_request(session, method, path, body, timeout_ms, ret_answer, error);
    r = prepare(session, error);
    if (r >= 0)
        r = url_of(session, service, path, &url, error);
    if (r < 0)
        return r;
    for (;;) {
        _cleanup_(exchange_clear) struct exchange exchange = {0};

        trust_api(session, &exchange);
        r = exchange_run(session, method, url, body, header, true, timeout_ms, &exchange, error);
        if (r < 0)
            return r;
        if (exchange.status == 401 && session->from_cache) {
            token_cache_forget(&session->settings);
            r = authenticate(session, error);
            if (r < 0)
                return r;
            continue;
        }
        if (exchange.status < 200 || exchange.status >= 300)
            return refusal(&exchange, url, error);
        return parse_answer(&exchange, url, ret_answer, error);
    }
}

int session_request(struct session *session, enum service service, const char *method, const char *path,
                    const json_t *body, json_t **ret_answer, struct error *error)
{
    return session_request_with(session, service, method, path, body, NULL, 0, ret_answer, error);
}

const char *session_path_of_link(struct session *session, enum service service, const char *link)
{
    static const char *const markers[] = {
        [SERVICE_NETWORK] = "/v2.0/", [SERVICE_IDENTITY] = "/v3/", [SERVICE_WEFT] = "/weft/v1/", [SERVICE_FABRIC] = "/fabric/v1/",
        [SERVICE_LOAD_BALANCER] = "/load-balancer/v2.0/lbaas/",
    };
    const char *marker = markers[service];
    const char *found = strstr(link, marker);

    /* Only the path is used: a token never follows a link to another server. */
    return found ? found + strlen(marker) - 1 : NULL;
}
