"""Five Open vSwitch switches with weft-fabric, as a demo's network:

              e5 ---- e3 ---- e4          user-space datapath, all in one namespace; sockets and database are in the demo's folder,
               \     / | \    /           so that the machine's own Open vSwitch, if there is one, is neither needed nor touched
                \   /  |  e1 /
                 \ /   | /  /
                  e2 --+---+              (e5-e3 e5-e2 e3-e2 e3-e1 e3-e4 e2-e1 e2-e4)"""

import json

import stage
from show import BUILD

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
LINKS = ((5, 3), (5, 2), (3, 2), (3, 1), (3, 4), (2, 1), (2, 4))
ORDER = "0xe3,0xe1,0xe4,0xe2,0xe5"


class Switches:
    def __init__(self, show, namespace):
        """'namespace' is made; hosts are added until start()."""
        self.show, self.namespace = show, namespace
        self.folder = show.stage.folder / "fabric"
        self.ports = {number: [] for number in range(1, 6)}
        self.address = "127.0.0.1:6653"

    def build(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.show.stage.namespace(self.show.ns(self.namespace))
        for a, b in LINKS:
            self.show.stage.wire(self.show.ns(self.namespace), f"e{a}-e{b}", self.show.ns(self.namespace), f"e{b}-e{a}")
            self.ports[a].append(f"e{a}-e{b}")
            self.ports[b].append(f"e{b}-e{a}")

    def connect(self, number, namespace, device, address, port, mac=None):
        """A host's interface to a switch.  Checksums and segments are left to nobody: this datapath makes neither."""
        self.show.stage.wire(namespace, device, self.show.ns(self.namespace), port)
        if mac:
            stage.run("ip", "-netns", namespace, "link", "set", device, "address", mac)
        stage.run("ip", "netns", "exec", namespace, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off")
        stage.run("ip", "-netns", namespace, "address", "add", address, "dev", device)
        self.ports[number].append(port)

    def command(self, *words):
        return [*self.show.enter(self.namespace), "env", f"OVS_RUNDIR={self.folder}", *map(str, words)]

    def start(self):
        """The switches, which look for their controller from now on."""
        remote, log = f"unix:{self.folder}/db.sock", self.folder / "log"
        self.show.silent("ovsdb-tool", "create", self.folder / "db", SCHEMA)
        self.show.stage.start("ovsdb", self.command("ovsdb-server", self.folder / "db", f"--remote=p{remote}", f"--unixctl={self.folder}/db.ctl",
                                                    "--no-chdir"), log)
        self.show.wait("ovsdb-server listens", lambda: self.show.alive("ovsdb", log) and (self.folder / "db.sock").exists())
        self.show.silent(*self.command("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1",
                                       "other_config:n-revalidator-threads=1"))
        self.show.stage.start("ovs", self.command("ovs-vswitchd", remote, f"--unixctl={self.folder}/ctl", "--no-chdir", "--disable-system"), log)
        words = []
        for number, ports in self.ports.items():
            words += ["--", "add-br", f"e{number}", "--", "set", "bridge", f"e{number}", "datapath_type=netdev", "protocols=OpenFlow13",
                      f"other-config:datapath-id={0xe0 + number:016x}", "fail_mode=secure"]
            for index, port in enumerate(ports, 1):
                words += ["--", "add-port", f"e{number}", port, "--", "set", "interface", port, f"ofport_request={index}"]
            words += ["--", f"--id=@c{number}", "create", "controller", f'target="tcp:{self.address}"', "connection_mode=out-of-band",
                      "max_backoff=1000", "--", "set", "bridge", f"e{number}", f"controller=@c{number}"]
        self.show.silent(*self.command("ovs-vsctl", "--timeout=60", *words[1:]))

    # ---- the controller ----------------------------------------------------------------------------------------------------

    def controller_command(self, *options):
        return [*self.show.enter(self.namespace), BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", self.address,
                *options]

    def start_controller(self, *options):
        """Its trace goes to 'trace', its log to 'controller/log'."""
        folder = self.show.stage.folder / "controller"
        folder.mkdir(exist_ok=True)
        command = self.controller_command(*options)
        self.show.show_start(command)
        self.show.stage.start("controller", command, folder / "log", output=self.folder / "trace")

    def weft(self, *words):
        """'weft fabric ...' where the controller listens."""
        return [*self.show.enter(self.namespace), "weft", "fabric", *map(str, words)]

    def ask(self, *words):
        return json.loads(self.show.silent(*self.weft(*words, "-o", "json")))

    def is_complete(self):
        self.show.alive("controller", self.show.stage.folder / "controller" / "log")
        done = self.show.silent(*self.weft("link", "list", "-o", "json"), check=False)
        return done.returncode == 0 and len(json.loads(done.stdout)) == len(LINKS)
