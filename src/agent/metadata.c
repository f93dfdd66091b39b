/* See metadata.h. */
#include "weft/agent/metadata.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/serve.h"
#include "weft/base/bytes.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/dataplane/attach.h"
#include "weft/http/curl-loop.h"
#include "weft/http/http.h"
#include "weft/http/request.h"
#include "weft/services/metadata.h"

#define MAX_PORT_CONNECTIONS 8          /* Of one port at a time, in each family. */
#define MAX_CONNECTIONS 4096
#define UPSTREAM_TIMEOUT_MS 10000L
#define UPSTREAM_MAX_SIZE (1u << 20)

/* A question to the server behind metadata-url. */
struct question {
    struct question *next, *previous;
    struct metadata *metadata;
    struct request *request;
    CURL *easy;
    struct curl_slist *headers;
    struct buffer received;
    bool begun;
};

struct metadata {
    struct agent *agent;
    struct http_service service;
    struct http *http[2];     /* IPv4, IPv6. */
    const char *url;          /* NULL: this host answers by itself. */
    char *secret;
    struct curl_loop curl;
    uv_timer_t begin_timer;   /* curl takes no transfers from inside its own callbacks. */
    struct question *questions;
    unsigned n_handles;       /* Timers that are not closed yet. */
};

/* ---- who asks ------------------------------------------------------------------------------------------------------------------------------- */

/* The slot and generation that the data plane made the client's address of. */
static bool read_client(const char *text, uint32_t *ret_slot, uint32_t *ret_generation, uint32_t *ret_mask)
{
    struct ip_address address;

    if (ip_parse(text, &address) < 0)
        return false;
    if (ip_is_v4(&address)) {
        uint32_t number = ip_to_v4(&address);

        *ret_slot = METADATA_SLOT_OF_IP4(number);
        *ret_generation = number >> 20;
        *ret_mask = 0xff;
        return number == METADATA_PORT_IP4(*ret_slot, *ret_generation);
    }
    *ret_generation = get_be32(address.bytes + 8);
    *ret_slot = get_be32(address.bytes + 12);
    *ret_mask = ~0u;
    return get_be64(address.bytes) == METADATA_IP6_PORT_HIGH;
}

static bool find_objects(struct metadata *metadata, const struct request *request, struct service_objects *ret)
{
    uint32_t slot, generation, mask;
    const struct agent_port *port;

    if (!read_client(request_client_address(request), &slot, &generation, &mask))
        return false;
    port = agent_find_slot(metadata->agent, slot);
    return port && ((port->generation ^ generation) & mask) == 0 && serve_find_objects(metadata->agent, slot, ret);
}

/* ---- asking Nova ------------------------------------------------------------------------------------------------------------------------------ */

void metadata_sign(const char *secret, const char *instance_id, char ret[METADATA_SIGNATURE_SIZE])
{
    unsigned char digest[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)instance_id, strlen(instance_id));
    crypto_auth_hmacsha256_final(&state, digest);
    sodium_bin2hex(ret, METADATA_SIGNATURE_SIZE, digest, sizeof(digest));
}

static void free_question(struct question *question)
{
    struct metadata *metadata = question->metadata;

    if (question->previous)
        question->previous->next = question->next;
    else
        metadata->questions = question->next;
    if (question->next)
        question->next->previous = question->previous;
    if (question->begun)
        curl_multi_remove_handle(metadata->curl.multi, question->easy);
    curl_easy_cleanup(question->easy);
    curl_slist_free_all(question->headers);
    buffer_clear(&question->received);
    free(question);
}

static size_t receive(char *bytes, size_t one, size_t size, void *context)
{
    struct question *question = context;

    if (question->received.size + size > UPSTREAM_MAX_SIZE || buffer_append(&question->received, bytes, size) < 0)
        return 0;
    return size;
}

