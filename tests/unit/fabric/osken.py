"""Between the JSON of openflow-messages and the objects of os-ken's parsers, an independent implementation of OpenFlow."""

import base64
import ipaddress
import struct

from os_ken.ofproto import (ofproto_parser, ofproto_protocol, ofproto_v1_0, ofproto_v1_0_parser, ofproto_v1_3,
                            ofproto_v1_3_parser)
from os_ken.lib import addrconv

VERSIONS = {"1.0": 1, "1.3": 4}
PROTO = {"1.0": ofproto_v1_0, "1.3": ofproto_v1_3}
PARSER = {"1.0": ofproto_v1_0_parser, "1.3": ofproto_v1_3_parser}
DATAPATH = {name: ofproto_protocol.ProtocolDesc(version=number) for name, number in VERSIONS.items()}


def decode(version, wire):
    """By os-ken's parser, without the wrapper around it that logs and swallows what goes wrong."""
    length, xid = struct.unpack_from("!HI", wire, 2)
    got = ofproto_parser._MSG_PARSERS[VERSIONS[version]](DATAPATH[version], wire[0], wire[1], length, xid, wire)
    assert got is not None
    return got


def encode(message, xid):
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def port16(port):
    return port & 0xffff


# ---- matches

def _address(text, mask, family):
    """A field as os-ken has it: the value, or value and mask."""
    size, cls = (4, ipaddress.IPv4Address) if family == 4 else (16, ipaddress.IPv6Address)
    mask = bytes.fromhex(mask)[16 - size:]
    packed = ipaddress.ip_address(text).packed
    if size == 16 and len(packed) == 4:
        packed = bytes(10) + b"\xff\xff" + packed
    value = str(cls(packed))
    return value if mask == b"\xff" * size else (value, str(cls(mask)))


def _masked(match, name, full):
    return match[name] if match[f"{name}_mask"] == full else (match[name], match[f"{name}_mask"])


OTHERS = {
    "00010004": lambda payload: ("reg0", int.from_bytes(payload, "big")),
    "80003006": lambda payload: ("arp_sha", addrconv.mac.bin_to_text(payload)),
    "80003908": lambda payload: ("ipv6_flabel", (int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:], "big"))),
}


def fields13(match):
    """The fields by os-ken's names and in its forms."""
    out = {name: match[name] for name in ("in_port", "in_phy_port", "eth_type", "vlan_pcp", "ip_dscp", "ip_ecn", "ip_proto", "arp_op",
                                          "mpls_label") if name in match}
    for name in ("metadata", "tunnel_id"):
        if name in match:
            out[name] = _masked(match, name, 2**64 - 1)
    for name in ("eth_dst", "eth_src"):
        if name in match:
            out[name] = _masked(match, name, "ff:ff:ff:ff:ff:ff")
    if "vlan_vid" in match:
        out["vlan_vid"] = 0 if match["vlan_vid"] == 0xffff else 0x1000 | match["vlan_vid"]
    family = 6 if match.get("eth_type") == 0x86dd else 4
    names = {0x0800: ("ipv4_src", "ipv4_dst"), 0x86dd: ("ipv6_src", "ipv6_dst"), 0x0806: ("arp_spa", "arp_tpa")}
    for ours, theirs in zip(("ip_src", "ip_dst"), names.get(match.get("eth_type"), ())):
        if ours in match:
            out[theirs] = _address(match[ours], match[f"{ours}_mask"], family)
    transport = {6: "tcp", 17: "udp", 132: "sctp"}.get(match.get("ip_proto"))
    for ours, end in (("tp_src", "src"), ("tp_dst", "dst")):
        if ours in match:
            out[f"{transport}_{end}"] = match[ours]
    for ours in ("icmp_type", "icmp_code"):
        if ours in match:
            out[ours.replace("icmp", "icmpv4" if match["ip_proto"] == 1 else "icmpv6")] = match[ours]
    if "nd_target" in match:
        out["ipv6_nd_target"] = _address(match["nd_target"], "ff" * 16, 6)
    for entry in match.get("others", []):
        name, value = OTHERS[entry[:8]](bytes.fromhex(entry[8:]))
        out[name] = value
    return out


def _canonical(value):
    """Addresses have several texts."""
    if isinstance(value, tuple):
        return tuple(_canonical(part) for part in value)
    try:
        return ipaddress.ip_address(value).packed if isinstance(value, str) else value
    except ValueError:
        return value


def same_match13(match, theirs):
    ours = {name: _canonical(value) for name, value in fields13(match).items()}
    got = {name: _canonical(value) for name, value in theirs.items()}
    assert ours == got


def match13(match):
    return ofproto_v1_3_parser.OFPMatch(**fields13(match))


def _prefix(mask):
    return bin(int(mask, 16)).count("1") - 96


