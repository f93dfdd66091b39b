"""Packets that real IPVS and weft's director both get, by each way to a server, and what of the outcome may differ, with the reason."""

import socket

from scapy.all import (GRE, ICMP, IP, SCTP, TCP, UDP, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment, Raw,
                       SCTPChunkInit, fragment, fragment6)

from ipvs_cases import DIRECTOR, ROUTER

CLIENTS = {4: "198.51.100.7", 6: "2001:db8:c::7"}

# name: (version of the clients, virtual address, server, its port, options of ipvsadm)
WAYS = {
    "direct 4": (4, "192.0.2.201", "10.1.0.11", 80, "-g"),
    "direct 6": (6, "2001:db8:5::201", "2001:db8:1::11", 80, "-g"),
    "nat 4": (4, "192.0.2.202", "10.1.0.12", 8080, "-m"),
    "nat 6": (6, "2001:db8:5::202", "2001:db8:1::12", 8080, "-m"),
    "ipip 4 in 4": (4, "192.0.2.203", "10.1.0.13", 80, "-i"),
    "ipip 6 in 6": (6, "2001:db8:5::203", "2001:db8:1::13", 80, "-i"),
    "ipip 6 in 4": (6, "2001:db8:5::204", "10.1.0.14", 80, "-i"),
    "ipip 4 in 6": (4, "192.0.2.204", "2001:db8:1::14", 80, "-i"),
    "gue 4 in 4": (4, "192.0.2.205", "10.1.0.15", 80, "-i --tun-type gue --tun-port 6080"),
    "gue 4 in 4, checksum": (4, "192.0.2.206", "10.1.0.15", 80, "-i --tun-type gue --tun-port 6080 --tun-csum"),
    "gue 4 in 4, remote checksum": (4, "192.0.2.207", "10.1.0.15", 80, "-i --tun-type gue --tun-port 6080 --tun-remcsum"),
    "gue 6 in 6, checksum": (6, "2001:db8:5::208", "2001:db8:1::15", 80, "-i --tun-type gue --tun-port 6080 --tun-csum"),
    "gre 4 in 4": (4, "192.0.2.209", "10.1.0.16", 80, "-i --tun-type gre"),
    "gre 4 in 4, checksum": (4, "192.0.2.210", "10.1.0.16", 80, "-i --tun-type gre --tun-csum"),
    "gre 6 in 6": (6, "2001:db8:5::209", "2001:db8:1::16", 80, "-i --tun-type gre"),
    "direct 4, fragments": (4, "192.0.2.211", "10.1.0.11", 80, "-g"),
    "direct 6, fragments": (6, "2001:db8:5::211", "2001:db8:1::11", 80, "-g"),
    "nat 4, fragments": (4, "192.0.2.212", "10.1.0.17", 8080, "-m"),
    "nat 6, fragments": (6, "2001:db8:5::212", "2001:db8:1::17", 8080, "-m"),
    "direct 4 by mark": (4, "192.0.2.213", "10.1.0.13", 80, "-g"),
    "nat 4 by mark": (4, "192.0.2.214", "10.1.0.18", 80, "-m"),
    "nat 6 by mark": (6, "2001:db8:5::214", "2001:db8:1::18", 80, "-m"),
}
MARKS = {name: number for number, name in enumerate((name for name in WAYS if name.endswith(" by mark")), 21)}
SERVICES = {"t": "tcp", "u": "udp", "-sctp-service": "sctp"}


def bracket(address):
    return f"[{address}]" if ":" in address else address


def lines():
    made = []
    for name, (version, virtual, server, port, options) in WAYS.items():
        if name in MARKS:
            which = f"-f {MARKS[name]}" + (" -6" if version == 6 else "")
            made += [f"-A {which} -s rr", f"-a {which} -r {server} {options}"]
            continue
        for letter in SERVICES:
            made += [f"-A -{letter} {bracket(virtual)}:80 -s rr", f"-a -{letter} {bracket(virtual)}:80 -r {bracket(server)}:{port} {options}"]
    return made


def rules():
    """Of nft, for who has a mark."""
    return [f"{'ip6' if WAYS[name][0] == 6 else 'ip'} daddr {WAYS[name][1]} {protocol} dport 80 meta mark set {mark}"
            for name, mark in MARKS.items() for protocol in SERVICES.values()]


