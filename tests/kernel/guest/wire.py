"""A director on a wire whose other end is ours, frame by frame:

    namespace NAME-wire             namespace NAME
    'wire' (a packet socket) ------ eth0  10.1.0.2/24, 2001:db8:1::2/64, MAC 02:00:00:00:00:02
                                    virtual addresses: 192.0.2.0/24, 2001:db8:5::/64
                                    servers 10.1.0.N, 2001:db8:1::N (N in hexadecimal digits that are decimal) at MAC 02:00:00:00:01:N
                                    all else by the router 10.1.0.1, 2001:db8:1::1 at MAC 02:00:00:00:00:01

The same for real IPVS in the second kernel and for weft's director here.  Standard library only."""

import ctypes
import fcntl
import socket
import struct
import time

from namespaces import Namespace

DIRECTOR, ROUTER = "020000000002", "020000000001"
SERVERS = range(11, 20)
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
SETTINGS = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv4/conf/all/rp_filter": 0, "ipv4/conf/default/rp_filter": 0, "ipv4/icmp_ratelimit": 0,
            "ipv6/icmp/ratelimit": 0, "ipv6/conf/default/accept_dad": 0, "ipv6/conf/default/router_solicitations": 0, "ipv4/conf/all/send_redirects": 0,
            "ipv4/conf/default/send_redirects": 0}
PACKET_OUTGOING = 4
ICMPV6_HOUSEKEEPING = {130, 131, 132, 133, 134, 135, 136, 143}


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ping(number):
    """An echo request from the router to the director itself: its answer comes after all that came of what was sent before."""
    icmp = struct.pack("!BBHHI", 8, 0, 0, 0x7766, number) + bytes(2)
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, bytes([10, 1, 0, 1]), bytes([10, 1, 0, 2]))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return bytes.fromhex(DIRECTOR + ROUTER + "0800") + ip + icmp


def is_answer(frame, number):
    return frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0 and frame[38:44] == struct.pack("!HI", 0x7766, number)


def is_housekeeping(frame):
    """What a host says by itself: ARP, neighbor discovery, multicast membership."""
    if frame[12:14] == b"\x86\xdd":
        return frame[20] == 0 or (frame[20] == 58 and frame[54] in ICMPV6_HOUSEKEEPING)
    return frame[12:14] != b"\x08\x00"


class Wire:
    def __init__(self, name, receiver_is_ready=lambda namespace, interface: None):
        """'receiver_is_ready' makes the wire's end take what an XDP program sends (xdp_peer.py), where there is one."""
        self.namespaces, self.number, self.socket = [], 0, None
        try:
            self._build(name, receiver_is_ready)
        except BaseException:
            self.close()
            raise

    def _build(self, name, receiver_is_ready):
        self.director = self._namespace(name)
        end = self._namespace(f"{name}-wire")
        with self.director.inside():
            for key, value in SETTINGS.items():
                with open(f"/proc/sys/net/{key}", "w") as setting:
                    setting.write(str(value))
        with end.inside(), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as setting:
            setting.write("1")
        end.ip("link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", name)
        self.director.ip("link", "set", "eth0", "address", mac(DIRECTOR), "up")
        end.ip("link", "set", "wire", "up")
        lines = ["address add 10.1.0.2/24 dev eth0", "address add 2001:db8:1::2/64 dev eth0 nodad", "route add local 192.0.2.0/24 dev lo",
                 "-6 route add local 2001:db8:5::/64 dev lo", "route add default via 10.1.0.1 dev eth0", "-6 route add default via 2001:db8:1::1 dev eth0"]
        for number, address in [(1, ROUTER), *((number, f"0200000001{number}") for number in SERVERS)]:
            lines += [f"neighbor replace {prefix}{number} lladdr {mac(address)} dev eth0 nud permanent" for prefix in ("10.1.0.", "2001:db8:1::")]
        for line in lines:
            self.director.ip(*line.split())
        with self.director.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            wanted = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))  # Checksums are computed, as on a wire.
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", b"eth0", ctypes.addressof(wanted)))
        receiver_is_ready(end.name, "wire")
        with end.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
        self.socket.bind(("wire", 0))

    def _namespace(self, name):
        self.namespaces.append(Namespace(name))
        return self.namespaces[-1]

    def close(self):
        if self.socket:
            self.socket.close()
        for namespace in self.namespaces:
            namespace.delete()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def exchange(self, frames, deadline_s=60):
        """Sends the frames and returns those that came of them, in order."""
        for frame in frames:
            self.socket.send(frame)
        self.number += 1
        self.socket.send(ping(self.number))
        came, end = [], time.monotonic() + deadline_s
        while True:
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            frame, where = self.socket.recvfrom(4096)
            if where[2] == PACKET_OUTGOING or is_housekeeping(frame):
                continue
            if is_answer(frame, self.number):
                return came
            came.append(frame)


def mac(text):
    return ":".join(text[i:i + 2] for i in range(0, 12, 2))


def server_of(frame):
    """[the client's port, the number of the server] of a frame without IP options that goes to a server, as its MAC says; None of others."""
    return [int.from_bytes(frame[34:36], "big"), int(f"{frame[5]:x}")] if frame[:5] == bytes.fromhex("0200000001") else None


def exchange_all(wire, exchanges):
    """{name: what came} of [[name, whether only servers are asked for, frames in hexadecimal]]."""
    answers = {}
    for name, is_brief, frames in exchanges:
        came = wire.exchange([bytes.fromhex(frame) for frame in frames])
        answers[name] = [one for one in map(server_of, came) if one] if is_brief else [frame.hex() for frame in came]
    return answers
