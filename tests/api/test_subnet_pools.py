"""Subnet pools and address scopes over HTTP: what subnets get from pools, what is refused, and what scopes mean for what routers route.

'admin' is the administrator, 'alice' a member of the project 'tenant', 'olga' of 'other'."""

import ipaddress

import pytest

from projects import NOBODY, Server, add, at_once, behind, outside, remove_all, router


@pytest.fixture(scope="module")
def server():
    instance = Server()
    yield instance
    instance.stop()


@pytest.fixture(scope="module")
def admin(server):
    return server.login("admin", "correct horse", "admin")


@pytest.fixture(scope="module")
def alice(server, admin):
    return server.add_user(admin, "alice", "tenant", "member")


@pytest.fixture(scope="module")
def olga(server, admin):
    return server.add_user(admin, "olga", "other", "member")


@pytest.fixture(autouse=True)
def clean(admin):
    yield
    remove_all(admin)
    for path, kind in (("subnetpools", "subnetpools"), ("address-scopes", "address_scopes")):
        for thing in admin.get(f"/{path}?fields=id")[kind]:
            admin.delete(f"/{path}/{thing['id']}")


def pool(client, *prefixes, **attributes):
    return client.post("/subnetpools", {"subnetpool": {"prefixes": prefixes, **attributes}})["subnetpool"]


def scope(client, ip_version=4, **attributes):
    return client.post("/address-scopes", {"address_scope": {"ip_version": ip_version, **attributes}})["address_scope"]


def allocate(client, pool, network=None, **attributes):
    network = network or client.network()
    return client.post("/subnets", {"subnet": {"network_id": network["id"], "ip_version": pool["ip_version"], "subnetpool_id": pool["id"],
                                               **attributes}})["subnet"]


def not_allocated(client, pool, status, type_, *texts, network=None, **attributes):
    network = network or client.network()
    client.refused("POST", "/subnets", status, type_, *texts, body={"subnet": {
        "network_id": network["id"], "ip_version": pool["ip_version"], "subnetpool_id": pool["id"], **attributes}})


# --- Pools. ---

def test_a_pool_has_what_clients_expect(alice, olga):
    made = pool(alice, "10.1.0.0/16", "10.0.0.0/16", "10.0.5.0/24", name="p", description="d")
    assert made == {**made, "name": "p", "description": "d", "prefixes": ["10.0.0.0/15"], "ip_version": 4, "min_prefixlen": 8,
                    "max_prefixlen": 32, "default_prefixlen": 8, "default_quota": None, "is_default": False, "shared": False,
                    "address_scope_id": None, "project_id": alice.project, "tenant_id": alice.project, "revision_number": 0}
    six = pool(alice, "fd00::/32", default_prefixlen=72, default_quota=7)
    assert six == {**six, "ip_version": 6, "default_prefixlen": 72, "default_quota": 7, "min_prefixlen": 64, "max_prefixlen": 128}
    assert [found["id"] for found in alice.get("/subnetpools?ip_version=6")["subnetpools"]] == [six["id"]]
    assert [found["id"] for found in alice.get("/subnetpools?name=p")["subnetpools"]] == [made["id"]]
    olga.refused("GET", f"/subnetpools/{made['id']}", 404, "SubnetPoolNotFound", made["id"])
    assert olga.get("/subnetpools")["subnetpools"] == []
    changed = alice.put(f"/subnetpools/{made['id']}", {"subnetpool": {"prefixes": ["10.0.0.0/14"], "default_prefixlen": 24, "default_quota": 1024,
                                                                       "min_prefixlen": 20, "max_prefixlen": 28, "name": "q"}})["subnetpool"]
    assert (changed["prefixes"], changed["default_prefixlen"], changed["default_quota"], changed["name"]) == (["10.0.0.0/14"], 24, 1024, "q")
    alice.delete(f"/subnetpools/{made['id']}")
    alice.get(f"/subnetpools/{made['id']}", 404)


