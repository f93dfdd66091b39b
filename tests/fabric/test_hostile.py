"""Switches and hosts that lie, flood, stall or come again and again: each is named in the log and counted, and the others do not notice."""

import contextlib
import socket
import struct

import pytest
import scapy.all as scapy

from fabric import Fabric, Pinger, reference
from namespaces import wait_for

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY, PACKET_IN, PORT_STATUS = 0, 1, 2, 3, 5, 6, 10, 12
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, ROLE_REQUEST, ROLE_REPLY = 18, 19, 20, 21, 24, 25


def message(kind, body=b"", xid=1, version=4, length=None):
    return struct.pack("!BBHI", version, kind, 8 + len(body) if length is None else length, xid) + body


class Liar:
    """A switch of OpenFlow 1.3 written by hand, straight from the specification's structures."""

    def __init__(self, fabric, datapath_id, n_ports=2):
        self.datapath_id, self.n_ports, self.left = datapath_id, n_ports, b""
        with fabric.net.inside():
            self.socket = socket.create_connection(("198.18.0.1", 6653), 10)

    def close(self):
        self.socket.close()

    def say(self, *arguments, **options):
        self.socket.sendall(message(*arguments, **options))

    def raw(self, data):
        self.socket.sendall(data)

    def read(self):
        """(kind, xid, body), or None at the end."""
        while len(self.left) < 8 or len(self.left) < struct.unpack("!H", self.left[2:4])[0]:
            with contextlib.suppress(ConnectionError):
                data = self.socket.recv(65536)
                if data:
                    self.left += data
                    continue
            return None
        _, kind, length, xid = struct.unpack("!BBHI", self.left[:8])
        body, self.left = self.left[8:length], self.left[length:]
        return kind, xid, body

    def port(self, number, state=0):
        return struct.pack("!I4x6s2x16sIIIIIIII", number, bytes([2, 0xee, 0, 0, number >> 8 & 255, number & 255]), f"p{number}".encode(), 0, state, 0,
                           0, 0, 0, 0, 0)

    def answer(self, kind, xid, body):
        if kind == FEATURES_REQUEST:
            self.say(FEATURES_REPLY, struct.pack("!QIBB2xII", self.datapath_id, 0, 1, 0, 0, 0), xid)
        elif kind == MULTIPART_REQUEST:
            kind_of = struct.unpack("!H", body[:2])[0]
            reply = b"".join(self.port(n + 1) for n in range(self.n_ports)) if kind_of == 13 else b"\0" * 1056 if kind_of == 0 else b""
            self.say(MULTIPART_REPLY, struct.pack("!HH4x", kind_of, 0) + reply, xid)
        elif kind == ECHO_REQUEST:
            self.say(ECHO_REPLY, body, xid)
        elif kind == BARRIER_REQUEST:
            self.say(BARRIER_REPLY, b"", xid)
        return kind

    def shake_hands(self):
        """Until it has told its description, with which it is a switch."""
        self.say(HELLO)
        while True:
            kind, xid, body = self.read() or pytest.fail("turned away")
            self.answer(kind, xid, body)
            if kind == MULTIPART_REQUEST and struct.unpack("!H", body[:2])[0] == 0:
                return self

    def serve_until(self, condition):
        """Answers like a switch until the condition is true."""
        self.socket.settimeout(0.05)
        def step():
            with contextlib.suppress(TimeoutError):
                got = self.read()
                if got:
                    self.answer(*got)
            return condition()
        wait_for(step, "the controller to react", interval=0)

    def is_ended(self):
        """Reads until the controller closed the connection."""
        self.socket.settimeout(60)
        while self.read():
            pass
        return True


@pytest.fixture(scope="module", params=["OpenFlow10", "OpenFlow13"])
def network(request):
    """A fabric with traffic over it that must not notice anything."""
    with reference(openflow=request.param) as fabric:
        fabric.controller("--hash-seed", "1", "--max-switches", "12", "--max-ports", "100")
        fabric.controllers[0].wait_discovered()
        fabric.hosts["a"].wait_ping(fabric.hosts["b"])
        yield fabric


@pytest.fixture
def quiet(network):
    """Fails the test if a switch, a link or an echo was lost under it."""
    controller = network.controllers[0]
    before = controller.statistics()["events"]
    pinger = Pinger(network.hosts["a"], network.hosts["b"])
    pinger.wait_more(3)
    yield network
    pinger.wait_more(3)
    sent, received, row = pinger.stop()
    after = controller.statistics()["events"]
    assert row == 0, f"{row} of {sent} echoes lost"
    assert after["link_down"] == before["link_down"], controller.text()[-2000:]
    controller.wait_discovered()
    # New flows are served as well.
    assert network.hosts["b"].ping(network.hosts["a"], 2) == 2


