"""What dies, freezes or comes back: links, switches, controllers.  Traffic goes on, and what was lost is counted and shown."""

import json
import select
import signal
import socket
import struct
import subprocess
import time

import pytest

from fabric import Fabric, Pinger, reference
from namespaces import wait_for

VERSIONS = pytest.mark.parametrize("openflow", ["OpenFlow10", "OpenFlow13"])
# Between e5 and e4 by e3 or by e2; each with an ovs-vswitchd of its own.
DIAMOND = [(5, 3), (5, 2), (3, 4), (2, 4)]


def way(controller, source, destination, protocol=1):
    """The switches in the middle of the flow between two hosts."""
    for flow in controller.get("/flows?limit=1000")["flows"]:
        if (flow["source"], flow["destination"], flow["protocol"]) == (source.address, destination.address, protocol):
            return [int(hop["switch"], 16) - 0xe0 for hop in flow["hops"][1:-1]]
    return None


def start_pinging(fabric, controller):
    """The ping, and the number of the switch that its echoes go through."""
    a, b = fabric.hosts["a"], fabric.hosts["b"]
    a.wait_ping(b)
    pinger = Pinger(a, b)
    pinger.wait_more()
    return pinger, way(controller, a, b)[0]


def report(what, pinger):
    sent, received, row = pinger.stop()
    print(f"{what}: {sent - received} of {sent} echoes lost, {row} in a row (one every {1000 * pinger.interval:.0f} ms)")
    return row


@VERSIONS
def test_a_cut_link_is_healed_under_ping(openflow):
    with reference(openflow=openflow) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        pinger, by = start_pinging(fabric, controller)
        fabric.cut(5, by)
        wait_for(lambda: way(controller, fabric.hosts["a"], fabric.hosts["b"]) not in ([by], None), "the flow to go another way")
        pinger.wait_more()
        # Nothing leads into the dead link any more, and nothing of the old way is left.
        wait_for(lambda: not [flow for flow in fabric.switches[by].flows()
                              if "icmp_type=8" in flow["match"] and f"nw_src={fabric.hosts['a'].address}" in flow["match"]],
                 "the old way's entries to go")
        fabric.mend(5, by)
        controller.wait_discovered()
        pinger.wait_more()
        report(f"cut link, {openflow}", pinger)
        assert controller.statistics()["events"]["flows_rerouted"] >= 1
        assert fabric.openflow_errors() == []


def test_a_link_that_fails_silently_is_noticed():
    """The ports at both ends stay up."""
    with Fabric(DIAMOND, {"a": 5, "b": 4}, silent=DIAMOND) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        pinger, by = start_pinging(fabric, controller)
        fabric.silence(5, by)
        wait_for(lambda: way(controller, fabric.hosts["a"], fabric.hosts["b"]) == [5 - by], "the flow to go another way")
        pinger.wait_more()
        assert controller.state()["links"] == len(DIAMOND) - 1
        # Nobody behind the silent port is taken for a host: broadcasts must not come back by the second way.
        # (The link is down as soon as one end has heard nothing for long enough; this one may be the other.)
        def kind():
            return {port["name"]: port["kind"] for port in controller.get("/switches/0xe5")["switch"]["ports"]}[f"e5-e{by}"]
        wait_for(lambda: kind() != "link", "the silence to be noticed at this end")
        assert kind() == "suspect"
        fabric.silence(5, by, up=True)
        controller.wait_discovered()
        pinger.wait_more()
        report("silent link", pinger)


def test_a_link_that_works_one_way_only_is_none():
    with Fabric(DIAMOND, {"a": 5, "b": 4}, silent=DIAMOND) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        pinger, by = start_pinging(fabric, controller)
        back = way(controller, fabric.hosts["b"], fabric.hosts["a"])[0]
        # Out of e5 nothing arrives; into e5 everything does.
        fabric.silence_towards(5, by, by)
        wait_for(lambda: way(controller, fabric.hosts["a"], fabric.hosts["b"]) == [5 - by], "the flow to go another way")
        wait_for(lambda: way(controller, fabric.hosts["b"], fabric.hosts["a"]) == [5 - by], "the way back, too")
        pinger.wait_more()
        assert controller.state()["links"] == len(DIAMOND) - 1
        report(f"one-way link (the way back was by e{back})", pinger)


