"""What real IPVS and weft's director are both asked: tables to be listed, and services with the frames that are sent to them (guest/wire.py has
the wire).  Every service has an address or a port of its own, so that all are there at once."""

import random

from scapy.all import IP, TCP, UDP, Ether, Raw

ROUTER, DIRECTOR = "02:00:00:00:00:01", "02:00:00:00:00:02"
HOSTS = "127.0.0.1 localhost\n192.0.2.1 shop.example\n2001:db8:5::1 six.shop.example\n10.0.0.1 a-server-with-a-long-name.example\n"
SCHEDULERS = ["rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq"]

# ---- listings -----------------------------------------------------------------------------------------------------------------------

TABLE = """-A -t 192.0.2.1:80 -s rr
-a -t 192.0.2.1:80 -r 10.0.0.1
-a -t 192.0.2.1:80 -r 10.0.0.2 -g -w 0
-a -t 192.0.2.1:80 -r 10.0.0.3 -i -w 65535
-a -t 192.0.2.1:80 -r 10.0.0.4 -i --tun-type gue --tun-port 6080
-a -t 192.0.2.1:80 -r 10.0.0.5 -i --tun-type gue --tun-port 6080 --tun-csum
-a -t 192.0.2.1:80 -r 10.0.0.6 -i --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 192.0.2.1:80 -r 10.0.0.7 -i --tun-type gre
-a -t 192.0.2.1:80 -r 10.0.0.8 -i --tun-type gre --tun-csum
-a -t 192.0.2.1:80 -r [2001:db8::8]:80 -i
-A -t 192.0.2.1:443 -s wlc -p 300 -M 255.255.255.0
-a -t 192.0.2.1:443 -r 10.0.0.1:8443 -m -w 3 -x 100
-a -t 192.0.2.1:443 -r 10.0.0.1:8444 -m -w 3 -x 100 -y 10
-a -t 192.0.2.1:443 -r 10.0.0.2:8443 -m -w 3 -y 0 -x 0
-A -t 192.0.2.2:0 -s sh -b sh-port -p
-a -t 192.0.2.2:0 -r 10.0.0.1:0 -m
-A -u 192.0.2.1:53 -s rr -o
-a -u 192.0.2.1:53 -r 10.0.0.1
-A -u 192.0.2.1:12345 -s mh -b mh-fallback,mh-port
-A --sctp-service 192.0.2.1:3868 -s sh -b sh-fallback
-a --sctp-service 192.0.2.1:3868 -r 10.0.0.1 -g
-A -t [2001:db8:5::1]:80 -s wrr -p 60 -M 64
-a -t [2001:db8:5::1]:80 -r [2001:db8::1]:80 -g
-a -t [2001:db8:5::1]:80 -r [2001:db8::2]:80 -i -w 7
-a -t [2001:db8:5::1]:80 -r 10.0.0.9 -i --tun-type gre
-A -t [2001:db8:5:1111:2222:3333:4444:5555]:65535 -s lc
-a -t [2001:db8:5:1111:2222:3333:4444:5555]:65535 -r [2001:db8:6666:7777:8888:9999:aaaa:bbbb]:65535 -m -x 4294967 -y 7
-A -u [2001:db8:5::1]:53 -s dh
-A -f 1 -s lblc -p 10
-a -f 1 -r 10.0.0.1 -g
-a -f 1 -r 10.0.0.2 -m
-A -f 2 -6 -s lblcr
-a -f 2 -6 -r 2001:db8::1 -m
-A -f 2147483647 -s sed -o
""" + "".join(f"-A -t 192.0.2.9:{port} -s {name}\n-a -t 192.0.2.9:{port} -r 10.0.0.1\n" for port, name in enumerate(SCHEDULERS, 1))