def ether(source):
    return Ether(src=source, dst=DIRECTOR)


def ip(version, source, destination, ttl=64, tos=0, flags="DF"):
    if version == 6:
        return IPv6(src=source, dst=destination, hlim=ttl, tc=tos)
    return IP(src=source, dst=destination, ttl=ttl, tos=tos, flags=flags, id=0 if flags else 7)


def unreachable(version, source, destination, quoted, ttl=64):
    """An ICMP error about 'quoted', as its receiver or a router on the way says it."""
    error = ICMP(type=3, code=3) / quoted if version == 4 else ICMPv6DestUnreach(code=4) / quoted
    return ip(version, source, destination, ttl) / error


def in_fragments(source, packet):
    if IPv6 in packet:
        return [ether(source) / one for one in fragment6(packet, 800)]
    return [ether(source) / one for one in fragment(packet, 800)]


def fragments_of(name):
    """{what: frames}: what is too large for a network before the director, and for one before the server."""
    version, virtual, server, port, _ = WAYS[name]
    client = CLIENTS[version]

    def whole(source, destination, layer):
        packet = ip(version, source, destination, flags="") / (IPv6ExtHdrFragment(id=5) if version == 6 else layer)
        return (packet / layer if version == 6 else packet) / Raw(bytes(range(256)) * 7)
    sent = {
        "a datagram": in_fragments(ROUTER, whole(client, virtual, UDP(sport=4003, dport=80))),
        "a SYN": [ether(ROUTER) / ip(version, client, virtual) / TCP(sport=4003, dport=80, flags="S")],
        "data": in_fragments(ROUTER, whole(client, virtual, TCP(sport=4003, dport=80, seq=1, ack=9, flags="PA"))),
    }
    if name.startswith("nat"):
        mac = f"02:00:00:00:01:{server.split(':')[-1].split('.')[-1]}"
        sent |= {
            "an answered datagram": in_fragments(mac, whole(server, client, UDP(sport=port, dport=4003))),
            "answered data": in_fragments(mac, whole(server, client, TCP(sport=port, dport=4003, seq=9, ack=2, flags="PA"))),
        }
    return sent