def fields10(match):
    out = {}
    names = {"eth_src": "dl_src", "eth_dst": "dl_dst", "vlan_vid": "dl_vlan", "vlan_pcp": "dl_vlan_pcp", "eth_type": "dl_type",
             "ip_proto": "nw_proto", "arp_op": "nw_proto", "tp_src": "tp_src", "tp_dst": "tp_dst", "icmp_type": "tp_src",
             "icmp_code": "tp_dst"}
    out.update({theirs: match[ours] for ours, theirs in names.items() if ours in match})
    if "in_port" in match:
        out["in_port"] = port16(match["in_port"])
    if "ip_dscp" in match:
        out["nw_tos"] = match["ip_dscp"] << 2
    for ours, theirs in (("ip_src", "nw_src"), ("ip_dst", "nw_dst")):
        if ours in match:
            out[theirs], out[f"{theirs}_mask"] = match[ours], _prefix(match[f"{ours}_mask"])
    return out


def match10(match):
    return ofproto_v1_0_parser.OFPMatch(**fields10(match))


def same_match10(match, theirs):
    """Value by value, and which of them count."""
    expected = fields10(match)
    plain = [name for name in expected if not name.endswith("_mask")]
    for name in plain:
        got = getattr(theirs, name)
        if name in ("dl_src", "dl_dst"):
            got = addrconv.mac.bin_to_text(got)
        if name in ("nw_src", "nw_dst"):
            got = str(ipaddress.ip_address(got))
        assert got == expected[name], name
    proto = ofproto_v1_0
    bits = {"in_port": proto.OFPFW_IN_PORT, "dl_vlan": proto.OFPFW_DL_VLAN, "dl_src": proto.OFPFW_DL_SRC, "dl_dst": proto.OFPFW_DL_DST,
            "dl_type": proto.OFPFW_DL_TYPE, "nw_proto": proto.OFPFW_NW_PROTO, "tp_src": proto.OFPFW_TP_SRC,
            "tp_dst": proto.OFPFW_TP_DST, "dl_vlan_pcp": proto.OFPFW_DL_VLAN_PCP, "nw_tos": proto.OFPFW_NW_TOS}
    for name, bit in bits.items():
        assert bool(theirs.wildcards & bit) == (name not in expected), name
    for name, shift in (("nw_src", proto.OFPFW_NW_SRC_SHIFT), ("nw_dst", proto.OFPFW_NW_DST_SHIFT)):
        assert 32 - min(theirs.wildcards >> shift & 63, 32) == expected.get(f"{name}_mask", 0), name


def match(version, ours):
    return match10(ours) if version == "1.0" else match13(ours)


def same_match(version, ours, theirs):
    if version == "1.0":
        same_match10(ours, theirs)
    else:
        same_match13(ours, dict(theirs.items()))


# ---- actions and instructions

def action10(action):
    parser, kind = ofproto_v1_0_parser, action["action"]
    if kind == "output":
        return parser.OFPActionOutput(port16(action["port"]), action["max_len"])
    if kind == "set_queue":
        return parser.OFPActionEnqueue(port16(action["port"]), action["id"])
    simple = {"set_vlan_vid": (parser.OFPActionVlanVid, "number"), "set_vlan_pcp": (parser.OFPActionVlanPcp, "byte"),
              "set_eth_src": (parser.OFPActionSetDlSrc, "mac"), "set_eth_dst": (parser.OFPActionSetDlDst, "mac"),
              "set_ip_src": (parser.OFPActionSetNwSrc, "ip"), "set_ip_dst": (parser.OFPActionSetNwDst, "ip"),
              "set_tp_src": (parser.OFPActionSetTpSrc, "number"), "set_tp_dst": (parser.OFPActionSetTpDst, "number")}
    if kind in simple:
        cls, name = simple[kind]
        return cls(action[name])
    if kind == "set_ip_dscp":
        return parser.OFPActionSetNwTos(action["byte"] << 2)
    if kind == "pop_vlan":
        return parser.OFPActionStripVlan()
    if kind == "dec_ttl":
        return parser.NXActionDecTtl()
    if kind == "bundle":
        return bundle(parser, action)
    wire = bytes.fromhex(action["wire"])
    unknown = parser.OFPActionVendorUnknown(int.from_bytes(wire[4:8], "big"), wire[8:])
    return unknown


def bundle(parser, action):
    return parser.NXActionBundle(algorithm=1, fields=3, basis=action["basis"], slave_type=2, n_slaves=len(action["ports"]), ofs_nbits=0,
                                 dst=0, slaves=action["ports"])