LISTINGS = ["-L", "-L -n", "-S", "-S -n", "-L -n --stats", "-L -n --rate", "-L -n --stats --exact", "-L -n --rate --exact", "-L -n --thresholds",
            "-L -n --persistent-conn", "-L -n --timeout", "-L --timeout", "-L --daemon", "-L -n --daemon --timeout", "-L -n --tun-info", "-L -n -c",
            "-L -n --nosort", "-L -t 192.0.2.1:http", "-L -t shop.example:80 -n", "-L -f 2 -6 -n", "-L -n -u 192.0.2.1:53 --stats", "-L --stats",
            "-L --rate", "-L --thresholds", "-L --persistent-conn", "--list --numeric", "-l", "-L -t 192.0.2.77:1", "-L -f 77 -n"]

# ---- whose turn it is ---------------------------------------------------------------------------------------------------------------

CLIENT = "198.51.100.7"


def client_frame(virtual, protocol, port, client=CLIENT, client_port=1000, flags="S"):
    layer = UDP(sport=client_port, dport=port) / Raw(b"query") if protocol == "u" else TCP(sport=client_port, dport=port, flags=flags)
    return Ether(src=ROUTER, dst=DIRECTOR) / IP(src=client, dst=virtual) / layer


def in_a_row(n, **more):
    """'n' connections, one after the other, of which nothing but the SYN is seen."""
    return lambda virtual, protocol: [client_frame(virtual, protocol, 80, client_port=1000 + i, **more) for i in range(n)]


def walk(n, seed, resets=False):
    """Connections are opened, established, used, and closed as chance has it."""
    def frames(virtual, protocol):
        chance, open_ports, sent, port = random.Random(seed), [], [], 1000
        for _ in range(n):
            if protocol == "u" or chance.random() < 0.6 or not open_ports:
                port += 1
                open_ports.append(port)
                sent.append(client_frame(virtual, protocol, 80, client_port=port))
                if protocol == "t" and chance.random() < 0.9:
                    sent.append(client_frame(virtual, protocol, 80, client_port=port, flags="A"))
            elif chance.random() < 0.7:
                flags = "R" if resets and chance.random() < 0.5 else "FA"
                sent.append(client_frame(virtual, protocol, 80, client_port=open_ports.pop(chance.randrange(len(open_ports))), flags=flags))
            else:
                sent.append(client_frame(virtual, protocol, 80, client_port=chance.choice(open_ports), flags="PA"))
        return sent
    return frames


def of_networks(virtual, protocol):
    """Clients of three networks, by turns and again."""
    return [client_frame(virtual, protocol, 80, client=f"198.51.{100 + i % 3}.{i}", client_port=1000 + i) for i in range(24)]