@VERSIONS
def test_a_dead_switch_is_gone_round_and_taken_back(openflow):
    """kill -9 of its ovs-vswitchd: its ports stay up, nothing forwards, its connection ends."""
    with Fabric(DIAMOND, {"a": 5, "b": 4}, domains=[[2], [3]], openflow=openflow) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        pinger, by = start_pinging(fabric, controller)
        dead = fabric.switches[by]
        dead.vswitch.signal(signal.SIGKILL)
        wait_for(lambda: way(controller, fabric.hosts["a"], fabric.hosts["b"]) == [5 - by], "the flow to go another way")
        pinger.wait_more()
        states = {switch["id"]: switch["state"] for switch in controller.get("/switches")["switches"]}
        assert states[dead.text] == "away" and list(states.values()).count("up") == 3
        dead.vswitch.start()
        controller.wait_discovered()
        pinger.wait_more()
        report(f"dead switch, {openflow}", pinger)
        assert fabric.openflow_errors() == []


def test_a_frozen_switch_is_gone_round_and_taken_back():
    with Fabric(DIAMOND, {"a": 5, "b": 4}, domains=[[2], [3]]) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        pinger, by = start_pinging(fabric, controller)
        frozen = fabric.switches[by]
        frozen.vswitch.signal(signal.SIGSTOP)
        wait_for(lambda: way(controller, fabric.hosts["a"], fabric.hosts["b"]) == [5 - by], "the flow to go another way")
        pinger.wait_more()
        wait_for(lambda: controller.statistics()["events"]["echo_timeout"] == 1, "the switch to count as dead")
        frozen.vswitch.signal(signal.SIGCONT)
        controller.wait_discovered()
        pinger.wait_more()
        report("frozen switch", pinger)
        # What it missed while it was frozen was settled: no flow goes through it that the controller does not know.
        known = {(flow["source"], flow["destination"], flow["protocol"]) for flow in controller.get("/flows")["flows"]
                 if frozen.text in [hop["switch"] for hop in flow["hops"]]}
        wait_for(lambda: len(frozen.flows(lambda flow: flow["priority"] == 1000)) <= len(known), "the frozen switch to be reconciled")


def message(kind, body=b"", xid=1):
    return struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body


