/* HTTP to the API by curl's multi interface on the loop: see api.h. */
#include "weft/agent/api.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/address.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/http/curl-loop.h"

#define MAX_URLS 16
#define SILENCE_MS 15000       /* Of a watch stream: the server sends a keepalive every 5 s. */
#define REQUEST_TIMEOUT_MS 10000L
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define LINE_MAX_SIZE (16u << 20)

enum purpose { PURPOSE_JOIN, PURPOSE_WATCH, PURPOSE_REQUEST };

/* One transfer under way. */
struct transfer {
    struct api *api;
    struct transfer *next, *previous;
    enum purpose purpose;
    bool begun;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    struct buffer received;
    char failure[CURL_ERROR_SIZE];
    void (*done)(int status, void *context);
    void *context;
};

struct api {
    struct api_options options;
    struct api_events events;
    uv_loop_t *loop;
    struct curl_loop curl;
    uv_timer_t retry_timer;   /* To connect again. */
    uv_timer_t silence_timer;
    uv_timer_t begin_timer;   /* To begin transfers: curl takes none from inside its own callbacks. */
    char *urls[MAX_URLS];
    size_t n_urls, url;
    char *credential;
    struct transfer *transfers, *watch;
    bool connected;
    struct ip_address server; /* Of the last watch stream. */
    bool credential_refused; /* Join again, if there is a token. */
    uint64_t heard_ms, backoff_ms;
    char failure[512];
};

static void start(struct api *api);

/* ---- transfers ------------------------------------------------------------------------------------------------------------------ */

static void free_transfer(struct transfer *transfer)
{
    struct api *api = transfer->api;

    if (transfer->previous)
        transfer->previous->next = transfer->next;
    else
        api->transfers = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    if (api->watch == transfer)
        api->watch = NULL;
    if (transfer->begun)
        curl_multi_remove_handle(api->curl.multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    buffer_clear(&transfer->received);
    free(transfer);
}

/* Lines as they come; a stream that makes no sense is ended by taking less than was offered. */
static size_t receive(char *bytes, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    struct api *api = transfer->api;
    long status = 0;
    size_t from = 0;

    api->heard_ms = clock_monotonic_ms();
    if (transfer->received.size + size > LINE_MAX_SIZE || buffer_append(&transfer->received, bytes, size) < 0)
        return 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->purpose != PURPOSE_WATCH || status != 200)
        return size;
    if (!api->connected) {
        const char *address = NULL;

        if (curl_easy_getinfo(transfer->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address)
            ip_parse(address, &api->server);
        api->connected = true;
        api->failure[0] = 0;
        api->backoff_ms = BACKOFF_FIRST_MS;
        log_info("connected to %s", api_url(api));
        api->events.connected(true, api->events.context);
    }
    for (;;) {
        const char *line = transfer->received.data + from;
        const char *end = memchr(line, '\n', transfer->received.size - from);

        if (!end)
            break;
        if (end > line && api->events.line(line, (size_t)(end - line), api->events.context) < 0)
            return 0;
        from = (size_t)(end - transfer->received.data) + 1;
    }
    buffer_consume(&transfer->received, from);
    return size;
}

/* In the order of their making: the list has the newest first. */
static void begin_transfers(uv_timer_t *timer)
{
    struct api *api = timer->data;
    struct transfer *oldest = NULL;

    for (struct transfer *transfer = api->transfers; transfer; transfer = transfer->next)
        oldest = transfer;
    for (struct transfer *transfer = oldest, *newer; transfer; transfer = newer) {
        newer = transfer->previous;
        if (!transfer->begun) {
            transfer->begun = true;
            curl_multi_add_handle(api->curl.multi, transfer->easy);
        }
    }
}

static struct transfer *new_transfer(struct api *api, enum purpose purpose, const char *method, const char *path, json_t *body)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    char url[1024], header[600];

    if (!transfer || !(transfer->easy = curl_easy_init())) {
        free(transfer);
        json_decref(body);
        return NULL;
    }
    transfer->api = api;
    transfer->purpose = purpose;
    transfer->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    transfer->headers = curl_slist_append(NULL, "Content-Type: application/json");
    transfer->headers = curl_slist_append(transfer->headers, "Expect:");
    if (api->credential && purpose != PURPOSE_JOIN) {
        snprintf(header, sizeof(header), "Authorization: Bearer %s", api->credential);
        transfer->headers = curl_slist_append(transfer->headers, header);
    }
    snprintf(url, sizeof(url), "%s%s", api_url(api), path);
    curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body ? transfer->body : "");
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->failure);
    curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
    curl_easy_setopt(transfer->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (api->options.ca_path)
        curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, api->options.ca_path);
    if (purpose != PURPOSE_WATCH)
        curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);

    transfer->next = api->transfers;
    if (api->transfers)
        api->transfers->previous = transfer;
    api->transfers = transfer;
    uv_timer_start(&api->begin_timer, begin_transfers, 0, 0);
    return transfer;
}

