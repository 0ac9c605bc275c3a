"""The Intel network drivers on QEMU's devices, with a peer in this file on the other end of the wire:
it makes every frame by hand, so what goes over it is known to the byte. QEMU says nothing about
wrong use of its devices (-d guest_errors)."""
import hashlib
import os
import select
import socket
import struct
import tempfile
import threading
import time

import pytest
from conftest import DEBUG_KERNEL
from test_nic import run_selftests
from vm import VM

MODELS = [("e1000", "pc"), ("e1000", "q35"), ("e1000-82544gc", "pc"), ("e1000-82545em", "q35"),
          ("e1000e", "pc"), ("e1000e", "q35")]
GUEST_MAC, PEER_MAC = bytes.fromhex("525400123456"), bytes.fromhex("020000000001")
GUEST_IP, PEER_IP = bytes([10, 77, 0, 2]), bytes([10, 77, 0, 1])


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f">{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


class Wire:
    """Frames by UNIX datagrams, as QEMU's -netdev dgram has them. Answers the guest's ARP requests
    for any address by itself."""

    def __init__(self, folder):
        self.ours, self.theirs = f"{folder}/peer", f"{folder}/guest"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(self.ours)
        self.netdev = (f"dgram,local.type=unix,local.path={self.theirs},"
                       f"remote.type=unix,remote.path={self.ours}")

    def send(self, frame):
        self.socket.sendto(frame.ljust(60, b"\0"), self.theirs)

    def frames(self, seconds):
        """What comes, until nothing came for so long."""
        while select.select([self.socket], [], [], seconds)[0]:
            f = self.socket.recv(65536)
            if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\x01" and f[38:42] != GUEST_IP:
                self.send(f[6:12] + PEER_MAC + b"\x08\x06" + f[14:20] + b"\0\x02" + PEER_MAC +
                          f[38:42] + f[22:28] + f[28:32])
                continue
            yield f

    def arp_request(self):
        self.send(b"\xff" * 6 + PEER_MAC + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) +
                  PEER_MAC + PEER_IP + bytes(6) + GUEST_IP)

    def ping(self, number, size, source=PEER_IP, dst=GUEST_MAC):
        data = bytes((number + i) & 255 for i in range(size))
        icmp = struct.pack(">BBHHH", 8, 0, 0, 0x77, number & 0xffff) + data
        icmp = icmp[:2] + struct.pack(">H", csum(icmp)) + icmp[4:]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number & 0xffff, 0x4000, 64, 1, 0,
                         source, GUEST_IP)
        ip = ip[:10] + struct.pack(">H", csum(ip)) + ip[12:]
        self.send(dst + PEER_MAC + b"\x08\0" + ip + icmp)

    def pongs(self, seconds=3.0, stop_at=None):
        """Numbers and sizes of the echo replies; each must be right to the byte."""
        got = []
        for f in self.frames(seconds):
            if f[12:14] != b"\x08\0" or f[23] != 1:
                continue
            length = struct.unpack(">H", f[16:18])[0]
            icmp = f[34:14 + length]
            assert f[:6] == PEER_MAC and f[6:12] == GUEST_MAC and f[26:30] == GUEST_IP
            assert csum(f[14:34]) == 0 and csum(icmp) == 0 and icmp[0] == 0, f.hex()
            number = struct.unpack(">H", icmp[6:8])[0]
            assert icmp[8:] == bytes((number + i) & 255 for i in range(len(icmp) - 8))
            got.append((number, len(icmp) - 8))
            if len(got) == stop_at:
                break
        return got