def happened(fabric, event):
    return fabric.controllers[0].statistics()["events"][event]


def wait_event(fabric, event, count):
    wait_for(lambda: happened(fabric, event) >= count, f"{event} to be counted")


def is_known(fabric, liar):
    return f"0x{liar.datapath_id:016x}" in [switch["id"] for switch in fabric.controllers[0].get("/switches")["switches"]]


GARBAGE = {
    "noise": bytes(range(256)) * 16,
    "length below a header": message(HELLO, length=4),
    "length zero": message(HELLO, length=0),
    "a hello whose element is too long": message(HELLO, struct.pack("!HHI", 1, 4000, 0x12)),
    "an error instead of a hello": message(ERROR, struct.pack("!HH", 0, 0) + b"no"),
    "short features": message(HELLO) + message(FEATURES_REPLY, b"\0" * 3),
    "an auxiliary connection": message(HELLO) + message(FEATURES_REPLY, struct.pack("!QIBB2xII", 0x99, 0, 1, 7, 0, 0)),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_handshake_is_ended(quiet, what):
    before = happened(quiet, "handshake_failed")
    liar = Liar(quiet, 0x99)
    liar.raw(GARBAGE[what])
    assert liar.is_ended()
    wait_event(quiet, "handshake_failed", before + 1)
    liar.close()


STALLING = {
    "nothing": b"",
    "half a message": message(HELLO) + message(FEATURES_REPLY, b"\0" * 20, length=65535),
    "http, which looks like a long message": b"GET / HTTP/1.1\r\nHost: switch\r\n\r\n",
    "a version to come, and then nothing": message(HELLO, version=99),
    "a version between those offered": message(HELLO, version=2),
}


def test_a_handshake_that_does_not_go_on_is_ended_in_time(quiet):
    before = happened(quiet, "handshake_failed")
    liars = [Liar(quiet, 0x99) for _ in STALLING]
    for liar, said in zip(liars, STALLING.values()):
        liar.raw(said)
    for liar in liars:
        assert liar.is_ended()
        liar.close()
    wait_event(quiet, "handshake_failed", before + len(STALLING))


def test_truncated_messages_of_a_switch_are_answered_with_errors_and_then_ended(quiet):
    before = happened(quiet, "message_malformed")
    liar = Liar(quiet, 0x99).shake_hands()
    for kind in (PACKET_IN, PORT_STATUS, MULTIPART_REPLY, ROLE_REPLY) * 100:
        with contextlib.suppress(ConnectionError):
            liar.say(kind, b"\xff" * 5)
    assert liar.is_ended()
    wait_event(quiet, "message_malformed", before + 1)
    liar.close()


def test_a_second_switch_with_an_id_in_use_is_turned_away(quiet):
    before = happened(quiet, "switch_duplicate")
    liar = Liar(quiet, 0xe3).shake_hands()
    # It is not believed meanwhile: its ports are none of the switch's.
    liar.say(PORT_STATUS, struct.pack("!B7x", 1) + liar.port(1))
    assert liar.is_ended()
    wait_event(quiet, "switch_duplicate", before + 1)
    ports = quiet.controllers[0].get("/switches/0xe3")["switch"]["ports"]
    assert {port["name"] for port in ports} == set(quiet.switches[3].ports)
    liar.close()


def test_one_that_reconnects_in_a_loop_waits(quiet):
    before = happened(quiet, "switch_flapping")
    for _ in range(8):
        liar = Liar(quiet, 0x97).shake_hands()
        wait_for(lambda: is_known(quiet, liar), "the controller to know it")
        liar.close()
    wait_event(quiet, "switch_flapping", before + 1)


def test_lies_about_ports_packets_and_links_are_counted(quiet):
    unknown, limit = happened(quiet, "port_unknown"), happened(quiet, "port_limit")
    malformed = quiet.controllers[0].statistics()["drops"]["malformed"]
    liar = Liar(quiet, 0x96).shake_hands()
    liar.say(PACKET_IN, packet_in(77, question("02:ee:00:00:00:01", "10.0.0.66", "10.0.0.1")))
    liar.say(PACKET_IN, packet_in(1, b"short"))
    for number in range(3, 300):
        liar.say(PORT_STATUS, struct.pack("!B7x", 0) + liar.port(number))
    liar.serve_until(lambda: happened(quiet, "port_limit") > limit and happened(quiet, "port_unknown") > unknown)
    assert quiet.controllers[0].statistics()["drops"]["malformed"] > malformed
    switch = quiet.controllers[0].get("/switches/0x96")["switch"]
    assert switch["n_ports"] == 100
    assert quiet.controllers[0].state()["links"] == len(quiet.links)
    liar.close()


def packet_in(port, frame):
    match = struct.pack("!HHHHI4x", 1, 12, 0x8000, 4, port)  # OXM in_port.
    return struct.pack("!IHBBQ", 0xffffffff, len(frame), 0, 0, 0) + match + b"\0\0" + frame


def question(source_mac, source, target):
    return bytes(scapy.Ether(src=source_mac, dst="ff:ff:ff:ff:ff:ff") / scapy.ARP(hwsrc=source_mac, psrc=source, pdst=target))


def test_one_that_sends_and_never_reads_is_given_up(quiet):
    """What it sends asks for answers, some ten megabytes of them."""
    controller = quiet.controllers[0]
    before = happened(quiet, "echo_timeout") + happened(quiet, "output_overflow")
    liar = Liar(quiet, 0x95).shake_hands()
    liar.serve_until(lambda: is_known(quiet, liar))
    liar.serve_until(lambda: "host" in [port["kind"] for port in controller.get("/switches/0x95")["switch"]["ports"]])
    burst = (message(PACKET_IN, packet_in(1, question("02:ee:00:00:00:01", "10.0.9.1", quiet.hosts["a"].address))) +
             message(ECHO_REQUEST, b"\0" * 1000)) * 200
    liar.socket.settimeout(1)
    for _ in range(50):
        try:
            liar.socket.sendall(burst)
        except (TimeoutError, ConnectionError):
            break
    memory = controller.memory_kb()
    print(f"{memory} kB of memory after the flood")
    assert memory < 100_000
    wait_for(lambda: happened(quiet, "echo_timeout") + happened(quiet, "output_overflow") > before, "it to be given up")
    liar.close()


def test_a_host_that_forges_discovery_makes_no_link(quiet):
    controller, a, b = quiet.controllers[0], quiet.hosts["a"], quiet.hosts["b"]
    tlv = lambda kind, value: struct.pack("!H", kind << 9 | len(value)) + value
    head = bytes.fromhex("0180c200000e" "020000000001" "88cc") + tlv(1, b"\x07dpid:00000000000000e3") + tlv(2, b"\x071") + tlv(3, b"\0\x78")
    own = bytes.fromhex("02776601") + struct.pack("!QQIQ", 1, 0xe3, 1, 1 << 60) + b"mac of 8"  # Whose key nobody has.
    before = happened(quiet, "lldp_forged")
    a.send_frame(head + tlv(127, own) + tlv(0, b""))
    wait_event(quiet, "lldp_forged", before + 1)
    a.send_frame(head + tlv(127, own[:9]) + tlv(0, b""))
    wait_event(quiet, "lldp_forged", before + 2)
    # A genuine one that was heard at one port and is sent into another.
    before = happened(quiet, "lldp_on_host_port")
    with a.namespace.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88cc)) as receiver:
        receiver.bind(("eth0", 0x88cc))
        receiver.settimeout(60)
        genuine = receiver.recv(2000)
    b.send_frame(genuine)
    wait_event(quiet, "lldp_on_host_port", before + 1)
    assert controller.state()["links"] == len(quiet.links)
    for name, number in (("e5-a", 5), ("e4-b", 4)):
        kinds = {port["name"]: port["kind"] for port in controller.get(f"/switches/0xe{number}")["switch"]["ports"]}
        assert kinds[name] == "host"


