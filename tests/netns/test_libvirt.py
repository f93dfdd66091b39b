"""Virtual machines of a real libvirt as workloads: what 'weft port libvirt-xml' prints, and what README does with it.

             weft-api
                |
      h1 =======+======= h2
      |  libvirtd         |
      +- vm1 (QEMU)       +- peer (a namespace)
      +- vm2 (QEMU)

libvirtd is started by the test, in h1's network namespace and a mount namespace of its own, where all of its folders are the
test's: nothing of this machine's libvirt is read, written or stopped.  The machines are emulated; they boot Debian's cloud kernel
with a busybox that asks for an address by DHCP whenever there is an interface, and tells its console how that went."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from lab import Lab, Process
from namespaces import Failed, wait_for
from test_weft_on_hosts import Weft

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "kernel"))
import second_kernel

# Emulated machines share two processors with everything else: nothing here is about time.
PATIENCE = 240

INIT = """#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod $module; done
echo BOOTED
peer=$(sed 's/.*peer=\\([^ ]*\\).*/\\1/' /proc/cmdline)
while :; do
    until [ -d /sys/class/net/eth0 ]; do sleep 0.2; done
    echo "PLUGGED $(cat /sys/class/net/eth0/address) $(cat /sys/class/net/eth0/mtu)"
    ip link set eth0 up
    until udhcpc -q -n -f -i eth0 -t 5 -T 2 -s /lease; do [ -d /sys/class/net/eth0 ] || break; done
    until ping -c1 -W2 $peer >/dev/null; do [ -d /sys/class/net/eth0 ] || break; done
    [ -d /sys/class/net/eth0 ] && echo "REACHED $peer"
    while [ -d /sys/class/net/eth0 ]; do sleep 0.2; done
    echo UNPLUGGED
done
"""

LEASE = """#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip address flush dev $interface
ip address add $ip/$mask dev $interface
echo "LEASE $ip/$mask mtu ${mtu:-none}"
"""

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>192</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet mitigations=off random.trust_cpu=on panic=-1 peer={peer}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <serial type='file'><source path='{console}'/></serial>
    <memballoon model='none'/>
    <video><model type='none'/></video>
  </devices>
</domain>
"""

QEMU_CONF = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
"""

# Its own folders over the system's, the user that Debian's libvirt wants to exist, and a /sys that shows the network namespace it is in.
FOLDERS = ("etc/libvirt", "run/libvirt", "var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt")
ENTER = """set -e
mount -t tmpfs tmpfs /run
mkdir /run/libvirt
for folder in """ + " ".join(FOLDERS) + """; do
    mount --bind "$1/$folder" "/$folder"
done
for file in passwd group; do
    mount --bind "$1/etc/$file" "/etc/$file"
