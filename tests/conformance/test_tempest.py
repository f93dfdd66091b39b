"""tempest, the OpenStack project's own suite for Networking v2.0, against weft-api.

    expected.txt: "pass|skip|fail  test id  # reason"  <- compared with ->  tempest_runner.py (Debian's python3-tempest)

Every test of MODULES must be listed and must come out as listed.  Passed turning into skipped is a failure, and so is an
expected failure that passes: then the list says too little.  To see the difference in one piece, or to write the list anew:
tests/conformance/test_tempest.py --write"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import server

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.txt"
MODULES = ["tempest.api.network." + name for name in (
    "test_networks", "test_networks_negative", "test_ports", "test_extra_dhcp_options", "test_allowed_address_pair", "test_extensions",
    "test_versions", "test_routers", "test_routers_negative", "test_floating_ips", "test_floating_ips_negative", "test_dhcp_ipv6",
    "test_security_groups", "test_security_groups_negative", "test_subnetpools_extensions", "admin.test_negative_quotas", "admin.test_ports",
    "admin.test_quotas", "admin.test_external_network_extension", "admin.test_external_networks_negative", "admin.test_routers",
    "admin.test_routers_negative", "admin.test_routers_dvr", "admin.test_floating_ips_admin_actions")]

CONFIGURATION = """[DEFAULT]
log_dir = {folder}
log_file = tempest.log
[oslo_concurrency]
lock_path = {folder}
[auth]
use_dynamic_credentials = true
create_isolated_networks = false
admin_username = admin
admin_password = {password}
admin_project_name = admin
admin_domain_name = Default
[identity]
uri_v3 = {url}/identity/v3
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v3 = true
[service_available]
neutron = true
nova = false
glance = false
cinder = false
swift = false
horizon = false
[network]
public_network_id = {public}
floating_network_name = public
[network-feature-enabled]
api_extensions = {extensions}
floating_ips = true
ipv6 = true
ipv6_subnet_attributes = true
"""


def read_expected():
    expected = {}
    for line in EXPECTED.read_text().splitlines():
        words, _, reason = line.partition("#")
        if words.strip():
            outcome, name = words.split()
            expected[name] = (outcome, reason.strip())
    return expected


def run_tempest(api):
    """{test id: (outcome, reason)} of all modules."""
    public = [network for network in api.request("GET", "/v2.0/networks?name=public")["networks"]]
    if not public:
        public = [api.request("POST", "/v2.0/networks", {"network": {"name": "public", "router:external": True}})["network"]]
        api.request("POST", "/v2.0/subnets", {"subnet": {"network_id": public[0]["id"], "ip_version": 4, "cidr": "198.18.0.0/20",
                                                         "enable_dhcp": False}})
    extensions = ",".join(extension["alias"] for extension in api.request("GET", "/v2.0/extensions")["extensions"])
    configuration = api.folder / "tempest.conf"
    configuration.write_text(CONFIGURATION.format(folder=api.folder, url=api.url, public=public[0]["id"], extensions=extensions,
                                                  password=server.PASSWORD))
    done = subprocess.run(["/usr/bin/python3", str(HERE / "tempest_runner.py"), *MODULES], capture_output=True, text=True, timeout=900,
                          cwd=api.folder, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(api.folder), "LC_ALL": "C.UTF-8",
                                               "TEMPEST_CONFIG_DIR": str(api.folder), "TEMPEST_CONFIG": "tempest.conf"})
    outcomes = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            test = json.loads(line)
            outcomes[test["id"]] = (test["outcome"], test["reason"])
    assert done.returncode == 0 and outcomes, done.stderr[-4000:]
    return outcomes


@pytest.fixture(scope="module")
def outcomes(api):
    return run_tempest(api)


@pytest.mark.parametrize("name", sorted(read_expected()) if EXPECTED.exists() else [])
def test_as_expected(outcomes, name):
    expected, why = read_expected()[name]
    assert name in outcomes, "tempest has no such test here"
    outcome, reason = outcomes[name]
    assert outcome == expected, f"expected {expected}, came out as {outcome}: {reason[-3000:]}"
    if expected == "fail":
        pytest.xfail(why)
    if expected == "skip":
        pytest.skip(why)


def test_every_test_is_listed(outcomes):
    assert not set(outcomes) - set(read_expected())


def write():
    before = read_expected() if EXPECTED.exists() else {}
    running = server.Server()
    try:
        outcomes = run_tempest(running.wait().log_in())
    finally:
        running.stop()
    with open(EXPECTED, "w") as out:
        out.write("# What each test of tempest does against weft-api, compared by test_tempest.py: pass, skip or fail, and why not pass.\n")
        for name, (outcome, reason) in sorted(outcomes.items()):
            why = before.get(name, ("", ""))[1] if outcome != "pass" else ""
            if outcome != "pass" and not why:
                why = " ".join(reason.strip().splitlines()[-1:])[:160]
            out.write(f"{outcome}  {name}" + (f"  # {why}" if why else "") + "\n")
            if outcome == "fail":
                print(f"{name}\n{reason}\n")
    counts = {kind: sum(outcome == kind for outcome, _ in outcomes.values()) for kind in ("pass", "skip", "fail")}
    print(counts)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