@pytest.mark.parametrize("attributes, status, type_, text", [
    ({}, 400, "HTTPBadRequest", "prefixes"),
    ({"prefixes": []}, 400, "EmptySubnetPoolPrefixList", "Empty"),
    ({"prefixes": ["10.0.0.0/8", "fd00::/8"]}, 400, "PrefixVersionMismatch", "Cannot mix"),
    ({"prefixes": ["10.0.0.1/8"]}, 400, "HTTPBadRequest", "10.0.0.1/8"),
    ({"prefixes": ["10.0.0.0/8"], "min_prefixlen": 24, "max_prefixlen": 20}, 400, "IllegalSubnetPoolPrefixBounds", "min_prefixlen=24"),
    ({"prefixes": ["10.0.0.0/8"], "max_prefixlen": 33}, 400, "IllegalSubnetPoolPrefixBounds", "max_prefixlen=33"),
    ({"prefixes": ["10.0.0.0/8"], "default_prefixlen": 7}, 400, "IllegalSubnetPoolPrefixBounds", "default_prefixlen=7, min_prefixlen=8"),
    ({"prefixes": ["10.0.0.0/8"], "default_prefixlen": 30, "max_prefixlen": 28}, 400, "IllegalSubnetPoolPrefixBounds", "default_prefixlen=30"),
    ({"prefixes": ["10.0.0.0/8"], "shared": True}, 403, "PolicyNotAuthorized", "shared"),
    ({"prefixes": ["10.0.0.0/8"], "is_default": True}, 403, "PolicyNotAuthorized", "is_default"),
    ({"prefixes": ["10.0.0.0/8"], "address_scope_id": NOBODY}, 404, "AddressScopeNotFound", NOBODY),
    ({"prefixes": ["10.0.0.0/8"], "ip_version": 4}, 400, "HTTPBadRequest", "ip_version"),
])
def test_bad_pools_are_refused(alice, attributes, status, type_, text):
    alice.refused("POST", "/subnetpools", status, type_, text, body={"subnetpool": attributes})


def test_prefixes_are_added_and_removed(alice, olga, admin):
    made = pool(alice, "10.0.0.0/16", default_prefixlen=24)
    path = f"/subnetpools/{made['id']}"
    alice.refused("PUT", path, 400, "IllegalSubnetPoolUpdate", "subset", body={"subnetpool": {"prefixes": ["10.0.0.0/17"]}})
    alice.refused("PUT", path, 400, "PrefixVersionMismatch", body={"subnetpool": {"prefixes": ["fd00::/16"]}})
    assert alice.put(path + "/add_prefixes", {"prefixes": ["10.1.0.0/16", "10.9.0.0/16"]}) == {"prefixes": ["10.0.0.0/15", "10.9.0.0/16"]}
    subnet = allocate(alice, made, cidr="10.9.3.0/24")
    for prefix, text in (("10.9.0.0/16", "used by a subnet"), ("10.9.3.128/25", "used by a subnet"), ("10.10.0.0/16", "not in the pool")):
        alice.refused("PUT", path + "/remove_prefixes", 400, "IllegalSubnetPoolUpdate", f"'{prefix}'", text, body={"prefixes": [prefix]})
    assert alice.put(path + "/remove_prefixes", {"prefixes": ["10.0.0.0/24", "10.9.4.0/22"]})["prefixes"] == [
        "10.0.1.0/24", "10.0.2.0/23", "10.0.4.0/22", "10.0.8.0/21", "10.0.16.0/20", "10.0.32.0/19", "10.0.64.0/18", "10.0.128.0/17", "10.1.0.0/16",
        "10.9.0.0/22", "10.9.8.0/21", "10.9.16.0/20", "10.9.32.0/19", "10.9.64.0/18", "10.9.128.0/17"]
    assert allocate(alice, made)["cidr"] == "10.0.1.0/24"
    alice.refused("DELETE", path, 400, "SubnetPoolDeleteError", "existing allocations")
    alice.delete(f"/subnets/{subnet['id']}")
    for body in ({}, {"prefixes": ["x"]}, {"prefixes": ["10.0.0.0/8"], "more": 1}):
        alice.call("PUT", "/v2.0" + path + "/add_prefixes", 400, body)
    shared = pool(admin, "10.0.0.0/16", shared=True)
    olga.refused("PUT", f"/subnetpools/{shared['id']}/add_prefixes", 403, "PolicyNotAuthorized", body={"prefixes": ["10.1.0.0/16"]})
    olga.refused("PUT", f"/subnetpools/{shared['id']}", 403, "PolicyNotAuthorized", body={"subnetpool": {"name": "mine"}})


# --- Subnets from pools. ---

def test_many_at_one_pool_wait_in_line(alice, olga, admin):
    """Each must see what those before it took: they run one after the other, and nobody is told to try again."""
    shared = pool(admin, "10.0.0.0/16", default_prefixlen=24, shared=True)
    networks = [(client, client.post("/networks", {"network": {}})["network"]) for client in (alice, olga)]
    results = at_once(*[(client, "POST", "/subnets", {"subnet": {"network_id": network["id"], "ip_version": 4, "subnetpool_id": shared["id"]}})
                        for client, network in networks for _ in range(40)])
    assert [status for status, _ in results] == [201] * len(results), results
    assert len({body["subnet"]["cidr"] for _, body in results}) == len(results)


