/* GET /metrics: see metrics.h.  The text exposition format, version 0.0.4. */
#include "weft/agent/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/punt.h"
#include "weft/base/buffer.h"

#define REQUEST_MAX_SIZE 8192
#define MAX_CLIENTS 64

struct metrics {
    uv_tcp_t tcp;
    struct agent *agent;
    unsigned n_clients;
};

struct scrape {
    uv_tcp_t tcp;
    uv_write_t write;
    struct metrics *metrics;
    char request[REQUEST_MAX_SIZE];
    size_t size;
    struct buffer answer;
};

/* ---- the text ------------------------------------------------------------------------------------------------------------ */

static void head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_one(struct buffer *text, const char *name, const char *type, const char *help, unsigned long long value)
{
    head(text, name, type, help);
    buffer_printf(text, "%s %llu\n", name, value);
}

static void write_ports(const struct agent *agent, struct buffer *text)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"weft_port_tx_packets_total", "Frames that the workload sent.", offsetof(struct port_counters, tx_packets)},
        {"weft_port_tx_bytes_total", "Bytes that the workload sent.", offsetof(struct port_counters, tx_bytes)},
        {"weft_port_rx_packets_total", "Frames that the workload was given.", offsetof(struct port_counters, rx_packets)},
        {"weft_port_rx_bytes_total", "Bytes that the workload was given.", offsetof(struct port_counters, rx_bytes)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        head(text, counters[i].name, "counter", counters[i].help);
        HASHMAP_FOREACH(node, &agent->ports) {
            const struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);
            const struct port *model = agent_model_port(agent, port);
            struct port_counters values;
            __u64 value;

            if (!model || maps_port_counters(agent->maps, port->slot, &values) < 0)
                continue;
            memcpy(&value, (const char *)&values + counters[i].offset, sizeof(value));
            buffer_printf(text, "%s{port=\"%s\",network=\"%s\",project=\"%s\"} %llu\n", counters[i].name, port->id,
                          model->network_id, model->object.project_id, (unsigned long long)value);
        }
    }
}

static void write_slot_drops(const struct agent *agent, uint32_t slot, const char *port, struct buffer *text)
{
    struct port_counters values;

    if (maps_port_counters(agent->maps, slot, &values) < 0)
        return;
    for (unsigned reason = 1; drop_reason_name(reason); reason++)
        if (values.drops[reason])
            buffer_printf(text, "weft_drops_total{port=\"%s\",reason=\"%s\"} %llu\n", port, drop_reason_name(reason),
                          (unsigned long long)values.drops[reason]);
}

static void write_drops(const struct agent *agent, struct buffer *text)
{
    head(text, "weft_drops_total", "counter", "Frames dropped, by reason; an empty port is for those that belong to none.");
    write_slot_drops(agent, 0, "", text);
    HASHMAP_FOREACH(node, &agent->ports) {
        const struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        write_slot_drops(agent, port->slot, port->id, text);
    }
}

static void write_metrics(const struct agent *agent, struct buffer *text)
{
    const struct punt_counters *punt = punt_counters(agent->punt);
    unsigned long long n_active = 0;

    HASHMAP_FOREACH(node, &agent->ports)
        n_active += CONTAINER_OF(node, struct agent_port, by_id)->active;
    head(text, "weft_agent_info", "gauge", "The agent's version and host.");
    buffer_printf(text, "weft_agent_info{version=\"%s\",host=\"%s\"} 1\n", WEFT_VERSION, agent->options.host);
    write_one(text, "weft_agent_api_connected", "gauge", "Is there a watch stream from the API?", api_is_connected(agent->api));
    write_one(text, "weft_agent_revision", "gauge", "The store's revision that the agent knows of.", agent->replica.revision);
    write_one(text, "weft_agent_applied_revision", "gauge", "The store's revision that the tables reflect.", agent->applied_revision);
    write_one(text, "weft_agent_ports", "gauge", "Ports bound to this host.", agent->ports.n_nodes);
    write_one(text, "weft_agent_ports_active", "gauge", "Ports bound to this host and plugged.", n_active);
    write_one(text, "weft_agent_hosts", "gauge", "Other hosts.", agent->hosts.n_nodes);
    write_one(text, "weft_agent_update_milliseconds", "gauge", "What the last update of the data plane took.", agent->update_took_ms);
    write_one(text, "weft_agent_punted_total", "counter", "Packets that the data plane left to the agent.", punt->events);
    write_one(text, "weft_agent_replies_total", "counter", "DHCP, router advertisement and ICMP answers sent.", punt->replies);
    write_ports(agent, text);
    write_drops(agent, text);
}