class RawSwitch:
    """The little of a switch of OpenFlow 1.3 that a connection needs; it reads when it is told to."""

    def __init__(self, fabric, controller, datapath_id):
        with fabric.net.inside():
            self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.connect(("198.18.0.1", controller.port))
        self.id, self.buffer = datapath_id, b""
        self.socket.sendall(message(0))

    def answer(self):
        """Answers what has come; returns whether the connection lives."""
        while select.select([self.socket], [], [], 0)[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            self.buffer += data
        while len(self.buffer) >= 8:
            _, kind, length, xid = struct.unpack("!BBHI", self.buffer[:8])
            if len(self.buffer) < length:
                break
            body, self.buffer = self.buffer[8:length], self.buffer[length:]
            if kind == 2:
                self.socket.sendall(message(3, body, xid))
            elif kind == 5:
                self.socket.sendall(message(6, struct.pack("!QIBB2xII", self.id, 0, 1, 0, 0, 0), xid))
            elif kind == 18:
                (what,) = struct.unpack("!H", body[:2])
                self.socket.sendall(message(19, struct.pack("!HH4x", what, 0) + (bytes(1056) if what == 0 else b""), xid))
            elif kind == 20:
                self.socket.sendall(message(21, b"", xid))
        return True


def test_a_switch_that_reads_nothing_is_ended_and_its_id_is_free_again():
    with Fabric([], {"a": 1, "b": 1}) as fabric:
        controller = fabric.controller("--switch-echo-ms", "300", "--switch-dead-ms", "1000", attach=False)

        def connected():
            return any(int(switch["id"], 16) == 7 and switch["state"] == "up" for switch in controller.get("/switches")["switches"])

        stuck = RawSwitch(fabric, controller, 7)
        wait_for(lambda: stuck.answer() and connected(), "the handshake")
        # Its socket is filled with echo replies that it does not read, and then it falls silent.
        stuck.socket.setblocking(False)
        echo, rest, sent = message(2, bytes(60000)), b"", 0
        while select.select([], [stuck.socket], [], 0.5)[1]:
            rest = rest or echo
            try:
                taken = stuck.socket.send(rest)
            except (BlockingIOError, ConnectionResetError, BrokenPipeError):
                break
            rest, sent = rest[taken:], sent + taken
            if sent > 24 << 20:  # More than its sockets hold, and what the controller keeps for it.
                break
        wait_for(lambda: not connected(), "the stuck connection to be ended")
        second = RawSwitch(fabric, controller, 7)
        wait_for(lambda: second.answer() and connected(), "its id to be free again")
        second.socket.close()
        stuck.socket.close()


def steady(flows):
    """What of entries does not change by itself."""
    return sorted((flow["cookie"], flow["priority"], flow["match"], flow["actions"]) for flow in flows)


def entries(fabric, keep=lambda flow: flow["priority"] == 1000):
    return {switch.name: switch.flows(keep) for switch in fabric.switches.values()}


def are_put(fabric, controller):
    """Each switch has as many entries of flows as the controller thinks.  An echo may be back before: its packets go straight to their ends."""
    thought = [hop["switch"] for flow in controller.get("/flows?limit=1000")["flows"] for hop in flow["hops"]]
    return all(len(flows) == thought.count(fabric.switches[int(name[1:])].text) for name, flows in entries(fabric).items())


def start_iperf(fabric, seconds):
    """Slowly: the switches' sockets hold some hundred packets of 1,000 bytes, which is what has to wait there when the machine is busy."""
    a, b = fabric.hosts["a"], fabric.hosts["b"]
    server = b.popen("iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
    wait_for(lambda: ":5201" in b.run("ss", "-Hltn"), "iperf3 to listen")
    return server, a.popen("iperf3", "-c", b.address, "-t", seconds, "-i", "0.5", "-b", "1M", "-l", "1000", "-J", stdout=subprocess.PIPE, text=True)


def end_iperf(server, client, what):
    """No half second went by without traffic."""
    result = json.loads(client.communicate(timeout=120)[0])
    server.wait(60)
    assert "error" not in result, result["error"]
    rates = [interval["sum"]["bits_per_second"] / 1e6 for interval in result["intervals"]]
    print(f"{what}: {min(rates):.1f} to {max(rates):.1f} Mbit/s in half seconds, {result['end']['sum_sent']['retransmits']} retransmits")
    assert min(rates) > 0


@VERSIONS
def test_a_killed_controller_stops_no_flow_and_its_successor_takes_them_over(openflow):
    with reference(openflow=openflow) as fabric:
        controller = fabric.controller("--hash-seed", "7")
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.know(b)
        b.know(a)
        pinger = Pinger(a, b)
        server, client = start_iperf(fabric, 6)
        wait_for(lambda: len(controller.get("/flows")["flows"]) >= 6, "the flows of ping and iperf3")
        pinger.wait_more()
        assert controller.stop(signal.SIGKILL) == -signal.SIGKILL
        pinger.wait_more(25)
        before = entries(fabric)
        controller.start()
        controller.wait_discovered()
        n_before = sum(map(len, before.values()))
        wait_for(lambda: controller.statistics()["events"]["flows_adopted"] >= 1 and controller.state()["flows"] >= 6,
                 "the successor to take over the flows")
        pinger.wait_more(25)
        after = entries(fabric)
        for name, flows in before.items():
            assert steady(after[name]) == steady(flows), name
            assert sum(flow["n_packets"] for flow in after[name]) >= sum(flow["n_packets"] for flow in flows)
            assert min((flow["duration"] for flow in after[name]), default=1) > 0.5, "entries were written anew"
        end_iperf(server, client, f"controller killed and started anew, {openflow}")
        assert report(f"controller killed and started anew with {n_before} entries, {openflow}", pinger) == 0
        # The way back to normal: what was adopted is rerouted like everything else.
        by = way(controller, a, b)
        again = Pinger(a, b)
        again.wait_more()
        fabric.cut(5, by[0])
        again.wait_more()
        report("link cut after the takeover", again)
        assert fabric.openflow_errors() == []


def test_an_orderly_stop_leaves_the_entries():
    with reference() as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.know(b)
        b.know(a)
        wait_for(lambda: are_put(fabric, controller), "the entries of all flows")
        before = entries(fabric, lambda flow: True)
        assert controller.stop() == 0
        assert {name: steady(flows) for name, flows in entries(fabric, lambda flow: True).items()} == \
            {name: steady(flows) for name, flows in before.items()}
        assert a.ping(b, 10) == 10


def pair_of_controllers(fabric):
    key = fabric.folder / "key"
    key.write_text("00112233445566778899aabbccddeeff\n")
    controllers = []
    for number in range(2):
        controllers.append(fabric.controller("--role", "auto", "--controller-id", number + 1, "--key-file", key, "--peer-listen",
                                             f"127.0.0.1:{7000 + number}", "--peers", f"127.0.0.1:{7001 - number}", attach=False))
    fabric.attach(*(controller.target for controller in controllers))
    wait_for(lambda: [controller.state()["role"] for controller in controllers] == ["master", "slave"], "one master and one slave")
    controllers[0].wait_discovered()
    # A switch of OpenFlow 1.0 tells one that stands by nothing: it learns the links when it takes over.
    controllers[1].wait_discovered(links=0 if fabric.openflow == "OpenFlow10" else None)
    return controllers


def roles(controller):
    return {switch["role"] for switch in controller.get("/switches")["switches"]}


@VERSIONS
def test_of_two_controllers_the_second_takes_over(openflow):
    with reference(openflow=openflow) as fabric:
        first, second = pair_of_controllers(fabric)
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.know(b)
        b.know(a)
        if openflow == "OpenFlow13":
            wait_for(lambda: roles(first) == {"master"} and roles(second) == {"slave"}, "the switches to confirm the roles")
            # The slave changes nothing.  (It may have been the master for a moment, before the first was heard.)
            before = second.statistics()["flow_mods"]
            with b.listening(5000):
                a.connect(b, 5000).close()
            assert second.statistics()["flow_mods"] == before
        pinger = Pinger(a, b)
        server, client = start_iperf(fabric, 4)
        pinger.wait_more()
        start = time.monotonic()
        first.stop(signal.SIGKILL)
        wait_for(lambda: second.state()["role"] == "master", "the second to take over")
        elected = time.monotonic() - start
        # A flow that no switch has an entry for.
        with b.listening(5001):
            def connects():
                try:
                    a.connect(b, 5001, timeout=0.3).close()
                    return True
                except OSError:
                    return False
            wait_for(connects, "a new connection")
        print(f"{openflow}: master killed: successor elected after {elected:.2f} s, new connections after {time.monotonic() - start:.2f} s")
        pinger.wait_more()
        end_iperf(server, client, "over the change")
        assert report("over the change", pinger) == 0
        # It reroutes what the first had installed.
        wait_for(lambda: way(second, a, b), "the second to know the flow")
        again = Pinger(a, b)
        again.wait_more()
        fabric.cut(5, way(second, a, b)[0])
        again.wait_more()
        report("link cut under the second", again)
        # The first comes back: it is the lower number, and master again.
        first.start()
        wait_for(lambda: first.state()["role"] == "master" and second.state()["role"] == "slave", "the first to be master again")
        again = Pinger(a, b)
        again.wait_more()
        assert report("after the first came back", again) == 0
        assert fabric.openflow_errors(roles_change=True) == []


def test_controllers_of_another_key_do_not_elect_with_us():
    with Fabric([(1, 2)], {"a": 1, "b": 2}) as fabric:
        first, second = pair_of_controllers(fabric)
        stranger_key = fabric.folder / "stranger"
        stranger_key.write_text("ffeeddccbbaa99887766554433221100\n")
        second.stop()
        stranger = fabric.controller("--role", "auto", "--controller-id", "0", "--key-file", stranger_key, "--peer-listen", "127.0.0.1:7001",
                                     "--peers", "127.0.0.1:7000", attach=False)
        wait_for(lambda: stranger.state()["role"] == "master", "the stranger to think it is alone")
        wait_for(lambda: "under another key" in first.text(), "the first to notice")
        assert first.state()["role"] == "master"


class Recorder:
    """Between a controller and its peer: passes on what the one says, and can play it again."""

    def __init__(self, fabric, port, to_port):
        with fabric.net.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.to, self.recorded = ("127.0.0.1", to_port), []

    def pass_on(self):
        while select.select([self.socket], [], [], 0)[0]:
            datagram = self.socket.recv(4096)
            self.recorded.append(datagram)
            self.socket.sendto(datagram, self.to)
        return True

    def replay(self):
        for datagram in self.recorded:
            self.socket.sendto(datagram, self.to)
        return True


def test_what_a_dead_controller_said_cannot_be_played_again():
    with Fabric([], {"a": 1, "b": 1}) as fabric:
        key = fabric.folder / "key"
        key.write_text("00112233445566778899aabbccddeeff\n")
        options = ("--role", "auto", "--key-file", key)
        first = fabric.controller(*options, "--controller-id", 1, "--peer-listen", "127.0.0.1:7000", "--peers", "127.0.0.1:7100", attach=False)
        recorder = Recorder(fabric, 7100, 7001)
        second = fabric.controller(*options, "--controller-id", 2, "--peer-listen", "127.0.0.1:7001", "--peers", "127.0.0.1:7000",
                                   attach=False)
        wait_for(lambda: recorder.pass_on() and [first.state()["role"], second.state()["role"]] == ["master", "slave"] and recorder.recorded,
                 "one master and one slave")
        for _ in range(20):  # It goes on for a while.
            n = len(recorder.recorded)
            wait_for(lambda: recorder.pass_on() and len(recorder.recorded) > n, "the first to say that it lives")
        first.stop(signal.SIGKILL)
        wait_for(lambda: second.state()["role"] == "master", "the second to take over")
        after = len(second.text())
        uptime = second.state()["uptime_seconds"]
        wait_for(lambda: recorder.replay() and second.state()["uptime_seconds"] > uptime + 1, "recordings to be played for a second")
        assert second.state()["role"] == "master" and "this controller is slave" not in second.text()[after:]
        # Nor to one that was started since.
        second.stop()
        second.start()
        wait_for(lambda: recorder.replay() and second.state()["role"] == "master", "the second to find itself alone")
        # A new life of the first is believed.
        first.start()
        wait_for(lambda: recorder.pass_on() and [first.state()["role"], second.state()["role"]] == ["master", "slave"], "the first to be back")
        recorder.socket.close()


def test_of_two_controllers_with_one_id_none_is_master():
    with Fabric([], {"a": 1, "b": 1}) as fabric:
        key = fabric.folder / "key"
        key.write_text("00112233445566778899aabbccddeeff\n")
        pair = [fabric.controller("--role", "auto", "--controller-id", 5, "--key-file", key, "--peer-listen", f"127.0.0.1:{7000 + number}",
                                  "--peers", f"127.0.0.1:{7001 - number}", attach=False) for number in range(2)]
        wait_for(lambda: all("neither is master" in controller.text() for controller in pair), "both to say so")
        wait_for(lambda: [controller.state()["role"] for controller in pair] == ["slave", "slave"], "both to stand by")
        pair[0].stop()
        wait_for(lambda: pair[1].state()["role"] == "master", "the one that is left")


def test_a_controller_that_was_stopped_hears_first_and_decides_then():
    with Fabric([(1, 2)], {"a": 1, "b": 2}) as fabric:
        first, second = pair_of_controllers(fabric)
        second.process.send_signal(signal.SIGSTOP)
        uptime = first.state()["uptime_seconds"]
        wait_for(lambda: first.state()["uptime_seconds"] > uptime + 3, "the second to be stopped for long")
        second.process.send_signal(signal.SIGCONT)
        uptime = second.state()["uptime_seconds"]
        wait_for(lambda: second.state()["uptime_seconds"] > uptime + 1, "it to go on")
        assert "this controller is master" not in second.text()
        assert second.state()["switches"] == 2 and second.metric("weft_fabric_events_total{event=\"echo_timeout\"") == 0
