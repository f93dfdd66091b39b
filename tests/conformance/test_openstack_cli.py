"""Debian's 'openstack' command, unchanged, against weft-api: create, list, show, set, unset and delete."""

import json
import os
import subprocess

import pytest

import server


@pytest.fixture(scope="module")
def openstack(api):
    """A function: openstack("network list") -> decoded JSON, None where the command prints nothing."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(api.folder), "LC_ALL": "C.UTF-8",
                   "OS_AUTH_URL": f"{api.url}/identity/v3", "OS_IDENTITY_API_VERSION": "3", "OS_USERNAME": "admin",
                   "OS_PASSWORD": server.PASSWORD, "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_NAME": "Default",
                   "OS_PROJECT_DOMAIN_NAME": "Default"}

    def call(text, *more, fails=False):
        words = text.split()
        prints = words[1] in ("create", "list", "show")
        command = ["/usr/bin/python3", "/usr/bin/openstack", *words[:2], *(["-f", "json"] if prints else []), *words[2:], *more]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, stdin=subprocess.DEVNULL)
        if fails:
            assert done.returncode != 0, f"'{text}' was expected to fail: {done.stdout}"
            return done.stderr
        assert done.returncode == 0, f"openstack {text}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if prints else None

    return call


def field(item, name):
    """'openstack' prints some columns as text and some as values, by version."""
    value = item[name]
    return value if not isinstance(value, str) or not value.startswith(("[", "{")) else json.loads(value.replace("'", '"'))


def names(listing):
    return {item["Name"] for item in listing}


def test_network_lifecycle(openstack):
    made = openstack("network create cli-net --description first --mtu 1400")
    assert (made["name"], made["description"], made["mtu"], made["status"]) == ("cli-net", "first", 1400, "ACTIVE")
    assert "cli-net" in names(openstack("network list"))
    assert names(openstack("network list --name cli-net")) == {"cli-net"}
    openstack("network set cli-net --name cli-net2 --description second --disable")
    shown = openstack("network show cli-net2")
    assert (shown["id"], shown["description"], shown["admin_state_up"]) == (made["id"], "second", False)
    openstack("network delete cli-net2")
    assert "cli-net2" not in names(openstack("network list"))
    assert "cli-net2" in openstack("network show cli-net2", fails=True)


@pytest.fixture
def network(openstack, api):
    made = openstack(f"network create cli-{os.getpid()}")
    yield made["name"]
    for port in api.request("GET", f"/v2.0/ports?network_id={made['id']}")["ports"]:  # Of a test that failed.
        api.request("DELETE", f"/v2.0/ports/{port['id']}")
    openstack(f"network delete {made['name']}")


def test_subnet_lifecycle(openstack, network):
    made = openstack(f"subnet create cli-subnet --network {network} --subnet-range 10.77.0.0/24 --gateway 10.77.0.254 "
                     "--allocation-pool start=10.77.0.10,end=10.77.0.20 --dns-nameserver 192.0.2.53 "
                     "--host-route destination=198.51.100.0/24,gateway=10.77.0.9")
    assert (made["cidr"], made["gateway_ip"], made["ip_version"]) == ("10.77.0.0/24", "10.77.0.254", 4)
    assert field(made, "allocation_pools") == [{"start": "10.77.0.10", "end": "10.77.0.20"}]
    assert field(made, "host_routes") == [{"destination": "198.51.100.0/24", "nexthop": "10.77.0.9"}]
    assert "cli-subnet" in names(openstack("subnet list"))
    openstack("subnet set cli-subnet --dns-nameserver 192.0.2.54 --gateway none --no-dhcp")
    shown = openstack("subnet show cli-subnet")
    assert sorted(field(shown, "dns_nameservers")) == ["192.0.2.53", "192.0.2.54"]
    assert shown["gateway_ip"] is None and shown["enable_dhcp"] is False
    openstack("subnet unset cli-subnet --dns-nameserver 192.0.2.53")
    assert field(openstack("subnet show cli-subnet"), "dns_nameservers") == ["192.0.2.54"]
    assert "overlap" in openstack(f"subnet create cli-twice --network {network} --subnet-range 10.77.0.0/25", fails=True)
    openstack("subnet delete cli-subnet")
    assert "cli-subnet" not in names(openstack("subnet list"))


def test_slaac_subnet_gives_an_eui64_address(openstack, network):
    openstack(f"subnet create cli-six --network {network} --ip-version 6 --subnet-range 2001:db8:77::/64 --ipv6-ra-mode slaac "
              "--ipv6-address-mode slaac")
    port = openstack(f"port create cli-six-port --network {network} --mac-address 02:00:00:aa:bb:cc")
    assert [fixed["ip_address"] for fixed in field(port, "fixed_ips")] == ["2001:db8:77::ff:feaa:bbcc"]  # RFC 4291, appendix A
    openstack("port delete cli-six-port")


def test_port_lifecycle(openstack, network):
    openstack(f"subnet create cli-subnet --network {network} --subnet-range 10.78.0.0/24")
    made = openstack(f"port create cli-port --network {network} --fixed-ip subnet=cli-subnet,ip-address=10.78.0.50 "
                     "--mac-address 02:00:00:00:78:50 --allowed-address ip-address=10.78.0.99 --device cli-vm --device-owner compute:nova "
                     "--extra-dhcp-option name=bootfile-name,value=pxelinux.0")
    assert (made["mac_address"], made["status"], made["device_id"]) == ("02:00:00:00:78:50", "DOWN", "cli-vm")
    assert [fixed["ip_address"] for fixed in field(made, "fixed_ips")] == ["10.78.0.50"]
    assert field(made, "allowed_address_pairs")[0]["ip_address"] == "10.78.0.99"
    assert "cli-port" in names(openstack(f"port list --network {network}"))
    assert names(openstack("port list --fixed-ip ip-address=10.78.0.50")) == {"cli-port"}
    openstack("port set cli-port --host compute-1 --description moved --disable --no-allowed-address")
    shown = openstack("port show cli-port")
    assert (shown["binding_host_id"], shown["description"], shown["admin_state_up"]) == ("compute-1", "moved", False)
    assert field(shown, "allowed_address_pairs") == []
    openstack("port set cli-port --no-security-group --disable-port-security")
    assert openstack("port show cli-port")["port_security_enabled"] is False
    openstack("port unset cli-port --fixed-ip subnet=cli-subnet,ip-address=10.78.0.50")
    assert field(openstack("port show cli-port"), "fixed_ips") == []
    assert "10.78.0.300" in openstack(f"port create bad --network {network} --fixed-ip ip-address=10.78.0.300", fails=True)
    assert openstack(f"network delete {network}", fails=True)  # A port is in use.
    openstack("port delete cli-port")
    assert "cli-port" not in names(openstack("port list"))


def test_extension_and_agentless_lists(openstack):
    aliases = {extension["Alias"] for extension in openstack("extension list --network")}
    assert {"binding", "external-net", "extra_dhcp_opt", "allowed-address-pairs", "port-security"} <= aliases


def test_wrong_password_is_refused(openstack, api):
    done = subprocess.run(["/usr/bin/python3", "/usr/bin/openstack", "--os-auth-url", f"{api.url}/identity/v3", "--os-username", "admin",
                           "--os-password", "wrong", "--os-project-name", "admin", "--os-user-domain-name", "Default",
                           "--os-project-domain-name", "Default", "network", "list"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(api.folder)}, timeout=60)
    assert done.returncode != 0 and "401" in done.stderr