/* ---- HTTP, as much as a scraper needs --------------------------------------------------------------------------------------- */

static void scrape_closed(uv_handle_t *handle)
{
    struct scrape *scrape = handle->data;

    scrape->metrics->n_clients--;
    buffer_clear(&scrape->answer);
    free(scrape);
}

static void scrape_close(struct scrape *scrape)
{
    if (!uv_is_closing((uv_handle_t *)&scrape->tcp))
        uv_close((uv_handle_t *)&scrape->tcp, scrape_closed);
}

static void written(uv_write_t *write, int status)
{
    scrape_close(CONTAINER_OF(write, struct scrape, write));
}

static void answer(struct scrape *scrape)
{
    bool found = strncmp(scrape->request, "GET /metrics ", strlen("GET /metrics ")) == 0;
    struct buffer body = {0};

    if (found)
        write_metrics(scrape->metrics->agent, &body);
    buffer_printf(&scrape->answer, "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                  found ? "200 OK" : "404 Not Found", body.size);
    buffer_append(&scrape->answer, body.data ? body.data : "", body.size);
    buffer_clear(&body);
    uv_read_stop((uv_stream_t *)&scrape->tcp);
    if (uv_write(&scrape->write, (uv_stream_t *)&scrape->tcp,
                 &(uv_buf_t){scrape->answer.data, scrape->answer.size}, 1, written) < 0)
        scrape_close(scrape);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct scrape *scrape = handle->data;

    *buffer = uv_buf_init(scrape->request + scrape->size, (unsigned)(sizeof(scrape->request) - 1 - scrape->size));
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct scrape *scrape = stream->data;

    if (size < 0) {
        scrape_close(scrape);
        return;
    }
    scrape->size += (size_t)size;
    scrape->request[scrape->size] = 0;
    if (strstr(scrape->request, "\r\n\r\n"))
        answer(scrape);
    else if (scrape->size + 1 >= sizeof(scrape->request))
        scrape_close(scrape);
}

static void connected(uv_stream_t *stream, int status)
{
    struct metrics *metrics = stream->data;
    struct scrape *scrape;

    if (status < 0 || !(scrape = calloc(1, sizeof(*scrape))))
        return;
    scrape->metrics = metrics;
    metrics->n_clients++;
    uv_tcp_init(stream->loop, &scrape->tcp);
    scrape->tcp.data = scrape;
    if (uv_accept(stream, (uv_stream_t *)&scrape->tcp) < 0 || metrics->n_clients > MAX_CLIENTS ||
        uv_read_start((uv_stream_t *)&scrape->tcp, allocate, received) < 0)
        scrape_close(scrape);
}

static int parse_listen(const char *listen, struct sockaddr_storage *ret, struct error *error)
{
    const char *colon = strrchr(listen, ':');
    char address[64];
    uint64_t port;

    if (colon && (size_t)(colon - listen) < sizeof(address) && parse_u64(colon + 1, 0, 65535, &port) == 0) {
        size_t size = (size_t)(colon - listen);

        memcpy(address, listen, size);
        address[size] = 0;
        if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
            address[size - 1] = 0;
            if (uv_ip6_addr(address + 1, (int)port, (struct sockaddr_in6 *)ret) == 0)
                return 0;
        } else if (uv_ip4_addr(address, (int)port, (struct sockaddr_in *)ret) == 0) {
            return 0;
        }
    }
    return error_set(error, -EINVAL, "metrics-listen", "metrics-listen: '%s' is not ADDRESS:PORT", listen);
}

int metrics_start(struct agent *agent, const char *listen, struct error *error)
{
    struct sockaddr_storage address = {0};
    struct metrics *metrics;
    int result = parse_listen(listen, &address, error);

    if (result < 0)
        return result;
    metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    metrics->agent = agent;
    agent->metrics = metrics;
    uv_tcp_init(&agent->loop, &metrics->tcp);
    metrics->tcp.data = metrics;
    result = uv_tcp_bind(&metrics->tcp, (struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&metrics->tcp, 16, connected);
    return result < 0 ? error_set(error, result, "metrics-listen", "metrics-listen: cannot listen on '%s': %s", listen,
                                  uv_strerror(result)) : 0;
}

static void stopped(uv_handle_t *handle)
{
    free(handle->data);
}

void metrics_stop(struct agent *agent)
{
    if (agent->metrics)
        uv_close((uv_handle_t *)&agent->metrics->tcp, stopped);
    agent->metrics = NULL;
}