def test_subnets_get_prefixes(alice, olga, admin):
    shared = pool(admin, "10.0.0.0/22", default_prefixlen=24, min_prefixlen=23, max_prefixlen=28, shared=True)
    first = allocate(alice, shared)
    assert (first["cidr"], first["gateway_ip"], first["subnetpool_id"]) == ("10.0.0.0/24", "10.0.0.1", shared["id"])
    assert allocate(olga, shared, cidr="10.0.1.16/28")["cidr"] == "10.0.1.16/28"
    assert allocate(olga, shared, prefixlen="28")["cidr"] == "10.0.1.0/28"
    assert allocate(olga, shared, prefixlen=28)["cidr"] == "10.0.1.32/28"
    assert allocate(alice, shared, prefixlen=23)["cidr"] == "10.0.2.0/23"
    not_allocated(alice, shared, 409, "SubnetAllocationError", "Insufficient prefix space", "/24")
    not_allocated(alice, shared, 409, "SubnetAllocationError", "subnet.cidr", "'10.0.0.128/25'", cidr="10.0.0.128/25")
    not_allocated(alice, shared, 409, "SubnetAllocationError", "'10.1.0.0/24'", cidr="10.1.0.0/24")
    not_allocated(alice, shared, 400, "MinPrefixSubnetAllocationError", "length 22", "23", prefixlen=22)
    for length in (-5, 129, "-5"):
        not_allocated(alice, shared, 400, "BadRequest", "prefixlen", "not a prefix length", prefixlen=length)
    not_allocated(alice, shared, 400, "MaxPrefixSubnetAllocationError", "length 29", "28", cidr="10.0.1.64/29")
    not_allocated(alice, shared, 400, "BadRequest", "must not be supplied together", cidr="10.0.1.64/28", prefixlen=28)
    not_allocated(alice, shared, 400, "BadRequest", "Cannot allocate IPv6 subnet from IPv4 subnet pool", ip_version=6)
    not_allocated(alice, shared, 400, "BadRequest", "prefixlen", prefixlen="x")
    not_allocated(alice, {"id": NOBODY, "ip_version": 4}, 404, "SubnetPoolNotFound", NOBODY)
    alice.delete(f"/subnets/{first['id']}")
    assert allocate(olga, shared)["cidr"] == "10.0.0.0/24", "it was given back"
    assert {subnet["cidr"] for subnet in admin.get(f"/subnets?subnetpool_id={shared['id']}")["subnets"]} == {
        "10.0.0.0/24", "10.0.1.0/28", "10.0.1.16/28", "10.0.1.32/28", "10.0.2.0/23"}


def test_without_a_pool_a_cidr_is_needed(alice):
    network = alice.network()
    body = {"network_id": network["id"], "ip_version": 4}
    alice.refused("POST", "/subnets", 400, "BadRequest", "a subnetpool must be specified in the absence of a cidr", body={"subnet": body})
    alice.refused("POST", "/subnets", 400, "BadRequest", "prefixlen", body={"subnet": {**body, "cidr": "10.0.0.0/24", "prefixlen": 24}})


def test_several_subnets_in_one_request(alice):
    made = pool(alice, "fd00::/62", default_quota=3)
    network = alice.network()
    body = {"network_id": network["id"], "ip_version": 6, "subnetpool_id": made["id"]}
    subnets = alice.post("/subnets", {"subnets": [body, body, body]})["subnets"]
    assert [subnet["cidr"] for subnet in subnets] == ["fd00::/64", "fd00:0:0:1::/64", "fd00:0:0:2::/64"]
    not_allocated(alice, made, 409, "SubnetPoolQuotaExceeded", "quota exceeded")
    alice.put(f"/subnetpools/{made['id']}", {"subnetpool": {"default_quota": None}})
    allocate(alice, made)


def test_a_pools_quota_is_a_projects(alice, olga, admin):
    shared = pool(admin, "10.0.0.0/16", default_prefixlen=24, default_quota=300, shared=True)
    for client in (alice, olga):
        allocate(client, shared)
        not_allocated(client, shared, 409, "SubnetPoolQuotaExceeded", prefixlen=26)
        allocate(client, shared, prefixlen=27)