/* ---- connecting, and connecting again ------------------------------------------------------------------------------------------------ */

static void retry(uv_timer_t *timer)
{
    start(timer->data);
}

static void try_next(struct api *api, const char *why)
{
    uint32_t jitter;

    if (api->connected || !api->failure[0])
        log_warning("no connection to %s: %s; forwarding goes on", api_url(api), why);
    string_copy(api->failure, sizeof(api->failure), why);
    if (api->connected) {
        api->connected = false;
        api->events.connected(false, api->events.context);
    }
    random_bytes(&jitter, sizeof(jitter));
    api->url = (api->url + 1) % api->n_urls;
    uv_timer_start(&api->retry_timer, retry, api->backoff_ms / 2 + jitter % api->backoff_ms, 0);
    api->backoff_ms = MIN(api->backoff_ms * 2, BACKOFF_MAX_MS);
}

static int store_credential(struct api *api)
{
    char path[600];
    int fd, result = 0;

    snprintf(path, sizeof(path), "%s.new", api->options.credential_path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, api->credential, strlen(api->credential)) != (ssize_t)strlen(api->credential))
        result = -errno;
    if (result == 0) /* The token that it was got for works once. */
        result = file_replace(fd, path, api->options.credential_path);
    close(fd);
    return result;
}

static void joined(struct api *api, long status, const struct transfer *transfer)
{
    json_t *answer = json_loadb(transfer->received.data ? transfer->received.data : "", transfer->received.size, 0, NULL);
    const char *credential = json_string_value(json_object_get(answer, "credential"));
    char why[300];

    if (status == 200 && credential) {
        int stored;

        free(api->credential);
        api->credential = strdup(credential);
        stored = store_credential(api);
        if (stored < 0)
            log_error("state-dir: cannot write '%s': %s", api->options.credential_path, strerror(-stored));
        log_info("joined as host '%s'", api->options.host);
        json_decref(answer);
        start(api);
        return;
    }
    json_decref(answer);
    if (status == 401)
        snprintf(why, sizeof(why), "join-token-file: the API refuses the token in '%s'", api->options.join_token_path);
    else
        snprintf(why, sizeof(why), "joining failed: %s", status ? "unexpected answer" : transfer->failure);
    try_next(api, why);
}

static void watch_ended(struct api *api, long status, const struct transfer *transfer)
{
    char why[400];

    api->credential_refused = status == 401;
    if (status == 401 || status == 403)
        snprintf(why, sizeof(why), "the API refuses the credential in '%s' (HTTP %ld)", api->options.credential_path, status);
    else if (status && status != 200)
        snprintf(why, sizeof(why), "HTTP %ld: %.*s", status, (int)MIN(transfer->received.size, 300),
                 transfer->received.data ? transfer->received.data : "");
    else
        snprintf(why, sizeof(why), "%s", transfer->failure[0] ? transfer->failure : "the stream ended");
    try_next(api, why);
}

