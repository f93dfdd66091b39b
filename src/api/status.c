/* PUT .../status: what an agent says of its host and its ports.  Most reports only say "still here" and end in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/api/commits.h"
#include "weft/api/hosts-state.h"
#include "weft/api/networking.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/utf8.h"
#include "weft/base/util.h"

#define PHYSICAL_NETWORKS_MAX 64
#define PHYSICAL_NETWORK_MAX_LENGTH 64 /* As provider:physical_network. */
#define MIN_MTU 1280 /* IPv6 needs as much (RFC 8200, 5), and every network's MTU follows the least of all hosts. */

/* Peers know a sender by its outer address, so two hosts with one would be taken for each other: by mistake, or because one
 * wants to be.  A host that is not up gives its address to whoever has it now. */
int host_check_address(const struct hosts *hosts, const struct host *host, struct error *error)
{
    char address[IP_TEXT_SIZE];
    size_t n;
    const struct object *const *objects = replica_list(hosts->api->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; host->has_tunnel_address && i < n; i++) {
        const struct host *other = (const struct host *)objects[i];

        if (other->state != HOST_STATE_UP || !other->has_tunnel_address || !ip_equal(&other->tunnel_address, &host->tunnel_address) ||
            streq(other->object.id, host->object.id))
            continue;
        log_warning("host '%s': its tunnel address %s is that of host '%s', which is up: refused", host->object.name,
                    ip_format(&host->tunnel_address, address), other->object.name);
        return error_set_type(error, -EEXIST, "TunnelAddressInUse", "tunnel_address", "'%s' is the address of host '%s', which is up",
                              ip_format(&host->tunnel_address, address), other->object.name);
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void free_texts(struct text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i].text);
    free(texts);
}

/* Sorted, each once, so that a report in another order changes nothing. */
static int take_physical_networks(struct host *host, const json_t *list, struct error *error)
{
    const char *names[PHYSICAL_NETWORKS_MAX];
    size_t n = 0, n_names = json_array_size(list);
    struct text *texts;

    if (!json_is_array(list) || n_names > PHYSICAL_NETWORKS_MAX)
        return error_set(error, -EINVAL, "physical_networks", "a list of at most %d names is required", PHYSICAL_NETWORKS_MAX);
    for (size_t i = 0; i < n_names; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (!names[i] || !*names[i] || utf8_length(names[i]) > PHYSICAL_NETWORK_MAX_LENGTH)
            return error_set(error, -EINVAL, "physical_networks", "'%.100s' is not a name of 1 to %d characters", names[i] ? names[i] : "",
                             PHYSICAL_NETWORK_MAX_LENGTH);
    }
    qsort(names, n_names, sizeof(*names), compare_names);
    texts = calloc(n_names + 1, sizeof(*texts));
    for (size_t i = 0; texts && i < n_names; i++) {
        if (i > 0 && streq(names[i - 1], names[i]))
            continue;
        texts[n].text = strdup(names[i]);
        if (!texts[n].text) {
            free_texts(texts, n);
            texts = NULL;
        }
        n++;
    }
    if (!texts)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    free_texts(host->physical_networks, host->n_physical_networks);
    host->physical_networks = texts;
    host->n_physical_networks = n;
    return 0;
}

