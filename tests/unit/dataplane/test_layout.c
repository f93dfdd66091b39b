/* tables.h means the same to BPF and to native code: every struct in the object's BTF has the size, the members and the
 * offsets that the native compiler gives it.  The object is the argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/dataplane/tables.h"

struct member {
    const char *name;
    size_t offset;
};

struct layout {
    const char *name;
    size_t size;
    struct member members[24];
};

#define M(type, member) {#member, offsetof(struct type, member)}
#define LAYOUT(type, ...) {#type, sizeof(struct type), {__VA_ARGS__}}

static const struct layout layouts[] = {
    LAYOUT(port_config, M(port_config, ifindex), M(port_config, flags), M(port_config, vni), M(port_config, project),
           M(port_config, mac), M(port_config, mtu), M(port_config, ip4), M(port_config, ip6), M(port_config, generation),
           M(port_config, bum_rate), M(port_config, bum_burst), M(port_config, punt_rate), M(port_config, punt_burst),
           M(port_config, pad)),
    LAYOUT(port_record, M(port_record, active), M(port_record, epoch), M(port_record, config)),
    LAYOUT(port_runtime, M(port_runtime, bum_time_ns), M(port_runtime, bum_tokens), M(port_runtime, punt_time_ns),
           M(port_runtime, punt_tokens), M(port_runtime, n_learned)),
    LAYOUT(port_counters, M(port_counters, tx_packets), M(port_counters, tx_bytes), M(port_counters, rx_packets),
           M(port_counters, rx_bytes), M(port_counters, drops)),
    LAYOUT(source_key, M(source_key, prefix_length), M(source_key, slot), M(source_key, address)),
    LAYOUT(source_value, M(source_value, slot), M(source_value, n_macs), M(source_value, mac)),
    LAYOUT(network_value, M(network_value, vni), M(network_value, flags), M(network_value, project)),
    LAYOUT(fdb_key, M(fdb_key, vni), M(fdb_key, mac), M(fdb_key, pad)),
    LAYOUT(output_value, M(output_value, vni), M(output_value, output)),
    LAYOUT(movable_key, M(movable_key, vni), M(movable_key, mac), M(movable_key, pad), M(movable_key, output)),
    LAYOUT(neighbor_key, M(neighbor_key, vni), M(neighbor_key, address)),
    LAYOUT(neighbor_value, M(neighbor_value, check), M(neighbor_value, mac)),
    LAYOUT(flood_key, M(flood_key, vni), M(flood_key, index)),
    LAYOUT(host_config, M(host_config, local), M(host_config, remote), M(host_config, next_hop), M(host_config, ifindex),
           M(host_config, underlay_mtu), M(host_config, source_mac), M(host_config, next_hop_mac), M(host_config, flags),
           M(host_config, generation), M(host_config, key)),
    LAYOUT(host_record, M(host_record, active), M(host_record, pad), M(host_record, config)),
    LAYOUT(host_runtime, M(host_runtime, relay_time_ns), M(host_runtime, relay_tokens)),
    LAYOUT(peer_value, M(peer_value, check), M(peer_value, host)),
    LAYOUT(project_record, M(project_record, n_half_open), M(project_record, n_established), M(project_record, max_half_open),
           M(project_record, max_established), M(project_record, n_learned), M(project_record, max_learned),
           M(project_record, n_not_learned), M(project_record, port_half_open)),
    LAYOUT(flow_key, M(flow_key, owner), M(flow_key, local_port), M(flow_key, remote_port), M(flow_key, local), M(flow_key, remote)),
    LAYOUT(half_open, M(half_open, head), M(half_open, tail), M(half_open, gone), M(half_open, pad), M(half_open, places)),
    LAYOUT(flow_heads, M(flow_heads, head)),
    LAYOUT(sweeper, M(sweeper, timer), M(sweeper, version), M(sweeper, next), M(sweeper, hand), M(sweeper, n_seen)),
    LAYOUT(flow_entry, M(flow_entry, key), M(flow_entry, stamp), M(flow_entry, output), M(flow_entry, last_seen), M(flow_entry, remote_mac),
           M(flow_entry, output_generation), M(flow_entry, next_mac), M(flow_entry, router_port), M(flow_entry, router_generation), M(flow_entry, pad),
           M(flow_entry, account), M(flow_entry, generation), M(flow_entry, next), M(flow_entry, packets), M(flow_entry, bytes),
           M(flow_entry, sequence_end), M(flow_entry, window), M(flow_entry, scales), M(flow_entry, pad2), M(flow_entry, pad3)),
    LAYOUT(former_entry, M(former_entry, layout), M(former_entry, state), M(former_entry, flags), M(former_entry, stamp), M(former_entry, output),
           M(former_entry, last_seen), M(former_entry, remote_mac), M(former_entry, output_generation), M(former_entry, packets), M(former_entry, bytes),
           M(former_entry, generation), M(former_entry, account), M(former_entry, next_mac), M(former_entry, router_port), M(former_entry, hops),
           M(former_entry, scales), M(former_entry, window), M(former_entry, router_generation), M(former_entry, sequence_end), M(former_entry, names)),
    LAYOUT(port_policy, M(port_policy, rule_set)),
    LAYOUT(rules_key, M(rules_key, set), M(rules_key, index)),
    LAYOUT(rule, M(rule, address), M(rule, group), M(rule, flags), M(rule, prefix_length), M(rule, protocol), M(rule, port_min),
           M(rule, port_max), M(rule, number)),
    LAYOUT(rules_common, M(rules_common, flags), M(rules_common, protocol), M(rules_common, pad), M(rules_common, port_min), M(rules_common, port_max)),
    LAYOUT(rules_block, M(rules_block, set), M(rules_block, index), M(rules_block, n), M(rules_block, common), M(rules_block, pad), M(rules_block, rules)),
    LAYOUT(firewall_rule_row, M(firewall_rule_row, source), M(firewall_rule_row, destination), M(firewall_rule_row, source_length),
           M(firewall_rule_row, destination_length), M(firewall_rule_row, flags), M(firewall_rule_row, source_min),
           M(firewall_rule_row, source_max), M(firewall_rule_row, destination_min), M(firewall_rule_row, destination_max),
           M(firewall_rule_row, protocol), M(firewall_rule_row, verdict), M(firewall_rule_row, pad), M(firewall_rule_row, number)),
    LAYOUT(firewall_block, M(firewall_block, set), M(firewall_block, index), M(firewall_block, n), M(firewall_block, is_last),
           M(firewall_block, rules)),
    LAYOUT(member_key, M(member_key, group), M(member_key, address)),
    LAYOUT(member_prefix_key, M(member_prefix_key, prefix_length), M(member_prefix_key, group), M(member_prefix_key, address)),
    LAYOUT(router_port_config, M(router_port_config, flags), M(router_port_config, router), M(router_port_config, vni),
           M(router_port_config, generation), M(router_port_config, mac), M(router_port_config, mtu), M(router_port_config, ip4),
           M(router_port_config, ip6), M(router_port_config, rule_set)),
    LAYOUT(router_port_record, M(router_port_record, active), M(router_port_record, pad), M(router_port_record, config)),
    LAYOUT(router_port_runtime, M(router_port_runtime, n_names), M(router_port_runtime, n_exhausted)),
    LAYOUT(portless_value, M(portless_value, vni_protocol), M(portless_value, output), M(portless_value, time_ns)),
    LAYOUT(outside_budget, M(outside_budget, of)),
    LAYOUT(uplink_budget, M(uplink_budget, of)),
    LAYOUT(route_key, M(route_key, prefix_length), M(route_key, router), M(route_key, address)),
    LAYOUT(route_value, M(route_value, router), M(route_value, flags), M(route_value, port), M(route_value, next_hop)),
    LAYOUT(next_hop_key, M(next_hop_key, group), M(next_hop_key, bucket)),
    LAYOUT(next_hop_value, M(next_hop_value, group), M(next_hop_value, port), M(next_hop_value, next_hop)),
    LAYOUT(uplink_key, M(uplink_key, ifindex), M(uplink_key, vlan)),
    LAYOUT(uplink_value, M(uplink_value, ifindex), M(uplink_value, vlan), M(uplink_value, vni), M(uplink_value, project),
           M(uplink_value, mac), M(uplink_value, mtu)),
    LAYOUT(floating_key, M(floating_key, slot), M(floating_key, address)),
    LAYOUT(floating_value, M(floating_value, slot), M(floating_value, address), M(floating_value, router_port), M(floating_value, object)),
    LAYOUT(external_key, M(external_key, vni), M(external_key, address)),
    LAYOUT(external_value, M(external_value, vni), M(external_value, kind), M(external_value, output), M(external_value, address),
           M(external_value, router_port), M(external_value, object), M(external_value, port), M(external_value, first),
           M(external_value, flags)),
    LAYOUT(forwarding_key, M(forwarding_key, prefix_length), M(forwarding_key, vni), M(forwarding_key, address), M(forwarding_key, protocol),
           M(forwarding_key, pad), M(forwarding_key, port)),
    LAYOUT(snat_config, M(snat_config, router_port), M(snat_config, address), M(snat_config, vni), M(snat_config, n_blocks),
           M(snat_config, object), M(snat_config, blocks)),
    LAYOUT(snat_owner_key, M(snat_owner_key, prefix_length), M(snat_owner_key, vni), M(snat_owner_key, address), M(snat_owner_key, port),
           M(snat_owner_key, pad)),
    LAYOUT(alias_key, M(alias_key, vni_protocol), M(alias_key, address), M(alias_key, remote), M(alias_key, port),
           M(alias_key, remote_port)),
    LAYOUT(alias_value, M(alias_value, key), M(alias_value, vni_protocol), M(alias_value, generation)),
    LAYOUT(service_key, M(service_key, vni), M(service_key, port), M(service_key, protocol), M(service_key, pad), M(service_key, address)),
    LAYOUT(service_value, M(service_value, vni), M(service_value, port), M(service_value, protocol), M(service_value, flags), M(service_value, listener), M(service_value, pool), M(service_value, n_rows), M(service_value, balancer), M(service_value, seed), M(service_value, limit), M(service_value, check), M(service_value, mac), M(service_value, source_length), M(service_value, pad)),
    LAYOUT(service_source_key, M(service_source_key, prefix_length), M(service_source_key, listener), M(service_source_key, address)),
    LAYOUT(service_row, M(service_row, owner), M(service_row, previous)),
    LAYOUT(service_rows_key, M(service_rows_key, pool), M(service_rows_key, index)),
    LAYOUT(service_rows, M(service_rows, pool), M(service_rows, index), M(service_rows, rows)),
    LAYOUT(service_name, M(service_name, first), M(service_name, second)),
    LAYOUT(service_member, M(service_member, number), M(service_member, name), M(service_member, flags), M(service_member, balancer), M(service_member, vip_vni), M(service_member, vni), M(service_member, output), M(service_member, address), M(service_member, mac), M(service_member, port), M(service_member, mtu), M(service_member, pad)),
    LAYOUT(balanced_value, M(balanced_value, client), M(balanced_value, vip), M(balanced_value, client_port), M(balanced_value, vip_port), M(balanced_value, vni), M(balanced_value, client_vni), M(balanced_value, member), M(balanced_value, name), M(balanced_value, output), M(balanced_value, slot), M(balanced_value, client_mac), M(balanced_value, flags)),
    LAYOUT(balanced_name, M(balanced_name, vni), M(balanced_name, client_vni), M(balanced_name, member), M(balanced_name, client_port), M(balanced_name, vip_port), M(balanced_name, protocol), M(balanced_name, pad), M(balanced_name, client), M(balanced_name, vip)),
    LAYOUT(service_counters, M(service_counters, n_connections), M(service_counters, n_refused), M(service_counters, to_packets), M(service_counters, to_bytes), M(service_counters, from_packets), M(service_counters, from_bytes)),
    LAYOUT(service_use, M(service_use, n_connections)),
    LAYOUT(fragment, M(fragment, check), M(fragment, ports)),
    LAYOUT(port_fragments, M(port_fragments, places)),
    LAYOUT(metadata_config, M(metadata_config, ifindex), M(metadata_config, port), M(metadata_config, mac), M(metadata_config, pad)),
    LAYOUT(metadata_budget, M(metadata_budget, time_ns), M(metadata_budget, tokens)),
    LAYOUT(probe_target, M(probe_target, number), M(probe_target, slot), M(probe_target, generation), M(probe_target, ifindex),
           M(probe_target, address), M(probe_target, vip), M(probe_target, vip_mac), M(probe_target, device_mac), M(probe_target, pad)),
    LAYOUT(probe_key, M(probe_key, slot), M(probe_key, port), M(probe_key, probe_port), M(probe_key, protocol), M(probe_key, pad),
           M(probe_key, address), M(probe_key, vip)),
    LAYOUT(settings, M(settings, n_ports), M(settings, n_hosts), M(settings, n_projects), M(settings, tunnel_ifindex),
           M(settings, tunnel_port), M(settings, flood_fan_out), M(settings, n_flow_slots), M(settings, timeout_s), M(settings, hash_seed),
           M(settings, relay_rate), M(settings, relay_burst)),
    LAYOUT(verdict_config, M(verdict_config, rate), M(verdict_config, burst)),
    LAYOUT(verdict_runtime, M(verdict_runtime, time_ns), M(verdict_runtime, tokens), M(verdict_runtime, n_left_out),
           M(verdict_runtime, n_said)),
    LAYOUT(verdict_event, M(verdict_event, time_ns), M(verdict_event, slot), M(verdict_event, generation), M(verdict_event, number),
           M(verdict_event, size), M(verdict_event, reason), M(verdict_event, ethertype), M(verdict_event, source_port),
           M(verdict_event, destination_port), M(verdict_event, protocol), M(verdict_event, tcp_flags), M(verdict_event, icmp_type),
           M(verdict_event, icmp_code), M(verdict_event, flags), M(verdict_event, pad), M(verdict_event, source_mac),
           M(verdict_event, destination_mac), M(verdict_event, pad_2), M(verdict_event, source), M(verdict_event, destination)),
    LAYOUT(punt_event, M(punt_event, slot), M(punt_event, ifindex), M(punt_event, vni), M(punt_event, reason), M(punt_event, size),
           M(punt_event, frame), M(punt_event, source), M(punt_event, output), M(punt_event, router_port), M(punt_event, mtu),
           M(punt_event, code), M(punt_event, hops), M(punt_event, pad), M(punt_event, next_hop)),
};

static struct btf *btf;

static const struct member *find_member(const struct layout *layout, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(layout->members) && layout->members[i].name; i++)
        if (streq(layout->members[i].name, name))
            return &layout->members[i];
    return NULL;
}

static void every_struct_is_laid_out_alike(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        const struct layout *layout = &layouts[i];
        int id = btf__find_by_name_kind(btf, layout->name, BTF_KIND_STRUCT);
        if (id < 0)
            fail_msg("the object does not know struct %s", layout->name);
        const struct btf_type *type = btf__type_by_id(btf, id);
        const struct btf_member *members = btf_members(type);
        if (type->size != layout->size)
            fail_msg("struct %s: %u bytes in BPF, %zu natively", layout->name, type->size, layout->size);
        for (int m = 0; m < btf_vlen(type); m++) {
            const char *name = btf__name_by_offset(btf, members[m].name_off);
            if (!*name)
                continue; /* An anonymous union: what comes behind it, or the size, tells. */
            const struct member *native = find_member(layout, name);
            if (!native)
                fail_msg("struct %s: this test does not list member '%s'", layout->name, name);
            if (btf_member_bit_offset(type, m) != native->offset * 8)
                fail_msg("struct %s.%s: at bit %u in BPF, at byte %zu natively", layout->name, name, btf_member_bit_offset(type, m),
                         native->offset);
        }
    }
}

static void every_map_of_tables_h_is_in_the_object(void **state)
{
    int id = btf__find_by_name_kind(btf, ".maps", BTF_KIND_DATASEC);

    assert_true(id > 0);
    assert_int_equal(btf_vlen(btf__type_by_id(btf, id)), 65);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_struct_is_laid_out_alike),
        cmocka_unit_test(every_map_of_tables_h_is_in_the_object),
    };

    btf = btf__parse_elf(argc > 1 ? argv[1] : "weft.bpf.o", NULL);
    if (!btf) {
        fprintf(stderr, "cannot read BTF of '%s'\n", argc > 1 ? argv[1] : "weft.bpf.o");
        return 1;
    }
    int result = cmocka_run_group_tests_name("layout", tests, NULL, NULL);
    btf__free(btf);
    return result;
}
