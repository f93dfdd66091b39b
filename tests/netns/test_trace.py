"""What 'trace' and the other questions answer, through the agent's socket and through the API.

    a (h1) ===== b (h2)
"""

import struct

from lab import Lab
from namespaces import wait_for


def frame(a, b, payload=b"x" * 32, source_mac=None, source=None):
    """A UDP packet from workload a to workload b, as hexadecimal digits."""
    def mac(text):
        return bytes.fromhex(text.replace(":", ""))

    def ip(text):
        return bytes(map(int, text.split(".")))

    udp = struct.pack("!HHHH", 1234, 4321, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, ip(source or a.address), ip(b.address))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + header[12:]
    return (mac(b.port["mac_address"]) + mac(source_mac or a.port["mac_address"]) + b"\x08\x00" + header + udp).hex()


def test_trace_follows_a_frame_from_host_to_host():
    with Lab(2) as lab:
        a, b = lab.pair()
        here = lab.hosts[0].ask("trace", port=a.port["id"], frame=frame(a, b))
        assert (here["verdict"], here["reason"]) == ("tunnelled", None)
        assert [(output["host"], output["port"]) for output in here["outputs"]] == [("h2", None)]
        assert here["steps"]

        there = lab.hosts[1].ask("trace", tunnel_source=lab.hosts[0].tunnel_address, frame=here["outputs"][0]["frame"])
        assert there["verdict"] == "delivered"
        assert [output["port"] for output in there["outputs"]] == [b.port["id"]]
        assert there["outputs"][0]["frame"] == frame(a, b)

        whole = lab.api.post(f"/weft/v1/ports/{a.port['id']}/trace", {"frame": frame(a, b)})
        whole = whole.get("trace", whole)
        assert whole["verdict"] == "delivered"
        assert {step["host"] for step in whole["steps"]} == {"h1", "h2"}

        spoofed = lab.hosts[0].ask("trace", port=a.port["id"], frame=frame(a, b, source="10.0.0.99"))
        assert (spoofed["verdict"], spoofed["reason"]) == ("dropped", "spoofed_ip")
        # Looking changes nothing.
        assert "spoofed_ip" not in lab.hosts[0].drops(a.port)

        for bad, field in ({"frame": "zz" * 20}, "frame"), ({"frame": "00"}, "frame"), ({"frame": frame(a, b), "port": "x"}, "port"):
            assert lab.hosts[0].ask("trace", **{"port": a.port["id"], **bad})["error"].startswith(field + ":")


def test_counters_and_flows_count_what_was_sent():
    with Lab(2) as lab:
        a, b = lab.pair()
        before = lab.hosts[0].counters(a.port)
        assert a.ping(b, 10) == 10
        after = wait_for(lambda: (c := lab.hosts[0].counters(a.port))["rx_packets"] >= before["rx_packets"] + 10 and c, "counters")
        assert after["tx_packets"] - before["tx_packets"] >= 10
        assert after["tx_bytes"] - before["tx_bytes"] >= 10 * 98

        answer = lab.api.get(f"/weft/v1/ports/{a.port['id']}/counters")
        assert answer["counters"][0]["tx_packets"] >= after["tx_packets"]
        flows = lab.api.get(f"/weft/v1/ports/{a.port['id']}/flows")["flows"]
        assert any(flow["protocol"] == "icmp" and flow["remote"] == b.address and flow["tx_packets"] >= 10 for flow in flows)


def test_metrics_are_served_for_prometheus():
    import requests

    with Lab(1) as lab:
        a, b = lab.pair()
        host = lab.hosts[0]
        host.stop()
        host.start("--metrics-listen", "127.0.0.1:9100")
        assert a.ping(b, 5) == 5
        with host.namespace.inside():
            response = requests.get("http://127.0.0.1:9100/metrics", timeout=60)
            assert requests.get("http://127.0.0.1:9100/other", timeout=60).status_code == 404
        assert response.status_code == 200
        values = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
        assert values["weft_agent_api_connected"] == "1"
        assert values["weft_agent_ports_active"] == "2"
        label = f'port="{a.port["id"]}",network="{a.port["network_id"]}",project="{a.port["project_id"]}"'
        assert int(values["weft_port_tx_packets_total{%s}" % label]) >= 5
