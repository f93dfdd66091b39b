/* From what is known to what the kernel does: see agent.h.
 *
 * The whole is computed each time; that takes a few milliseconds at a thousand ports.  Updates that come faster than
 * they can be done are done together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/agent.h"
#include "weft/agent/gather.h"
#include "weft/agent/host-use.h"
#include "weft/agent/member-gone.h"
#include "weft/agent/member-health.h"
#include "weft/agent/serve.h"
#include "weft/agent/shortages.h"
#include "weft/agent/uplinks.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/dataplane/attach.h"

#define ATTACH_RETRY_MS 1000
#define NUMBERS_RETRY_MS 100
#define UPDATE_PAUSE_MAX_MS 50

struct agent_port *agent_find_port(const struct agent *agent, const char *port_id)
{
    struct hashmap_node *node = hashmap_find(&agent->ports, port_id, strlen(port_id));

    return node ? CONTAINER_OF(node, struct agent_port, by_id) : NULL;
}

struct agent_port *agent_find_slot(const struct agent *agent, uint32_t slot)
{
    return slot < maps_sizes(agent->maps).n_ports ? agent->port_by_slot[slot] : NULL;
}

const struct port *agent_model_port(const struct agent *agent, const struct agent_port *port)
{
    return (const struct port *)replica_find(&agent->replica, RESOURCE_PORT, port->id);
}

void agent_underlay_changed(struct agent *agent)
{
    HASHMAP_FOREACH(node, &agent->hosts)
        CONTAINER_OF(node, struct agent_host, by_name)->resolved = false;
    agent_schedule_update(agent);
}

/* ---- interfaces ----------------------------------------------------------------------------------------------------------------------- */

/* An interface that is a workload's by its name or because it is plugged, whether or not there is a port for it now. */
static bool is_workload(const struct agent *agent, const struct link *link)
{
    return local_plug_of_interface(&agent->local, link->name) ||
           (strncmp(link->name, TAP_PREFIX, strlen(TAP_PREFIX)) == 0 && strlen(link->name) == strlen(TAP_PREFIX) + TAP_ID_SIZE);
}

/* A workload outlives its port when that is deleted or bound to another host while the workload runs.  Without a program its
 * frames would be the host's own input, taken and, on a host that forwards, sent on under any source address: so the program
 * stays, finds no port and drops.  An interface is given back when a person unplugs it, or by 'weft-agent detach'. */
static void detach(struct agent *agent, struct agent_port *port)
{
    const struct link *link = port->attached ? links_find(&agent->links, port->attached) : NULL;

    if (link && !is_workload(agent, link))
        attach_remove(port->attached);
    port->attached = 0;
    port->prepared_mtu = 0;
}

static struct port_config port_config(const struct agent *agent, const struct agent_port *port)
{
    uint32_t slot = port->slot;
    const void *row = rows_find(&agent->desired.tables[TABLE_PORTS], &slot);
    struct port_config config = {0};

    if (row)
        memcpy(&config, row, sizeof(config));
    return config;
}

/* A tap's is read by who gives the guest its device.  A veth drops what is larger than the receiving end's before our program
 * sees it, and nobody would be told: there the program alone decides. */
static uint16_t interface_mtu(const struct agent_port *port, const struct port_config *config)
{
    return port->is_veth && config->mtu ? UINT16_MAX : config->mtu;
}

static bool is_underlay(const struct agent *agent, uint32_t ifindex)
{
    for (size_t i = 0; i < agent->n_underlay_ifindexes; i++)
        if (agent->underlay_ifindexes[i] == ifindex)
            return true;
    return ifindex == agent->tunnel_ifindex || (agent->metadata_ifindex && ifindex == agent->metadata_ifindex);
}

