"""nginx behind the director and its peers.  All are on one network, so every path can be measured at any time:

                                 bridge (in the namespace 'lan')
        +------------+------------+------------+------------+------------+
     client       director     haproxy        nft           s1           s2
    10.62.0.100   10.62.0.2    10.62.0.3    10.62.0.4    10.62.0.11   10.62.0.12

Both servers are one nginx each, of one worker.  It listens on a port for each path that needs the answers back at who forwarded: the
servers' routes go by that port.  Direct return needs nothing but the address on lo."""

import json
import os
import socket
import subprocess

from lab import BUILD, Failed, run, wait_for
from paths import unpacked
from xdp_peer import pass_everything

PACKAGES = ["wrk", "libluajit2-5.1-2", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]
SERVERS = {"s1": 11, "s2": 12}
DIRECT_PORT, NAT_PORT, NFT_PORT = 8080, 8081, 8082
VIP_DIRECT, VIP_NAT, VIP_HAPROXY, VIP_NFT = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"
BODY = "x" * 1023 + "\n"

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_timeout 600; keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 8080 backlog=4096; listen 8081 backlog=4096; listen 8082 backlog=4096; root {folder}; }}
}}
"""
HAPROXY = """
global
    maxconn 8192
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen web
    bind {vip}:80
    balance roundrobin
{servers}
"""


def address(number):
    return f"10.62.0.{number}"


class Peers:
    """{path: URL} in 'paths', and who works for it in 'programs': the processes whose CPU time counts."""

    def __init__(self, lab):
        self.lab = lab
        self.root = unpacked(PACKAGES, "director-peers-ready")
        self.env = {"LD_LIBRARY_PATH": str(next((self.root / "usr/lib").glob("*/liblua5.3.so.0")).parent)}
        self.namespaces = {}
        self.lan = lab.namespace("lan")
        run("ip", "-n", self.lan, "link", "add", "name", "bridge", "type", "bridge")
        run("ip", "-n", self.lan, "link", "set", "bridge", "up")
        self.client = self._host("client", 100)
        for vip, number in ((VIP_DIRECT, 2), (VIP_NAT, 2), (VIP_HAPROXY, 3), (VIP_NFT, 4)):
            run("ip", "-n", self.client, "route", "add", f"{vip}/32", "via", address(number))
        self.nginx = [self._server(name, number) for name, number in SERVERS.items()]
        self.haproxy = self._haproxy()
        self._nft()
        self.agent = self._director()
        self.paths = {"director, direct": f"http://{VIP_DIRECT}:{DIRECT_PORT}/f", "director, NAT": f"http://{VIP_NAT}:80/f",
                      "HAProxy": f"http://{VIP_HAPROXY}:80/f", "nftables": f"http://{VIP_NFT}:80/f",
                      "none": f"http://{address(11)}:{DIRECT_PORT}/f"}
        for url in self.paths.values():
            wait_for(lambda url=url: self._answers(url), f"the first answer of {url}", 30)

    def _host(self, name, number):
        host = self.namespaces[name] = self.lab.namespace(name)
        self.lab.cable(self.lan, name, host, "eth0")
        run("ip", "-n", self.lan, "link", "set", name, "master", "bridge")
        self.lab.address(host, "eth0", f"{address(number)}/24")
        for setting in ("all/rp_filter=0", "default/rp_filter=0", "eth0/rp_filter=0", "all/send_redirects=0", "eth0/send_redirects=0"):
            self._set(host, setting)
        return host

    def _set(self, host, setting):
        key, value = setting.split("=")
        run("nsenter", f"--net=/run/netns/{host}", "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{key}")

    def _answers(self, url):
        try:
            return run("nsenter", f"--net=/run/netns/{self.client}", "curl", "-sf", "--max-time", 1, url) == BODY
        except Failed:
            return False

    def _server(self, name, number):
        host = self._host(name, number)
        for setting in ("all/arp_ignore=1", "all/arp_announce=2"):
            self._set(host, setting)
        self.lab.address(host, "lo", f"{VIP_DIRECT}/32")
        for table, (port, gateway) in enumerate(((NAT_PORT, 2), (NFT_PORT, 4)), 100):
            run("ip", "-n", host, "rule", "add", "ipproto", "tcp", "sport", port, "lookup", table)
            run("ip", "-n", host, "route", "add", "default", "via", address(gateway), "dev", "eth0", "table", table)
        folder = self.lab.folder / f"nginx-{name}"
        folder.mkdir()
        (folder / "conf").write_text(NGINX.format(folder=folder))
        (folder / "f").write_text(BODY)
        folder.chmod(0o755)
        self.lab.folder.chmod(0o755)  # Workers are nobody.
        return self.lab.start("nginx", "-c", folder / "conf", "-e", "stderr", namespace=host, log=f"nginx-{name}.log")

    def _haproxy(self):
        host = self._host("haproxy", 3)
        self.lab.address(host, "lo", f"{VIP_HAPROXY}/32")
        config = self.lab.folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(vip=VIP_HAPROXY, servers="\n".join(
            f"    server {name} {address(number)}:{DIRECT_PORT}" for name, number in SERVERS.items())))
        return self.lab.start(self.root / "usr/sbin/haproxy", "-db", "-f", config, namespace=host, env=self.env, log="haproxy.log")

    def _nft(self):
        host = self._host("nft", 4)
        run("nsenter", f"--net=/run/netns/{host}", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        targets = ", ".join(f"{i} : {address(number)}" for i, number in enumerate(SERVERS.values()))
        run("nsenter", f"--net=/run/netns/{host}", "nft", "add table ip lb; add chain ip lb in { type nat hook prerouting priority dstnat; };"
            f"add rule ip lb in ip daddr {VIP_NFT} tcp dport 80 dnat to numgen inc mod {len(SERVERS)} map {{ {targets} }} : {NFT_PORT}")

    def _director(self):
        host = self._host("director", 2)
        pass_everything(self.lan, "director")
        servers = [{"address": address(number), "forwarding": "direct"} for number in SERVERS.values()]
        translated = [{"address": address(number), "port": NAT_PORT, "forwarding": "nat"} for number in SERVERS.values()]
        config = self.lab.folder / "lb.conf"
        config.write_text(json.dumps({"interfaces": ["eth0"], "services": [
            {"protocol": "tcp", "address": VIP_DIRECT, "port": DIRECT_PORT, "scheduler": "mh", "scheduler_flags": ["port"],
             "servers": [{**one, "port": DIRECT_PORT} for one in servers]},
            {"protocol": "tcp", "address": VIP_NAT, "port": 80, "scheduler": "rr", "servers": translated}]}))
        agent = [BUILD / "src/agent/weft-agent", "--config", config]
        self.lab.undo.append(lambda: run("nsenter", f"--net=/run/netns/{host}", *agent, "detach"))
        # XDP sees what a veth hands on, which a network card would have finished: as on a wire, checksums are the sender's work, for all paths.
        for name in ("client", "director", *SERVERS):
            run("nsenter", f"--net=/run/netns/{self.namespaces[name]}", "ethtool", "-K", "eth0", "tx", "off")
        self.socket = self.lab.folder / "socket"
        return self.lab.start(*agent, "--socket", self.socket, namespace=host, log="weft-agent.log")

    def _tasks(self, process):
        """The process and, as nginx has them, its children."""
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            return [process.pid, *map(int, children.read().split())]

    def cpu_ns(self):
        """Of all that forwards and answers, but for the one who asks: exact run time, that of ksoftirqd too."""
        pids = [pid for process in [*self.nginx, self.haproxy, self.agent] for pid in self._tasks(process)]
        pids += [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _name(pid).startswith("ksoftirqd/")]
        return sum(_task_ns(pid) for pid in pids)

    def carried(self):
        """Each service of the director must have seen its part."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket))
            connection.sendall(b'{"operation":"director"}\n')
            with connection.makefile() as answer:
                state = json.loads(answer.readline())
        for service in state["services"]:
            if any(server["total"][1] < 1000 for server in service["servers"]):
                raise Failed(f"a server of the director got nothing: {service}")

    def versions(self):
        haproxy = run(self.root / "usr/sbin/haproxy", "-v", env={**os.environ, **self.env}).split()[2]
        nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]
        return {"HAProxy": haproxy, "nftables": run("nft", "--version").strip(), "none": f"nginx {nginx}"}

    def wrk(self, path, duration_s, n_connections, *options):
        """(what wrk printed, its CPU time in ns)"""
        command = ["nsenter", f"--net=/run/netns/{self.client}", self.root / "usr/bin/wrk", "-t1", f"-c{n_connections}", f"-d{duration_s}s",
                   "--latency", *options, self.paths[path]]
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, env={**os.environ, **self.env}) as process:
            text = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or "Non-2xx" in text:
            raise Failed(f"wrk by way of {path}: {text}")
        return text, round((usage.ru_utime + usage.ru_stime) * 1e9)


def _name(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read()
    except OSError:  # It ended meanwhile.
        return ""


def _task_ns(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total
