"""A veth takes what its other end sends back by XDP_TX only if it has an XDP program itself, as a machine's network card needs none."""

import ctypes
import os
import pathlib
import struct
import subprocess

BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_LOAD, OBJ_PIN, XDP = 5, 6, 6


def bpf(command, *fields):
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(struct.pack(*fields), 128)
    result = libc.syscall(BPF, command, attributes, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def pass_everything(namespace, interface):
    """Puts a program of two instructions onto an interface of a named network namespace.  It goes with the interface."""
    instructions = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0)  # return XDP_PASS
    code, licence = ctypes.create_string_buffer(instructions), ctypes.create_string_buffer(b"GPL")
    program = bpf(PROG_LOAD, "=IIQQ", XDP, 2, ctypes.addressof(code), ctypes.addressof(licence))
    path = pathlib.Path(f"/sys/fs/bpf/{namespace}-{interface}-pass")
    name = ctypes.create_string_buffer(str(path).encode())
    try:
        bpf(OBJ_PIN, "=QI", ctypes.addressof(name), program)
        # As ip -netns would not: it hides /sys/fs/bpf.
        subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "ip", "link", "set", "dev", interface, "xdp", "pinned", path], check=True)
    finally:
        os.close(program)
        path.unlink(missing_ok=True)