int agent_check_interface(struct agent *agent, const struct link *link, bool force, struct error *error)
{
    struct ip_address server;
    struct host_use use;
    int result;

    if (agent->api)
        api_server_address(agent->api, &server);
    result = host_use_find(link->ifindex, &server, agent->api ? 1 : 0, &use);
    if (result < 0)
        return error_set(error, result, "interface", "interface: cannot find out what '%s' is used for: %s", link->name, strerror(-result));
    if (is_underlay(agent, link->ifindex) || (agent->options.underlay && streq(agent->options.underlay, link->name)) ||
        (!ip_is_zero(&agent->tunnel_address) && underlay_interface_of(&agent->underlay, &agent->tunnel_address) == link->ifindex))
        return error_set(error, -EBUSY, "interface", "interface: '%s' is the host's underlay", link->name);
    if (use.is_used && !(use.may_be_forced && force))
        return error_set(error, -EBUSY, "interface", "interface: '%s' %s: it is the host's own%s", link->name, use.why,
                         use.may_be_forced ? " (--force plugs it all the same)" : "");
    return 0;
}

/* What a person plugged may be the host's own by now: after a reboot another device has the name, or somebody gave it an address while
 * it was gone.  So the question is asked again just before the program would take its traffic. */
static int check_plugged(struct agent *agent, struct agent_port *port)
{
    const struct plug *plug = local_plug_of_port(&agent->local, port->id);
    const struct link *link = links_find(&agent->links, port->ifindex);
    struct error error = {0};
    int result;

    if (!plug || !link || attach_is_there(port->ifindex, false))
        return 0;
    result = agent_check_interface(agent, link, plug->forced, &error);
    if (result == -EBUSY && !port->refused)
        log_error("port %s gets no interface: %s", port->id, error.message);
    port->refused = result == -EBUSY;
    return result;
}

static int attach(struct agent *agent, struct agent_port *port)
{
    struct port_config config = port_config(agent, port);
    uint16_t mtu = interface_mtu(port, &config);
    bool is_new = port->attached != port->ifindex || port->attached_incarnation != port->incarnation;
    int result = 0;

    if (is_new)
        result = check_plugged(agent, port);
    if (result == 0 && is_new) /* Before the interface is up: no frame shall find it without a program. */
        result = attach_program(port->ifindex, false, maps_program(agent->maps, PROGRAM_FROM_WORKLOAD));
    if (result == 0 && (is_new || port->prepared_mtu != mtu)) {
        result = attach_prepare(port->ifindex, port->interface, mtu);
        port->prepared_mtu = mtu;
    }
    if (result == 0 && is_new) {
        log_info("port %s is interface '%s', slot %u", port->id, port->interface, port->slot);
        port->attached = port->ifindex;
        port->attached_incarnation = port->incarnation;
        if (config.flags & PORT_RA)
            serve_plugged(agent, port); /* Its own solicitations may have come too early. */
    }
    return result;
}

/* The tables know the port already: the first frame after this finds its way. */
static void update_interface(struct agent *agent, struct agent_port *port)
{
    uint64_t now_ms = clock_monotonic_ms();
    int result;

    if (port->attached && port->attached != port->ifindex)
        detach(agent, port);
    if (!port->ifindex) {
        port->active = false;
        return;
    }
    if (now_ms < port->retry_ms)
        return;
    result = attach(agent, port);
    if (result == 0) {
        port->attached = port->ifindex;
    } else {
        port->attached = 0;
        port->retry_ms = now_ms + ATTACH_RETRY_MS;
        if (result != -ENODEV && !port->refused) /* Gone again meanwhile: the message about it is on its way. */
            log_error("port %s: cannot attach to interface '%s': %s", port->id, port->interface, strerror(-result));
    }
    port->active = port->attached != 0 && !shortages_close(agent, port);
}