def test_the_default_pool(alice, admin):
    network = alice.network()
    body = {"network_id": network["id"], "ip_version": 4, "use_default_subnetpool": True}
    alice.refused("POST", "/subnets", 400, "BadRequest", "No default subnetpool found for IPv4", body={"subnet": body})
    made = pool(admin, "10.0.0.0/16", default_prefixlen=24, is_default=True, shared=True)
    admin.refused("POST", "/subnetpools", 400, "InvalidInput", "is_default", body={"subnetpool": {"prefixes": ["10.1.0.0/16"], "is_default": True}})
    six = pool(admin, "fd00::/32", is_default=True, shared=True)
    assert alice.post("/subnets", {"subnet": body})["subnet"]["subnetpool_id"] == made["id"]
    assert alice.post("/subnets", {"subnet": {**body, "ip_version": 6, "use_default_subnetpool": "true"}})["subnet"]["subnetpool_id"] == six["id"]
    alice.refused("POST", "/subnets", 400, "BadRequest", "cannot both be specified", body={"subnet": {**body, "subnetpool_id": made["id"]}})
    other = pool(admin, "10.2.0.0/16")
    admin.refused("PUT", f"/subnetpools/{other['id']}", 400, "InvalidInput", body={"subnetpool": {"is_default": True}})
    admin.put(f"/subnetpools/{made['id']}", {"subnetpool": {"is_default": False}})
    admin.put(f"/subnetpools/{other['id']}", {"subnetpool": {"is_default": True}})


def test_a_network_has_one_pool_for_each_family(alice):
    first, second, six = pool(alice, "10.0.0.0/16", default_prefixlen=24), pool(alice, "10.1.0.0/16", default_prefixlen=24), pool(alice, "fd00::/32")
    network = alice.network()
    allocate(alice, first, network)
    allocate(alice, six, network)
    allocate(alice, first, network)
    not_allocated(alice, second, 400, "NetworkSubnetPoolAffinityError", "same subnet pool", network=network)
    alice.refused("POST", "/subnets", 400, "NetworkSubnetPoolAffinityError", body={"subnet": {"network_id": network["id"], "ip_version": 4,
                                                                                              "cidr": "10.3.0.0/24"}})


def test_subnets_are_allocated_at_once(alice):
    made = pool(alice, "10.0.0.0/16", default_prefixlen=24)
    networks = [alice.network() for _ in range(6)]
    for _ in range(4):
        results = at_once(*[(alice, "POST", "/subnets", {"subnet": {"network_id": network["id"], "ip_version": 4, "subnetpool_id": made["id"]}})
                            for network in networks])
        assert all(status == 201 for status, _ in results), results
    prefixes = sorted(ipaddress.ip_network(subnet["cidr"]) for subnet in alice.get(f"/subnets?subnetpool_id={made['id']}")["subnets"])
    assert len(prefixes) == 24 and not any(a.overlaps(b) for a, b in zip(prefixes, prefixes[1:]))


def test_a_pool_is_deleted_while_a_subnet_is_allocated(alice):
    network = alice.network()
    for _ in range(10):
        made = pool(alice, "10.0.0.0/16", default_prefixlen=24)
        (created, answer), (deleted, _) = at_once(
            (alice, "POST", "/subnets", {"subnet": {"network_id": network["id"], "ip_version": 4, "subnetpool_id": made["id"]}}),
            (alice, "DELETE", f"/subnetpools/{made['id']}", None))
        assert (created, deleted) in ((201, 400), (404, 204)), answer
        if created == 201:
            alice.delete(f"/subnets/{answer['subnet']['id']}")


def test_subnets_are_taken_into_a_pool(alice, olga):
    made = pool(alice, "10.0.0.0/24")
    network = alice.network()
    subnet = alice.subnet(network, "10.1.0.0/24")
    alice.subnet(network, "fd00::/64")
    path = f"/subnetpools/{made['id']}/onboard_network_subnets"
    alice.put(path, {"network_id": network["id"]})
    assert alice.get(f"/subnets/{subnet['id']}")["subnet"]["subnetpool_id"] == made["id"]
    assert alice.get(f"/subnetpools/{made['id']}")["subnetpool"]["prefixes"] == ["10.0.0.0/24", "10.1.0.0/24"]
    not_allocated(alice, made, 409, "SubnetAllocationError", cidr="10.1.0.0/25")
    alice.refused("PUT", path, 400, "IllegalSubnetPoolUpdate", "in a pool already", body={"network_id": network["id"]})
    other = alice.network()
    alice.refused("PUT", path, 400, "IllegalSubnetPoolUpdate", "no subnet", body={"network_id": other["id"]})
    alice.subnet(other, "10.1.0.128/25")
    alice.refused("PUT", path, 400, "IllegalSubnetPoolUpdate", "overlaps", body={"network_id": other["id"]})
    alice.refused("PUT", path, 404, "NetworkNotFound", NOBODY, body={"network_id": NOBODY})
    olga.refused("PUT", path, 404, "SubnetPoolNotFound", body={"network_id": network["id"]})