done
mount -t sysfs sysfs /sys
exec libvirtd --config "$1/etc/libvirt/libvirtd.conf" --pid-file "$1/libvirtd.pid"
"""


class Libvirt:
    """libvirtd of one host, and virsh that speaks to it."""

    def __init__(self, lab, host):
        self.folder = lab.folder / "libvirt"
        self.made = []  # Debian's packages leave some of them to libvirtd's first start.
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
            if not (place := pathlib.Path("/", name)).exists():
                place.mkdir()
                self.made.append(place)
        (self.folder / "etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\nunix_sock_group = "root"\n')
        for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin"), ("group", "libvirt-qemu:x:64055:")):
            text = pathlib.Path("/etc", name).read_text()
            (self.folder / "etc" / name).write_text(text if "\nlibvirt-qemu:" in text else f"{text}{line}\n")
        (self.folder / "etc/libvirt/qemu.conf").write_text(QEMU_CONF)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder),
                            "LIBVIRT_DEFAULT_URI": f"qemu:///system?socket={self.folder}/run/libvirt/libvirt-sock"}
        self.process = Process(host.namespace.command("unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh",
                                                      self.folder), lab.folder / "libvirtd.log")
        try:
            wait_for(self.answers, "libvirtd to answer", PATIENCE)
        except BaseException:
            self.end()
            raise

    def answers(self):
        if not self.process.running():
            raise RuntimeError(f"libvirtd ended:\n{self.process.text()}")
        return self.try_virsh("uri").returncode == 0

    def try_virsh(self, *arguments):
        return subprocess.run(["virsh", "--quiet", *map(str, arguments)], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)

    def virsh(self, *arguments):
        done = self.try_virsh(*arguments)
        assert done.returncode == 0, f"virsh {' '.join(map(str, arguments))}: {done.stderr}{self.process.text()[-2000:]}"
        return done.stdout

    def stop(self):
        try:
            for name in self.try_virsh("list", "--name").stdout.split():
                self.try_virsh("destroy", name)
        finally:
            self.end()

    def end(self):
        self.process.stop()
        for place in self.made:
            place.rmdir()


class Machine:
    """A domain, known by what its console says.  It pings 'peer', an address, as soon as it has one of its own."""

    def __init__(self, libvirt, boot, name, peer, machine="pc"):
        self.libvirt, self.name = libvirt, name
        self.console = libvirt.folder / f"{name}.console"
        self.console.touch()
        self.seen = 0
        definition = libvirt.folder / f"{name}.xml"
        definition.write_text(DOMAIN.format(name=name, machine=machine, console=self.console, peer=peer, **boot))
        libvirt.virsh("define", definition)

    def virsh(self, command, *arguments):
        return self.libvirt.virsh(command, self.name, *arguments)

    def says(self, pattern):
        """Waits until the console says this, behind what was waited for before."""
        def found():
            text = self.console.read_text(errors="replace")
            if len(text) < self.seen:
                self.seen = 0  # The domain was started again and writes its console anew.
            match = re.compile(pattern).search(text, self.seen)
            if match:
                self.seen = match.end()
            return match
        try:
            return wait_for(found, pattern, PATIENCE, 0.1)
        except Failed:
            pytest.fail(f"{self.name} did not say '{pattern}'; its console:\n{self.console.read_text(errors='replace')[-3000:]}")

    def is_up(self, port, peer):
        """It has the port's address and MTU from DHCP, and both ways are open."""
        plugged = self.says(r"PLUGGED (\S+) (\d+)")
        assert plugged.groups() == (port["mac_address"], "1450")
        assert self.says(r"LEASE (\S+) mtu (\S+)").group(1) == f"{address_of(port)}/24"
        self.says(f"REACHED {re.escape(peer.address)}\n")
        peer.wait_ping(address_of(port), PATIENCE)


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    """The kernel and initrd of every machine."""
    if missing := [name for name in ("libvirtd", "virsh", "qemu-system-x86_64", "busybox") if not shutil.which(name)]:
        pytest.skip(f"not installed: {' '.join(missing)}")
    try:
        kernel = second_kernel.fetch_kernel()
    except second_kernel.Unavailable as reason:
        pytest.skip(f"no kernel for virtual machines: {reason}")
    root = tmp_path_factory.mktemp("machine")
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir()
    shutil.copy2("/bin/busybox", root / "bin/busybox")
    modules = second_kernel.module_files(kernel, ["virtio_pci", "virtio_net", "af_packet"])
    for path in modules:
        shutil.copy2(path, root / path.name)
    (root / "modules").write_text("".join(f"/{path.name}\n" for path in modules))
    for name, text in (("init", INIT), ("lease", LEASE)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    return {"kernel": next((kernel / "boot").glob("vmlinuz-*")), "initrd": second_kernel.pack(root, root.with_suffix(".cpio"))}


@pytest.fixture(scope="module")
def lab(boot):
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="module")
def libvirt(lab):
    libvirt = Libvirt(lab, lab.hosts[0])
    try:
        yield libvirt
    finally:
        libvirt.stop()


@pytest.fixture(scope="module")
def weft(lab):
    return Weft(lab, lab.hosts[0])