/* The type of an answer is kept by reference until it is sent. */
static const char *known_type(const char *type)
{
    static const char *const types[] = {"text/plain; charset=UTF-8", "text/plain", "application/json", "text/html"};

    for (size_t i = 0; type && i < ARRAY_SIZE(types); i++)
        if (strncasecmp(type, types[i], strlen(types[i])) == 0)
            return types[i];
    return type ? "application/octet-stream" : "text/plain";
}

static void upstream_answered(CURL *easy, CURLcode result, void *context)
{
    struct question *question = NULL;
    const char *type = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&question);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, (char **)&type);
    if (result == CURLE_OK && status >= 200 && status < 600) {
        /* Never NULL: that would be out of memory. */
        char *bytes = question->received.data ? question->received.data : strdup("");
        size_t size = question->received.size;

        question->received = (struct buffer){0};
        request_respond_bytes(question->request, (int)status, known_type(type), bytes, size);
    } else {
        log_warning("metadata-url: '%s' does not answer: %s", question->metadata->url, curl_easy_strerror(result));
        request_fail(question->request, result == CURLE_OPERATION_TIMEDOUT ? HTTP_GATEWAY_TIMEOUT : HTTP_UNAVAILABLE, "MetadataUnavailable",
                     "The metadata server does not answer.");
    }
    free_question(question);
}

static void add_header(struct question *question, const char *name, const char *value)
{
    char line[700];

    if (value[strcspn(value, "\r\n")]) /* Nobody adds headers by a name. */
        return;
    snprintf(line, sizeof(line), "%s: %s", name, value);
    question->headers = curl_slist_append(question->headers, line);
}

static void add_headers(struct question *question, const struct service_objects *objects)
{
    const struct port *port = objects->port;
    char signature[METADATA_SIGNATURE_SIZE], address[IP_TEXT_SIZE];

    add_header(question, "X-Instance-ID", port->device_id);
    add_header(question, "X-Tenant-ID", port->object.project_id);
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) || i + 1 == port->n_fixed_ips) {
            add_header(question, "X-Forwarded-For", ip_format(&port->fixed_ips[i].address, address));
            break;
        }
    if (question->metadata->secret) {
        metadata_sign(question->metadata->secret, port->device_id, signature);
        add_header(question, "X-Instance-ID-Signature", signature);
    }
}

static void begin_questions(uv_timer_t *timer)
{
    struct metadata *metadata = timer->data;

    for (struct question *question = metadata->questions; question; question = question->next)
        if (!question->begun) {
            question->begun = true;
            curl_multi_add_handle(metadata->curl.multi, question->easy);
        }
}