def test_pools_and_scopes_have_a_quota(admin, olga):
    """Finite by default: whatever changes a pool is compared with all that its scope has."""
    shown = admin.get(f"/quotas/{olga.project}")["quota"]
    assert (shown["subnetpool"], shown["address_scope"]) == (100, 100)
    body = [{"prefixes": [f"10.{i}.0.0/16"]} for i in range(101)]
    olga.refused("POST", "/subnetpools", 409, "OverQuota", "subnetpool", body={"subnetpools": body})
    admin.put(f"/quotas/{olga.project}", {"quota": {"subnetpool": 1, "address_scope": 1}})
    pool(olga, "10.0.0.0/16")
    olga.refused("POST", "/subnetpools", 409, "OverQuota", "subnetpool", body={"subnetpool": {"prefixes": ["10.0.0.0/16"]}})
    scope(olga)
    olga.refused("POST", "/address-scopes", 409, "OverQuota", "address_scope", body={"address_scope": {"ip_version": 4}})
    admin.delete(f"/quotas/{olga.project}")


def test_a_project_has_so_many_prefixes(alice, olga):
    """8,192 in all its pools, in whatever way they come."""
    made = scope(alice)

    def apart(count, first):  # No two of them are halves of one.
        return [str(ipaddress.ip_address(first) + 2 * i) + "/32" for i in range(count)]

    full = [{"prefixes": apart(512, f"10.{i}.0.0"), "address_scope_id": made["id"]} for i in range(17)]
    alice.refused("POST", "/subnetpools", 409, "OverQuota", "prefixes", "8704", "8192", body={"subnetpools": full})
    pools = alice.post("/subnetpools", {"subnetpools": full[:16]})["subnetpools"]
    alice.refused("POST", "/subnetpools", 409, "OverQuota", "8193", body={"subnetpool": {"prefixes": ["10.99.0.0/16"]}})
    other = pool(olga, "10.0.0.0/16")
    assert len(alice.get(f"/subnetpools/{pools[-1]['id']}")["subnetpool"]["prefixes"]) == 512
    last = f"/subnetpools/{pools[-1]['id']}"
    alice.put(last + "/remove_prefixes", {"prefixes": full[15]["prefixes"][-3:]})
    alice.put(last + "/add_prefixes", {"prefixes": ["11.0.0.0/24"]})
    alice.put(last, {"subnetpool": {"name": "p", "prefixes": full[15]["prefixes"][:-3] + ["11.0.0.0/24", "12.0.0.0/24"]}})
    beside = pool(alice, "13.0.0.0/24")
    path = f"/subnetpools/{beside['id']}"
    for call in ((path + "/add_prefixes", {"prefixes": ["14.0.0.0/24"]}), (path, {"subnetpool": {"prefixes": ["13.0.0.0/24", "14.0.0.0/24"]}}),
                 (path + "/remove_prefixes", {"prefixes": ["13.0.0.8/29"]})):
        alice.refused("PUT", call[0], 409, "OverQuota", "prefixes", body=call[1])
    network = alice.network()
    alice.subnet(network, "14.0.0.0/24")
    alice.refused("PUT", path + "/onboard_network_subnets", 409, "OverQuota", "8193", body={"network_id": network["id"]})
    # The same as its neighbor's, and at the other end of the scope: found all the same.
    alice.delete(path)
    alice.refused("POST", "/subnetpools", 409, "AddressScopePrefixConflict",
                  body={"subnetpool": {"prefixes": ["10.15.0.0/32"], "address_scope_id": made["id"]}})
    olga.put(f"/subnetpools/{other['id']}", {"subnetpool": {"name": "not concerned"}})


# --- Address scopes. ---

