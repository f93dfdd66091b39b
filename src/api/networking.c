/* The Networking API put together: routes, and what is kept beside the replica. */
#include "weft/api/networking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "weft/api/extensions.h"
#include "weft/api/firewall.h"
#include "weft/api/hosts.h"
#include "weft/api/ipam.h"
#include "weft/api/lines.h"
#include "weft/api/logging.h"
#include "weft/api/quarantine.h"
#include "weft/api/quota.h"
#include "weft/api/quotas.h"
#include "weft/api/replica.h"
#include "weft/api/request.h"
#include "weft/api/resources.h"
#include "weft/api/routers.h"
#include "weft/api/security.h"
#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/api/vnis.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/http/routes.h"

#define SWEEP_INTERVAL_MS 2000
#define SNAT_DELAY_MS 20  /* Changes within it are looked at together. */
#define SNAT_MAX_SHARE 20 /* A pass over thousands of hosts and routers takes no more than one in so many of the time. */
#define UNDERLAY_MTU_DEFAULT 1500
/* Inner Ethernet 14, VXLAN 8, UDP 8, and the outer IP header. */
#define TUNNEL_OVERHEAD_V4 (14 + 8 + 8 + 20)
#define TUNNEL_OVERHEAD_V6 (14 + 8 + 8 + 40)
#define MTU_MIN 68

struct networking {
    struct api *api;
    struct ipam *ipam;
    struct quota *quota;
    struct quarantine *quarantine;
    struct vnis *vnis;
    struct snat_blocks *snat;
    struct turns *turns;
    struct lines *lines;
    struct replica_listener listener;
    uv_timer_t sweep, snat_timer;
    uint64_t snat_delay_ms;
    bool has_rule_templates;
};

static void show_versions(struct request *request);
static void show_index(struct request *request);
static void show_snat(struct request *request);

#define RESOURCE_ROUTES(collection, resource) ROUTES_UNDER("/v2.0/", collection, resource)
#define ROUTES_UNDER(path, collection, resource)                                                               \
    {"GET", path collection, POLICY_PROJECT, resource_list, &resource, 0},                                     \
    {"POST", path collection, POLICY_WRITE, resource_create, &resource, 0},                                    \
    {"GET", path collection "/{id}", POLICY_PROJECT, resource_show, &resource, 0},                             \
    {"PUT", path collection "/{id}", POLICY_WRITE, resource_update, &resource, 0},                             \
    {"DELETE", path collection "/{id}", POLICY_WRITE, resource_delete, &resource, 0}

#define FIREWALL_ROUTES(collection, resource)                                                                  \
    {"GET", "/v2.0/fwaas/" collection, POLICY_PROJECT, firewall_list, &resource, 0},                           \
    {"POST", "/v2.0/fwaas/" collection, POLICY_WRITE, resource_create, &resource, 0},                          \
    {"GET", "/v2.0/fwaas/" collection "/{id}", POLICY_PROJECT, resource_show, &resource, 0},                   \
    {"PUT", "/v2.0/fwaas/" collection "/{id}", POLICY_WRITE, resource_update, &resource, 0},                   \
    {"DELETE", "/v2.0/fwaas/" collection "/{id}", POLICY_WRITE, resource_delete, &resource, 0}