static void ask_upstream(struct metadata *metadata, struct request *request, const struct service_objects *objects)
{
    struct question *question = calloc(1, sizeof(*question));
    char url[4096];

    if (!question || !(question->easy = curl_easy_init()) ||
        snprintf(url, sizeof(url), "%s%s", metadata->url, request->target) >= (int)sizeof(url)) {
        if (question)
            curl_easy_cleanup(question->easy);
        free(question);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The question cannot be passed on.");
        return;
    }
    question->metadata = metadata;
    question->request = request;
    question->next = metadata->questions;
    if (question->next)
        question->next->previous = question;
    metadata->questions = question;
    add_headers(question, objects);
    curl_easy_setopt(question->easy, CURLOPT_URL, url);
    curl_easy_setopt(question->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(question->easy, CURLOPT_NOBODY, (long)streq(request->method, "HEAD"));
    curl_easy_setopt(question->easy, CURLOPT_HTTPHEADER, question->headers);
    curl_easy_setopt(question->easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(question->easy, CURLOPT_WRITEDATA, question);
    curl_easy_setopt(question->easy, CURLOPT_PRIVATE, question);
    curl_easy_setopt(question->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(question->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(question->easy, CURLOPT_TIMEOUT_MS, UPSTREAM_TIMEOUT_MS);
    uv_timer_start(&metadata->begin_timer, begin_questions, 0, 0);
}

/* ---- answering ---------------------------------------------------------------------------------------------------------------------------------- */

static void answer(struct request *request)
{
    struct metadata *metadata = request->context;
    struct service_objects objects;
    struct buffer content = {0};
    const char *type;
    int result;

    if (!find_objects(metadata, request, &objects)) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Nobody is known to ask from here.");
        return;
    }
    if (metadata->url) {
        if (objects.port->device_id && *objects.port->device_id)
            ask_upstream(metadata, request, &objects);
        else
            request_fail(request, HTTP_NOT_FOUND, NULL, "The port is no instance's.");
        return;
    }
    result = metadata_answer(&objects, request->path, &content, &type);
    if (result == -ENOENT) {
        buffer_clear(&content);
        request_fail(request, HTTP_NOT_FOUND, NULL, "There is nothing here.");
        return;
    }
    char *bytes = result < 0 ? NULL : content.data ? content.data : strdup("");
    size_t size = content.size;
    if (result < 0)
        buffer_clear(&content);
    request_respond_bytes(request, HTTP_OK, type, bytes, size);
}

static const struct route table[] = {
    {"GET", "/{path...}", .handle = answer, .body_size = 1},
};

/* ---- start and end -------------------------------------------------------------------------------------------------------------------------------- */

/* What the programs are to know; an ifindex of 0 is "no service". */
static int configure(struct agent *agent, const struct metadata_config *config)
{
    uint32_t zero = 0;

    return bpf_map_update_elem(maps_descriptor(agent->maps, "metadata"), &zero, config, BPF_ANY) < 0 ? -errno : 0;
}

static int listen_on(struct metadata *metadata, bool is_ipv6, uint16_t *ret_port, struct error *error)
{
    char address[IP_TEXT_SIZE + 8], text[IP_TEXT_SIZE];
    struct ip_address own = ip_from_v4(METADATA_AGENT_IP4);
    struct http_options options = {.listen = address, .listen_option = "metadata", .device = METADATA_DEVICE,
                                   .max_connections = MAX_CONNECTIONS, .max_client_connections = MAX_PORT_CONNECTIONS};
    uint64_t port = 0;
    int result;

    if (is_ipv6) {
        put_be64(own.bytes, METADATA_IP6_AGENT_HIGH);
        put_be64(own.bytes + 8, METADATA_IP6_AGENT_LOW);
    }
    snprintf(address, sizeof(address), is_ipv6 ? "[%s]:0" : "%s:0", ip_format(&own, text));
    result = http_new(&metadata->agent->loop, &metadata->service, &options, &metadata->http[is_ipv6], error);
    if (result == 0 && parse_u64(strrchr(http_url(metadata->http[is_ipv6]), ':') + 1, 1, 65535, &port) == 0)
        *ret_port = htons((uint16_t)port);
    return result;
}

/* There in any case: health probes of load balancers' members take it, too. */
static int open_device(struct agent *agent, struct metadata_config *config, struct error *error)
{
    int result = attach_metadata_device(&config->ifindex, config->mac, &agent->metadata_has_ipv6, error);

    if (result < 0)
        return result;
    result = attach_program(config->ifindex, true, maps_program(agent->maps, PROGRAM_FROM_METADATA));
    if (result < 0)
        return error_set(error, result, NULL, "cannot attach to '" METADATA_DEVICE "': %s", strerror(-result));
    agent->metadata_ifindex = config->ifindex;
    memcpy(agent->metadata_mac.bytes, config->mac, sizeof(agent->metadata_mac.bytes));
    return 0;
}

static int open_service(struct metadata *metadata, struct metadata_config *config, struct error *error)
{
    int result = listen_on(metadata, false, &config->port[0], error);

    if (result == 0 && metadata->agent->metadata_has_ipv6)
        result = listen_on(metadata, true, &config->port[1], error);
    if (result < 0)
        return result;
    result = configure(metadata->agent, config);
    return result < 0 ? error_set(error, result, NULL, "cannot tell the data plane: %s", strerror(-result)) : 0;
}

static int read_secret(struct metadata *metadata, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    size_t capacity = 0;
    ssize_t size;

    if (!file)
        return error_set(error, -errno, "metadata-secret-file", "metadata-secret-file: cannot read '%s': %s", path, strerror(errno));
    size = getline(&metadata->secret, &capacity, file);
    fclose(file);
    if (size < 0)
        return error_set(error, -EINVAL, "metadata-secret-file", "metadata-secret-file: '%s' is empty", path);
    metadata->secret[strcspn(metadata->secret, "\r\n")] = 0;
    return metadata->secret[0] ? 0 : error_set(error, -EINVAL, "metadata-secret-file", "metadata-secret-file: '%s' begins with an empty line", path);
}

static int read_options(struct metadata *metadata, const struct agent_options *o, struct error *error)
{
    if (o->metadata_url && strncmp(o->metadata_url, "http://", 7) != 0 && strncmp(o->metadata_url, "https://", 8) != 0)
        return error_set(error, -EINVAL, "metadata-url", "metadata-url: '%s' is neither an http or https URL nor 'off'", o->metadata_url);
    metadata->url = o->metadata_url;
    return o->metadata_secret_file ? read_secret(metadata, o->metadata_secret_file, error) : 0;
}

int metadata_start(struct agent *agent, struct error *error)
{
    struct metadata_config config = {0};
    struct metadata *metadata;
    struct error why = {0};
    int result;

    if (open_device(agent, &config, &why) < 0)
        log_warning("no metadata service, and no health monitors: %s", why.message);
    if (agent->options.metadata_url && streq(agent->options.metadata_url, "off")) {
        result = configure(agent, &(struct metadata_config){0});
        return result < 0 ? error_set(error, result, NULL, "cannot turn the metadata service off: %s", strerror(-result)) : 0;
    }
    metadata = calloc(1, sizeof(*metadata));
    if (!metadata || sodium_init() < 0) {
        free(metadata);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    result = read_options(metadata, &agent->options, error);
    if (result == 0)
        result = routes_new(&metadata->service.routes);
    if (result == 0)
        result = routes_add(metadata->service.routes, table, ARRAY_SIZE(table));
    if (result == 0)
        result = curl_loop_init(&metadata->curl, &agent->loop, upstream_answered, metadata);
    if (result < 0) {
        routes_free(metadata->service.routes);
        free(metadata->secret);
        free(metadata);
        return result;
    }
    uv_timer_init(&agent->loop, &metadata->begin_timer);
    metadata->begin_timer.data = metadata;
    metadata->service.context = metadata;
    metadata->agent = agent;
    agent->metadata = metadata;
    if (agent->metadata_ifindex && open_service(metadata, &config, &why) < 0)
        log_warning("no metadata service: %s", why.message);
    if (!agent->metadata_ifindex || why.message[0]) {
        metadata_stop(agent);
        configure(agent, &(struct metadata_config){0});
    }
    return 0;
}

static void handle_closed(struct metadata *metadata)
{
    if (--metadata->n_handles)
        return;
    routes_free(metadata->service.routes);
    if (metadata->secret)
        explicit_bzero(metadata->secret, strlen(metadata->secret));
    free(metadata->secret);
    free(metadata);
}

static void timer_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, struct metadata, begin_timer));
}

static void curl_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, struct metadata, curl.timer));
}

void metadata_stop(struct agent *agent)
{
    struct metadata *metadata = agent->metadata;

    if (!metadata)
        return;
    agent->metadata = NULL;
    while (metadata->questions) {
        request_fail(metadata->questions->request, HTTP_UNAVAILABLE, NULL, "The agent ends.");
        free_question(metadata->questions);
    }
    http_free(metadata->http[0]);
    http_free(metadata->http[1]);
    metadata->n_handles = 2;
    curl_loop_clear(&metadata->curl, curl_closed);
    uv_timer_stop(&metadata->begin_timer);
    uv_close((uv_handle_t *)&metadata->begin_timer, timer_closed);
}