def test_address_scopes(alice, olga, admin):
    made = scope(alice, name="s")
    assert made == {**made, "name": "s", "ip_version": 4, "shared": False, "project_id": alice.project}
    olga.refused("GET", f"/address-scopes/{made['id']}", 404, "AddressScopeNotFound", made["id"])
    alice.refused("POST", "/address-scopes", 400, "HTTPBadRequest", "ip_version", body={"address_scope": {"ip_version": 5}})
    alice.refused("POST", "/address-scopes", 403, "PolicyNotAuthorized", body={"address_scope": {"ip_version": 4, "shared": True}})
    alice.refused("PUT", f"/address-scopes/{made['id']}", 400, "HTTPBadRequest", "ip_version", body={"address_scope": {"ip_version": 6}})
    in_it = pool(alice, "10.0.0.0/16", address_scope_id=made["id"])
    alice.refused("POST", "/subnetpools", 409, "AddressScopePrefixConflict", "address_scope_id",
                  body={"subnetpool": {"prefixes": ["10.0.128.0/17"], "address_scope_id": made["id"]}})
    alice.refused("POST", "/subnetpools", 400, "IllegalSubnetPoolIpVersionAssociationToAddressScope",
                  body={"subnetpool": {"prefixes": ["fd00::/32"], "address_scope_id": made["id"]}})
    beside = pool(alice, "10.1.0.0/16", address_scope_id=made["id"])
    alice.refused("PUT", f"/subnetpools/{beside['id']}/add_prefixes", 409, "AddressScopePrefixConflict", body={"prefixes": ["10.0.0.0/24"]})
    alice.refused("PUT", f"/subnetpools/{beside['id']}", 409, "AddressScopePrefixConflict", "prefixes",
                  body={"subnetpool": {"prefixes": ["10.0.0.0/15"]}})
    alice.refused("DELETE", f"/address-scopes/{made['id']}", 409, "AddressScopeInUse", made["id"])
    for one in (in_it, beside):
        alice.put(f"/subnetpools/{one['id']}", {"subnetpool": {"address_scope_id": None}})
    alice.put(f"/address-scopes/{made['id']}", {"address_scope": {"name": "t"}})
    alice.delete(f"/address-scopes/{made['id']}")
    shared = scope(admin, shared=True)
    assert pool(olga, "10.0.0.0/16", address_scope_id=shared["id"])["address_scope_id"] == shared["id"]
    alice.refused("POST", "/subnetpools", 409, "AddressScopePrefixConflict", body={"subnetpool": {"prefixes": ["10.0.0.0/16"],
                                                                                                  "address_scope_id": shared["id"]}})
    admin.refused("PUT", f"/address-scopes/{shared['id']}", 400, "AddressScopeUpdateError", "can't be unshared",
                  body={"address_scope": {"shared": False}})


def test_pools_enter_a_scope_at_once(alice):
    made = scope(alice)
    for _ in range(8):
        results = at_once(*[(alice, "POST", "/subnetpools", {"subnetpool": {"prefixes": [prefix], "address_scope_id": made["id"]}})
                            for prefix in ("10.0.0.0/16", "10.0.0.0/17", "10.0.0.0/24")])
        assert sorted(status for status, _ in results) == [201, 409, 409], results
        for status, answer in results:
            if status == 201:
                alice.delete(f"/subnetpools/{answer['subnetpool']['id']}")


def test_networks_show_their_scopes(alice):
    made, six = scope(alice), scope(alice, 6)
    in_it = pool(alice, "10.0.0.0/16", default_prefixlen=24, address_scope_id=made["id"])
    in_six = pool(alice, "fd00::/32", address_scope_id=six["id"])
    network = alice.network()
    assert (network["ipv4_address_scope"], network["ipv6_address_scope"]) == (None, None)
    allocate(alice, in_it, network)
    allocate(alice, in_six, network)
    shown = alice.get(f"/networks/{network['id']}")["network"]
    assert (shown["ipv4_address_scope"], shown["ipv6_address_scope"]) == (made["id"], six["id"])
    alice.put(f"/subnetpools/{in_it['id']}", {"subnetpool": {"address_scope_id": None}})
    assert alice.get(f"/networks/{network['id']}")["network"]["ipv4_address_scope"] is None


def gateway(client, router, network, **more):
    return client.put(f"/routers/{router['id']}", {"router": {"external_gateway_info": {"network_id": network["id"], **more}}})