static const struct route routes[] = {
    {"GET", "/", POLICY_PUBLIC, show_versions, NULL, 0},
    {"GET", "/v2.0", POLICY_PUBLIC, show_index, NULL, 0},
    {"GET", "/v2.0/extensions", POLICY_TOKEN, extensions_list, NULL, 0},
    {"GET", "/v2.0/extensions/{alias}", POLICY_TOKEN, extensions_show, NULL, 0},
    RESOURCE_ROUTES("networks", network_resource),
    RESOURCE_ROUTES("subnets", subnet_resource),
    RESOURCE_ROUTES("ports", port_resource),
    RESOURCE_ROUTES("address-scopes", address_scope_resource),
    RESOURCE_ROUTES("subnetpools", subnet_pool_resource),
    {"PUT", "/v2.0/subnetpools/{id}/add_prefixes", POLICY_WRITE, subnet_pool_add_prefixes, &subnet_pool_resource, 0},
    {"PUT", "/v2.0/subnetpools/{id}/remove_prefixes", POLICY_WRITE, subnet_pool_remove_prefixes, &subnet_pool_resource, 0},
    {"PUT", "/v2.0/subnetpools/{id}/onboard_network_subnets", POLICY_WRITE, subnet_pool_onboard, &subnet_pool_resource, 0},
    RESOURCE_ROUTES("floatingips", floating_ip_resource),
    ROUTES_UNDER("/v2.0/floatingips/{parent}/", "port_forwardings", port_forwarding_resource),
    RESOURCE_ROUTES("routers", router_resource),
    {"PUT", "/v2.0/routers/{id}/add_router_interface", POLICY_WRITE, router_add_interface, &router_resource, 0},
    {"PUT", "/v2.0/routers/{id}/remove_router_interface", POLICY_WRITE, router_remove_interface, &router_resource, 0},
    {"PUT", "/v2.0/routers/{id}/add_extraroutes", POLICY_WRITE, router_add_routes, &router_resource, 0},
    {"PUT", "/v2.0/routers/{id}/remove_extraroutes", POLICY_WRITE, router_remove_routes, &router_resource, 0},
    {"GET", "/v2.0/security-groups", POLICY_PROJECT, security_list, &security_group_resource, 0},
    {"POST", "/v2.0/security-groups", POLICY_WRITE, resource_create, &security_group_resource, 0},
    {"GET", "/v2.0/security-groups/{id}", POLICY_PROJECT, resource_show, &security_group_resource, 0},
    {"PUT", "/v2.0/security-groups/{id}", POLICY_WRITE, resource_update, &security_group_resource, 0},
    {"DELETE", "/v2.0/security-groups/{id}", POLICY_WRITE, resource_delete, &security_group_resource, 0},
    {"GET", "/v2.0/security-group-rules", POLICY_PROJECT, security_list, &security_group_rule_resource, 0},
    {"POST", "/v2.0/security-group-rules", POLICY_WRITE, resource_create, &security_group_rule_resource, 0},
    {"GET", "/v2.0/security-group-rules/{id}", POLICY_PROJECT, resource_show, &security_group_rule_resource, 0},
    {"DELETE", "/v2.0/security-group-rules/{id}", POLICY_WRITE, resource_delete, &security_group_rule_resource, 0},
    {"GET", "/v2.0/default-security-group-rules", POLICY_PROJECT, default_rules_list, &default_rule_resource, 0},
    {"POST", "/v2.0/default-security-group-rules", POLICY_ADMIN, default_rules_create, &default_rule_resource, 0},
    {"GET", "/v2.0/default-security-group-rules/{id}", POLICY_PROJECT, default_rules_show, &default_rule_resource, 0},
    {"DELETE", "/v2.0/default-security-group-rules/{id}", POLICY_ADMIN, default_rules_delete, &default_rule_resource, 0},
    {"GET", "/v2.0/security-groups-default-statefulness", POLICY_PROJECT, resource_list, &default_statefulness_resource, 0},
    {"POST", "/v2.0/security-groups-default-statefulness", POLICY_ADMIN, resource_create, &default_statefulness_resource, 0},
    {"GET", "/v2.0/security-groups-default-statefulness/{id}", POLICY_PROJECT, resource_show, &default_statefulness_resource, 0},
    {"PUT", "/v2.0/security-groups-default-statefulness/{id}", POLICY_ADMIN, resource_update, &default_statefulness_resource, 0},
    {"DELETE", "/v2.0/security-groups-default-statefulness/{id}", POLICY_ADMIN, resource_delete, &default_statefulness_resource, 0},
    RESOURCE_ROUTES("address-groups", address_group_resource),
    {"PUT", "/v2.0/address-groups/{id}/add_addresses", POLICY_WRITE, address_group_add, &address_group_resource, 0},
    {"PUT", "/v2.0/address-groups/{id}/remove_addresses", POLICY_WRITE, address_group_remove, &address_group_resource, 0},
    FIREWALL_ROUTES("firewall_groups", firewall_group_resource),
    FIREWALL_ROUTES("firewall_policies", firewall_policy_resource),
    FIREWALL_ROUTES("firewall_rules", firewall_rule_resource),
    {"PUT", "/v2.0/fwaas/firewall_policies/{id}/insert_rule", POLICY_WRITE, firewall_insert_rule, &firewall_policy_resource, 0},
    {"PUT", "/v2.0/fwaas/firewall_policies/{id}/remove_rule", POLICY_WRITE, firewall_remove_rule, &firewall_policy_resource, 0},
    {"GET", "/v2.0/log/loggable-resources", POLICY_ADMIN, loggable_resources_list, NULL, 0},
    {"GET", "/v2.0/log/logs", POLICY_ADMIN, resource_list, &network_log_resource, 0},
    {"POST", "/v2.0/log/logs", POLICY_ADMIN, resource_create, &network_log_resource, 0},
    {"GET", "/v2.0/log/logs/{id}", POLICY_ADMIN, resource_show, &network_log_resource, 0},
    {"PUT", "/v2.0/log/logs/{id}", POLICY_ADMIN, resource_update, &network_log_resource, 0},
    {"DELETE", "/v2.0/log/logs/{id}", POLICY_ADMIN, resource_delete, &network_log_resource, 0},
    {"GET", "/weft/v1/routers/{id}/snat", POLICY_ADMIN, show_snat, NULL, 0},
    {"GET", "/v2.0/quotas", POLICY_ADMIN, quotas_list, &quota_networking, 0},
    {"GET", "/v2.0/quotas/tenant", POLICY_PROJECT, quotas_whose, NULL, 0},
    {"GET", "/v2.0/quotas/project", POLICY_PROJECT, quotas_whose, NULL, 0},
    {"GET", "/v2.0/quotas/{project}", POLICY_PROJECT, quotas_show, &quota_networking, 0},
    {"GET", "/v2.0/quotas/{project}/default", POLICY_PROJECT, quotas_show_default, &quota_networking, 0},
    {"GET", "/v2.0/quotas/{project}/details", POLICY_PROJECT, quotas_show_details, &quota_networking, 0},
    {"GET", "/v2.0/quotas/{project}/details.json", POLICY_PROJECT, quotas_show_details, &quota_networking, 0},
    {"PUT", "/v2.0/quotas/{project}", POLICY_ADMIN, quotas_update, &quota_networking, 0},
    {"DELETE", "/v2.0/quotas/{project}", POLICY_ADMIN, quotas_delete, &quota_networking, 0},
};