class Rig:
    """A machine with the NIC, up at 10.77.0.2 with frames of 9000 bytes, and the wire to it."""

    def __init__(self, nic, machine, append="", **kw):
        self.folder = tempfile.TemporaryDirectory(prefix="keel-e1000-")
        self.wire = Wire(self.folder.name)
        self.log = os.path.join(self.folder.name, "qemu.log")
        kw.setdefault("smp", "2")
        self.vm = VM(boot="pvh", kernel=DEBUG_KERNEL, mem="256M", nic=nic, machine=machine, limit=60,
                     net=self.wire.netdev, append="ip=10.77.0.2::10.77.0.1:255.255.255.0::eth0:off " + append,
                     extra=("-d", "guest_errors,unimp", "-D", self.log), **kw)

    def __enter__(self):
        self.vm.__enter__()
        self.vm.prompt()
        self.vm.run("dmesg -n 1; ip link set eth0 mtu 9000")
        assert self.is_running(True)
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.vm.power_off()
                assert open(self.log).read() == ""
        finally:
            self.vm.__exit__(kind, *_)
            self.folder.cleanup()

    def set_link(self, is_up):
        self.vm.qmp.command("human-monitor-command", **{"command-line": f"set_link n0 {'on' if is_up else 'off'}"})

    def is_running(self, wanted):
        """Waits until eth0 has a link, or has none."""
        for _ in range(40):
            if ("LOWER_UP" in self.vm.run("ip link show eth0")) == wanted:
                return True
            time.sleep(0.1)
        return False

    def counters(self):
        """Of eth0 in /proc/net/dev: packets in, multicasts in, packets out."""
        line = next(x for x in self.vm.run("cat /proc/net/dev").splitlines() if "eth0:" in x)
        n = [int(x) for x in line.split(":")[1].split()]
        return n[1], n[7], n[9]

    def works(self, number=1):
        """Also right after something was changed: a frame or two may be lost then."""
        for i in range(10):
            self.wire.ping(number + i, 100)
            if self.wire.pongs(1.0, 1):
                return True
        return False


def every_model(fn):
    return pytest.mark.parametrize("nic, machine", MODELS, ids=[f"{n}-{m}" for n, m in MODELS])(fn)


@every_model
def test_carries_frames_of_every_size(nic, machine):
    with Rig(nic, machine) as r:
        r.wire.arp_request()
        arp = next(f for f in r.wire.frames(3) if f[12:14] == b"\x08\x06" and f[20:22] == b"\0\x02")
        assert arp[22:28] == GUEST_MAC and arp[28:32] == GUEST_IP
        sizes = [0, 1, 17, 18, 19, 100, 149, 150, 151, 1471, 1472, 1473, 2005, 2006, 2007, 2048, 4053,
                 4054, 4055, 6000, 8971, 8972]
        for i, size in enumerate(sizes):
            r.wire.ping(i, size)
            assert r.wire.pongs(3.0, 1) == [(i, size)], size


@every_model
def test_carries_bursts_many_times_round_its_rings(nic, machine):
    with Rig(nic, machine) as r:
        assert r.works()
        for burst in range(60):
            numbers = range(burst * 50, burst * 50 + 50)
            for n in numbers:
                r.wire.ping(n, (n * 37) % 1473, source=bytes([10, 77, 0, 10 + n % 40]))
            got = r.wire.pongs(3.0, 50)
            assert sorted(n for n, _ in got) == list(numbers)
            assert all(size == (n * 37) % 1473 for n, size in got)


@every_model
def test_follows_the_link(nic, machine):
    with Rig(nic, machine) as r:
        assert r.works()
        for i in range(3):
            r.set_link(False)
            assert r.is_running(False)
            r.wire.ping(100, 100)
            r.set_link(True)
            assert r.is_running(True)
            assert r.works(200 + 20 * i)


