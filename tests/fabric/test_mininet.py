"""mininet as a client: its own switches, hosts and 'pingall', with weft-fabric as the remote controller.  Rings and tori have loops."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from fabric import Fabric, Vswitch
from namespaces import run

pytestmark = pytest.mark.skipif(not shutil.which("mn"), reason="needs mininet")
TOPOLOGIES = {"linear,3": 2, "tree,depth=2,fanout=2": 2, "ring,4": 4, "torus,3,3": 18}  # And how many links each has.


@pytest.fixture(scope="module")
def network():
    """A namespace with an Open vSwitch in which mininet makes its own."""
    with Fabric([], {}) as fabric:
        fabric.vswitches.append(Vswitch(fabric, "ovs0"))
        # When it fails, 'mn' ends by name whatever looks like a controller; not on this machine.
        shims = fabric.folder / "shims"
        shims.mkdir()
        for name in ("pkill", "killall"):
            (shims / name).write_text("#!/bin/sh\nexit 1\n")
            (shims / name).chmod(0o755)
        yield fabric


def descendants(pid):
    for child in run("ps", "-o", "pid=", "--ppid", pid, check=False).split():
        yield from descendants(child)
        yield int(child)


def mininet(fabric, *arguments, timeout=180):
    vswitch = fabric.vswitches[0]
    environment = {**vswitch.environment, "PATH": f"{fabric.folder}/shims:{os.environ['PATH']}"}
    custom = pathlib.Path(__file__).with_name("topologies.py")
    process = subprocess.Popen(vswitch.namespace.command("/usr/bin/python3", "/usr/bin/mn", "--custom", custom, *arguments), env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return process.communicate(timeout=timeout)[0]
    finally:
        if process.poll() is None:
            left = [*descendants(process.pid), process.pid]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("openflow", ["OpenFlow10", "OpenFlow13"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_pingall_loses_nothing(network, topology, openflow):
    fabric = network
    controller = fabric.controller(attach=False)
    try:
        said = mininet(fabric, "--topo", topology, "--switch", f"ovs,datapath=user,batch=1,protocols={openflow}", "--controller",
                       f"remote,ip=198.18.0.1,port={controller.port}", "--mac", "--wait", "--test", "pingall")
        assert "0% dropped" in said, said + controller.text()
        statistics = controller.statistics()
        found = re.search(r"\((\d+)/(\d+) received\)", said).group(0)
        print(f"{topology}, {openflow}: {found}, {statistics['packet_ins']} packets in, {statistics['floods']} to all")
        assert statistics["events"]["link_up"] == TOPOLOGIES[topology]
        for event in ("switch_error", "message_malformed", "lldp_forged", "lldp_on_host_port", "host_moved", "host_duplicate"):
            assert statistics["events"][event] == 0, controller.text()
        assert not fabric.openflow_errors()
    finally:
        controller.stop()
        fabric.controllers.clear()


def test_tcp_runs_between_mininets_hosts(network):
    """TCP between the two ends of a ring, whose checksums mininet leaves to hardware that is not there: switched off first."""
    fabric = network
    controller = fabric.controller(attach=False)
    script = fabric.folder / "commands"
    script.write_text("h1 ethtool -K h1-eth0 tx off\nh3 ethtool -K h3-eth0 tx off\n"
                      "h3 iperf3 -s -1 -D\nh1 iperf3 -c h3 -t 1\n")
    try:
        said = mininet(fabric, "--topo", "ring,4", "--switch", "ovs,datapath=user,batch=1,protocols=OpenFlow13", "--controller",
                       f"remote,ip=198.18.0.1,port={controller.port}", "--mac", "--wait", "--test", "none", "--post", script)
        assert re.search(r"receiver", said), said + controller.text()
        assert controller.statistics()["flows_new"] >= 4
    finally:
        controller.stop()
        fabric.controllers.clear()