static void show_versions(struct request *request)
{
    char href[400];

    snprintf(href, sizeof href, "%s/v2.0/", request_public_url(request));
    request_respond(request, HTTP_OK, json_pack("{s[{sssssss[{ssss}]}]}", "versions", "id", "v2.0", "status", "CURRENT", "updated",
                                                "2013-01-23T00:00:00Z", "links", "rel", "self", "href", href));
}

static void show_index(struct request *request)
{
    static const struct {
        const char *name, *collection;
    } resources[] = {{"extension", "extensions"}, {"network", "networks"}, {"subnet", "subnets"}, {"port", "ports"},
                   {"address_scope", "address-scopes"}, {"subnetpool", "subnetpools"},
                   {"router", "routers"}, {"floatingip", "floatingips"},
                   {"security_group", "security-groups"}, {"security_group_rule", "security-group-rules"},
                   {"default_security_group_rule", "default-security-group-rules"}, {"address_group", "address-groups"},
                   {"security_groups_default_statefulness", "security-groups-default-statefulness"},
                   {"firewall_group", "fwaas/firewall_groups"}, {"firewall_policy", "fwaas/firewall_policies"},
                   {"firewall_rule", "fwaas/firewall_rules"},
                   {"log", "log/logs"}, {"loggable_resource", "log/loggable-resources"}, {"quota", "quotas"}};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
        char href[512];

        snprintf(href, sizeof href, "%s/v2.0/%s", request_public_url(request), resources[i].collection);
        json_array_append_new(list, json_pack("{ssss s[{ssss}]}", "name", resources[i].name, "collection", resources[i].collection,
                                              "links", "rel", "self", "href", href));
    }
    request_respond(request, HTTP_OK, json_pack("{so}", "resources", list));
}

