"""A physical server behind the director: answers HTTP on port 80 with its name and the size of what it was sent, and takes IPIP, GUE and
GRE apart in user space, since the kernel under test may have none of them:

    raw and UDP sockets -> the packet inside -> tun0 -> this host's stack, which has the virtual addresses

python3 director_server.py NAME; prints "ready" when it is."""

import fcntl
import http.server
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading

IFF_TUN, IFF_NO_PI, TUNSETIFF = 1, 0x1000, 0x400454CA
GUE_PORT = 6080


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        left = size = int(self.headers.get("Content-Length", 0))
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return
            left -= len(part)
        text = f"{sys.argv[1]} {size}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128


def open_tun():
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", "tun0", "up", "mtu", "9000"], check=True)
    return tun


def inner_of_gre(bytes_):
    flags, = struct.unpack_from("!H", bytes_)
    if flags & 0x7FFF:
        return b""
    if not flags & 0x8000:
        return bytes_[4:]
    total = sum(struct.unpack(f"!{(len(bytes_) + 1) // 2}H", bytes_ + b"\0" * (len(bytes_) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return bytes_[8:] if total == 0xFFFF else b""  # RFC 2784: one that is wrong is discarded.


def inner_of_gue(bytes_):
    """Variant 0, with Linux's option of the remote checksum: the sum from 'start' on, of the rest, goes to 'offset'."""
    if len(bytes_) < 4 or bytes_[1] not in (4, 41):
        return b""
    if bytes_[0] == 0:
        return bytes_[4:]
    private, start, offset = struct.unpack_from("!IHH", bytes_, 4)
    if bytes_[0] != 2 or bytes_[2:4] != b"\0\1" or private != 1 << 31:
        return b""
    inner = bytearray(bytes_[12:])
    part = bytes(inner[start:]) + b"\0" * ((len(inner) - start) % 2)
    total = sum(struct.unpack(f"!{len(part) // 2}H", part))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    inner[offset:offset + 2] = struct.pack("!H", ~total & 0xFFFF)
    return bytes(inner)


def decapsulate():
    tun = open_tun()
    sources = selectors.DefaultSelector()
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (4, 41, 47):
            source = socket.socket(family, socket.SOCK_RAW, protocol)
            source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            # An IPv4 raw socket gives the outer header too; nothing else does.
            sources.register(source, selectors.EVENT_READ, (family == socket.AF_INET, protocol))
    gue = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    gue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    gue.setsockopt(socket.IPPROTO_UDP, 102, 1)  # UDP_NO_CHECK6_RX: zero checksums over IPv6, RFC 6935.
    gue.bind(("::", GUE_PORT))
    sources.register(gue, selectors.EVENT_READ, (False, 17))
    ready.set()
    while True:
        for key, _ in sources.select():
            has_header, protocol = key.data
            packet = key.fileobj.recv(65536)
            if has_header:
                packet = packet[(packet[0] & 15) * 4:]
            if protocol == 17:
                packet = inner_of_gue(packet)
            if protocol == 47:
                packet = inner_of_gre(packet)
            if packet:
                os.write(tun, packet)


ready = threading.Event()
threading.Thread(target=decapsulate, daemon=True).start()
ready.wait()
server = Server(("::", 80), Handler)
print("ready", flush=True)
server.serve_forever()
