"""weft-ipvsadm beside the real ipvsadm, on a kernel that has IPVS: the same commands to both, the same said and listed by both.

After each command: exit status, what is printed, and what is said on standard error."""

import re
import subprocess

CONFIG = "/tmp/lb.conf"
OURS = ["/guest/build/src/cli/weft-ipvsadm", "--unchecked", "--config", CONFIG, "--socket", "/nonexistent"]
REAL = ["/bin/ipvsadm"]
# What the transcript of the unit tests has no room for, since it asks for names or depends on this kernel.
TABLE = """
-A -t 10.0.0.1:http -s sh -b sh-fallback,sh-port -p 60 -M 255.255.0.0
-A -u 10.0.0.1:domain -o -p
-A -f 7 -6 -p -M 64 -s mh -b mh-port
-A -u 10.0.0.1:54 -o -p -s sh -b sh-port
-S -n
-A -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535
-a -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -r [2001:db8:1111:2222:3333:4444:5555:7777]:65535 -w 2147483647
-a -t localhost.example:80 -r 10.1.0.1
-a -t 10.0.0.1:http -r 10.1.0.1:http
-a -t 10.0.0.1:http -r 10.1.0.2 -m -x 5 -y 9
-a -t 10.0.0.1:http -r 10.1.0.2:http-alt -m -x 9 -y 5
-A -t a-very-long-host-name-indeed.example.org:81
-L
-S
-L -n -t 10.0.0.1:80
-L --timeout
--set 1 0 3
-L --timeout
-Z
-C
"""


def run(program, arguments, text=None):
    done = subprocess.run([*program, *arguments], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if not line.startswith("weft-ipvsadm: ")]
    out = done.stdout
    if arguments[0] == "-S":
        out = re.sub(r" -[xy] \d+", "", out)  # The real one forgets thresholds.
    return done.returncode, out, [re.sub(r"`\S+ -h' or '\S+ --help'", "HINT", line) for line in said]


def both(line, text=None):
    arguments = line.split()
    real, ours = run(REAL, arguments, text), run(OURS, arguments, text)
    if real != ours:
        raise RuntimeError(f"{line}\nipvsadm:      {real}\nweft-ipvsadm: {ours}")
    return real


def agrees():
    lines = [line for line in TABLE.split("\n") if line]
    for line in lines:
        both(line)
    return f"{len(lines)} commands"