int host_take_report(struct host *host, const json_t *report, struct error *error)
{
    const json_t *physical_networks = json_object_get(report, "physical_networks");
    const json_t *address = json_object_get(report, "tunnel_address"), *mtu = json_object_get(report, "underlay_mtu");
    const json_t *version = json_object_get(report, "version");

    if (address && !json_is_null(address)) {
        if (!json_is_string(address) || ip_parse(json_string_value(address), &host->tunnel_address) < 0 || ip_is_zero(&host->tunnel_address) ||
            ip_is_multicast(&host->tunnel_address))
            return error_set(error, -EINVAL, "tunnel_address", "'%.100s' is not the address of a host", json_is_string(address) ? json_string_value(address) : "");
        host->has_tunnel_address = true;
    }
    if (mtu) {
        json_int_t number = json_integer_value(mtu);

        if (!json_is_integer(mtu) || (number && number < MIN_MTU) || number > 65535)
            return error_set(error, -EINVAL, "underlay_mtu", "'%lld' is not a number from %d to 65535, or 0 for unknown", (long long)number, MIN_MTU);
        host->underlay_mtu = (uint16_t)json_integer_value(mtu);
    }
    if (version) {
        if (!json_is_string(version) || json_string_length(version) > 64)
            return error_set(error, -EINVAL, "version", "a string of at most 64 bytes is required");
        free(host->version);
        host->version = strdup(json_string_value(version));
        if (!host->version)
            return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    return physical_networks ? take_physical_networks(host, physical_networks, error) : 0;
}

static bool text_equal(const char *a, const char *b)
{
    return streq(a ? a : "", b ? b : "");
}

static bool host_is_equal(const struct host *a, const struct host *b)
{
    if (a->n_physical_networks != b->n_physical_networks)
        return false;
    for (size_t i = 0; i < a->n_physical_networks; i++)
        if (!streq(a->physical_networks[i].text, b->physical_networks[i].text))
            return false;
    return a->has_tunnel_address == b->has_tunnel_address && ip_equal(&a->tunnel_address, &b->tunnel_address) &&
           a->underlay_mtu == b->underlay_mtu && a->state == b->state && text_equal(a->version, b->version);
}

/* One key a port that is ACTIVE; none means DOWN. */
static int put_port(struct store_transaction *transaction, const char *id, const char *host_name, bool is_active)
{
    char key[64], value[256];

    snprintf(key, sizeof(key), "status/port/%s", id);
    if (!is_active)
        return store_delete(transaction, key, strlen(key));
    snprintf(value, sizeof(value), "{\"host\":\"%.128s\",\"status\":\"ACTIVE\"}", host_name);
    return store_put(transaction, key, strlen(key), value, strlen(value), 0);
}

static int put_ports(struct hosts *hosts, const struct host *host, const json_t *ports, bool is_complete, struct store_transaction *transaction,
                     size_t *ret_n, struct error *error)
{
    const char *id;
    json_t *status;
    int r = 0;

    if (ports && !json_is_object(ports))
        return error_set(error, -EINVAL, "ports", "an object {id: status} is required");
    json_object_foreach((json_t *)ports, id, status) {
        const struct port *port = replica_port(hosts->api->replica, id);
        const char *text = json_string_value(status);

        if (!text || (!streq(text, "ACTIVE") && !streq(text, "DOWN")))
            return error_set(error, -EINVAL, "ports", "%.40s: '%.40s' is not ACTIVE or DOWN", id, text ? text : "");
        /* A report about what is gone, or bound elsewhere by now, is late and says nothing. */
        if (!port || !port->binding_host_id || !streq(port->binding_host_id, host->object.name))
            continue;
        if ((port->status == PORT_STATUS_ACTIVE) == streq(text, "ACTIVE"))
            continue;
        if (*ret_n >= STORE_TRANSACTION_MAX_OPERATIONS - 8)
            break; /* The next report says the rest again: see 'all_ports'. */
        r = put_port(transaction, id, host->object.name, streq(text, "ACTIVE"));
        if (r < 0)
            return error_set(error, r, NULL, "cannot be stored: %s", strerror(-r));
        *ret_n += 1;
    }
    if (!is_complete)
        return 0;
    REPLICA_FOREACH(member, replica_ports_by_host(hosts->api->replica, host->object.name)) {
        const struct port *port = (const struct port *)member->object;

        if (port->status != PORT_STATUS_ACTIVE || json_object_get(ports, port->object.id) || *ret_n >= STORE_TRANSACTION_MAX_OPERATIONS - 8)
            continue;
        r = put_port(transaction, port->object.id, host->object.name, false);
        if (r < 0)
            return error_set(error, r, NULL, "cannot be stored: %s", strerror(-r));
        *ret_n += 1;
    }
    return 0;
}

static bool concerns(const struct object *object, void *context)
{
    return watch_concerns(context, object);
}

/* Hosts are believed in what is their business.  Without a stream nobody knows what is: when the host has one again it says all anew. */
static int take_left_out(struct hosts *hosts, struct agent *agent, const json_t *list)
{
    json_t *kept = left_out_of(hosts, agent, list);
    int r = kept ? left_out_take(hosts, agent, kept) : -ENOMEM;

    json_decref(kept);
    return r;
}

static void stored(struct request *request, const struct store_result *result)
{
    if (result->status == -EAGAIN)
        request_retry(request);
    else if (result->status < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The store did not take the report: %s.", strerror(-result->status));
    else
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

void status_put(struct request *request)
{
    struct hosts *hosts = request_api(request)->hosts;
    const struct host *host = replica_host(request_api(request)->replica, request_auth(request)->host_id);
    struct agent *agent = host ? agent_get(hosts, host->object.id) : NULL;
    const json_t *applied = json_object_get(request->body, "applied_revision"), *snat_usage = json_object_get(request->body, "snat_usage");
    const json_t *members = json_object_get(request->body, "members"), *listeners = json_object_get(request->body, "listeners");
    const json_t *left_out = json_object_get(request->body, "left_out");
    _cleanup_(object_freep) struct object *object = host ? object_copy(&host->object) : NULL;
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    struct host *after = (struct host *)object;
    struct error error = {0};
    size_t n_ports = 0; /* And members. */
    bool host_changed;
    int r;

    if (!agent || !after || store_transaction_new(&transaction) < 0) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    if (!request->body || (applied && (!json_is_integer(applied) || json_integer_value(applied) < 0))) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "applied_revision: a number that is not negative is required");
        return;
    }
    r = host_take_report(after, request->body, &error);
    if (r == 0)
        r = host_check_address(hosts, after, &error);
    if (r == 0 && snat_usage)
        r = snat_usages_check(snat_usage, &error);
    if (r == 0)
        r = balancing_check_report(members, listeners, &error);
    if (r == 0 && left_out)
        r = left_out_check(left_out, &error);
    if (r == 0)
        r = put_ports(hosts, host, json_object_get(request->body, "ports"), json_is_true(json_object_get(request->body, "all_ports")), transaction,
                      &n_ports, &error);
    if (r == 0 && members &&
        (r = balancing_put_health(hosts->api->balancing, host, members, json_is_true(json_object_get(request->body, "all_members")), transaction,
                                  &n_ports)) < 0)
        error_set(&error, r, NULL, "cannot be stored: %s", strerror(-r));
    if (r == 0 && left_out && watch_is_open(agent) && (r = take_left_out(hosts, agent, left_out)) < 0)
        error_set(&error, r, NULL, "out of memory");
    if (r < 0) {
        request_fail_error(request, &error);
        return;
    }

    left_out_hear(hosts, agent);
    agent->seen_ms = clock_monotonic_ms();
    agent->seen_at_s = clock_realtime_s();
    if (applied)
        agent->applied_revision = (uint64_t)json_integer_value(applied);
    if (snat_usage)
        networking_snat_report(hosts->api->networking, host->object.name, snat_usage);
    if (listeners && watch_is_open(agent))
        balancing_take_statistics(hosts->api->balancing, host->object.name, watch_applied_revision(hosts, agent), listeners, concerns, agent);
    if (host->state != HOST_STATE_UP)
        log_info("host '%s' is up", host->object.name);
    after->state = HOST_STATE_UP;
    host_changed = !host_is_equal(host, after);
    if (!host_changed && n_ports == 0) {
        request_respond(request, HTTP_NO_CONTENT, NULL);
        return;
    }
    if (host_changed)
        r = host_put(transaction, after, host->object.store_revision);
    if (r < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The report cannot be stored: %s.", strerror(-r));
    else
        request_commit(request, TAKE_PTR(transaction), stored);
}

/* --- Hosts that say nothing. --- */

static void down_stored(const struct store_result *result, void *context)
{
    struct agent *agent = context;

    agent->is_writing_state = false; /* -EAGAIN: somebody was quicker; the next tick looks again. */
}

void status_check_silent(struct hosts *hosts, uint64_t now_ms)
{
    size_t n;
    const struct object *const *objects = replica_list(hosts->api->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; i < n; i++) {
        const struct host *host = (const struct host *)objects[i];
        struct agent *agent = agent_get(hosts, objects[i]->id);
        _cleanup_(object_freep) struct object *object = NULL;
        _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;

        if (!agent || host->state != HOST_STATE_UP || agent->is_writing_state || now_ms < agent->seen_ms + HOST_DOWN_MS)
            continue;
        object = object_copy(objects[i]);
        if (!object || store_transaction_new(&transaction) < 0)
            return;
        ((struct host *)object)->state = HOST_STATE_DOWN;
        if (host_put(transaction, (struct host *)object, objects[i]->store_revision) < 0)
            return;
        log_warning("host '%s' is down: no report for %d s", objects[i]->name, HOST_DOWN_MS / 1000);
        agent->is_writing_state = true;
        left_out_silence(hosts, agent);
        commits_submit(hosts->api->commits, TAKE_PTR(transaction), down_stored, agent);
    }
}
