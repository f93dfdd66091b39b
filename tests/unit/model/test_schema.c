/* Codec of the resources' tables: round trips, and every wrong value refused by the name of its field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/model/schema.h"

#define ID "11111111-2222-4333-8444-555555555555"
#define NETWORK "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

static json_t *parse(const char *text)
{
    json_error_t where;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &where);

    if (!json)
        fail_msg("%s: %s", text, where.text);
    return json;
}

static void round_trip(enum resource_kind kind, const char *text)
{
    json_t *json = parse(text), *again;
    struct object *object = NULL, *copy, *second = NULL;
    struct buffer first_text = {0}, second_text = {0};
    struct error error = {0};

    if (object_decode(kind, json, &object, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    assert_non_null(again = object_encode(object));
    assert_int_equal(0, object_write(object, &first_text));

    /* What was given is kept, with all else beside it. */
    const char *key;
    json_t *value;
    json_object_foreach (json, key, value)
        if (!json_equal(value, json_object_get(again, key)))
            fail_msg("%s changed to %s", key, json_dumps(json_object_get(again, key), JSON_ENCODE_ANY));

    assert_int_equal(0, object_decode(kind, again, &second, &error));
    assert_int_equal(0, object_write(second, &second_text));
    assert_string_equal(buffer_string(&first_text), buffer_string(&second_text));

    assert_non_null(copy = object_copy(object));
    for (const struct attribute *a = schema_get(kind)->attributes; a->name; a++)
        assert_true(attribute_equal(a, object, copy) && attribute_equal(a, object, second));
    object_free(object);
    second_text.size = 0;
    assert_int_equal(0, object_write(copy, &second_text));
    assert_string_equal(buffer_string(&first_text), buffer_string(&second_text));

    object_free(copy);
    object_free(second);
    buffer_clear(&first_text);
    buffer_clear(&second_text);
    json_decref(json);
    json_decref(again);
}

