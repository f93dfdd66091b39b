"""Runs inside the guest with systemd, once after each of its boots; every line "RESULT {json}" is one check.

    boot 1   README's commands, one after the other; then what the units promise: sandbox, restarts, stopping
    boot 2   after 'systemctl reboot': the agent finds its ports without the API, and then with it
    boot 3   after the power was cut: the same, with a port that was made just before

       h1, 192.0.2.1           weft-api and weft-agent as services
       tapXXXX.. |    | eth7, eth8          one tap that is a port by its name, two veths that are plugged
                wa    wb, wc                namespaces

What boots make of themselves is made by units (wa) or by this script (wb, wc), never by a command to weft."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
DROP_INS = pathlib.Path("/etc/systemd/system/weft-api.service.d")
STATE = pathlib.Path("/var/lib/weft-test.json")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
# Capabilities that packaging/weft-agent.service leaves, as bits (capability.h).
CAPABILITIES = {"DAC_OVERRIDE": 1, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}


def result(name, ok, text=""):
    print("RESULT " + json.dumps({"name": name, "ok": bool(ok), "text": str(text)[-4000:]}), flush=True)


def attempt(*command, input=None, timeout=120):
    return subprocess.run([str(word) for word in command], input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=ENVIRONMENT, timeout=timeout)


def run(*command, input=None, timeout=120):
    done = attempt(*command, input=input, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def shell(line):
    return run("/bin/sh", "-c", line)


def wait_for(condition, what, timeout=120):
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {timeout} s for {what}")
        time.sleep(0.1)
    return value


def check(condition, text):
    if not condition:
        raise RuntimeError(text)


def unit(name, what):
    return run("systemctl", "show", "-P", what, name).strip()


def journal_of_the_process(name):
    """What the unit's present process said."""
    return run("journalctl", "-q", "-o", "cat", f"_PID={unit(name, 'MainPID')}")


def weft(*arguments):
    return run("weft", *arguments)


def port(name):
    return json.loads(weft("port", "show", name, "-o", "json"))


def inside(name, *command):
    return ["nsenter", f"--net=/run/netns/{name}", *command]


def reaches(source, target, wait=1):
    return attempt(*inside(source, "ping", "-n", "-q", "-c1", "-W", wait, state["addresses"][target])).returncode == 0


def wait_reaches(source, target, timeout=120):
    wait_for(lambda: reaches(source, target), f"{source} to reach {target}", timeout)


def add_veth(name, interface):
    """A workload whose device on the host is called 'interface'."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "address", state["macs"][name], "netns", name)
    run("ip", "-n", name, "addr", "add", state["addresses"][name] + "/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up", "mtu", "1450")


def remember_port(name):
    made = port(name)
    state["ids"][name], state["macs"][name] = made["id"], made["mac_address"]
    state["addresses"][name] = made["fixed_ips"][0]["ip_address"]


class Pings:
    """An uninterrupted stream of echoes, and how many of them were lost."""

    def __init__(self, source, target):
        self.process = subprocess.Popen(inside(source, "ping", "-n", "-i0.1", "-W10", state["addresses"][target]), env=ENVIRONMENT,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=60)[0]
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
        # The last may be on its way when the stream is stopped.
        check(received > 3 and sent - received <= 1, text[-600:])
        return f"{received} of {sent}"


# ---- boot 1: README ---------------------------------------------------------------------------------------------------------

def systemd_is_init():
    check(os.readlink("/proc/1/exe").endswith("/systemd"), os.readlink("/proc/1/exe"))
    return run("systemctl", "--version").splitlines()[0] + ", Linux " + os.uname().release


def the_units_pass_systemds_own_check():
    # The manual pages are there, 'man' is not.
    check(not (said := run("systemd-analyze", "verify", "--man=no", "weft-api.service", "weft-agent.service",
                            "weft-director.service", "weft-fabric.service", "weft-real-server.service").strip()), said)


def the_api_starts_and_its_password_is_in_the_journal():
    with open("/etc/weft/api.conf", "a") as settings:
        settings.write("listen = 0.0.0.0:9696\npublic-url = http://192.0.2.1:9696\n")
    run("systemctl", "enable", "--now", "weft-api")
    line = wait_for(lambda: attempt("/bin/sh", "-c", "journalctl -u weft-api | grep password").stdout, "the password in the journal")
    ENVIRONMENT["OS_PASSWORD"] = line.split()[-1]
    ENVIRONMENT.update(OS_AUTH_URL="http://192.0.2.1:9696/identity/v3", OS_USERNAME="admin", OS_PROJECT_NAME="admin")
    state["environment"] = dict(ENVIRONMENT)
    return weft("network", "list")


def the_host_joins_with_a_token():
    token = shell("weft host create h1 -o value -c join_token").strip()
    shell(f"echo {token} | install -m 600 /dev/stdin /etc/weft/join-token")
    with open("/etc/weft/agent.conf", "a") as settings:
        settings.write("host = h1\napi = http://192.0.2.1:9696\njoin-token-file = /etc/weft/join-token\n")
    run("systemctl", "enable", "--now", "weft-agent")
    return wait_for(host_is_up, "the host to be up")


def host_is_up():
    hosts = json.loads(weft("host", "list", "-o", "json"))
    return hosts and hosts[0]["state"] == "up" and hosts


def a_tap_of_the_ports_name_and_a_plugged_device_are_ports():
    weft("network", "create", "office")
    weft("subnet", "create", "office-v4", "--network", "office", "--cidr", "10.0.0.0/24")
    for name in ("wa", "wb"):
        weft("port", "create", name, "--network", "office")
        remember_port(name)
    weft("port", "set", "wa", "--host", "h1")
    pathlib.Path("/etc/systemd/system/wa.service").write_text(WORKLOAD.format(
        here=HERE, tap="tap" + state["ids"]["wa"][:11], mac=state["macs"]["wa"], address=state["addresses"]["wa"]))
    run("systemctl", "enable", "--now", "wa")
    add_veth("wb", "eth7")
    weft("port", "plug", "wb", "eth7")
    wait_reaches("wa", "wb")
    wait_reaches("wb", "wa")
    wait_for(lambda: port("wa")["status"] == port("wb")["status"] == "ACTIVE", "both to be ACTIVE")


# A workload that is there before the agent is, as when something else makes it early in the boot.
WORKLOAD = """[Unit]
Before=weft-agent.service