def test_within_a_scope_ipv4_is_routed_outside_as_it_is(alice, olga, admin):
    """alice's 10.0.0.0/24 is of the external network's address scope, olga's is of none: each is claimed there when it is routed as it is."""
    made = scope(admin, shared=True)
    external = admin.network(**{"router:external": True})
    outer = pool(admin, "203.0.113.0/24", address_scope_id=made["id"])
    allocate(admin, outer, external, prefixlen=24, enable_dhcp=False)
    inside = pool(alice, "10.0.0.0/16", default_prefixlen=24, address_scope_id=made["id"])
    first = router(alice, external_gateway_info={"network_id": external["id"]})
    add(alice, first, subnet_id=allocate(alice, inside)["id"])
    other, taken = behind(olga, external, "10.0.0.0/24")
    add(olga, other, subnet_id=taken["id"])
    gateway(admin, other, external, enable_snat=False)  # Out it goes, and nothing comes in: different scopes.

    def scope_of(client, pool, id, *refused):
        body = {"subnetpool": {"address_scope_id": id}}
        if refused:
            client.refused("PUT", f"/subnetpools/{pool['id']}", 409, "RoutedPrefixInUse", "address_scope_id", *refused, body=body)
        else:
            client.put(f"/subnetpools/{pool['id']}", body)

    # Both leave the scope, and alice's is translated: olga's is routed, and nobody else's can be.
    scope_of(alice, inside, None)
    scope_of(admin, outer, None)
    admin.refused("PUT", f"/routers/{first['id']}", 409, "RoutedPrefixInUse", "external_gateway_info", "'10.0.0.0/24'",
                  body={"router": {"external_gateway_info": {"network_id": external["id"], "enable_snat": False}}})
    # Alice's in the scope, and the external network too: olga's is not routed any more, and makes room.
    scope_of(alice, inside, made["id"])
    scope_of(admin, outer, made["id"])
    # Alice's would be routed in no scope as in this one: both cannot be.
    gateway(admin, first, external, enable_snat=False)
    scope_of(alice, inside, None)
    scope_of(admin, outer, None, "'10.0.0.0/24'")
    gateway(admin, other, external, enable_snat=True)
    scope_of(admin, outer, None)
    admin.refused("PUT", f"/routers/{other['id']}", 409, "RoutedPrefixInUse", first["id"],
                  body={"router": {"external_gateway_info": {"network_id": external["id"], "enable_snat": False}}})


def test_between_scopes_ipv6_is_nobodys(alice, olga, admin):
    """Where the external network is of an address scope, IPv6 of none is not routed, and need not be one project's."""
    made = scope(admin, 6)
    external = admin.network(**{"router:external": True})
    allocate(admin, pool(admin, "2001:db8::/64", address_scope_id=made["id"]), external, enable_dhcp=False)
    for client in (alice, olga):
        one, subnet = behind(client, external, "fd00::/64")
        add(client, one, subnet_id=subnet["id"])


@pytest.fixture(scope="module")
def slow():
    """An administrator and a member where commits take their time, so that requests at once are planned before either is written."""
    server = Server("FOLDER/weft.db")
    admin = server.login("admin", "correct horse", "admin")
    yield admin, server.add_user(admin, "alice", "tenant", "member")
    server.stop()


@pytest.mark.parametrize("by_port", [False, True])
def test_a_scope_changes_while_a_router_gets_an_interface(slow, by_port):
    """Either sees the other: what is too large for a tenant does not come into the external network's scope."""
    admin, alice = slow
    made = scope(admin, 6, shared=True)
    external = admin.network(**{"router:external": True})
    allocate(admin, pool(admin, "2001:db8::/64", address_scope_id=made["id"], min_prefixlen=64), external, enable_dhcp=False)
    own = pool(alice, "2001:db8:2::/47", min_prefixlen=47)
    subnet = allocate(alice, own)
    its = router(alice, external_gateway_info={"network_id": external["id"]})
    for _ in range(12):
        what = {"port_id": alice.port({"id": subnet["network_id"]}, fixed_ips=[{"subnet_id": subnet["id"]}])["id"]} if by_port else {
            "subnet_id": subnet["id"]}
        (added, _), (changed, _) = at_once((alice, "PUT", f"/routers/{its['id']}/add_router_interface", what),
                                           (alice, "PUT", f"/subnetpools/{own['id']}", {"subnetpool": {"address_scope_id": made["id"]}}))
        assert (added, changed) in ((200, 403), (403, 200))
        if added == 200:
            alice.put(f"/routers/{its['id']}/remove_router_interface", what)
        elif by_port:
            alice.delete(f"/ports/{what['port_id']}")
        if changed == 200:
            alice.put(f"/subnetpools/{own['id']}", {"subnetpool": {"address_scope_id": None}})


def test_a_scope_changes_while_a_router_gets_a_gateway(slow):
    """Likewise: what a gateway brings outside depends on the scopes of all subnets behind it."""
    admin, alice = slow
    made = scope(admin, 6, shared=True)
    external = admin.network(**{"router:external": True})
    allocate(admin, pool(admin, "2001:db8::/64", address_scope_id=made["id"], min_prefixlen=64), external, enable_dhcp=False)
    own = pool(alice, "2001:db8:2::/47", min_prefixlen=47)
    its = router(alice)
    add(alice, its, subnet_id=allocate(alice, own)["id"])
    path = f"/routers/{its['id']}"
    for _ in range(12):
        (routed, _), (changed, _) = at_once((alice, "PUT", path, {"router": {"external_gateway_info": {"network_id": external["id"]}}}),
                                            (alice, "PUT", f"/subnetpools/{own['id']}", {"subnetpool": {"address_scope_id": made["id"]}}))
        assert (routed, changed) in ((200, 403), (403, 200))
        alice.put(path, {"router": {"external_gateway_info": None}})
        alice.put(f"/subnetpools/{own['id']}", {"subnetpool": {"address_scope_id": None}})