static void objects_survive_a_round_trip(void **state)
{
    round_trip(RESOURCE_NETWORK,
               "{\"schema\":1,\"id\":\"" NETWORK "\",\"name\":\"a \\\"quoted\\\" \\n \\u00e9\",\"project_id\":\"p\","
               "\"mtu\":1450,\"shared\":true,\"router:external\":true,\"is_default\":false,\"admin_state_up\":false,"
               "\"provider:segmentation_id\":16777215,\"provider:network_type\":\"vxlan\",\"revision_number\":7,"
               "\"created_at\":\"2026-01-31T23:59:59Z\",\"updated_at\":\"2026-02-01T00:00:00Z\",\"quota_slot\":3}");
    round_trip(RESOURCE_SUBNET,
               "{\"id\":\"" ID "\",\"network_id\":\"" NETWORK "\",\"ip_version\":6,\"cidr\":\"2001:db8::/64\","
               "\"gateway_ip\":null,\"enable_dhcp\":false,\"ipv6_address_mode\":\"slaac\",\"ipv6_ra_mode\":null,"
               "\"allocation_pools\":[{\"start\":\"2001:db8::2\",\"end\":\"2001:db8::ff\"},"
               "{\"start\":\"2001:db8::1:0\",\"end\":\"2001:db8::1:1\"}],\"dns_nameservers\":[\"::\",\"2001:db8::53\"],"
               "\"host_routes\":[{\"destination\":\"2001:db8:1::/48\",\"nexthop\":\"2001:db8::9\"}],\"subnetpool_id\":null}");
    round_trip(RESOURCE_PORT,
               "{\"id\":\"" ID "\",\"network_id\":\"" NETWORK "\",\"mac_address\":\"fa:16:3e:00:00:01\","
               "\"fixed_ips\":[{\"subnet_id\":\"" ID "\",\"ip_address\":\"10.0.0.5\"},"
               "{\"subnet_id\":\"" NETWORK "\",\"ip_address\":\"2001:db8::5\"}],"
               "\"allowed_address_pairs\":[{\"ip_address\":\"10.0.0.0/24\",\"mac_address\":null},"
               "{\"ip_address\":\"10.0.0.9\",\"mac_address\":\"fa:16:3e:00:00:02\"}],"
               "\"extra_dhcp_opts\":[{\"opt_name\":\"mtu\",\"opt_value\":\"1400\",\"ip_version\":4}],"
               "\"binding:host_id\":\"h1\",\"binding:profile\":{\"a\":[1,2]},\"binding:vnic_type\":\"normal\","
               "\"device_id\":\"d\",\"device_owner\":\"compute:nova\",\"port_security_enabled\":false,"
               "\"security_groups\":[\"" ID "\",\"" NETWORK "\"]}");
    round_trip(RESOURCE_PORT, "{\"id\":\"" ID "\",\"security_groups\":null}");
    round_trip(RESOURCE_PORT, "{\"id\":\"" ID "\",\"security_groups\":[]}");
    round_trip(RESOURCE_HOST, "{\"id\":\"" ID "\",\"name\":\"h1\",\"tunnel_address\":\"192.0.2.1\",\"underlay_mtu\":9000,"
                              "\"state\":\"down\",\"version\":\"0.1\",\"applied_revision\":99}");
    round_trip(RESOURCE_HOST, "{\"id\":\"" ID "\",\"name\":\"h2\",\"tunnel_address\":null,\"physical_networks\":[\"a\",\"b\"]}");
    round_trip(RESOURCE_SECURITY_GROUP, "{\"id\":\"" ID "\",\"name\":\"web\",\"stateful\":false}");
    round_trip(RESOURCE_SECURITY_GROUP_RULE,
               "{\"id\":\"" ID "\",\"security_group_id\":\"" NETWORK "\",\"direction\":\"egress\",\"ip_version\":6,\"protocol\":\"tcp\","
               "\"port_range_min\":0,\"port_range_max\":null,\"remote_ip_prefix\":\"2001:db8::/32\",\"remote_group_id\":null,"
               "\"remote_address_group_id\":\"" ID "\"}");
    round_trip(RESOURCE_SECURITY_GROUP_RULE,
               "{\"id\":\"" ID "\",\"security_group_id\":\"" NETWORK "\",\"direction\":\"ingress\",\"protocol\":\"6\","
               "\"remote_ip_prefix\":\"10.1.2.3/8\",\"remote_group_id\":\"" ID "\"}");
    round_trip(RESOURCE_DEFAULT_RULE,
               "{\"id\":\"" ID "\",\"direction\":\"ingress\",\"ip_version\":6,\"remote_group_id\":\"PARENT\",\"used_in_default_sg\":true,"
               "\"used_in_non_default_sg\":false}");
    round_trip(RESOURCE_DEFAULT_RULE, "{\"id\":\"" ID "\",\"direction\":\"egress\",\"remote_group_id\":null}");
    round_trip(RESOURCE_ADDRESS_GROUP, "{\"id\":\"" ID "\",\"addresses\":[\"10.0.0.0/8\",\"2001:db8::1/128\"]}");
    round_trip(RESOURCE_ROUTER,
               "{\"id\":\"" ID "\",\"admin_state_up\":false,\"gateway_network_id\":\"" NETWORK "\",\"gateway_port_id\":\"" ID "\","
               "\"enable_snat\":false,\"routes\":[{\"destination\":\"10.1.0.0/16\",\"nexthop\":\"10.0.0.9\"}]}");
    round_trip(RESOURCE_FLOATING_IP,
               "{\"id\":\"" ID "\",\"floating_network_id\":\"" NETWORK "\",\"floating_port_id\":\"" ID "\","
               "\"floating_ip_address\":\"203.0.113.9\",\"port_id\":\"" NETWORK "\",\"fixed_ip_address\":\"10.0.0.5\",\"router_id\":\"" ID "\"}");
    round_trip(RESOURCE_PORT_FORWARDING,
               "{\"id\":\"" ID "\",\"floatingip_id\":\"" NETWORK "\",\"internal_port_id\":\"" ID "\",\"internal_ip_address\":\"10.0.0.5\","
               "\"protocol_number\":17,\"external_first\":1,\"external_last\":10,\"internal_first\":11,\"internal_last\":20}");
    round_trip(RESOURCE_FIREWALL_RULE, "{\"id\":\"" ID "\",\"protocol\":\"tcp\",\"ip_version\":6,\"source_ip_address\":\"2001:db8::/32\","
                                       "\"destination_port\":\"80:90\",\"action\":\"reject\",\"enabled\":false,\"shared\":true}");
    round_trip(RESOURCE_FIREWALL_POLICY, "{\"id\":\"" ID "\",\"audited\":true,\"firewall_rules\":[\"" ID "\"]}");
    round_trip(RESOURCE_FIREWALL_GROUP, "{\"id\":\"" ID "\",\"ingress_firewall_policy_id\":\"" ID "\",\"ports\":[\"" ID "\"]}");
    round_trip(RESOURCE_SNAT_BLOCK,
               "{\"id\":\"" ID "\",\"router_id\":\"" NETWORK "\",\"network_id\":\"" ID "\",\"address\":\"203.0.113.1\","
               "\"first_port\":1024,\"n_ports\":1024,\"host\":\"h1\"}");
    round_trip(RESOURCE_LOAD_BALANCER,
               "{\"id\":\"" ID "\",\"vip_address\":\"10.0.0.9\",\"vip_subnet_id\":\"" ID "\",\"vip_network_id\":\"" NETWORK "\",\"vip_port_id\":\"" ID "\","
               "\"owns_vip_port\":true,\"additional_vips\":[{\"subnet_id\":\"" ID "\",\"ip_address\":\"2001:db8::9\"}],\"provider\":\"weft\","
               "\"flavor_id\":null,\"tags\":[\"a\",\"b\"]}");
    round_trip(RESOURCE_LISTENER,
               "{\"id\":\"" ID "\",\"loadbalancer_id\":\"" NETWORK "\",\"protocol\":\"SCTP\",\"protocol_port\":443,\"connection_limit\":-1,"
               "\"default_pool_id\":\"" ID "\",\"allowed_cidrs\":[\"10.0.0.0/8\",\"2001:db8::/32\"],\"timeout_client_data\":1,\"has_timeout_client_data\":true}");
    round_trip(RESOURCE_LISTENER, "{\"id\":\"" ID "\",\"connection_limit\":2147483647,\"default_pool_id\":null}");
    round_trip(RESOURCE_POOL,
               "{\"id\":\"" ID "\",\"loadbalancer_id\":\"" NETWORK "\",\"protocol\":\"UDP\",\"lb_algorithm\":\"SOURCE_IP_PORT\","
               "\"has_persistence\":true,\"persistence_timeout\":360,\"persistence_length\":null}");
    round_trip(RESOURCE_POOL_MEMBER,
               "{\"id\":\"" ID "\",\"pool_id\":\"" NETWORK "\",\"address\":\"2001:db8::5\",\"protocol_port\":80,\"weight\":256,\"backup\":true,"
               "\"subnet_id\":null,\"at_subnet_id\":\"" ID "\",\"at_network_id\":\"" NETWORK "\",\"loadbalancer_id\":\"" ID "\",\"monitor_address\":null,\"monitor_port\":8080}");
    round_trip(RESOURCE_HEALTH_MONITOR,
               "{\"id\":\"" ID "\",\"pool_id\":\"" NETWORK "\",\"type\":\"TLS-HELLO\",\"delay\":5,\"timeout\":3,\"max_retries\":2,\"url_path\":\"/x\","
               "\"http_version\":null}");
    round_trip(RESOURCE_BALANCE_ROWS,
               "{\"id\":\"" ID "\",\"lineage\":9223372036854775807,\"sequence\":7,\"members\":[{\"id\":\"" NETWORK "\",\"index\":3,\"state\":\"DRAINS\","
               "\"failed\":false,\"drain_until\":\"2026-01-31T23:59:59Z\"},{\"id\":\"" ID "\",\"index\":65535,\"state\":\"DOWN\",\"failed\":true,\"drain_until\":null}],"
               "\"rows\":\"AwD//////////////////w==\"}");
    round_trip(RESOURCE_BALANCE_ROWS, "{\"id\":\"" ID "\",\"rows\":\"\"}");
    round_trip(RESOURCE_LISTENER_SHARE,
               "{\"id\":\"" ID "\",\"listener_id\":\"" NETWORK "\",\"host\":\"h1\",\"share\":4294967295,\"held\":7,\"waits\":true}");
}