# name: (options of the service, [options of each server], what is sent[, "u" for UDP])
ORDERS = {
    "rr": ("-s rr", ["", "", ""], in_a_row(12)),
    "rr without one of weight 0": ("-s rr", ["", "-w 0", "-w 7", ""], in_a_row(12)),
    "rr, all of weight 0": ("-s rr", ["-w 0", "-w 0"], in_a_row(4)),
    "rr of UDP": ("-s rr", ["", "", ""], in_a_row(12), "u"),
    "rr, each packet for itself": ("-s rr -o", ["", "", ""], in_a_row(12), "u"),
    "wrr 1 1 1": ("-s wrr", ["", "", ""], in_a_row(12)),
    "wrr 3 2 1": ("-s wrr", ["-w 3", "-w 2", "-w 1"], in_a_row(20)),
    "wrr 1 2 3": ("-s wrr", ["-w 1", "-w 2", "-w 3"], in_a_row(20)),
    "wrr 0 5 1": ("-s wrr", ["-w 0", "-w 5", "-w 1"], in_a_row(20)),
    "wrr 100 50 25": ("-s wrr", ["-w 100", "-w 50", "-w 25"], in_a_row(20)),
    "wrr 4 0 3 2 1 7": ("-s wrr", [f"-w {weight}" for weight in (4, 0, 3, 2, 1, 7)], in_a_row(51)),
    "wrr 6 9 15": ("-s wrr", ["-w 6", "-w 9", "-w 15"], in_a_row(33)),
    "wrr 7": ("-s wrr", ["-w 7"], in_a_row(3)),
    "wrr 0 0": ("-s wrr", ["-w 0", "-w 0"], in_a_row(3)),
    "lc": ("-s lc", ["", "-w 9", "", "-w 0"], walk(120, 1)),
    "lc of UDP": ("-s lc", ["", "-w 9", "", "-w 0"], walk(40, 2), "u"),
    "wlc": ("-s wlc", ["-w 1", "-w 2", "-w 3", "-w 0"], walk(160, 3)),
    "wlc, half open ones": ("-s wlc", ["-w 1", "-w 2", "-w 3"], in_a_row(30)),
    "wlc of UDP": ("-s wlc", ["-w 1", "-w 2", "-w 5"], walk(40, 4), "u"),
    "sed": ("-s sed", ["-w 1", "-w 2", "-w 3", "-w 0"], walk(160, 5, resets=True)),
    "sed 5 1": ("-s sed", ["-w 5", "-w 1"], in_a_row(20)),
    "nq": ("-s nq", ["-w 1", "-w 2", "-w 3", "-w 0"], walk(160, 6, resets=True)),
    "nq 9 1 1": ("-s nq", ["-w 9", "-w 1", "-w 1"], in_a_row(20)),
    "fo": ("-s fo", ["-w 1", "-w 3", "-w 2"], in_a_row(6)),
    "fo, equal ones": ("-s fo", ["-w 3", "-w 3", "-w 2"], in_a_row(6)),
    "ovf": ("-s ovf", ["-w 3", "-w 5", "-w 2"], walk(60, 7, resets=True)),
    "ovf, half open ones": ("-s ovf", ["-w 3", "-w 5", "-w 2"], in_a_row(16)),
    "rr, thresholds": ("-s rr", ["-x 2", "", "-x 3 -y 1"], walk(80, 8)),
    "wrr, thresholds": ("-s wrr", ["-w 3 -x 4", "-w 1", "-w 2 -x 3 -y 1"], walk(80, 9)),
    "wlc, thresholds": ("-s wlc", ["-w 3 -x 4", "-w 1 -x 2", "-w 2 -x 3 -y 1"], walk(80, 10)),
    "lc, all full": ("-s lc", ["-x 2", "-x 3"], in_a_row(9)),
    "rr, persistence": ("-s rr -p 600", ["", "", ""], of_networks),
    "rr, persistence of networks": ("-s rr -p 600 -M 255.255.255.0", ["", "", ""], of_networks),
    "wlc, persistence of networks": ("-s wlc -p 600 -M 255.255.255.0", ["-w 2", "-w 1", "-w 2"], of_networks),
    "wrr, persistence of half the world": ("-s wrr -p 600 -M 128.0.0.0", ["-w 2", "-w 1"], of_networks),
    "rr, persistence of UDP": ("-s rr -p 600 -M 255.255.255.0", ["", "", ""], of_networks, "u"),
    "lblc": ("-s lblc", ["", "-w 2", "-w 3", "-w 0"], walk(80, 11)),
    "lblcr": ("-s lblcr", ["", "-w 2", "-w 3", "-w 0"], walk(80, 12)),
    "rr, persistence and a threshold": ("-s rr -p 600 -M 255.255.255.0", ["-x 3", "-x 5"], of_networks),
}


def orders():
    """[[name, lines for ipvsadm, frames]]: the service of each at an address of its own, its servers by MAC."""
    made = []
    for number, (name, (service, servers, frames, *protocol)) in enumerate(ORDERS.items(), 1):
        virtual, letter = f"192.0.2.{number}", protocol[0] if protocol else "t"
        lines = [f"-A -{letter} {virtual}:80 {service}"] + [f"-a -{letter} {virtual}:80 -r 10.1.0.{11 + i} -g {options}"
                                                           for i, options in enumerate(servers)]
        made.append([name, lines, [bytes(frame).hex() for frame in frames(virtual, letter)]])
    return made