static bool is_ours(const struct agent *agent, uint32_t ifindex)
{
    if (ifindex == agent->tunnel_ifindex || ifindex == agent->metadata_ifindex || uplinks_has(agent->uplinks, ifindex))
        return true;
    for (size_t i = 0; i < agent->n_underlay_ifindexes; i++)
        if (agent->underlay_ifindexes[i] == ifindex)
            return true;
    HASHMAP_FOREACH(node, &agent->ports)
        if (CONTAINER_OF(node, struct agent_port, by_id)->attached == ifindex)
            return true;
    return false;
}

/* Once the replica is complete: programs of an earlier run on interfaces that are no port's any more.  On a workload's it
 * stays (see detach), as this run's, whose tables do not know the interface. */
static void sweep_interfaces(struct agent *agent)
{
    HASHMAP_FOREACH(node, &agent->links.by_index) {
        const struct link *link = CONTAINER_OF(node, struct link, by_index);

        if (!uplinks_has(agent->uplinks, link->ifindex))
            attach_remove_uplink(link->ifindex); /* That it was an uplink in an earlier run. */
        if (is_ours(agent, link->ifindex))
            continue;
        if (!is_workload(agent, link))
            attach_remove(link->ifindex);
        else if (attach_is_there(link->ifindex, false))
            attach_program(link->ifindex, false, maps_program(agent->maps, PROGRAM_FROM_WORKLOAD));
    }
    agent->swept_interfaces = true;
}

static void remove_unseen(struct agent *agent)
{
    HASHMAP_FOREACH(node, &agent->ports) {
        struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        if (!port->seen && agent->replica.synced) {
            detach(agent, port);
            hashmap_remove(&agent->ports, &port->by_id);
            agent->port_by_slot[port->slot] = NULL;
            free(port);
        } else {
            port->seen = false;
        }
    }
    HASHMAP_FOREACH(node, &agent->hosts) {
        struct agent_host *host = CONTAINER_OF(node, struct agent_host, by_name);

        if (!host->seen && agent->replica.synced) {
            hashmap_remove(&agent->hosts, &host->by_name);
            free(host);
        } else {
            host->seen = false;
        }
    }
    for (int kind = 0; kind < N_SLOT_KINDS; kind++) {
        if (agent->replica.synced)
            local_sweep(&agent->local, kind);
        else
            local_unmark(&agent->local, kind);
    }
}

/* ---- the underlay's interfaces ------------------------------------------------------------------------------------------------------------ */

static void attach_underlay(struct agent *agent, uint32_t ifindex)
{
    const struct link *link = links_find(&agent->links, ifindex);
    int result;

    for (size_t i = 0; i < agent->n_underlay_ifindexes; i++)
        if (agent->underlay_ifindexes[i] == ifindex)
            return;
    if (!link || agent->n_underlay_ifindexes == MAX_UNDERLAY_INTERFACES)
        return;
    result = attach_program(ifindex, false, maps_program(agent->maps, PROGRAM_FROM_UNDERLAY));
    if (result < 0) {
        log_error("underlay: cannot attach to interface '%s': %s", link->name, strerror(-result));
        return;
    }
    log_info("underlay is interface '%s', MTU %u", link->name, link->mtu);
    agent->underlay_incarnations[agent->n_underlay_ifindexes] = link->incarnation;
    agent->underlay_ifindexes[agent->n_underlay_ifindexes++] = ifindex;
}

/* What the ways to other hosts depend on, as one number (FNV-1a), so that a change shows. */
static uint64_t underlay_state(const struct agent *agent)
{
    uint64_t state = 0xcbf29ce484222325;

    for (size_t i = 0; i < agent->n_underlay_ifindexes; i++) {
        const struct link *link = links_find(&agent->links, agent->underlay_ifindexes[i]);
        uint64_t facts[] = {agent->underlay_ifindexes[i], link ? link->mtu : 0, link ? link->up : 0};

        for (size_t k = 0; k < sizeof(facts); k++)
            state = (state ^ ((const uint8_t *)facts)[k]) * 0x100000001b3;
        for (size_t k = 0; link && k < sizeof(link->mac); k++)
            state = (state ^ link->mac[k]) * 0x100000001b3;
    }
    return state;
}