static void fields_of_later_versions_are_kept(void **state)
{
    round_trip(RESOURCE_PORT, "{\"schema\":1,\"id\":\"" ID "\",\"qos\":{\"rate\":[1,{\"x\":null}]},\"later\":\"y\"}");
}

static void defaults_are_those_of_the_api(void **state)
{
    struct network *network = (struct network *)object_new(RESOURCE_NETWORK);
    struct subnet *subnet = (struct subnet *)object_new(RESOURCE_SUBNET);
    struct port *port = (struct port *)object_new(RESOURCE_PORT);

    assert_true(network->object.admin_state_up && network->port_security_enabled && !network->shared);
    assert_true(subnet->enable_dhcp && !subnet->has_gateway && subnet->ipv6_ra_mode == IPV6_MODE_NONE);
    assert_true(port->port_security_enabled && port->status == PORT_STATUS_DOWN);
    assert_string_equal("normal", port->binding_vnic_type);
    object_free(&network->object);
    object_free(&subnet->object);
    object_free(&port->object);
}

static void members_are_where_the_tables_say(void **state)
{
    json_t *json = parse("{\"id\":\"" ID "\",\"mac_address\":\"FA:16:3E:0A:0B:0C\",\"fixed_ips\":[{\"subnet_id\":\"" NETWORK
                         "\",\"ip_address\":\"10.0.0.5\"}],\"admin_state_up\":false,\"project_id\":\"p1\",\"name\":\"n\"}");
    struct object *object = NULL;
    char text[IP_TEXT_SIZE];

    assert_int_equal(0, object_decode(RESOURCE_PORT, json, &object, NULL));
    struct port *port = (struct port *)object;
    assert_int_equal(RESOURCE_PORT, object->kind);
    assert_string_equal(ID, object->id);
    assert_string_equal("p1", object->project_id);
    assert_string_equal("n", object->name);
    assert_false(object->admin_state_up);
    assert_int_equal(0x0c, port->mac.bytes[5]);
    assert_int_equal(1, port->n_fixed_ips);
    assert_string_equal(NETWORK, port->fixed_ips[0].subnet_id);
    assert_string_equal("10.0.0.5", ip_format(&port->fixed_ips[0].address, text));
    object_free(object);
    json_decref(json);
}

