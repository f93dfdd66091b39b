"""Switches of OpenFlow 1.3 (and hosts behind them) that exist in this process only, for weft-fabric to control, and weft-fabric itself.

    network = Network({0xe1: 3, 0xe2: 3}, [((0xe1, 1), (0xe2, 1))])     two switches of three ports, and a cable
    network.connect("127.0.0.1:6653")
    network.say((0xe1, 3), arp("02:00:00:00:00:01", "10.0.0.1"))         a host behind port 3 of 0xe1 speaks

A switch forwards nothing by itself: what comes in goes to the controller, and what the controller sends out of a port arrives at the
other end of its cable.  That is all that discovery needs.  Message layouts: OpenFlow 1.3.5, 7.1 to 7.4."""

import ipaddress
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("WEFT_BUILD", "build/release")

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
GET_CONFIG_REQUEST, GET_CONFIG_REPLY, PACKET_IN, PACKET_OUT, FLOW_MOD = 7, 8, 10, 13, 14
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, ROLE_REQUEST, ROLE_REPLY = 18, 19, 20, 21, 24, 25
DESCRIPTION, PORT_DESCRIPTION = 0, 13
NO_BUFFER = 0xffffffff


def wait_until(condition, what, timeout=60):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout} s: {what}")


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def arp(mac, address, vlan=None):
    """A gratuitous ARP announcement (RFC 5227, 3)."""
    ip = ipaddress.ip_address(address).packed
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return (b"\xff" * 6 + mac_bytes(mac) + tag + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
            + mac_bytes(mac) + ip + b"\0" * 6 + ip)


def udp(source, destination, sport, dport):
    """From (MAC, IPv4 address) to another.  Checksums are 0: nobody here looks."""
    payload = struct.pack("!HHHH", sport, dport, 12, 0) + b"weft"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0, ipaddress.ip_address(source[1]).packed,
                         ipaddress.ip_address(destination[1]).packed)
    return mac_bytes(destination[0]) + mac_bytes(source[0]) + b"\x08\x00" + header + payload


class Switch:
    def __init__(self, network, dpid, ports, hardware=b"Emulated switch", names=None):
        self.network, self.dpid, self.ports, self.hardware, self.names = network, dpid, ports, hardware, names or {}
        self.socket, self.input, self.xid = None, b"", 1
        self.flow_mods = []
        self.lock = threading.Lock()

    def connect(self, address):
        host, _, port = address.rpartition(":")
        self.input = b""
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.send(HELLO, b"", 1)

    def disconnect(self):
        self.network.forget(self)

    def send(self, kind, body, xid=None):
        with self.lock:
            if xid is None:
                self.xid += 1
                xid = self.xid
            try:
                self.socket.sendall(struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body)
            except OSError:
                pass  # The controller has gone; the reader notices.

    def packet_in(self, port, frame):
        match = struct.pack("!HHII", 1, 12, 0x80000004, port) + b"\0" * 4
        self.send(PACKET_IN, struct.pack("!IHBBQ", NO_BUFFER, len(frame), 0, 0, 0) + match + b"\0\0" + frame)

    def receive(self, data):
        self.input += data
        while len(self.input) >= 8:
            _, kind, length, xid = struct.unpack_from("!BBHI", self.input)
            if len(self.input) < length:
                break
            self.take(kind, xid, self.input[8:length])
            self.input = self.input[length:]

    def take(self, kind, xid, body):
        if kind == ECHO_REQUEST:
            self.send(ECHO_REPLY, body, xid)
        elif kind == FEATURES_REQUEST:
            self.send(FEATURES_REPLY, struct.pack("!QIBBHII", self.dpid, 0, 254, 0, 0, 0x4f, 0), xid)
        elif kind == GET_CONFIG_REQUEST:
            self.send(GET_CONFIG_REPLY, struct.pack("!HH", 0, 0xffff), xid)
        elif kind == BARRIER_REQUEST:
            self.send(BARRIER_REPLY, b"", xid)
        elif kind == ROLE_REQUEST:
            self.send(ROLE_REPLY, body, xid)
        elif kind == MULTIPART_REQUEST:
            self.multipart(struct.unpack_from("!H", body)[0], xid)
        elif kind == FLOW_MOD:
            self.flow_mods.append(body)
        elif kind == PACKET_OUT:
            self.packet_out(body)

    def multipart(self, kind, xid):
        answer = b""
        if kind == DESCRIPTION:
            answer = struct.pack("!256s256s256s32s256s", b"weft", self.hardware, b"1.0", b"1", b"")
        elif kind == PORT_DESCRIPTION:
            for port in self.ports:
                mac = bytes([2, 0xff]) + struct.pack("!HH", self.dpid & 0xffff, port)
                name = self.names.get(port, f"p{port}".encode())
                answer += struct.pack("!I4x6s2x16sIIIIIIII", port, mac, name, 0, 4, 0, 0, 0, 0, 1000000, 1000000)
        self.send(MULTIPART_REPLY, struct.pack("!HH4x", kind, 0) + answer, xid)

    def packet_out(self, body):
        _, _, length = struct.unpack_from("!IIH", body)
        actions, frame = body[16:16 + length], body[16 + length:]
        while actions:
            kind, size = struct.unpack_from("!HH", actions)
            if kind == 0:
                self.network.deliver((self.dpid, struct.unpack_from("!I", actions, 4)[0]), frame)
            actions = actions[size:]