static void transfer_finished(CURL *easy, CURLcode result, void *context)
{
    struct api *api = context;
    struct transfer *transfer = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    if (result == CURLE_OK || transfer->purpose == PURPOSE_WATCH)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK && !transfer->failure[0])
        string_copy(transfer->failure, sizeof(transfer->failure), curl_easy_strerror(result));
    if (transfer->purpose == PURPOSE_JOIN)
        joined(api, status, transfer);
    else if (transfer->purpose == PURPOSE_WATCH)
        watch_ended(api, status, transfer);
    else if (transfer->done)
        transfer->done((int)status, transfer->context);
    free_transfer(transfer);
}

static void silence(uv_timer_t *timer)
{
    struct api *api = timer->data;

    if (!api->watch || clock_monotonic_ms() - api->heard_ms < SILENCE_MS)
        return;
    free_transfer(api->watch);
    try_next(api, "silent for 15 s");
}

static char *read_line(const char *path)
{
    FILE *file = path ? fopen(path, "re") : NULL;
    char *line = NULL;
    size_t capacity = 0;

    if (!file)
        return NULL;
    if (getline(&line, &capacity, file) > 0)
        line[strcspn(line, "\r\n ")] = 0;
    fclose(file);
    if (line && !line[0]) {
        free(line);
        line = NULL;
    }
    return line;
}

static void join(struct api *api)
{
    char *token = read_line(api->options.join_token_path), path[400], why[300];

    if (!token) {
        snprintf(why, sizeof(why), "no credential in '%s' and no token in the join-token-file '%s'",
                 api->options.credential_path, api->options.join_token_path ? api->options.join_token_path : "");
        try_next(api, why);
        return;
    }

    json_t *body = api->events.join_facts(api->events.context);

    json_object_set_new(body, "join_token", json_string(token));
    free(token);
    snprintf(path, sizeof(path), "/weft/v1/hosts/%s/join", api->options.host);
    if (!new_transfer(api, PURPOSE_JOIN, "POST", path, body))
        try_next(api, "out of memory");
}

static void start(struct api *api)
{
    const char *token = api->options.join_token_path;
    char path[400];

    if (!api->credential)
        api->credential = read_line(api->options.credential_path);
    if (!api->credential || (api->credential_refused && token && access(token, R_OK) == 0)) {
        api->credential_refused = false; /* Once with the token, once with the credential, in turn. */
        join(api);
        return;
    }
    snprintf(path, sizeof(path), "/weft/v1/hosts/%s/watch", api->options.host);
    api->heard_ms = clock_monotonic_ms();
    api->watch = new_transfer(api, PURPOSE_WATCH, "POST", path,
                              json_pack("{s:o, s:b}", "digest", api->events.digest(api->events.context), "patches", 1));
    if (!api->watch)
        try_next(api, "out of memory");
}

/* ---- public ---------------------------------------------------------------------------------------------------------------------------- */

static int split_urls(struct api *api, const char *urls, struct error *error)
{
    const char *from = urls;

    while (*from) {
        size_t size = strcspn(from, ", ");

        while (size && from[size - 1] == '/')
            size--;
        if (size && api->n_urls < MAX_URLS) {
            if (strncmp(from, "http://", 7) != 0 && strncmp(from, "https://", 8) != 0)
                return error_set(error, -EINVAL, "api", "api: '%.*s' is not an http or https URL", (int)size, from);
            api->urls[api->n_urls++] = strndup(from, size);
        }
        from += strcspn(from, ", ");
        from += strspn(from, ", ");
    }
    return api->n_urls ? 0 : error_set(error, -EINVAL, "api", "api: '%s' names no URL", urls);
}

int api_new(uv_loop_t *loop, const struct api_options *options, const struct api_events *events, struct api **ret_api,
            struct error *error)
{
    struct api *api = calloc(1, sizeof(*api));
    int result;