[Service]
Type=exec
ExecStartPre=ip netns add wa
ExecStart={here}/tap {tap} /run/netns/wa {mac}
ExecStartPost=sh -c 'until ip -n wa link show eth0 2>/dev/null; do :; done; ip -n wa addr add {address}/24 dev eth0; ip -n wa link set eth0 mtu 1450 up'
ExecStopPost=ip netns del wa

[Install]
WantedBy=multi-user.target
"""


# ---- boot 1: what the units promise ------------------------------------------------------------------------------------------

def the_agent_answers_dhcp():
    """A packet of the workload's kernel through the ring buffer, and an answer through AF_PACKET."""
    out = run(*inside("wb", "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "3", "-s", "/bin/true"))
    check(state["addresses"]["wb"] in out, out)


def the_agent_copies_its_tables_for_a_trace():
    out = weft("trace", "wa", "--dst", state["addresses"]["wb"])
    check("delivered" in out.lower(), out)
    return out


def status_of(name):
    text = pathlib.Path(f"/proc/{unit(name, 'MainPID')}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def the_agent_has_the_capabilities_it_needs_and_no_more():
    status = status_of("weft-agent")
    check(int(status["CapBnd"], 16) == sum(1 << bit for bit in CAPABILITIES.values()), status["CapBnd"])
    check(status["NoNewPrivs"] == "1", status)
    return status["CapEff"]


def the_api_has_no_privileges():
    status = status_of("weft-api")
    check(int(status["CapBnd"], 16) == 0 and int(status["CapEff"], 16) == 0, status["CapEff"])
    check(status["NoNewPrivs"] == "1" and status["Uid"].split()[0] != "0", status)
    check(os.stat("/var/lib/weft-api/weft.db").st_mode & 0o077 == 0, "others can read the store")
    check(os.stat("/var/lib/private/weft-api").st_mode & 0o077 == 0, "others can enter the store's folder")


def the_programs_can_write_what_is_theirs_only():
    for name, allowed in (("weft-agent", ["/run/weft", "/var/lib/weft/agent", "/sys/fs/bpf", "/proc/sys/net/ipv4"]),
                          ("weft-api", ["/var/lib/weft-api"])):
        mounts = pathlib.Path(f"/proc/{unit(name, 'MainPID')}/mountinfo").read_text().splitlines()
        for folder in allowed + ["/usr", "/etc", "/boot", "/var/log", "/root"]:
            real = os.path.realpath(folder)
            # The last mount that is a parent of the folder is where it is.
            mount = max((line.split() for line in mounts if (real + "/").startswith(line.split()[4].rstrip("/") + "/")),
                        key=lambda fields: len(fields[4]))
            check(("rw" in mount[5].split(",")) == (folder in allowed), f"{name}: {folder} is {mount[4]} {mount[5]}")


def what_the_agent_made_is_where_everybody_finds_it():
    check(os.listdir("/sys/fs/bpf/weft/h1"), "nothing is pinned")
    check(os.stat("/run/weft/agent.sock").st_mode & 0o007 == 0, "everybody may talk to the agent")
    check(os.stat("/var/lib/weft/agent").st_mode & 0o077 == 0, "others can read the agent's state")
    check(os.stat("/var/lib/weft/agent/credential").st_mode & 0o077 == 0, "others can read the credential")


def kill(name):
    before, restarts = unit(name, "MainPID"), int(unit(name, "NRestarts"))
    os.kill(int(before), signal.SIGKILL)
    wait_for(lambda: unit(name, "ActiveState") == "active" and unit(name, "MainPID") not in (before, "0"), f"{name} to be started again")
    check(int(unit(name, "NRestarts")) == restarts + 1, f"{unit(name, 'NRestarts')} restarts")


def changes_arrive():
    weft("port", "set", "wb", "--disable")
    wait_for(lambda: not reaches("wa", "wb"), "a disabled port to be cut off")
    weft("port", "set", "wb", "--enable")
    wait_reaches("wa", "wb")


def an_agent_that_is_killed_is_started_again_and_no_packet_is_lost():
    pings = Pings("wa", "wb")
    kill("weft-agent")
    wait_for(lambda: "connected to" in journal_of_the_process("weft-agent"), "the new agent to connect")
    count = pings.end()
    changes_arrive()
    return count


def an_api_that_is_killed_is_started_again():
    kill("weft-api")
    wait_for(lambda: attempt("weft", "host", "list").returncode == 0, "the API to answer")
    return wait_for(host_is_up, "the host to be up")


def stopping_the_agent_takes_nothing_away():
    pings = Pings("wa", "wb")
    run("systemctl", "stop", "weft-agent")
    check(unit("weft-agent", "ActiveState") == "inactive", unit("weft-agent", "ActiveState"))
    check(reaches("wb", "wa", 10), "wb does not reach wa")
    count = pings.end()
    run("systemctl", "start", "weft-agent")
    return count


def the_journal_has_no_errors():
    out = run("journalctl", "-b", "-q", "-p", "warning", "-u", "weft-api", "-u", "weft-agent", "-o", "cat")
    lines = [line for line in out.splitlines() if not re.search("code=killed|Failed with result 'signal'", line)]
    check(not lines, "\n".join(lines))


# ---- boots 2 and 3 -----------------------------------------------------------------------------------------------------------

def hold_the_api():
    """From the next boot on the API is enabled, but does not start before it may: its machine takes longer."""
    DROP_INS.mkdir(exist_ok=True)
    (DROP_INS / "later.conf").write_text("[Unit]\nConditionPathExists=/run/api-may-start\n")


def the_agent_is_started_at_boot_and_the_api_is_away():
    wait_for(lambda: unit("weft-agent", "ActiveState") == "active", "the agent")
    check(unit("weft-agent", "UnitFileState") == unit("weft-api", "UnitFileState") == "enabled", "not enabled")
    check(unit("weft-api", "ActiveState") == "inactive", f"the API is {unit('weft-api', 'ActiveState')}")
    wait_for(lambda: unit("wa", "ActiveState") == "active", "the early workload")
    early, agent = (int(unit(name, "ExecMainStartTimestampMonotonic")) for name in ("wa", "weft-agent"))
    check(early < agent, "the tap is not there before the agent")


def ports_are_found_again_without_the_api():
    """The agent is told nothing: one device was there before it, the others come now."""
    for name, interface in state["veths"].items():
        add_veth(name, interface)
    for name in state["veths"]:
        wait_reaches("wa", name)
        wait_reaches(name, "wa")
    check(attempt("weft", "host", "list").returncode == 5, "the API answers")
    the_agent_answers_dhcp()


def the_api_comes_back():
    pathlib.Path("/run/api-may-start").touch()
    run("systemctl", "start", "weft-api")
    wait_for(lambda: attempt("weft", "host", "list").returncode == 0, "the API to answer")
    wait_for(host_is_up, "the host to be up")
    wait_for(lambda: all(port(name)["status"] == "ACTIVE" for name in state["ids"]), "all ports to be ACTIVE")
    wait_reaches("wa", "wb")


def a_port_is_made_just_before_the_power_fails():
    weft("port", "create", "wc", "--network", "office")
    remember_port("wc")
    add_veth("wc", "eth8")
    weft("port", "plug", "wc", "eth8")
    wait_reaches("wa", "wc")
    state["veths"]["wc"] = "eth8"


def tls_works_with_a_key_that_only_root_can_read():
    """As the operator's guide says."""
    run("install", "-m", "644", HERE / "tls.pem", "/etc/weft/tls.pem")
    run("install", "-m", "600", HERE / "tls.key", "/etc/weft/tls.key")
    (DROP_INS / "tls.conf").write_text("[Service]\nLoadCredential=tls.key:/etc/weft/tls.key\n")
    run("sed", "-i", "s/http:/https:/", "/etc/weft/api.conf", "/etc/weft/agent.conf")
    with open("/etc/weft/api.conf", "a") as settings:
        settings.write("tls-certificate = /etc/weft/tls.pem\ntls-key = /run/credentials/weft-api.service/tls.key\n")
    with open("/etc/weft/agent.conf", "a") as settings:
        settings.write("api-ca = /etc/weft/tls.pem\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "weft-api", "weft-agent")
    ENVIRONMENT.update(OS_AUTH_URL="https://192.0.2.1:9696/identity/v3", OS_CACERT="/etc/weft/tls.pem")
    wait_for(lambda: attempt("weft", "host", "list").returncode == 0, "the API to answer with TLS")
    wait_for(lambda: "connected to https:" in journal_of_the_process("weft-agent"), "the agent to connect with TLS")


def detaching_leaves_nothing():
    run("systemctl", "stop", "weft-agent")
    out = run("weft-agent", "detach")
    check(not os.path.exists("/sys/fs/bpf/weft/h1"), f"pins are left: {out}")
    left = run("ip", "-o", "link")
    check("weft" not in left, left)
    for line in left.splitlines():
        device = line.split(": ")[1].split("@")[0]
        filters = run("tc", "filter", "show", "dev", device, "ingress") + run("tc", "filter", "show", "dev", device, "egress")
        check("weft" not in filters and "bpf" not in filters, f"{device}: {filters}")
    check(not reaches("wa", "wb"), "wa still reaches wb")


BOOTS = {
    1: [systemd_is_init, the_units_pass_systemds_own_check, the_api_starts_and_its_password_is_in_the_journal,
        the_host_joins_with_a_token, a_tap_of_the_ports_name_and_a_plugged_device_are_ports, the_agent_answers_dhcp,
        the_agent_copies_its_tables_for_a_trace, the_agent_has_the_capabilities_it_needs_and_no_more, the_api_has_no_privileges,
        the_programs_can_write_what_is_theirs_only, what_the_agent_made_is_where_everybody_finds_it, the_journal_has_no_errors,
        an_agent_that_is_killed_is_started_again_and_no_packet_is_lost, an_api_that_is_killed_is_started_again,
        stopping_the_agent_takes_nothing_away],
    2: [the_agent_is_started_at_boot_and_the_api_is_away, ports_are_found_again_without_the_api, the_api_comes_back,
        changes_arrive, a_port_is_made_just_before_the_power_fails],
    3: [the_agent_is_started_at_boot_and_the_api_is_away, ports_are_found_again_without_the_api, the_api_comes_back,
        tls_works_with_a_key_that_only_root_can_read, detaching_leaves_nothing],
}

state = {"boot": 0, "ids": {}, "macs": {}, "addresses": {}, "veths": {"wb": "eth7"}, "environment": ENVIRONMENT}


def save():
    unfinished = STATE.with_suffix(".new")
    with open(unfinished, "w") as out:
        json.dump(state, out)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(STATE)
    folder = os.open(STATE.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def main():
    if STATE.exists():
        state.update(json.loads(STATE.read_text()))
        ENVIRONMENT.update(state["environment"])
    state["boot"] += 1
    boot = state["boot"]
    print(flush=True)  # Whatever stands on the console before.
    for one in BOOTS[boot]:
        start = time.monotonic()
        try:
            text = one()
            result(f"{boot}/{one.__name__}", True, f"{time.monotonic() - start:.1f} s {text or ''}")
        except Exception:
            result(f"{boot}/{one.__name__}", False, traceback.format_exc() + run(
                "journalctl", "-b", "-q", "-n", "40", "-u", "weft-api", "-u", "weft-agent", "-o", "short-monotonic"))
    print(f"boot {boot} took {time.monotonic():.0f} s", flush=True)
    hold_the_api()
    save()
    if boot == 1:
        run("systemctl", "reboot")
    elif boot == 2:
        pathlib.Path("/proc/sysrq-trigger").write_text("b")  # At once: nothing is written, nothing is told.
    else:
        run("systemctl", "poweroff")


if __name__ == "__main__":
    sys.exit(main())