@pytest.fixture(scope="module")
def peer(lab, weft):
    weft("network", "create", "office")
    weft("subnet", "create", "office-v4", "--network", "office", "--cidr", "10.0.0.0/24")
    weft("port", "create", "peer", "--network", "office", "--host", "h2")
    workload = lab.workload(weft.json("port", "show", "peer"), lab.hosts[1])
    lab.api.wait_active(workload.port)
    return workload


@pytest.fixture(scope="module")
def vm1(libvirt, boot, peer):
    return Machine(libvirt, boot, "vm1", peer.address)


def attach_as_readme_says(libvirt, weft, port, machine, *options):
    """Returns the port."""
    xml_file = libvirt.folder / f"{port}.xml"
    xml_file.write_text(weft("port", "libvirt-xml", port, "--host", "h1", *options))
    machine.virsh("attach-device", xml_file, "--persistent")
    return weft.json("port", "show", port)


def address_of(port):
    return port["fixed_ips"][0]["ip_address"]


def taps(lab):
    return re.findall(r"(tap[0-9a-f-]{11})", lab.hosts[0].namespace.ip("-brief", "link"))


def test_a_running_machine_gets_an_interface(lab, libvirt, weft, peer, vm1):
    weft("port", "create", "web", "--network", "office")
    vm1.virsh("start")
    vm1.says("BOOTED")
    port = attach_as_readme_says(libvirt, weft, "web", vm1)
    assert port["binding:host_id"] == "h1"
    vm1.is_up(port, peer)
    lab.api.wait_active(port)
    interface = xml.etree.ElementTree.fromstring(vm1.virsh("dumpxml")).find("devices/interface")
    assert interface.find("target").get("dev") == "tap" + port["id"][:11]


def test_a_machine_that_is_destroyed_and_started_finds_its_port(lab, weft, peer, vm1):
    port = weft.json("port", "show", "web")
    vm1.virsh("destroy")
    lab.api.wait_active(port, status="DOWN")
    assert not taps(lab)
    vm1.virsh("start")
    vm1.is_up(port, peer)
    lab.api.wait_active(port)


def test_an_interface_is_detached_from_a_running_machine(lab, libvirt, weft, peer, vm1):
    port = weft.json("port", "show", "web")
    vm1.virsh("detach-device", libvirt.folder / "web.xml", "--persistent")
    vm1.says("UNPLUGGED")
    lab.api.wait_active(port, status="DOWN")
    assert not taps(lab) and not peer.ping(address_of(port), wait=1)
    vm1.virsh("attach-device", libvirt.folder / "web.xml", "--persistent")
    vm1.is_up(port, peer)


def test_two_machines_of_one_host_reach_each_other(lab, libvirt, weft, boot, peer, vm1):
    """The second is of the newer machine type, and gets its interface before it is started."""
    weft("port", "create", "db", "--network", "office")
    web = address_of(weft.json("port", "show", "web"))
    vm2 = Machine(libvirt, boot, "vm2", web, machine="q35")
    port = attach_as_readme_says(libvirt, weft, "db", vm2)
    vm2.virsh("start")
    vm2.says(f"LEASE {re.escape(address_of(port))}/24")
    vm2.says(f"REACHED {re.escape(web)}\n")
    peer.wait_ping(address_of(port), PATIENCE)
    vm2.virsh("destroy")


def test_a_tap_that_somebody_else_made(lab, libvirt, weft, boot, peer):
    weft("port", "create", "own", "--network", "office")
    port = weft.json("port", "show", "own")
    tap = "tap" + port["id"][:11]
    lab.hosts[0].namespace.ip("tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr")
    vm3 = Machine(libvirt, boot, "vm3", peer.address)
    attach_as_readme_says(libvirt, weft, "own", vm3, "--existing-tap")
    vm3.virsh("start")
    vm3.is_up(port, peer)
    vm3.virsh("destroy")
    assert tap in taps(lab)


def test_an_agent_that_starts_after_its_machines_finds_them(lab, weft, peer, vm1):
    port = weft.json("port", "show", "web")
    lab.hosts[0].restart()
    lab.api.wait_active(port)
    peer.wait_ping(address_of(port), PATIENCE)