static void wrong_stored_values_name_their_field(void **state)
{
    static const struct {
        enum resource_kind kind;
        const char *text, *field;
    } cases[] = {
        {RESOURCE_PORT, "[]", "port"},
        {RESOURCE_PORT, "{}", "port.id"},
        {RESOURCE_PORT, "{\"id\":1}", "port.id"},
        {RESOURCE_PORT, "{\"id\":\"x\"}", "port.id"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"schema\":\"1\"}", "port.schema"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"name\":1}", "port.name"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"project_id\":null}", "port.project_id"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"admin_state_up\":\"true\"}", "port.admin_state_up"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"mac_address\":\"fa:16:3e\"}", "port.mac_address"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"mac_address\":null}", "port.mac_address"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"fixed_ips\":{}}", "port.fixed_ips"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"fixed_ips\":[7]}", "port.fixed_ips[0]"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"fixed_ips\":[{},{\"ip_address\":\"10.0.0.300\"}]}", "port.fixed_ips[1].ip_address"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"allowed_address_pairs\":[{}]}", "port.allowed_address_pairs[0].ip_address"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"binding:profile\":[]}", "port.binding:profile"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"status\":\"active\"}", "port.status"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"created_at\":\"now\"}", "port.created_at"},
        {RESOURCE_PORT, "{\"id\":\"" ID "\",\"revision_number\":-1}", "port.revision_number"},
        {RESOURCE_NETWORK, "{\"id\":\"" ID "\",\"mtu\":65536}", "network.mtu"},
        {RESOURCE_NETWORK, "{\"id\":\"" ID "\",\"mtu\":1.5}", "network.mtu"},
        {RESOURCE_NETWORK, "{\"id\":\"" ID "\",\"provider:network_type\":\"gre\"}", "network.provider:network_type"},
        {RESOURCE_SUBNET, "{\"id\":\"" ID "\",\"cidr\":\"10.0.0.1/24\"}", "subnet.cidr"},
        {RESOURCE_SUBNET, "{\"id\":\"" ID "\",\"cidr\":\"10.0.0.0\"}", "subnet.cidr"},
        {RESOURCE_SUBNET, "{\"id\":\"" ID "\",\"gateway_ip\":\"\"}", "subnet.gateway_ip"},
        {RESOURCE_SUBNET, "{\"id\":\"" ID "\",\"dns_nameservers\":[\"10.0.0.1\",4]}", "subnet.dns_nameservers[1]"},
        {RESOURCE_SUBNET, "{\"id\":\"" ID "\",\"host_routes\":[{\"destination\":\"10.0.0.0/8\"}]}", "subnet.host_routes[0].nexthop"},
        {RESOURCE_HOST, "{\"id\":\"" ID "\",\"state\":7}", "host.state"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *json = parse(cases[i].text);
        struct object *object = NULL;
        struct error error = {0};

        if (object_decode(cases[i].kind, json, &object, &error) != -EINVAL)
            fail_msg("%s was taken", cases[i].text);
        if (strcmp(cases[i].field, error.field))
            fail_msg("%s: blamed '%s': %s", cases[i].text, error.field, error.message);
        assert_null(object);
        json_decref(json);
    }
}

/* One attribute of a request's body. */
static int request(enum resource_kind kind, const char *name, const char *text, struct object *object, struct error *error)
{
    json_t *json = parse(text);
    int r = attribute_decode(attribute_find(schema_get(kind)->attributes, name), json, object, DECODE_REQUEST, error);

    json_decref(json);
    return r;
}

static void bytes_are_base64(void **state)
{
    static const char *const bad[] = {"\"A\"", "\"AA=A\"", "\"A===\"", "\"AB==\"", "\"AAB=\"", "\"AA A\"", "7"};
    json_t *json = json_loads("{\"id\":\"" ID "\",\"rows\":\"AAEC/+8=\"}", 0, NULL);
    struct object *object, *copy;

    assert_int_equal(0, object_decode(RESOURCE_BALANCE_ROWS, json, &object, NULL));
    assert_int_equal(5, ((struct balance_rows *)object)->n_row_bytes);
    assert_memory_equal("\x00\x01\x02\xff\xef", ((struct balance_rows *)object)->rows, 5);
    copy = object_copy(object);
    assert_true(attribute_equal(attribute_find(schema_get(RESOURCE_BALANCE_ROWS)->attributes, "rows"), object, copy));
    ((struct balance_rows *)copy)->rows[4] = 0;
    assert_false(attribute_equal(attribute_find(schema_get(RESOURCE_BALANCE_ROWS)->attributes, "rows"), object, copy));
    object_free(object);
    object_free(copy);
    json_decref(json);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error error = {0};

        object = object_new(RESOURCE_BALANCE_ROWS);
        assert_int_equal(-EINVAL, request(RESOURCE_BALANCE_ROWS, "rows", bad[i], object, &error));
        assert_string_equal("rows", error.field);
        object_free(object);
    }
}

