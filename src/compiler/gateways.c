/* Gateways: the live hosts with an uplink into a physical network, and which of them answers for an address.  Each decides for itself, and since all
 * compute the same from the same objects, they agree. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/siphash.h"
#include "weft/compiler/index.h"

static bool host_is_in(const struct host *host, const char *physical_network)
{
    for (size_t i = 0; i < host->n_physical_networks; i++)
        if (streq(host->physical_networks[i].text, physical_network))
            return true;
    return false;
}

static int compare_hosts(const void *a, const void *b)
{
    const struct compile_host *x = *(const struct compile_host *const *)a, *y = *(const struct compile_host *const *)b;

    return strcmp(x->host->object.name, y->host->object.name);
}

const struct compile_physical *compile_find_physical(const struct compile_index *index, const struct network *network)
{
    for (size_t i = 0; network->physical_network && i < index->n_physicals; i++)
        if (streq(index->physicals[i].name, network->physical_network))
            return &index->physicals[i];
    return NULL;
}

static const uint64_t announcer_key[2] = {0x7765667467617465, 0x776179616e6e6f75};

static int find_gateways(const struct snapshot *snapshot, struct compile_physical *physical)
{
    physical->hosts = calloc(snapshot->n_hosts + 1, sizeof(*physical->hosts));
    physical->name_hashes = calloc(snapshot->n_hosts + 1, sizeof(*physical->name_hashes));
    if (!physical->hosts || !physical->name_hashes)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_hosts; i++)
        if (snapshot->hosts[i].host->object.name && snapshot->hosts[i].host->state == HOST_STATE_UP &&
            host_is_in(snapshot->hosts[i].host, physical->name))
            physical->hosts[physical->n_hosts++] = &snapshot->hosts[i];
    if (physical->n_hosts)
        qsort(physical->hosts, physical->n_hosts, sizeof(*physical->hosts), compare_hosts);
    for (size_t i = 0; i < physical->n_hosts; i++) {
        const char *name = physical->hosts[i]->host->object.name;

        physical->name_hashes[i] = siphash(announcer_key, name, strlen(name));
    }
    for (size_t i = 0; i < snapshot->n_uplinks && !physical->uplink; i++)
        if (streq(snapshot->uplinks[i].physical_network, physical->name))
            physical->uplink = &snapshot->uplinks[i];
    return 0;
}

int compile_find_physicals(struct compile_index *index)
{
    const struct snapshot *snapshot = index->snapshot;

    index->physicals = calloc(snapshot->n_networks + 1, sizeof(*index->physicals));
    if (!index->physicals)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_networks; i++) {
        struct compile_physical *physical = &index->physicals[index->n_physicals];

        if (!snapshot->networks[i]->physical_network || compile_find_physical(index, snapshot->networks[i]))
            continue;
        physical->name = snapshot->networks[i]->physical_network;
        index->n_physicals++;
        if (find_gateways(snapshot, physical) < 0)
            return -ENOMEM;
    }
    return 0;
}

bool compile_has_uplink(const struct compile_physical *physical, const struct compile_host *host)
{
    for (size_t i = 0; i < physical->n_hosts; i++)
        if (physical->hosts[i] == host)
            return true;
    return false;
}

/* Rendezvous: of all gateways the one that scores best for the address, so that one that comes or goes moves only its own. */
const struct compile_host *compile_find_announcer(const struct compile_index *index, const struct network *network,
                                                  const struct ip_address *address, const char *at_home)
{
    const struct compile_physical *physical = compile_find_physical(index, network);
    const struct compile_host *best = NULL;
    uint32_t best_score = 0;

    for (size_t i = 0; physical && i < physical->n_hosts; i++) {
        const char *name = physical->hosts[i]->host->object.name;
        struct {
            uint32_t vni, host;
            uint8_t address[16];
        } text = {.vni = network->vni, .host = physical->name_hashes[i]};
        uint32_t score;

        if (at_home && streq(name, at_home))
            return physical->hosts[i];
        memcpy(text.address, address->bytes, sizeof(text.address));
        score = siphash(announcer_key, &text, sizeof(text));
        if (!best || score > best_score) {
            best = physical->hosts[i];
            best_score = score;
        }
    }
    return best;
}

bool compile_is_announced_here(const struct compile_index *index, const struct network *network, const struct ip_address *address, const char *at_home)
{
    const struct compile_physical *physical = compile_find_physical(index, network);
    const struct compile_host *host = physical && physical->uplink ? compile_find_announcer(index, network, address, at_home) : NULL;

    return host && streq(host->host->object.name, index->snapshot->host_name);
}