static void changed(const struct replica_change *change, void *context)
{
    struct networking *networking = context;

    switch (change->kind) {
    case RESOURCE_NETWORK:
        vnis_network_changed(networking->vnis, change->before ? ((const struct network *)change->before)->vni : 0,
                             change->after ? ((const struct network *)change->after)->vni : 0);
        break;
    case RESOURCE_PORT:
        ipam_port_changed(networking->ipam, (const struct port *)change->before, (const struct port *)change->after);
        break;
    case RESOURCE_SUBNET:
    case RESOURCE_SUBNET_POOL:
    case RESOURCE_ADDRESS_SCOPE:
    case RESOURCE_ROUTER:
    case RESOURCE_FLOATING_IP:
    case RESOURCE_PORT_FORWARDING:
    case RESOURCE_ADDRESS_GROUP:
    case RESOURCE_SECURITY_GROUP:
    case RESOURCE_SECURITY_GROUP_RULE:
    case RESOURCE_FIREWALL_GROUP:
    case RESOURCE_FIREWALL_POLICY:
    case RESOURCE_FIREWALL_RULE:
    case RESOURCE_LOAD_BALANCER:
    case RESOURCE_LISTENER:
    case RESOURCE_POOL:
    case RESOURCE_POOL_MEMBER:
    case RESOURCE_HEALTH_MONITOR:
        break;
    default:
        return;
    }
    quota_object_changed(networking->quota, change->before, change->after);
}

static void templates_changed(const struct store_item *item, void *context)
{
    ((struct networking *)context)->has_rule_templates = item->value != NULL;
}

static void show_snat(struct request *request)
{
    struct networking *networking = request_api(request)->networking;
    const struct object *router = replica_get(networking->api->replica, RESOURCE_ROUTER, request->parameters[0]);

    if (router)
        request_respond(request, HTTP_OK, json_pack("{s:o}", "snat", snat_blocks_show(networking->snat, (const struct router *)router)));
    else
        request_fail(request, HTTP_NOT_FOUND, "RouterNotFound", "Router %.100s could not be found", request->parameters[0]);
}

static void look_at_snat(uv_timer_t *timer);

static void look_at_snat_soon(struct networking *networking)
{
    if (snat_blocks_is_dirty(networking->snat) && !uv_is_active((uv_handle_t *)&networking->snat_timer))
        uv_timer_start(&networking->snat_timer, look_at_snat, networking->snat_delay_ms, 0);
}

static void look_at_snat(uv_timer_t *timer)
{
    struct networking *networking = timer->data;
    uint64_t start_ns = clock_monotonic_ns();

    snat_blocks_pass(networking->snat, clock_monotonic_ms(), clock_realtime_s());
    networking->snat_delay_ms = MAX((clock_monotonic_ns() - start_ns) / 1000000 * SNAT_MAX_SHARE, (uint64_t)SNAT_DELAY_MS);
    look_at_snat_soon(networking); /* What the pass wanted is under way, or there is more. */
}

static void committed(uint64_t revision, void *context)
{
    look_at_snat_soon(context);
}

void networking_snat_report(struct networking *networking, const char *host_name, const json_t *report)
{
    snat_blocks_report(networking->snat, host_name, report, clock_monotonic_ms());
    look_at_snat_soon(networking);
}

struct snat_counters networking_snat_counters(const struct networking *networking)
{
    return snat_blocks_counters(networking->snat);
}

static void sweep(uv_timer_t *timer)
{
    struct networking *networking = timer->data;

    if (snat_blocks_is_waiting(networking->snat) && !uv_is_active((uv_handle_t *)&networking->snat_timer))
        look_at_snat(&networking->snat_timer);
    quarantine_sweep(networking->quarantine, hosts_applied_revision(networking->api->hosts), clock_realtime_s(), networking->api->store);
}

static struct request *request_in_line(struct line_member *member)
{
    return CONTAINER_OF(member, struct api_request, line)->request;
}

static void call(struct line_member *member)
{
    request_restart(request_in_line(member));
}

static void dismiss(struct line_member *member)
{
    request_fail(request_in_line(member), HTTP_UNAVAILABLE, NULL, "weft-api stops.");
}