def action13(action):
    parser, kind = ofproto_v1_3_parser, action["action"]
    transport = {6: "tcp", 17: "udp", 132: "sctp"}.get(action.get("protocol"))
    if kind == "output":
        return parser.OFPActionOutput(action["port"], action["max_len"])
    if kind == "group":
        return parser.OFPActionGroup(action["id"])
    if kind == "set_queue":
        return parser.OFPActionSetQueue(action["id"])
    if kind == "push_vlan":
        return parser.OFPActionPushVlan(action["number"])
    if kind == "pop_vlan":
        return parser.OFPActionPopVlan()
    if kind == "dec_ttl":
        return parser.OFPActionDecNwTtl()
    if kind == "bundle":
        return bundle(parser, action)
    if kind == "other":
        assert action["wire"] == "0017000840000000"
        return parser.OFPActionSetNwTtl(64)
    family = "ipv6" if ":" in action.get("ip", "") else "ipv4"
    name, value = {
        "set_vlan_vid": lambda: ("vlan_vid", 0x1000 | action["number"]), "set_vlan_pcp": lambda: ("vlan_pcp", action["byte"]),
        "set_eth_src": lambda: ("eth_src", action["mac"]), "set_eth_dst": lambda: ("eth_dst", action["mac"]),
        "set_ip_src": lambda: (f"{family}_src", action["ip"]), "set_ip_dst": lambda: (f"{family}_dst", action["ip"]),
        "set_ip_dscp": lambda: ("ip_dscp", action["byte"]), "set_tp_src": lambda: (f"{transport}_src", action["number"]),
        "set_tp_dst": lambda: (f"{transport}_dst", action["number"])}[kind]()
    return parser.OFPActionSetField(**{name: value})


def actions(version, ours):
    return [action10(action) if version == "1.0" else action13(action) for action in ours]


def action_bytes(list_of_actions):
    """What os-ken writes for them; objects that it read are compared by this."""
    wire = bytearray()
    for action in list_of_actions:
        action.serialize(wire, len(wire))
    return bytes(wire)


def instructions13(ours):
    parser, proto, out = ofproto_v1_3_parser, ofproto_v1_3, []
    if ours["meter"]:
        out.append(parser.OFPInstructionMeter(ours["meter"]))
    if ours["apply_actions"]:
        out.append(parser.OFPInstructionActions(proto.OFPIT_APPLY_ACTIONS, actions("1.3", ours["apply_actions"])))
    if ours["clear_actions"]:
        out.append(parser.OFPInstructionActions(proto.OFPIT_CLEAR_ACTIONS, []))
    if ours["write_actions"]:
        out.append(parser.OFPInstructionActions(proto.OFPIT_WRITE_ACTIONS, actions("1.3", ours["write_actions"])))
    if ours["metadata_mask"]:
        out.append(parser.OFPInstructionWriteMetadata(ours["metadata"], ours["metadata_mask"]))
    if ours["goto_table"] != 255:
        out.append(parser.OFPInstructionGotoTable(ours["goto_table"]))
    assert not ours["others"], "os-ken has no experimenters' instructions"
    return out


def buckets(ours):
    return [ofproto_v1_3_parser.OFPBucket(one["weight"], one["watch_port"], one["watch_group"], actions("1.3", one["actions"]))
            for one in ours]


def same_buckets(ours, theirs):
    assert [(one.weight, one.watch_port, one.watch_group, action_bytes(one.actions)) for one in theirs] == \
        [(one["weight"], one["watch_port"], one["watch_group"], action_bytes(actions("1.3", one["actions"]))) for one in ours]


def same_instructions(version, ours, theirs):
    if version == "1.0":
        assert action_bytes(theirs.actions) == action_bytes(actions("1.0", ours["apply_actions"]))
    else:
        assert action_bytes(theirs.instructions) == action_bytes(instructions13(ours))


# ---- ports

def features10(bits):
    return bits & 0x7f | bits >> 4 & 0xf80


def same_port(version, ours, theirs):
    expected = {"port_no": ours["number"], "hw_addr": ours["mac"], "config": ours["config"]}
    rates = {"curr": "current", "advertised": "advertised", "supported": "supported", "peer": "peer"}
    if version == "1.0":
        expected["port_no"] = port16(ours["number"])
        expected["state"] = ours["state"] & 1 | (0x300 if ours["state"] & 2 else 0)
        expected.update({name: features10(ours[from_]) for name, from_ in rates.items()})
    else:
        expected.update(state=ours["state"], curr_speed=ours["current_kbps"], max_speed=ours["maximum_kbps"])
        expected.update({name: ours[from_] for name, from_ in rates.items()})
    assert {name: getattr(theirs, name) for name in expected} == expected
    name = theirs.name.rstrip(b"\0").decode() if isinstance(theirs.name, bytes) else theirs.name
    assert name == ours["name"]


def data_of(message):
    return base64.b64decode(message) if isinstance(message, str) else bytes(message or b"")
