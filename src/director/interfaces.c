#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/director/host-settings.h"
#include "weft/director/runtime-state.h"

static const char *const how_text[] = {"", "by its driver", "in the generic way, since the driver has no XDP: slower, and GRO is off"};

static struct attached *find(struct director *director, const char *name)
{
    for (size_t i = 0; i < director->n_attached; i++)
        if (streq(director->attached[i].name, name))
            return &director->attached[i];
    return NULL;
}

static bool has_family(const struct director_config *config, bool ipv6)
{
    for (size_t i = 0; i < config->n_services; i++) {
        const struct virtual_service *service = &config->services[i];

        for (size_t j = 0; j < service->n_servers; j++)
            if (ip_is_v4(&service->servers[j].address) != ipv6)
                return true;
        if (service->has_sorry_server && ip_is_v4(&service->sorry_server.address) != ipv6)
            return true;
    }
    return false;
}

static void forwarding(const struct director *director, const char *name)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        int result = has_family(director->config, ipv6) ? lb_enable_forwarding(name, ipv6, LB_FORWARDING_DIRECTOR) : 0;

        if (result < 0)
            log_warning("interface %s: cannot turn IPv%d forwarding on, without which no server is found: %s", name, ipv6 ? 6 : 4,
                        strerror(-result));
        else if (result)
            log_info("interface %s: IPv%d forwarding turned on, which looking for servers needs", name, ipv6 ? 6 : 4);
    }
}

static void redirects(const struct director *director, const char *name)
{
    int result = director->tables->settings->has_translation && has_family(director->config, false) ? lb_no_redirects(name) : 0;

    if (result < 0)
        log_warning("interface %s: cannot turn send_redirects off: a server that is told to go to a client directly does so with translated answers, too: %s", name,
                    strerror(-result));
    else if (result)
        log_info("interface %s: send_redirects turned off, for servers are not to answer past the director", name);
}

/* Says a failure once. */
static void failed(struct attached *attached, int error, const char *text)
{
    if (attached->error != error)
        log_error("interface %s: %s", attached->name, text);
    attached->error = error;
    attached->how = LB_ATTACH_NONE;
}

static void attach_one(struct director *director, struct attached *attached)
{
    enum lb_attachment how = LB_ATTACH_NONE;
    uint32_t ifindex = if_nametoindex(attached->name);
    uint8_t mac[6];
    int result = ifindex ? lb_mac(attached->name, mac) : -ENODEV;

    if (result == 0)
        result = lb_put_interface(director->tables, ifindex, mac);
    if (result == 0)
        result = lb_attach(&lb_director, ifindex, director->tables->program_fd, &how);

    if (result == -ENODEV) {
        failed(attached, result, "does not exist yet");
        return;
    }
    if (result < 0) {
        failed(attached, result, result == -EBUSY ? "has another XDP program" : strerror(-result));
        return;
    }
    forwarding(director, attached->name);
    redirects(director, attached->name);
    if (how == LB_ATTACH_GENERIC && lb_no_gro(attached->name) < 0)
        log_warning("interface %s: GRO cannot be turned off; what it glues together is too big to send on", attached->name);
    if (attached->how != how || attached->ifindex != ifindex)
        log_info("interface %s: balances, %s", attached->name, how_text[how]);
    attached->how = how;
    attached->ifindex = ifindex;
    attached->error = 0;
}

static bool is_wanted(const struct director_config *config, const char *name)
{
    for (size_t i = 0; config && i < config->n_interfaces; i++)
        if (streq(config->interfaces[i], name))
            return true;
    return false;
}

unsigned interfaces_clean(const struct director_config *config)
{
    struct if_nameindex *all = if_nameindex();
    unsigned n = 0;

    for (const struct if_nameindex *one = all; one && one->if_index; one++) {
        int result = is_wanted(config, one->if_name) ? 0 : lb_detach(&lb_director, one->if_index);

        if (result < 0)
            log_error("interface %s: cannot take off the program of a director before: %s", one->if_name, strerror(-result));
        else if (result)
            log_info("interface %s: balances no more", one->if_name);
        if (!is_wanted(config, one->if_name))
            lb_restore_forwarding(one->if_name, LB_FORWARDING_DIRECTOR);
        n += result > 0;
    }
    if (all)
        if_freenameindex(all);
    return n;
}

void interfaces_apply(struct director *director)
{
    if (!director->is_clean)
        interfaces_clean(director->config);
    director->is_clean = true;
    for (size_t i = 0; i < director->n_attached; i++)
        director->attached[i].seen = false;
    for (size_t i = 0; i < director->config->n_interfaces; i++) {
        const char *name = director->config->interfaces[i];
        struct attached *attached = find(director, name);

        if (!attached && director->n_attached < ARRAY_SIZE(director->attached)) {
            attached = &director->attached[director->n_attached++];
            *attached = (struct attached){0};
            string_copy(attached->name, sizeof(attached->name), name);
        }
        if (!attached)
            continue;
        attached->seen = true;
        attach_one(director, attached);
    }
    for (size_t i = director->n_attached; i-- > 0;) {
        struct attached *attached = &director->attached[i];

        if (attached->seen)
            continue;
        if (attached->how != LB_ATTACH_NONE && lb_detach(&lb_director, attached->ifindex) > 0)
            log_info("interface %s: balances no more", attached->name);
        lb_restore_forwarding(attached->name, LB_FORWARDING_DIRECTOR);
        *attached = director->attached[--director->n_attached];
    }
}