/* The interface with the tunnel address, and those that the ways to other hosts leave through. */
static void update_underlay(struct agent *agent)
{
    uint32_t ifindex = 0;
    const struct link *link;
    size_t kept = 0;

    for (size_t i = 0; i < agent->n_underlay_ifindexes; i++) { /* Interfaces that are gone, and maybe there again. */
        link = links_find(&agent->links, agent->underlay_ifindexes[i]);
        if (!link || link->incarnation != agent->underlay_incarnations[i])
            continue;
        agent->underlay_incarnations[kept] = agent->underlay_incarnations[i];
        agent->underlay_ifindexes[kept++] = agent->underlay_ifindexes[i];
    }
    agent->n_underlay_ifindexes = kept;

    if (agent->options.underlay && !streq(agent->options.underlay, "auto")) {
        link = links_find_name(&agent->links, agent->options.underlay);
        ifindex = link ? link->ifindex : 0;
    } else if (!ip_is_zero(&agent->tunnel_address) && !agent->n_underlay_ifindexes) {
        ifindex = underlay_interface_of(&agent->underlay, &agent->tunnel_address);
    }
    if (ifindex)
        attach_underlay(agent, ifindex);
    HASHMAP_FOREACH(node, &agent->hosts) {
        const struct agent_host *host = CONTAINER_OF(node, struct agent_host, by_name);

        if (host->path.ifindex)
            attach_underlay(agent, host->path.ifindex);
    }
    link = agent->n_underlay_ifindexes ? links_find(&agent->links, agent->underlay_ifindexes[0]) : NULL;
    if (link)
        agent->underlay_mtu = (uint16_t)MIN(link->mtu, 65535);
}