static void requests_are_read_leniently_where_clients_are(void **state)
{
    struct network *network = (struct network *)object_new(RESOURCE_NETWORK);
    struct error error = {0};

    assert_int_equal(0, request(RESOURCE_NETWORK, "shared", "\"True\"", &network->object, &error));
    assert_true(network->shared);
    assert_int_equal(0, request(RESOURCE_NETWORK, "shared", "0", &network->object, &error));
    assert_false(network->shared);
    assert_int_equal(0, request(RESOURCE_NETWORK, "mtu", "\"1400\"", &network->object, &error));
    assert_int_equal(1400, network->mtu);
    assert_int_equal(0, request(RESOURCE_NETWORK, "name", "null", &network->object, &error));
    assert_null(network->object.name);
    object_free(&network->object);
}

static void wrong_requests_name_their_field_and_value(void **state)
{
    static const struct {
        enum resource_kind kind;
        const char *name, *text, *field, *says;
    } cases[] = {
        {RESOURCE_NETWORK, "mtu", "67", "mtu", "'67' is not between 68 and 65535"},
        {RESOURCE_NETWORK, "mtu", "\"big\"", "mtu", "'big' is not an integer"},
        {RESOURCE_NETWORK, "mtu", "true", "mtu", "'true' is not an integer"},
        {RESOURCE_NETWORK, "mtu", "99999999999999999999", "mtu", ""},
        {RESOURCE_NETWORK, "shared", "\"maybe\"", "shared", "'maybe' is not a boolean"},
        {RESOURCE_NETWORK, "shared", "2", "shared", "'2' is not a boolean"},
        {RESOURCE_NETWORK, "shared", "null", "shared", "null is not allowed"},
        {RESOURCE_NETWORK, "provider:segmentation_id", "16777216", "provider:segmentation_id", "'16777216' is not between"},
        {RESOURCE_PORT, "mac_address", "\"01:00:5e:00:00:01\"", "mac_address", "is a multicast MAC address"},
        {RESOURCE_PORT, "mac_address", "\"00:00:00:00:00:00\"", "mac_address", "is not the MAC address"},
        {RESOURCE_PORT, "fixed_ips", "[{\"ip_address\":\"0.0.0.0\"}]", "fixed_ips[0].ip_address", "'0.0.0.0'"},
        {RESOURCE_PORT, "fixed_ips", "[{\"address\":\"10.0.0.1\"}]", "fixed_ips[0].address", "is not a known attribute"},
        {RESOURCE_PORT, "fixed_ips", "[{},{},{},{},{},{}]", "fixed_ips", "a list of 6 exceeds the limit of 5"},
        {RESOURCE_PORT, "extra_dhcp_opts", "[{\"opt_name\":\" \",\"opt_value\":\"x\"}]", "extra_dhcp_opts[0].opt_name", "blank"},
        {RESOURCE_PORT, "extra_dhcp_opts", "[{\"opt_name\":\"mtu\",\"opt_value\":\"1\",\"ip_version\":5}]",
         "extra_dhcp_opts[0].ip_version", "'5' is neither 4 nor 6"},
        {RESOURCE_PORT, "allowed_address_pairs", "[{\"ip_address\":\"10.0.0.1\"},{\"ip_address\":\"10.0.0.1/32\"}]",
         "allowed_address_pairs[1]", "is a duplicate"},
        {RESOURCE_PORT, "binding:vnic_type", "\"direct\"", "binding:vnic_type", "'direct' is not one of"},
        {RESOURCE_SUBNET, "cidr", "\"10.0.0.7/24\"", "cidr", "did you mean '10.0.0.0/24'?"},
        {RESOURCE_SUBNET, "ip_version", "5", "ip_version", "'5' is neither 4 nor 6"},
        {RESOURCE_SUBNET, "ipv6_ra_mode", "\"dhcp\"", "ipv6_ra_mode", "'slaac' 'dhcpv6-stateful' 'dhcpv6-stateless'"},
        {RESOURCE_SUBNET, "dns_nameservers", "[\"1.1.1.1\",\"1.1.1.1\"]", "dns_nameservers[1]", "'\"1.1.1.1\"' is a duplicate"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct object *object = object_new(cases[i].kind);
        struct error error = {0};
        json_error_t where;
        json_t *json = json_loads(cases[i].text, JSON_DECODE_ANY, &where);

        if (json) { /* A number beyond 64 bits does not even parse. */
            json_decref(json);
            if (request(cases[i].kind, cases[i].name, cases[i].text, object, &error) != -EINVAL)
                fail_msg("%s: %s was taken", cases[i].name, cases[i].text);
            if (strcmp(cases[i].field, error.field) || !strstr(error.message, cases[i].says))
                fail_msg("%s %s: '%s' '%s'", cases[i].name, cases[i].text, error.field, error.message);
        }
        object_free(object);
    }
}

static void names_are_limited_in_characters(void **state)
{
    char text[2 * 256 + 3] = "\"";
    struct object *object = object_new(RESOURCE_PORT);
    struct error error = {0};

    for (int i = 0; i < 255; i++)
        strcat(text, "\xc3\xa9");
    strcat(text, "\"");
    assert_int_equal(0, request(RESOURCE_PORT, "name", text, object, &error));
    text[strlen(text) - 1] = '\0';
    strcat(text, "x\"");
    assert_int_equal(-EINVAL, request(RESOURCE_PORT, "name", text, object, &error));
    assert_string_equal("name", error.field);
    object_free(object);
}

static void filters_compare_by_type(void **state)
{
    struct port *port = (struct port *)object_new(RESOURCE_PORT);
    const struct attribute *table = schema_get(RESOURCE_PORT)->attributes;
    struct error error = {0};

    mac_parse("fa:16:3e:00:00:01", &port->mac);
    assert_true(attribute_matches(attribute_find(table, "mac_address"), port, "FA:16:3E:00:00:01"));
    assert_false(attribute_matches(attribute_find(table, "mac_address"), port, "FA:16:3E:00:00:02"));
    assert_true(attribute_matches(attribute_find(table, "admin_state_up"), port, "True"));
    assert_true(attribute_matches(attribute_find(table, "status"), port, "DOWN"));
    assert_true(attribute_matches(attribute_find(table, "device_id"), port, ""));
    assert_int_equal(0, attribute_check_filter(attribute_find(table, "admin_state_up"), "false", &error));
    assert_int_equal(-EINVAL, attribute_check_filter(attribute_find(table, "admin_state_up"), "x", &error));
    assert_string_equal("admin_state_up", error.field);
    object_free(&port->object);
}

static void names_of_resources_resolve(void **state)
{
    enum resource_kind kind;

    for (int i = 0; i < RESOURCE_N_KINDS; i++) {
        assert_int_equal(0, resource_from_name(resource_name(i), &kind));
        assert_int_equal(i, kind);
    }
    assert_int_equal(-EINVAL, resource_from_name("ports", &kind));
}

static void protocols_have_names_and_numbers(void **state)
{
    static const struct {
        const char *text;
        uint8_t ip_version;
        int number;
    } cases[] = {
        {NULL, 4, -1}, {"", 4, -1}, {"any", 6, -1}, {"tcp", 4, 6}, {"TCP", 6, 6}, {"17", 4, 17}, {"0", 4, -1}, {"hopopt", 6, -1}, {"ip", 4, -1}, {"255", 6, 255},
        {"256", 4, -EINVAL}, {"1000", 4, -EINVAL}, {"-1", 4, -EINVAL}, {"6 ", 4, -EINVAL}, {"tcpx", 4, -EINVAL}, {"icmp", 4, 1},
        {"icmp", 6, 58}, {"1", 6, 58}, {"icmpv6", 6, 58}, {"ipv6-icmp", 6, 58}, {"58", 6, 58}, {"sctp", 4, 132}, {"vrrp", 4, 112},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(cases[i].number, protocol_number(cases[i].text, cases[i].ip_version));
}

static void rules_that_say_the_same_have_the_same_text(void **state)
{
    static const struct {
        const char *rule, *text;
    } cases[] = {
        {"\"direction\":\"ingress\"", "ingress/4/-1/-/"},
        {"\"direction\":\"ingress\",\"protocol\":\"any\",\"remote_ip_prefix\":\"0.0.0.0/0\"", "ingress/4/-1/-/"},
        {"\"direction\":\"egress\",\"ip_version\":6,\"remote_ip_prefix\":\"::/0\"", "egress/6/-1/-/"},
        {"\"direction\":\"egress\",\"ip_version\":6,\"protocol\":\"icmp\",\"port_range_min\":0", "egress/6/58/0-/"},
        {"\"direction\":\"egress\",\"ip_version\":6,\"protocol\":\"58\",\"port_range_min\":0,\"port_range_max\":0", "egress/6/58/0-0/"},
        {"\"direction\":\"ingress\",\"protocol\":\"tcp\",\"port_range_min\":1,\"port_range_max\":65535,\"remote_ip_prefix\":\"10.1.2.3/8\"",
         "ingress/4/6/1-65535/10.0.0.0/8"},
        {"\"direction\":\"ingress\",\"remote_group_id\":\"" NETWORK "\"", "ingress/4/-1/-/group/" NETWORK},
        {"\"direction\":\"ingress\",\"remote_address_group_id\":\"" NETWORK "\"", "ingress/4/-1/-/address-group/" NETWORK},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char json_text[512], text[RULE_TEXT_SIZE];
        struct object *object = NULL;
        json_t *json;

        snprintf(json_text, sizeof json_text, "{\"id\":\"" ID "\",\"security_group_id\":\"" ID "\",%s}", cases[i].rule);
        json = parse(json_text);
        assert_int_equal(0, object_decode(RESOURCE_SECURITY_GROUP_RULE, json, &object, NULL));
        assert_string_equal(cases[i].text, security_group_rule_text((struct security_group_rule *)object, text));
        object_free(object);
        json_decref(json);
    }
}

static void prefixes_are_kept_as_they_were_written(void **state)
{
    json_t *json = parse("{\"id\":\"" ID "\",\"direction\":\"ingress\",\"remote_ip_prefix\":\"10.1.2.3/8\"}"), *again;
    struct object *object = NULL;
    char text[PREFIX_TEXT_SIZE];

    assert_int_equal(0, object_decode(RESOURCE_SECURITY_GROUP_RULE, json, &object, NULL));
    struct security_group_rule *rule = (struct security_group_rule *)object;
    assert_true(rule->has_remote_prefix);
    assert_string_equal("10.0.0.0/8", prefix_format(&rule->remote_prefix, text));
    assert_string_equal("10.1.2.3", ip_format(&rule->remote_address, text));
    assert_int_equal(4, rule->ip_version);
    assert_non_null(again = object_encode(object));
    assert_null(json_object_get(again, "ethertype")); /* Only ip_version is stored. */
    json_decref(again);
    object_free(object);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_survive_a_round_trip),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(fields_of_later_versions_are_kept),
        cmocka_unit_test(defaults_are_those_of_the_api),
        cmocka_unit_test(members_are_where_the_tables_say),
        cmocka_unit_test(wrong_stored_values_name_their_field),
        cmocka_unit_test(requests_are_read_leniently_where_clients_are),
        cmocka_unit_test(wrong_requests_name_their_field_and_value),
        cmocka_unit_test(names_are_limited_in_characters),
        cmocka_unit_test(filters_compare_by_type),
        cmocka_unit_test(names_of_resources_resolve),
        cmocka_unit_test(protocols_have_names_and_numbers),
        cmocka_unit_test(rules_that_say_the_same_have_the_same_text),
        cmocka_unit_test(prefixes_are_kept_as_they_were_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
