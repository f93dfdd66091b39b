/* What of Neutron's extensions works here: nothing is listed that does not. */
#include "weft/api/extensions.h"

#include <string.h>

#include "weft/base/util.h"

struct extension {
    const char *alias, *name, *description, *updated;
};

static const struct extension extensions[] = {
    {"address-group", "Address group", "Prefixes that security group rules name together", "2020-07-15T10:00:00-00:00"},
    {"address-scope", "Address scope", "Networks between which routers forward addresses as they are", "2015-07-26T10:00:00-00:00"},
    {"allowed-address-pairs", "Allowed Address Pairs", "Addresses that a port may use besides its own", "2012-07-23T10:00:00-00:00"},
    {"binding", "Port Binding", "On which host a port is, and how it is attached", "2014-02-03T10:00:00-00:00"},
    {"default-subnetpools", "Default Subnetpools", "use_default_subnetpool, and is_default of pools", "2016-02-18T18:00:00-00:00"},
    {"empty-string-filtering", "Empty String Filtering", "name= finds what has no name", "2018-05-01T10:00:00-00:00"},
    {"expose-port-forwarding-in-fip", "Expose Port Forwarding in Floating IP", "port_forwardings of a floating IP", "2019-06-05T00:00:00-00:00"},
    {"ext-gw-mode", "Neutron L3 Configurable external gateway mode", "Whether a router translates to its gateway's address",
     "2013-03-28T10:00:00-00:00"},
    {"external-net", "Neutron external network", "Networks that lead outside", "2013-01-14T10:00:00-00:00"},
    {"extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of a port", "2013-03-17T12:00:00-00:00"},
    {"extraroute", "Neutron Extra Route", "Routes of a router beyond those of its ports", "2013-02-01T10:00:00-00:00"},
    {"extraroute-atomic", "Atomically add/remove extra routes", "add_extraroutes and remove_extraroutes", "2019-07-10T00:00:00-00:00"},
    {"filter-validation", "Filter parameters validation", "An unknown filter is refused, not ignored", "2018-03-21T10:00:00-00:00"},
    {"fip-port-details", "Add port_details attribute to Floating IP resource", "The port that a floating IP leads to",
     "2018-04-09T10:00:00-00:00"},
    {"floating-ip-port-forwarding", "Floating IP Port Forwarding", "Ports of a floating IP that lead to ports of workloads",
     "2017-12-04T10:00:00-00:00"},
    {"floating-ip-port-forwarding-description", "Floating IP Port Forwarding new field description", "A description of a port forwarding",
     "2019-10-15T10:00:00-00:00"},
    {"fwaas_v2", "FWaaS v2", "Firewalls at the ports of routers", "2016-10-06T10:00:00-00:00"},
    {"ip-substring-filtering", "IP address substring filtering", "fixed_ips=ip_address_substr=", "2017-11-28T09:00:00-00:00"},
    {"logging", "Logging API Extension", "Packets that security groups let pass or refuse are logged", "2017-01-01T10:00:00-00:00"},
    {"net-mtu", "Network MTU", "What a network carries", "2015-03-25T10:00:00-00:00"},
    {"net-mtu-writable", "Network MTU (writable)", "A network's MTU may be set", "2017-07-12T00:00:00-00:00"},
    {"pagination", "Pagination support", "limit, marker, page_reverse and links", "2016-06-12T00:00:00-00:00"},
    {"port-security", "Port Security", "Whether a port's source addresses are checked", "2012-07-23T10:00:00-00:00"},
    {"port-security-groups-filtering", "Port filtering on security groups", "security_groups= finds a group's ports",
     "2018-01-09T09:00:00-00:00"},
    {"project-id", "project_id field enabled", "project_id beside tenant_id", "2016-09-09T09:09:09-09:09"},
    {"provider", "Provider Network", "How a network is carried, for administrators", "2012-09-07T10:00:00-00:00"},
    {"quota_details", "Quota details management support", "What of a quota is used", "2017-02-10T10:00:00-00:00"},
    {"quotas", "Quota management support", "How much a project may have", "2012-07-29T10:00:00-00:00"},
    {"revision-if-match", "If-Match constraints based on revision_number", "A change only of the revision that was read",
     "2016-12-11T00:00:00-00:00"},
    {"router", "Neutron L3 Router", "Routers and floating IPs", "2012-07-20T10:00:00-00:00"},
    {"security-group", "security-group", "What ports may send and be sent", "2012-10-05T10:00:00-00:00"},
    {"security-groups-default-rules", "Default rules for security groups", "Templates of the rules that new security groups get",
     "2022-12-19T10:00:00-00:00"},
    {"security-groups-default-statefulness", "Security Groups Default Statefulness", "Whether new security groups are stateful",
     "2026-04-13T00:00:00-00:00"},
    {"security-groups-normalized-cidr", "Normalized CIDR field for security group rules", "normalized_cidr: remote_ip_prefix without host bits",
     "2020-07-28T10:00:00-00:00"},
    {"security-groups-remote-address-group", "Remote address group id field for security group rules",
     "The other side of a rule may be an address group", "2020-08-25T10:00:00-00:00"},
    {"security-groups-rules-belongs-to-default-sg", "Security group rule belongs to the project's default security group",
     "belongs_to_default_sg of rules", "2023-05-23T10:00:00-00:00"},
    {"sorting", "Sorting support", "sort_key and sort_dir", "2016-06-12T00:00:00-00:00"},
    {"standard-attr-description", "standard-attr-description", "A description of every resource", "2016-02-10T10:00:00-00:00"},
    {"standard-attr-revisions", "Resource revision numbers", "revision_number grows with each change", "2016-04-11T10:00:00-00:00"},
    {"standard-attr-timestamp", "Resource timestamps", "created_at, updated_at and changed_since", "2016-09-12T10:00:00-00:00"},
    {"stateful-security-group", "Stateful security group", "Whether answers of allowed connections pass", "2019-11-26T09:00:00-00:00"},
    {"subnet_allocation", "Subnet Allocation", "Subnet pools, which give subnets their prefixes", "2015-03-30T10:00:00-00:00"},
    {"subnet_onboard", "Subnet Onboard", "Subnets that are there are taken into a pool", "2018-03-26T10:00:00-00:00"},
    {"subnetpool-prefix-ops", "Subnet Pool Prefix Operations", "add_prefixes and remove_prefixes of a pool", "2018-03-26T10:00:00-00:00"},
};

static json_t *encode(const struct extension *extension)
{
    return json_pack("{ssssssss s[]}", "name", extension->name, "alias", extension->alias, "description", extension->description,
                     "updated", extension->updated, "links");
}

void extensions_list(struct request *request)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
        json_array_append_new(list, encode(&extensions[i]));
    request_respond(request, HTTP_OK, json_pack("{so}", "extensions", list));
}

void extensions_show(struct request *request)
{
    const char *alias = request_parameter(request, "alias");

    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
        if (streq(extensions[i].alias, alias)) {
            request_respond(request, HTTP_OK, json_pack("{so}", "extension", encode(&extensions[i])));
            return;
        }
    request_fail(request, HTTP_NOT_FOUND, "ExtensionNotFound", "Extension with alias %.100s does not exist", alias);
}