static void update_tunnel_address(struct agent *agent)
{
    if (!ip_is_zero(&agent->tunnel_address))
        return;
    if (api_local_address(agent->options.api, &agent->tunnel_address) == 0) {
        char text[IP_TEXT_SIZE];

        log_info("tunnel address is %s, the one towards the API", ip_format(&agent->tunnel_address, text));
        agent_report(agent, false);
    }
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------------------- */

static void log_changes(const struct agent *agent, const struct maps_changes *changes, int result, uint64_t took_us)
{
    if (changes->n_failed)
        log_error("table '%s': %u rows could not be written%s%s", changes->failed_table, changes->n_failed,
                  result < 0 ? ": " : "", result < 0 ? strerror(-result) : "");
    if (changes->n_added || changes->n_changed || changes->n_deleted)
        log_debug("revision %llu: %u rows added, %u changed, %u deleted in %llu us", (unsigned long long)agent->replica.revision,
                  changes->n_added, changes->n_changed, changes->n_deleted, (unsigned long long)took_us);
}

static void start_timer(struct agent *agent, uint64_t in_ms);

/* Compiles; should a set get the name of another one that is still in the maps, all get names of another secret: nothing else tells what is
 * new from what was there. */
static int compile_to_apply(struct agent *agent, struct snapshot *snapshot)
{
    int result = -ENOMEM;

    for (unsigned i = 0; i < 4; i++) {
        snapshot->secret = agent->local.secret;
        result = desired_remember(&agent->desired);
        if (result == 0)
            result = compile(snapshot, &agent->desired);
        if (result < 0 || !maps_would_overwrite_sets(agent->maps, &agent->desired))
            break;
        log_info("two sets of rules have one name: all get others");
        if (local_new_secret(&agent->local) < 0)
            log_warning("the state directory cannot be written: after the next start the names change once more");
    }
    return result;
}

static void update(struct agent *agent)
{
    uint64_t start_ns = clock_monotonic_ns();
    struct gathered gathered;
    struct maps_changes changes = {0};
    uint64_t again_ms = 0, state = underlay_state(agent);
    int result;

    update_tunnel_address(agent);
    if (state != agent->underlay_state) {
        agent->underlay_state = state;
        HASHMAP_FOREACH(node, &agent->hosts)
            CONTAINER_OF(node, struct agent_host, by_name)->resolved = false;
    }
    result = agent_gather(agent, &gathered);
    if (result == 0)
        result = uplinks_gather(agent->uplinks, &gathered);
    if (result == 0)
        result = compile_to_apply(agent, &gathered.snapshot);
    if (result == 0)
        uplinks_protect_host(agent->uplinks, &agent->desired);
    if (result < 0) {
        gathered_clear(&gathered);
        log_error("out of memory; trying again");
        start_timer(agent, ATTACH_RETRY_MS);
        return;
    }
    shortages_update(agent);
    result = maps_apply(agent->maps, &agent->desired, agent->replica.synced, clock_monotonic_ms(), &changes);
    log_changes(agent, &changes, result, (clock_monotonic_ns() - start_ns) / 1000);
    bool waits = gathered.waits && agent->replica.synced;
    member_health_update(agent, &gathered.snapshot);
    member_gone_update(agent);
    gathered_clear(&gathered);
    if (changes.n_deleted || changes.n_changed)
        maps_sweep_learned(agent->maps);
    again_ms = changes.retry_ms ? changes.retry_ms : result < 0 ? ATTACH_RETRY_MS : 0;
    update_underlay(agent);
    uint64_t uplinks_ms = uplinks_update(agent->uplinks);
    if (uplinks_ms)
        again_ms = again_ms ? MIN(again_ms, uplinks_ms) : uplinks_ms;

    HASHMAP_FOREACH(node, &agent->ports) {
        struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        update_interface(agent, port);
        if (port->ifindex && !port->attached)
            again_ms = again_ms ? MIN(again_ms, ATTACH_RETRY_MS) : ATTACH_RETRY_MS;
    }
    remove_unseen(agent);
    if (waits) /* For numbers that are free now. */
        again_ms = again_ms ? MIN(again_ms, NUMBERS_RETRY_MS) : NUMBERS_RETRY_MS;
    if (agent->replica.synced && !agent->swept_interfaces) {
        sweep_interfaces(agent);
        attach_remove_other_layouts(agent->options.pin_path, TABLES_LAYOUT);
        int64_t n_taken = maps_retire_previous(agent->maps);
        if (n_taken < 0)
            log_error("connections of the release before are not all taken over until the next start: %s", strerror((int)-n_taken));
        else if (n_taken)
            log_info("took over %lld connections of the release before", (long long)n_taken);
    }
    if (result == 0 && !changes.retry_ms && agent->replica.synced)
        agent->applied_revision = agent->replica.revision;
    agent->updated_ms = clock_monotonic_ms();
    agent->update_took_ms = (clock_monotonic_ns() - start_ns) / 1000000;
    serve_updated(agent);
    agent_report(agent, false);
    replica_sync(&agent->replica, &agent->loop);
    if (again_ms)
        start_timer(agent, again_ms);
}

static void timer_fired(uv_timer_t *timer)
{
    update(timer->data);
}

static void start_timer(struct agent *agent, uint64_t in_ms)
{
    uv_update_time(&agent->loop); /* An update takes a while, and the loop's time is that of its beginning. */
    if (uv_is_active((uv_handle_t *)&agent->update_timer) && uv_timer_get_due_in(&agent->update_timer) <= in_ms)
        return;
    uv_timer_start(&agent->update_timer, timer_fired, in_ms, 0);
}

/* At once after a pause; under a stream of changes as much time is left to everything else as updates take. */
void agent_schedule_update(struct agent *agent)
{
    uint64_t next_ms = agent->updated_ms + MIN(agent->update_took_ms, UPDATE_PAUSE_MAX_MS), now_ms = clock_monotonic_ms();

    start_timer(agent, next_ms > now_ms ? next_ms - now_ms : 0);
}