@every_model
def test_receives_what_it_should_and_nothing_else(nic, machine):
    other, group = bytes.fromhex("020000000077"), bytes.fromhex("3333ff000077")
    with Rig(nic, machine) as r:
        assert r.works()
        time.sleep(2)  # its own IPv6 comes to rest

        def arrives(dst):
            before = r.counters()
            for i in range(20):
                r.wire.send(dst + PEER_MAC + b"\x88\xb5" + bytes(46))
            time.sleep(0.3)
            after = r.counters()
            if dst == group and after[0] > before[0]:
                assert after[1] - before[1] >= 20  # multicasts are counted by the device
            return after[0] - before[0]

        assert arrives(GUEST_MAC) == 20
        assert arrives(b"\xff" * 6) == 20
        assert arrives(bytes.fromhex("333300000001")) == 20  # all nodes, RFC 4291 2.7.1
        assert arrives(bytes.fromhex("01005e000001")) == 20  # all hosts, RFC 1112 4
        assert arrives(other) == 0 and arrives(group) == 0
        r.vm.run("ip link set eth0 promisc on")
        assert arrives(other) == 20 and arrives(group) == 20
        r.vm.run("ip link set eth0 promisc off")
        assert arrives(other) == 0 and arrives(group) == 0
        assert r.works(50)


def take_all(listener, out):
    with listener.accept()[0] as c:
        while data := c.recv(1 << 16):
            out.update(data)


@every_model
def test_carries_tcp_both_ways(nic, machine):
    """By the device's checksums and segmentation, where it has them: what arrives is what was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as folder:
        port, log, data = listener.getsockname()[1], f"{folder}/qemu.log", os.urandom(3 << 20)
        want = hashlib.md5(data).hexdigest()
        with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="256M", nic=nic, machine=machine, limit=60,
                append="ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
                extra=("-d", "guest_errors,unimp", "-D", log)) as vm:
            vm.prompt()
            vm.run("dmesg -n 1; until ping -c 1 -W 1 10.0.2.2; do :; done")

            def give():
                with listener.accept()[0] as c:
                    c.sendall(data)
            thread = threading.Thread(target=give)
            thread.start()
            got = vm.run(f"nc 10.0.2.2 {port} </dev/null >/tmp/f; md5sum /tmp/f")
            thread.join()
            assert want in got, got
            back = hashlib.md5()
            thread = threading.Thread(target=take_all, args=(listener, back))
            thread.start()
            vm.run(f"nc 10.0.2.2 {port} </tmp/f")
            thread.join()
            assert back.hexdigest() == want
            vm.power_off()
        assert open(log).read() == ""


@every_model
def test_in_kernel_tests_of_drivers(nic, machine):
    """Drivers come and go, bursts, resets in the middle: drivers/net/selftest_rings.c."""
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/qemu.log"
        run_selftests("", nic=nic, machine=machine, extra=("-d", "guest_errors,unimp", "-D", log))
        assert open(log).read() == ""


def test_two_queues_of_the_82574_take_turns():
    with Rig("e1000e", "q35") as r:
        assert r.works()
        for n in range(200):
            r.wire.ping(n, 10, source=bytes([10, 77, 0, 10 + n % 40]))
            assert r.wire.pongs(3.0, 1) == [(n, 10)]
        lines = [line.split() for line in r.vm.run("cat /proc/interrupts").splitlines() if "e1000e" in line]
        assert len(lines) == 3
        assert all(int(c0) + int(c1) > 20 for _, c0, c1, *_ in lines[:2]), lines


@pytest.mark.parametrize("append, interrupts", [("nomsix", 1), ("nomsi", 1), ("", 3)],
                         ids=["msi", "intx", "msix"])
def test_82574_by_each_kind_of_interrupt(append, interrupts):
    with Rig("e1000e", "q35", append=append) as r:
        assert r.works()
        for n in range(300):
            r.wire.ping(n, n)
        assert len(r.wire.pongs(3.0, 300)) == 300
        assert r.vm.run("grep -c e1000e /proc/interrupts").strip() == str(interrupts)


def test_one_cpu_gets_one_queue():
    with Rig("e1000e", "q35", smp="1") as r:
        assert r.works()
        assert r.vm.run("grep -c e1000e /proc/interrupts").strip() == "2"


def test_memory_it_cannot_reach():
    """On a PCI bus its addresses have 32 bits: packets beyond 4 GiB go through a bounce area."""
    run_selftests("", nic="e1000", machine="pc", mem="6G",
                  tests=("nics_send_and_receive", "nics_send_bursts", "nics_go_on_after_a_reset"))
