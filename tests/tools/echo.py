"""Echo requests that are counted by what comes back.

ping(8) ends when all but the last are back and that one takes longer than 20 ms, or than twice the slowest: on a busy machine it counts as lost what
is not."""

import contextlib
import itertools
import os
import select
import socket
import struct
import time

IDENTIFIERS = itertools.count(os.getpid())
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


def checksum(message):
    """Of the Internet (RFC 1071), of an even number of bytes; ICMPv6's, which needs addresses, is the kernel's work."""
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xffff)


def ping(namespace, address, count, wait, interval, size=None):
    """How many of 'count' echoes came back, the last ones within 'wait' seconds.  With a 'size', of what they carry, they are not to be fragmented."""
    is_v6 = ":" in address
    family, protocol, request, reply = (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129) if is_v6 else (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)
    identifier, heard, sent = next(IDENTIFIERS) & 0xffff, set(), 0
    with namespace.inside(), socket.socket(family, socket.SOCK_RAW, protocol) as echo:
        to = socket.getaddrinfo(address, 0, family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4] # With the scope of a link-local address.
        with contextlib.suppress(OSError):
            if size:
                echo.setsockopt(*((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if is_v6 else (socket.IPPROTO_IP, IP_MTU_DISCOVER)), PMTUDISC_DO)
            echo.connect(to)
            due = time.monotonic()
            while len(heard) < count and (sent < count or time.monotonic() < due):
                if sent < count and time.monotonic() >= due:
                    message = struct.pack("!BBHHH", request, 0, 0, identifier, sent) + bytes(size or 56)
                    echo.send(message[:2] + checksum(message) + message[4:])
                    sent += 1
                    due = time.monotonic() + (interval if sent < count else wait)
                if select.select([echo], [], [], max(0, due - time.monotonic()))[0]:
                    packet = echo.recv(65536)
                    kind, _, _, whose, number = struct.unpack("!BBHHH", packet[0 if is_v6 else 4 * (packet[0] & 15):][:8])
                    if kind == reply and whose == identifier:
                        heard.add(number)
    return len(heard)