class Network:
    """One thread reads for all switches."""

    def __init__(self, switches, links=(), **options):
        self.switches = {dpid: Switch(self, dpid, range(1, n + 1), **options) for dpid, n in switches.items()}
        self.links = {}
        for a, b in links:
            self.links[a], self.links[b] = b, a
        self.heard = {}  # What left by a port that has no cable.
        self.selector = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.is_ending = False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def connect(self, address):
        for switch in self.switches.values():
            self.connect_one(switch, address)
        return self

    def connect_one(self, switch, address):
        switch.connect(address)
        self.selector.register(switch.socket, selectors.EVENT_READ, switch)
        self.waker.send(b"x")

    def forget(self, switch):
        sock, switch.socket = switch.socket, None
        if sock:
            self.selector.unregister(sock)
            sock.close()

    def loop(self):
        while not self.is_ending:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.wake.recv(100)
                    continue
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if data:
                    key.data.receive(data)
                elif key.data.socket is key.fileobj:
                    self.forget(key.data)

    def deliver(self, place, frame):
        other = self.links.get(place)
        if other is None:
            self.heard.setdefault(place, []).append(frame)
        elif self.switches[other[0]].socket:
            self.switches[other[0]].packet_in(other[1], frame)

    def say(self, place, frame):
        self.switches[place[0]].packet_in(place[1], frame)

    def close(self):
        self.is_ending = True
        self.waker.send(b"x")
        self.thread.join(10)
        for switch in self.switches.values():
            if switch.socket:
                switch.socket.close()
        self.selector.close()
        self.wake.close()
        self.waker.close()


class Fabric:
    """weft-fabric on free loopback ports."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.process, self.token = pathlib.Path(folder), options, None, None
        self.networks = []

    def start(self):
        log = self.folder / "fabric.log"
        self.start_of_log = log.stat().st_size if log.exists() else 0
        with open(log, "a") as out:
            self.process = subprocess.Popen(
                [BUILD / "src/controller/weft-fabric", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                 "--settle-ms", "100", "--link-probe-ms", "50", "--link-dead-ms", "2000", *map(str, self.options)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.url = self.found(r"status at (https?://\S+)/fabric/v1")
        self.address = self.found(r"switches at (\S+:\d+)")
        return self

    def log(self):
        return (self.folder / "fabric.log").read_text()

    def found(self, pattern):
        def look():
            assert self.process.poll() is None, self.log()
            match = re.search(pattern, self.log()[self.start_of_log:])
            return match and match[1]
        return wait_until(look, pattern)

    def stop(self):
        for network in self.networks:
            network.close()
        self.networks = []
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(60) == 0, self.log()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("weft-fabric did not end on SIGTERM")
        assert "Sanitizer" not in self.log() and "runtime error" not in self.log(), self.log()

    def network(self, switches, links=(), **options):
        """Connects switches and waits until they and their links are known."""
        network = Network(switches, links, **options).connect(self.address)
        self.networks.append(network)
        self.wait_for(switches=len(network.switches), links=len(network.links) // 2)
        return network

    def host(self, network, place, mac, address, vlan=None):
        """A host speaks until it is known: its port may be settling yet."""
        def known():
            network.say(place, arp(mac, address, vlan))
            return any(address in host["addresses"] for host in self.get(f"hosts?mac={mac}")["hosts"])
        wait_until(known, f"host {mac} is known")

    def wait_for(self, **counts):
        def reached():
            fabric = self.get("")["fabric"]
            return all(fabric[key] == value for key, value in counts.items())
        wait_until(reached, f"there are {counts}")

    def ask(self, method, path, body=None, headers=None, raw=None):
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        path = path if path.startswith("/") else f"/fabric/v1/{path}".rstrip("/")
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        return requests.request(method, self.url + path, data=data, headers=headers, timeout=60)

    def get(self, path):
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method, path, body=None, **options):
        """(status, type, message) of an answer that must be an error."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        return answer.status_code, error["type"], error["message"]


# The reference topology: two paths from 0xe5 to 0xe4, and hosts at both.
REFERENCE = {0xe1: 4, 0xe2: 4, 0xe3: 4, 0xe4: 4, 0xe5: 4}
REFERENCE_LINKS = [((0xe5, 1), (0xe3, 1)), ((0xe3, 4), (0xe4, 1)), ((0xe5, 2), (0xe2, 1)), ((0xe2, 2), (0xe4, 2)),
                   ((0xe1, 1), (0xe2, 3)), ((0xe1, 2), (0xe3, 2))]
