#include "weft/api/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/api/api.h"
#include "weft/api/commits.h"
#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/networking.h"
#include "weft/api/replica.h"
#include "weft/http/counters.h"
#include "weft/http/prometheus.h"

static uint64_t resident_bytes(void)
{
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file)
        return 0;
    if (fscanf(file, "%*s %llu", &resident) != 1)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

int metrics_write(const struct api *api, struct buffer *buffer)
{
    struct commits_counters commits = commits_counters(api->commits);
    struct hosts_counters hosts = hosts_counters(api->hosts);
    struct snat_counters snat = networking_snat_counters(api->networking);
    struct identity_counters identity = identity_counters(api->identity);

    prometheus_begin(buffer, "weft_api_build_info", "gauge", "The version.");
    prometheus_sample(buffer, "weft_api_build_info", 1, "version", WEFT_VERSION, NULL);
    request_counters_write(api->counters, "weft_api", buffer);

    prometheus_begin(buffer, "weft_store_transactions_total", "counter", "Transactions by outcome.");
    prometheus_sample(buffer, "weft_store_transactions_total", (double)commits.n_committed, "outcome", "committed", NULL);
    prometheus_sample(buffer, "weft_store_transactions_total", (double)commits.n_conflicts, "outcome", "conflict", NULL);
    prometheus_sample(buffer, "weft_store_transactions_total", (double)commits.n_failed, "outcome", "failed", NULL);
    prometheus_single(buffer, "weft_store_commit_seconds_total", "counter", "Time from submission to durable, summed over transactions.",
                      (double)commits.total_ns / 1e9);
    prometheus_single(buffer, "weft_store_pending_transactions", "gauge", "Submitted and not yet durable.", (double)commits.n_pending);
    prometheus_single(buffer, "weft_store_revision", "gauge", "Revision of the latest transaction.", (double)store_revision(api->store));
    prometheus_single(buffer, "weft_replica_revision", "gauge", "Revision that reads are answered from.", (double)replica_revision(api->replica));

    prometheus_begin(buffer, "weft_objects", "gauge", "Objects by kind.");
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++) {
        size_t n;

        replica_list(api->replica, kind, &n);
        prometheus_sample(buffer, "weft_objects", (double)n, "kind", resource_name(kind), NULL);
    }

    prometheus_begin(buffer, "weft_hosts", "gauge", "Hosts by state.");
    prometheus_sample(buffer, "weft_hosts", (double)hosts.n_up, "state", "up", NULL);
    prometheus_sample(buffer, "weft_hosts", (double)hosts.n_down, "state", "down", NULL);
    prometheus_sample(buffer, "weft_hosts", (double)hosts.n_new, "state", "new", NULL);
    prometheus_single(buffer, "weft_watchers", "gauge", "Open watch streams.", (double)hosts.n_watchers);
    prometheus_single(buffer, "weft_watch_bytes_total", "counter", "Bytes sent on watch streams.", (double)hosts.n_bytes);
    prometheus_single(buffer, "weft_watch_cut_total", "counter", "Watch streams cut because the agent did not read.", (double)hosts.n_cut);
    prometheus_single(buffer, "weft_snat_ports_given", "gauge", "Ports of routers' addresses that hosts translate to.", (double)snat.ports_given);
    prometheus_single(buffer, "weft_snat_ports_in_use", "gauge", "Of these, held by connections: what hosts last reported to this server.",
                      (double)snat.ports_in_use);
    prometheus_single(buffer, "weft_snat_exhausted_addresses", "gauge", "Addresses that have too few ports for what hosts need.",
                      (double)snat.n_exhausted);
    prometheus_single(buffer, "weft_snat_refused_blocks_total", "counter", "Blocks of ports that could not be given.", (double)snat.n_refused);
    prometheus_single(buffer, "weft_snat_failed_connections_total", "counter", "Connections that hosts had no port for.", (double)snat.n_failed);
    prometheus_single(buffer, "weft_identity_tokens", "gauge", "Tokens that have not expired.", (double)identity.n_tokens);
    prometheus_single(buffer, "weft_identity_logins_total", "counter", "Tokens issued.", (double)identity.n_logins);
    prometheus_single(buffer, "weft_identity_failed_logins_total", "counter", "Logins refused.", (double)identity.n_failed_logins);
    prometheus_single(buffer, "process_resident_memory_bytes", "gauge", "Resident memory.", (double)resident_bytes());
    return buffer->data ? 0 : -ENOMEM;
}