NOBODY = {"rr, all of weight 0", "wrr 0 0"}  # Where no packet goes to a server.

# ---- servers of weight 0 with schedulers that hash ---------------------------------------------------------------------------------------

# name: (options of the service, how many servers); the second one, or the only one, drains.
DRAINED = {
    "sh": ("-s sh", 3),
    "sh by port": ("-s sh -b sh-port", 3),
    "sh, fallback": ("-s sh -b sh-fallback", 3),
    "sh by port, fallback": ("-s sh -b sh-fallback,sh-port", 3),
    "mh": ("-s mh", 3),
    "mh by port": ("-s mh -b mh-port", 3),
    "mh, fallback": ("-s mh -b mh-fallback", 3),
    "mh by port, fallback": ("-s mh -b mh-fallback,mh-port", 3),
    "dh": ("-s dh", 1),
}
DRAINED_CLIENTS = range(48)
NEW_PORT = 2000  # What is between the ports of a client's connection before and of its next one.


def drained_addresses():
    return [f"192.0.2.{101 + number}" for number in range(len(DRAINED))]


def drained():
    """{"lines", "exchanges"} with all servers there, and {"lines", "exchanges"} that come after it: a server of each drains."""
    before, after = {"lines": [], "exchanges": []}, {"lines": [], "exchanges": []}
    for virtual, (name, (service, n)) in zip(drained_addresses(), DRAINED.items()):
        servers = [f"-r 10.1.0.{11 + i} -g" for i in range(n)]
        before["lines"] += [f"-A -t {virtual}:80 {service}", *(f"-a -t {virtual}:80 {server}" for server in servers)]
        after["lines"].append(f"-e -t {virtual}:80 {servers[1 if n > 1 else 0]} -w 0")
        for part, which, port in ((before, "", 1000), (after, ", drained", 1000 + NEW_PORT)):
            begun = [client_frame(virtual, "t", 80, f"198.51.100.{i}", port + i) for i in DRAINED_CLIENTS]
            used = [client_frame(virtual, "t", 80, f"198.51.100.{i}", 1000 + i, "PA") for i in DRAINED_CLIENTS]
            part["exchanges"].append([name + which, True, [bytes(frame).hex() for frame in begun + used]])
    return before, after

# ---- services by mark -----------------------------------------------------------------------------------------------------------------------

# name: (options of the service, [options of each server])
MARKED = {
    "rr by mark": ("-s rr", ["", "", ""]),
    "wrr by mark": ("-s wrr", ["-w 3", "-w 1"]),
    "rr by mark, persistence": ("-s rr -p 600", ["", "", ""]),
    "rr by mark, persistence of networks": ("-s rr -p 600 -M 255.255.255.0", ["", "", ""]),
}


def marked():
    """{"lines", "rules" of nft, "exchanges"}: each has a mark, of two addresses with two ports each; clients call them by turns."""
    made = {"lines": [], "rules": [], "exchanges": []}
    for mark, (name, (service, servers)) in enumerate(MARKED.items(), 1):
        addresses = [f"192.0.2.{119 + 2 * mark + i}" for i in range(2)]
        made["lines"] += [f"-A -f {mark} {service}", *(f"-a -f {mark} -r 10.1.0.{11 + i} -g {options}" for i, options in enumerate(servers))]
        made["rules"] += [f"ip daddr {address} tcp dport {{ 80, 443 }} meta mark set {mark}" for address in addresses]
        made["exchanges"].append([name, True, [bytes(client_frame(addresses[i % 2], "t", (80, 443)[i // 2 % 2], f"198.51.{100 + i % 3}.{i % 7}", 1000 + i)).hex()
                                               for i in range(42)]])
    return made