int networking_new(struct api *api, struct networking **ret_networking)
{
    _cleanup_(networking_freep) struct networking *networking = calloc(1, sizeof(*networking));
    int r;

    if (!networking)
        return -ENOMEM;
    networking->api = api;
    if ((r = ipam_new(&networking->ipam)) < 0 || (r = quota_new(&networking->quota)) < 0 ||
        (r = quarantine_new(&networking->quarantine)) < 0 || (r = vnis_new(networking->quarantine, &networking->vnis)) < 0 ||
        (r = snat_blocks_new(api->replica, api->commits, &networking->snat)) < 0 || (r = turns_new(&networking->turns)) < 0 ||
        (r = lines_new(api->loop, call, dismiss, &networking->lines)) < 0 ||
        (r = routes_add(api->service.routes, routes, ARRAY_SIZE(routes))) < 0 ||
        (r = replica_follow(api->replica, SECURITY_TEMPLATES_KEY, templates_changed, networking)) < 0 ||
        (r = replica_follow(api->replica, QUARANTINE_PREFIX, quarantine_changed, networking->quarantine)) < 0 ||
        (r = replica_follow(api->replica, TURN_PREFIX, turns_changed, networking->turns)) < 0 ||
        (r = replica_follow(api->replica, quota_networking.prefix, quota_limits_changed, networking->quota)) < 0 ||
        (r = replica_follow(api->replica, quota_load_balancing.prefix, quota_limits_changed, networking->quota)) < 0)
        return r;
    networking->listener.change = changed;
    networking->listener.commit = committed;
    networking->listener.context = networking;
    replica_listen(api->replica, &networking->listener);
    uv_timer_init(api->loop, &networking->sweep);
    networking->sweep.data = networking;
    uv_timer_start(&networking->sweep, sweep, SWEEP_INTERVAL_MS, SWEEP_INTERVAL_MS);
    uv_unref((uv_handle_t *)&networking->sweep);
    uv_timer_init(api->loop, &networking->snat_timer);
    networking->snat_timer.data = networking;
    networking->snat_delay_ms = SNAT_DELAY_MS;
    uv_unref((uv_handle_t *)&networking->snat_timer);
    *ret_networking = TAKE_PTR(networking);
    return 0;
}

void networking_stop(struct networking *networking)
{
    if (!networking || uv_is_closing((uv_handle_t *)&networking->sweep))
        return;
    uv_close((uv_handle_t *)&networking->sweep, NULL);
    uv_close((uv_handle_t *)&networking->snat_timer, NULL);
    lines_stop(networking->lines);
}

void networking_free(struct networking *networking)
{
    if (!networking)
        return;
    ipam_free(networking->ipam);
    quota_free(networking->quota);
    vnis_free(networking->vnis);
    snat_blocks_free(networking->snat);
    turns_free(networking->turns);
    lines_free(networking->lines);
    quarantine_free(networking->quarantine);
    free(networking);
}

struct ipam *networking_ipam(struct networking *networking)
{
    return networking->ipam;
}

struct quota *networking_quota(struct networking *networking)
{
    return networking->quota;
}

struct vnis *networking_vnis(struct networking *networking)
{
    return networking->vnis;
}

struct lines *networking_lines(struct networking *networking)
{
    return networking->lines;
}

struct turns *networking_turns(struct networking *networking)
{
    return networking->turns;
}

bool networking_has_rule_templates(const struct networking *networking)
{
    return networking->has_rule_templates;
}

uint16_t networking_max_mtu(const struct networking *networking)
{
    size_t n_hosts;
    const struct object *const *hosts = replica_list(networking->api->replica, RESOURCE_HOST, &n_hosts);
    int mtu = -1;

    for (size_t i = 0; i < n_hosts; i++) {
        const struct host *host = (const struct host *)hosts[i];
        bool v6 = host->has_tunnel_address && !ip_is_v4(&host->tunnel_address);
        int carried = host->underlay_mtu - (v6 ? TUNNEL_OVERHEAD_V6 : TUNNEL_OVERHEAD_V4);

        if (host->underlay_mtu && (mtu < 0 || carried < mtu))
            mtu = carried;
    }
    if (mtu < 0)
        mtu = UNDERLAY_MTU_DEFAULT - TUNNEL_OVERHEAD_V4;
    return MAX(mtu, MTU_MIN);
}
