"""Random and mutated IPv4 and ARP frames on the wire against the checking kernel: it stands, its memory
stays bounded, and an honest neighbour is still answered."""
import random
import re
import struct
import time

from conftest import DEBUG_KERNEL
from lan import Wire
from vm import VM

GUEST, US = bytes.fromhex("525400123456"), bytes.fromhex("020000000099")
BROADCAST, ALL_HOSTS = b"\xff" * 6, bytes.fromhex("01005e000001")
GUEST_IP, OUR_IP = bytes([10, 0, 0, 9]), bytes([10, 0, 0, 99])
NUM_FRAMES = 20000


def checksum(b):
    b += b"\0" * (len(b) % 2)
    s = sum(struct.unpack(f"!{len(b) // 2}H", b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return struct.pack("!H", ~s & 0xffff)


def ip_packet(src, dst, proto, payload, ttl=64, ident=0, frag=0, options=b"", tos=0, length_off=0, is_sound=True):
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | (20 + len(options)) // 4, tos,
                       20 + len(options) + len(payload) + length_off, ident, frag, ttl, proto, 0, src, dst) + options
    return head[:10] + (checksum(head) if is_sound else b"\0\0") + head[12:] + payload


def random_options(r):
    if r.random() > 0.3:
        return b""
    return bytes(r.choice([0, 1, 7, 68, 131, 148, 3, 4, 5, 8, 11, r.randrange(256)]) for _ in range(4 * r.randrange(1, 10)))


def random_payload(r, proto):
    n = r.randrange(0, 200) if r.random() < 0.9 else r.randrange(1200, 1440)
    b = bytearray(r.randbytes(n))
    if proto == 1 and n >= 40:  # ICMP, perhaps about a packet of ours
        b[0], b[1] = r.choice([0, 3, 3, 4, 5, 8, 11, 12, 13, 17]), r.randrange(16)
        b[8], b[17], b[20:24] = 0x45, r.choice([1, 6, 17]), GUEST_IP
        b[2:4] = b"\0\0"
        b[2:4] = checksum(bytes(b))
    if proto == 17 and n >= 8:
        b[0:8] = struct.pack("!HHHH", r.choice([53, 67, 68, 500]), r.choice([68, 53, 9, r.randrange(65536)]),
                             r.choice([n, n, 8, n + 1, 0]), 0)
    return bytes(b)


def random_ip(r):
    proto = r.choice([1, 1, 1, 2, 6, 17, 17, r.randrange(256)])
    packet = ip_packet(
        r.choice([OUR_IP, bytes([10, 0, 0, r.randrange(256)]), r.randbytes(4), b"\0" * 4]),
        r.choice([GUEST_IP] * 6 + [bytes([10, 0, 0, 255]), b"\xff" * 4, bytes([224, 0, 0, 1]), r.randbytes(4)]),
        proto, random_payload(r, proto), ttl=r.choice([64, 1, 0, 255]), ident=r.randrange(4),
        frag=r.choice([0, 0, 0, 0x2000, r.randrange(65536), r.randrange(20)]), options=random_options(r),
        tos=r.randrange(256), length_off=r.choice([0, 0, 0, 0, 1, -1]), is_sound=r.random() < 0.95)
    return r.choice([GUEST] * 6 + [BROADCAST, ALL_HOSTS]) + US + b"\x08\x00" + packet


def random_arp(r):
    arp = bytearray(struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, r.choice([1, 2, r.randrange(65536)]),
                                r.choice([US, r.randbytes(6)]),
                                r.choice([bytes([10, 0, 0, r.randrange(256)]), r.randbytes(4)]), b"\0" * 6,
                                r.choice([GUEST_IP, r.randbytes(4)])))
    if r.random() < 0.2:
        arp[r.randrange(len(arp))] = r.randrange(256)
    return r.choice([GUEST, BROADCAST]) + US + b"\x08\x06" + bytes(arp[:r.randrange(29)] if r.random() < 0.1 else arp)


def memory_used(vm):
    return int(re.search(r"Mem: +\d+ +(\d+)", vm.run("free"))[1])


def is_answered(wire):
    """A neighbour asks for the address, then pings."""
    wire.drain()
    wire.socket.settimeout(10)
    wire.send(BROADCAST + US + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, US, OUR_IP, b"\0" * 6,
                                                         GUEST_IP))
    echo = b"\x08\0\0\0\0\x01\0\x01still there"
    echo = echo[:2] + checksum(echo) + echo[4:]
    wire.send(GUEST + US + b"\x08\x00" + ip_packet(OUR_IP, GUEST_IP, 1, echo))
    end = time.monotonic() + 10
    while time.monotonic() < end:
        frame = wire.recv(1)
        if frame and frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0 and frame.endswith(b"still there"):
            return True
    return False


def test_noise_does_no_harm():
    r = random.Random(4)
    with Wire() as wire, VM(boot="pvh", kernel=DEBUG_KERNEL, limit=120, smp="2", mem="256M", nic="virtio", net=wire.net,
                            append="ip=10.0.0.9/24::10.0.0.254:::eth0:off") as vm:
        vm.prompt()
        before = memory_used(vm)
        for i in range(NUM_FRAMES):
            wire.socket.settimeout(10)
            wire.send(random_ip(r) if r.random() < 0.85 else random_arp(r))
            if i % 50 == 0:
                wire.drain()
        assert is_answered(wire)
        assert memory_used(vm) - before < 16 << 10
        drops = vm.run("cat /proc/net/drops")
        for reason in ("IP_CSUM", "IP_OPTIONS", "IP_MARTIAN", "FRAG_BAD", "ICMP_RATE", "ARP_BAD"):
            assert int(re.search(rf"{reason} +(\d+)", drops)[1]) > 50, drops
