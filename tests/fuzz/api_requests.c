/* Requests to the Networking API, bodies and queries: whatever they say, the answer is JSON with a proper status, errors
 * say something, and nothing stays behind.
 *
 * An input is text: "METHOD TARGET", a line end, the body; "\n--\n" parts requests.  What is there, by %letter:
 * N a network (VNI 5), S its subnet 10.0.0.0/24, P a port on it; E an external network with the subnet 203.0.113.0/24; R a router with an
 * interface on S and a gateway on E; F a floating IP of E that leads nowhere.  A third word of the first line is If-Match. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "weft/base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS_MAX 8

static const char letters[] = "NSPERF";
static char ids[sizeof letters - 1][40];

static void create(struct instance *instance, const char *target, const char *body, char id[40])
{
    json_t *json = NULL, *object;

    if (instance_call(instance, "POST", target, body, &json) != 201)
        abort();
    object = json_object_iter_value(json_object_iter(json));
    snprintf(id, 40, "%s", json_string_value(json_object_get(object, "id")));
    json_decref(json);
}

/* Puts the ids in. */
static char *expand(const char *text, size_t size)
{
    struct buffer buffer = {0};
    const char *place;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%' && i + 1 < size && text[i + 1] && (place = strchr(letters, text[i + 1]))) {
            buffer_append_string(&buffer, ids[place - letters]);
            i++;
        } else {
            buffer_append(&buffer, &text[i], 1);
        }
    }
    buffer_append(&buffer, "", 1);
    return buffer.data;
}

static void check(const struct exchange *exchange)
{
    const json_t *error = json_object_get(exchange->body, "NeutronError");
    const char *message;

    if (!error)
        error = json_object_get(exchange->body, "error"); /* Identity's form, under its paths and with 401. */
    message = json_string_value(json_object_get(error, "message"));
    if (exchange->status < 200 || exchange->status == 500 || (exchange->status >= 400 && (!message || !*message))) {
        fprintf(stderr, "answered %d: %s\n", exchange->status, message ? message : "(nothing)");
        abort();
    }
}

static void run(struct instance *instance, const char *text, size_t size)
{
    char *whole = expand(text, size), *line_end = strchr(whole, '\n'), *body = line_end ? line_end + 1 : NULL;
    char *method = whole, *target, *if_match = NULL;
    struct exchange exchange = {0};

    if (line_end)
        *line_end = '\0';
    target = strchr(whole, ' ');
    if (target) {
        *target++ = '\0';
        if_match = strchr(target, ' ');
        if (if_match)
            *if_match++ = '\0';
        exchange.if_match = if_match;
        /* Streams never end, and passwords are slow on purpose. */
        if (!strstr(target, "watch") && !strstr(target, "identity") && !strstr(target, "/weft/")) {
            exchange_start(&exchange, instance, method, target, body && *body ? body : NULL);
            instances_run(&instance, 1, &exchange, 1);
            check(&exchange);
            json_decref(exchange.body);
        }
    }
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *next = (const char *)data, *end = next + size;
    struct instance instance;
    struct store *store;
    char body[160], target[120], outside[40];

    if (store_memory_open(&store) < 0)
        return 0;
    instance_start(&instance, store);
    create(&instance, "/v2.0/networks", "{\"network\":{\"provider:segmentation_id\":5}}", ids[0]);
    snprintf(body, sizeof body, "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"10.0.0.0/24\"}}", ids[0]);
    create(&instance, "/v2.0/subnets", body, ids[1]);
    snprintf(body, sizeof body, "{\"port\":{\"network_id\":\"%s\"}}", ids[0]);
    create(&instance, "/v2.0/ports", body, ids[2]);
    create(&instance, "/v2.0/networks", "{\"network\":{\"router:external\":true}}", ids[3]);
    snprintf(body, sizeof body, "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"203.0.113.0/24\"}}", ids[3]);
    create(&instance, "/v2.0/subnets", body, outside);
    snprintf(body, sizeof body, "{\"router\":{\"external_gateway_info\":{\"network_id\":\"%s\"}}}", ids[3]);
    create(&instance, "/v2.0/routers", body, ids[4]);
    snprintf(target, sizeof target, "/v2.0/routers/%s/add_router_interface", ids[4]);
    snprintf(body, sizeof body, "{\"subnet_id\":\"%s\"}", ids[1]);
    if (instance_call(&instance, "PUT", target, body, NULL) != 200)
        abort();
    snprintf(body, sizeof body, "{\"floatingip\":{\"floating_network_id\":\"%s\"}}", ids[3]);
    create(&instance, "/v2.0/floatingips", body, ids[5]);
    for (int i = 0; i < REQUESTS_MAX && next && next < end; i++) {
        const char *separator = memmem(next, (size_t)(end - next), "\n--\n", 4);

        run(&instance, next, (size_t)((separator ? separator : end) - next));
        next = separator ? separator + 4 : NULL;
    }
    instance_stop(&instance);
    store_close(store);
    instance_free(&instance);
    return 0;
}