def test_a_host_that_takes_anothers_mac_does_not_get_its_traffic(quiet):
    controller, a, b = quiet.controllers[0], quiet.hosts["a"], quiet.hosts["b"]
    frame = scapy.Ether(src=b.mac, dst="ff:ff:ff:ff:ff:ff") / scapy.ARP(hwsrc=b.mac, psrc=b.address, pdst="10.0.0.77")
    before = controller.statistics()["drops"]["host_refused"]
    a.send_frame(bytes(frame))
    wait_for(lambda: controller.statistics()["drops"]["host_refused"] > before, "the claim to be counted")
    assert a.ping(b, 20) == 20
    known = {host["mac"]: host["at"]["switch"] for host in controller.get("/hosts")["hosts"]}
    assert known[b.mac] == b.switch.text


def test_more_switches_than_allowed_are_turned_away(quiet):
    before = happened(quiet, "switch_limit")
    liars = []
    for number in range(12):
        liars.append(Liar(quiet, 0x80 + number).shake_hands())
    assert liars[-1].is_ended()
    wait_event(quiet, "switch_limit", before + 1)
    for liar in liars:
        liar.close()
    known = [switch["id"] for switch in quiet.controllers[0].get("/switches")["switches"]]
    assert len(known) == 12 and {switch.text for switch in quiet.switches.values()} <= set(known)