def frames_of(name):
    """{what: frame}, in the order in which they are sent."""
    version, virtual, server, port, _ = WAYS[name]
    client = CLIENTS[version]
    mac = f"02:00:00:00:01:{server.split(':')[-1].split('.')[-1]}"

    def to(*layers, **more):
        packet = ip(version, client, virtual, **more)
        for layer in layers:
            packet /= layer
        return ether(ROUTER) / packet

    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    frames = {
        "a SYN": to(TCP(sport=4000, dport=80, seq=1, flags="S", options=options)),
        "data": to(TCP(sport=4000, dport=80, seq=2, ack=9, flags="PA"), Raw(bytes(range(101)))),
        "data, DSCP and ECN": to(TCP(sport=4000, dport=80, seq=2, ack=9, flags="PA"), Raw(b"x" * 100), tos=0xb9),
        "data, Congestion Experienced": to(TCP(sport=4000, dport=80, seq=2, ack=9, flags="PA"), Raw(b"x" * 100), tos=3),
        "the last hop but one": to(TCP(sport=4000, dport=80, flags="A"), ttl=2),
        "the last hop": to(TCP(sport=4000, dport=80, flags="A"), ttl=1),
        "full size": to(TCP(sport=4000, dport=80, flags="A"), Raw(b"y" * (1460 if version == 4 else 1440))),
        "a datagram": to(UDP(sport=4000, dport=80), Raw(b"question")),
        "an empty datagram": to(UDP(sport=4001, dport=80)),
        "SCTP": to(SCTP(sport=4000, dport=80, tag=0), SCTPChunkInit(init_tag=7)),
        "the client cannot take an answer": ether(ROUTER) / unreachable(
            version, client, virtual, ip(version, virtual, client, 60) / UDP(sport=80, dport=4000) / Raw(b"answer!!")),
        "a router on the way cannot pass an answer": ether(ROUTER) / unreachable(
            version, "203.0.113.1" if version == 4 else "2001:db8:ffff::1", virtual, ip(version, virtual, client, 60) /
            TCP(sport=80, dport=4000, flags="A") / Raw(b"answer!!")),
        "an echo request": to(ICMP(id=3) / b"ping" if version == 4 else ICMPv6EchoRequest(id=3, data=b"ping")),
        "a port of no service": to(TCP(sport=4000, dport=81, flags="S")),
        "a datagram to a port of no service": to(UDP(sport=4000, dport=81)),
        "no connection's": to(TCP(sport=4444, dport=80, flags="A")),
    }
    if version == 4:
        frames["data without DF"] = to(TCP(sport=4000, dport=80, seq=2, ack=9, flags="PA"), Raw(b"z" * 50), flags="")
        frames["a datagram without checksum"] = to(UDP(sport=4002, dport=80, chksum=0), Raw(b"question"))
        frames["IP options"] = ether(ROUTER) / IP(src=client, dst=virtual, flags="DF", options=[b"\x01\x01\x01\x01"]) / TCP(sport=4000, dport=80, flags="A")
    if name.startswith("nat"):
        def back(*layers, **more):
            packet = ip(version, server, client, **more)
            for layer in layers:
                packet /= layer
            return Ether(src=mac, dst=DIRECTOR) / packet

        frames |= {
            "an answer's SYN": back(TCP(sport=port, dport=4000, seq=8, ack=2, flags="SA", options=options)),
            "answered data": back(TCP(sport=port, dport=4000, seq=9, ack=2, flags="PA"), Raw(bytes(range(100))), tos=0x2e),
            "an answered datagram": back(UDP(sport=port, dport=4000), Raw(b"answer")),
            "answered SCTP": back(SCTP(sport=port, dport=4000, tag=7), SCTPChunkInit(init_tag=8)),
            "an answer's last hop but one": back(TCP(sport=port, dport=4000, flags="A"), ttl=2),
            "an answer's last hop": back(TCP(sport=port, dport=4000, flags="A"), ttl=1),
            "the server cannot take a datagram": Ether(src=mac, dst=DIRECTOR) / unreachable(
                version, server, client, ip(version, client, server, 63) / UDP(sport=4000, dport=port) / Raw(b"question")),
            "a router before the server cannot pass a segment": Ether(src=mac, dst=DIRECTOR) / (
                ip(version, "10.1.0.19" if version == 4 else "2001:db8:1::19", client) /
                (ICMP(type=3, code=4, nexthopmtu=1400) if version == 4 else ICMPv6PacketTooBig(mtu=1400)) /
                ip(version, client, server, 63) / TCP(sport=4000, dport=port, flags="A", seq=2) / Raw(b"y" * 400)),
            "what is no connection's": back(UDP(sport=9, dport=9), Raw(b"from the server")),
            "a reset": back(TCP(sport=port, dport=4000, flags="R")),
        }
        if version == 4:
            frames["an answered datagram without checksum"] = back(UDP(sport=port, dport=4002, chksum=0), Raw(b"answer"))
    return frames


def sent_of(name):
    """{what: frames}"""
    return fragments_of(name) if name.endswith(", fragments") else {what: [frame] for what, frame in frames_of(name).items()}


def exchanges():
    return [[f"{name}: {what}", False, [bytes(frame).hex() for frame in frames]] for name in WAYS for what, frames in sent_of(name).items()]


# ---- comparing ----------------------------------------------------------------------------------------------------------------------