    if (!api)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    api->options = *options;
    api->events = *events;
    api->loop = loop;
    api->backoff_ms = BACKOFF_FIRST_MS;
    result = split_urls(api, options->urls, error);
    if (result < 0) {
        for (size_t i = 0; i < api->n_urls; i++)
            free(api->urls[i]);
        free(api);
        return result;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    result = curl_loop_init(&api->curl, loop, transfer_finished, api);
    if (result < 0) {
        for (size_t i = 0; i < api->n_urls; i++)
            free(api->urls[i]);
        free(api);
        return error_set(error, result, NULL, "out of memory");
    }
    uv_timer_init(loop, &api->retry_timer);
    uv_timer_init(loop, &api->silence_timer);
    uv_timer_init(loop, &api->begin_timer);
    api->retry_timer.data = api->silence_timer.data = api->begin_timer.data = api;
    uv_timer_start(&api->silence_timer, silence, 1000, 1000);
    uv_timer_start(&api->retry_timer, retry, 0, 0);
    *ret_api = api;
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    while (api->transfers)
        free_transfer(api->transfers);
    curl_loop_clear(&api->curl, NULL);
    uv_timer_stop(&api->retry_timer);
    uv_timer_stop(&api->silence_timer);
    uv_close((uv_handle_t *)&api->retry_timer, NULL);
    uv_close((uv_handle_t *)&api->silence_timer, NULL);
    uv_close((uv_handle_t *)&api->begin_timer, NULL);
    uv_run(api->loop, UV_RUN_NOWAIT); /* The loop lets go of the handles. */
    for (size_t i = 0; i < api->n_urls; i++)
        free(api->urls[i]);
    free(api->credential);
    free(api);
    curl_global_cleanup();
}

void api_send(struct api *api, const char *method, const char *path, json_t *body, void (*done)(int status, void *context),
              void *context)
{
    struct transfer *transfer = new_transfer(api, PURPOSE_REQUEST, method, path, body);

    if (!transfer) {
        if (done)
            done(0, context);
        return;
    }
    transfer->done = done;
    transfer->context = context;
}

bool api_is_connected(const struct api *api)
{
    return api->connected;
}

const char *api_url(const struct api *api)
{
    return api->urls[api->url];
}

void api_server_address(const struct api *api, struct ip_address *ret)
{
    *ret = api->server;
}

const char *api_last_failure(const struct api *api)
{
    return api->connected ? "" : api->failure;
}

/* A datagram socket that is connected sends nothing, but knows which address it would send from. */
static int address_towards(const struct addrinfo *to, struct ip_address *ret)
{
    struct sockaddr_storage storage;
    socklen_t size = sizeof(storage);
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0 || getsockname(fd, (struct sockaddr *)&storage, &size) < 0)
        result = -errno;
    else if (storage.ss_family == AF_INET)
        *ret = ip_from_v4(ntohl(((struct sockaddr_in *)&storage)->sin_addr.s_addr));
    else
        memcpy(ret->bytes, &((struct sockaddr_in6 *)&storage)->sin6_addr, 16);
    close(fd);
    return result;
}

int api_local_address(const char *urls, struct ip_address *ret)
{
    char first[512], *host = NULL;
    struct addrinfo *found = NULL;
    CURLU *url = curl_url();
    int result = -EINVAL;

    snprintf(first, sizeof(first), "%.*s", (int)strcspn(urls, ", "), urls);
    if (url && curl_url_set(url, CURLUPART_URL, first, 0) == CURLUE_OK && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        size_t size = strlen(host);

        if (host[0] == '[' && size > 2) { /* An IPv6 address. */
            memmove(host, host + 1, size - 2);
            host[size - 2] = 0;
        }
        if (getaddrinfo(host, "9", &(struct addrinfo){.ai_socktype = SOCK_DGRAM}, &found) == 0 && found) {
            result = address_towards(found, ret);
            freeaddrinfo(found);
        }
    }
    curl_free(host);
    curl_url_cleanup(url);
    return result;
}
