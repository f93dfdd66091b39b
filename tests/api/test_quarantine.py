"""A freed VNI and a host that falls silent: a server of its own, for every host counts."""

import time

from conftest import Agent, Answer, wait_until


def test_a_silent_host_still_holds_the_quarantine(server, admin):
    """It may forward by what it knew: a VNI that it could still use is not another network's until it is gone for good."""
    agent = Agent(admin, "silent")
    network = admin.network("before")
    vni = network["provider:segmentation_id"]
    agent.status(applied_revision=1)

    def state():
        return admin("GET", f"/weft/v1/hosts/{agent.name}", status=200)["host"]["state"]

    wait_until(lambda: state() == "up", "the host to be up")
    wait_until(lambda: state() == "down", "the silent host to be down", 120)
    admin("DELETE", f"/v2.0/networks/{network['id']}", status=204)
    body = {"network": {"name": "after", "provider:segmentation_id": vni}}
    deadline = time.monotonic() + 3  # A sweep comes every second.
    while time.monotonic() < deadline:
        admin("POST", "/v2.0/networks", body, 409)
        time.sleep(0.2)
    for host in admin("GET", "/weft/v1/hosts", status=200)["hosts"]:
        admin("DELETE", f"/weft/v1/hosts/{host['name']}", status=204)

    def created():
        try:
            return admin("POST", "/v2.0/networks", body, 201)
        except Answer:
            return None

    wait_until(created, "the VNI to be free again")