def add(data):
    total = sum(data[i] << 8 | (data[i + 1] if i + 1 < len(data) else 0) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def is_right(header):
    return "right" if add(header) == 0xFFFF else "wrong"


def layers_of(raw):
    """[(layer, {field: value})] from the outside in."""
    found, packet = [], Ether(raw)
    while packet:
        layer = packet.name
        values = {key: value for key, value in packet.fields.items() if key not in ("options", "load")}
        if "options" in packet.fields:
            values["options"] = repr(packet.fields["options"])
        if isinstance(packet, Raw):
            values["load"] = packet.load.hex()
        header = bytes(packet)[:len(packet) - len(packet.payload)] if packet.payload else bytes(packet)
        if isinstance(packet, IP) and layer == "IP":
            values["chksum"] = is_right(header[:packet.ihl * 4])
        following = packet.payload
        if isinstance(packet, UDP) and packet.dport == 6080 and isinstance(following, Raw):
            if packet.chksum:
                values["chksum"] = is_right(pseudo_header(found[-1][1], packet.len) + bytes(packet))
            load = following.load
            size = 4 + 4 * (load[0] & 31)
            found += [(layer, values), ("GUE", {"header": load[:size].hex()})]
            packet = (IPv6 if load[1] == 41 else IP)(load[size:])
            continue
        if isinstance(packet, GRE) and packet.chksum_present:
            values["chksum"] = is_right(bytes(packet))
        found.append((layer, values))
        packet = following
    return found


def pseudo_header(outer, length):
    family = socket.AF_INET6 if ":" in outer["dst"] else socket.AF_INET
    return socket.inet_pton(family, outer["src"]) + socket.inet_pton(family, outer["dst"]) + length.to_bytes(4, "big") + (17).to_bytes(4, "big")


def fields_of(frames):
    """{"how many frames": n, "layer.field": value}: with a number before the layer where there are several, from the outside in."""
    fields = {"frames": len(frames)}
    for number, frame in enumerate(frames):
        seen = {}
        for layer, values in layers_of(bytes.fromhex(frame)):
            seen[layer] = seen.get(layer, 0) + 1
            place = ("" if len(frames) == 1 else f"{number}:") + layer + (str(seen[layer]) if seen[layer] > 1 else "")
            fields[place] = "there"
            fields.update({f"{place}.{key}": value for key, value in values.items()})
    return fields


def differences(ours, real):
    """{field: (ours, IPVS's)}"""
    a, b = fields_of(ours), fields_of(real)
    return {key: (a.get(key), b.get(key)) for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


# (cases, fields, why they may differ): regular expressions of whole names.
DIFFERENCES = [
    (r".*(an echo request|a port of no service|a datagram to a port of no service)", r"IP\.id|IPv6\.fl", "both are the host's own answers, and random"),
    (r".*(without DF|4 in 4.*: an? .*)", r"IP\.id", "without DF it is random"),
    (r".* in 6.*", r"IPv6\.fl", "flows through a tunnel differ, for who spreads them over paths (RFC 6438)"),
    (r"gue.*", r"UDP\.sport", "made of the flow by both, by another hash"),
    (r".* in .*: data, Congestion Experienced", r"IP\.tos|IPv6\.tc", "goes outward as it is (RFC 6040, 4.1); IPVS resets it to ECT(0) (RFC 3168)"),
    (r"ipip 6 in 4: .*", r"IP\.flags|IP\.id", "IPv6 is never fragmented on the way: the tunnel has DF"),
    (r"g.e.* checksum: (SCTP|the client cannot .*|a router on .*|a datagram without checksum)", r"(UDP|GRE)\.(chksum|chksum_present|offset)|IP\.len",
     "what has no Internet checksum of its own is not read for one outside"),
    (r"gue.*remote checksum: .*", r"GUE\.header|TCP\.chksum|UDP2\.chksum|(IP|UDP)\.len|ICMP\.nexthopmtu", "IPVS does so with what its own machine sends only"),
    (r".*the last hop", r"(IP|IPv6)\.(id|fl|len|plen)|ICMP.*\.(chk|ck)sum|TCP in ICMP\..*", "the header and 8 bytes are quoted (RFC 792), IPVS quotes more"),
    (r".*: full size", r"(IP|IPv6)\.(id|fl|len|plen)|ICMP.*\.(chk|ck)sum|Raw\.load", "less is quoted"),
    (r".*6.*: (the last hop|full size)", r"IPv6\.src", "errors come from the virtual address, IPVS's IPv6 ones from the host's own"),
    (r".*no connection's", r".*", "dropped (no_connection): the director may have no such address; IPVS leaves it to the host, which resets"),
    (r"nat.*: an answer's last hop", r".*", "dropped (ttl_exceeded): the server is not told"),
    (r"nat.*: (the client|a router|the server) .*", r"(UDP|TCP) in ICMP\.chksum|ICMP.*\.(chk|ck)sum",
     "the quoted checksum is translated with the quoted addresses, which IPVS leaves wrong"),
    (r".* 6, fragments: .*", r"\d:IPv6 Extension Header - Fragmentation header\.id", "each as it came; IPVS puts them together and cuts the packet anew"),
    (r"nat 4.*: an? .*datagram without checksum", r"UDP\.chksum", "stays without, IPVS gives it one"),
]