def test_an_external_network_changes_its_scope_while_a_router_gets_a_gateway(slow):
    """Out of its scope all IPv6 of none is routed there: of two projects' equal prefixes, one stays out."""
    admin, alice = slow
    olga = admin.server.add_user(admin, "olga", "other", "member")
    made = scope(admin, 6)
    external = admin.network(**{"router:external": True})
    outer = pool(admin, "2001:db8::/64", address_scope_id=made["id"], min_prefixlen=64)
    allocate(admin, outer, external, enable_dhcp=False)
    first, subnet = behind(olga, external, "fd05::/64")
    add(olga, first, subnet_id=subnet["id"])
    its = router(alice)
    add(alice, its, subnet_id=alice.subnet(alice.network(), "fd05::/64")["id"])
    path = f"/routers/{its['id']}"
    for _ in range(12):
        (routed, _), (changed, _) = at_once((alice, "PUT", path, {"router": {"external_gateway_info": {"network_id": external["id"]}}}),
                                            (admin, "PUT", f"/subnetpools/{outer['id']}", {"subnetpool": {"address_scope_id": None}}))
        assert (routed, changed) in ((200, 409), (409, 200))
        alice.put(path, {"router": {"external_gateway_info": None}})
        admin.put(f"/subnetpools/{outer['id']}", {"subnetpool": {"address_scope_id": made["id"]}})


def test_what_a_pool_gives_outside(alice, admin):
    """A shared pool gives any prefix that it has, an own one in a shared scope none that is too large, nor does a scope that it enters later."""
    for ip_version, external_prefix, cidr, length in ((4, "203.0.113.0/24", "10.0.0.0/14", 15), (6, "2001:db8::/64", "fd00::/44", 47)):
        made = scope(admin, ip_version, shared=True)
        external = admin.network(**{"router:external": True})
        allocate(admin, pool(admin, external_prefix, address_scope_id=made["id"], min_prefixlen=8), external, cidr=external_prefix, enable_dhcp=False)
        its = router(alice, external_gateway_info={"network_id": external["id"]})
        path = f"/routers/{its['id']}/add_router_interface"
        shared = pool(admin, cidr, address_scope_id=made["id"], min_prefixlen=length, shared=True)
        subnet = allocate(alice, shared)
        add(alice, its, subnet_id=subnet["id"])
        alice.put(f"/routers/{its['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
        own = pool(alice, "11.0.0.0/8" if ip_version == 4 else "fd01::/32", min_prefixlen=length)
        large = allocate(alice, own)
        add(alice, its, subnet_id=large["id"])  # Of another scope than the external network.
        alice.refused("PUT", f"/subnetpools/{own['id']}", 403, "PolicyNotAuthorized", "address_scope_id", large["cidr"],
                      body={"subnetpool": {"address_scope_id": made["id"]}})
        alice.put(f"/routers/{its['id']}/remove_router_interface", {"subnet_id": large["id"]})
        alice.put(f"/subnetpools/{own['id']}", {"subnetpool": {"address_scope_id": made["id"]}})
        alice.refused("PUT", path, 403, "PolicyNotAuthorized", "subnet_id", large["cidr"], body={"subnet_id": large["id"]})
        add(admin, its, subnet_id=large["id"])


def test_a_network_that_enters_a_scope_collides_too(alice, olga, admin):
    """onboard_network_subnets brings a subnet into the external network's address scope, where another project's prefix is routed."""
    made = scope(admin, 6, shared=True)
    external = admin.network(**{"router:external": True})
    allocate(admin, pool(admin, "2001:db8::/64", address_scope_id=made["id"]), external, enable_dhcp=False)
    first = router(alice, external_gateway_info={"network_id": external["id"]})
    add(alice, first, subnet_id=allocate(alice, pool(alice, "fd00::/64", address_scope_id=made["id"]))["id"])
    other, subnet = behind(olga, external, "fd00::/64")
    add(olga, other, subnet_id=subnet["id"])
    elsewhere = pool(olga, "fd01::/64", address_scope_id=made["id"])
    olga.refused("PUT", f"/subnetpools/{elsewhere['id']}/onboard_network_subnets", 409, "AddressScopePrefixConflict",
                 body={"network_id": subnet["network_id"]})
