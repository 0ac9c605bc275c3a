"""IGMPv3 and MLDv2 with source filters, section by section: members inside (tests/guest/mcast.c), a router
by hand outside. Each test is run over both families and has a group of its own."""
import itertools
import socket
import subprocess
import time

import pytest
from scapy.all import (IP, UDP, Ether, IPOption_Router_Alert, IPv6, IPv6ExtHdrHopByHop, Raw,
                       RouterAlert, checksum, in6_chksum, raw)

from conftest import DEBUG_KERNEL
from peer import LL6, MAC, V4, Peer
from vm import TOP

IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = range(1, 7)
PORT = 7777


class V4Family:
    name, size, newest = "v4", 4, 3
    routers = "224.0.0.22"
    a, b, c = "10.77.0.11", "10.77.0.12", "10.77.0.13"
    groups = (f"239.5.5.{i}" for i in itertools.count(1))

    def pack(self, addr):
        return socket.inet_aton(addr)

    def mac(self, group):
        b = self.pack(group)
        return "01:00:5e:%02x:%02x:%02x" % (b[1] & 0x7f, b[2], b[3])

    def query(self, group=None, sources=(), tenths=5, version=3, ttl=1, robustness=2, spoil=0, **_):
        m = bytes([0x11, 0 if version == 1 else tenths, 0, 0]) + self.pack(group or "0.0.0.0")
        if version == 3:
            m += bytes([robustness, 125, 0, len(sources)]) + b"".join(map(self.pack, sources))
        m = m[:2] + (checksum(m) ^ spoil).to_bytes(2, "big") + m[4:]
        to = group or "224.0.0.1"
        return (Ether(src=MAC, dst=self.mac(to)) /
                IP(src=V4, dst=to, ttl=ttl, proto=2, options=[IPOption_Router_Alert()]) / Raw(m))

    def data(self, source, group):
        return Ether(src=MAC, dst=self.mac(group)) / IP(src=source, dst=group) / UDP(dport=PORT) / Raw(b"x")

    def message(self, f):
        """The IGMP message in a frame, if it is as it must be: RFC 3376 4, 4.2.14."""
        if IP not in f or f[IP].proto != 2 or f.src == MAC:
            return None
        m = raw(f[IP].payload)
        assert f[IP].ttl == 1 and f[IP].tos == 0xc0 and checksum(m) == 0
        assert any(isinstance(o, IPOption_Router_Alert) for o in f[IP].options)
        return m

    def is_report(self, m):
        return m[0] == 0x22

    def is_old(self, m, group, version):
        return m == raw(m[:2] + m[2:4] + self.pack(group)) and m[0] == (0x12 if version == 1 else 0x16)

    def is_leave(self, m, group):
        return m[0] == 0x17 and m[4:] == self.pack(group)

    def count(self, m):
        return int.from_bytes(m[6:8], "big")

    def dst(self, f):
        return f[IP].dst


class V6Family(V4Family):
    name, size, newest = "v6", 16, 2
    routers = "ff02::16"
    a, b, c = "fd77::11", "fd77::12", "fd77::13"
    groups = (f"ff15::5:{i:x}" for i in itertools.count(1))

    def pack(self, addr):
        return socket.inet_pton(socket.AF_INET6, addr)

    def mac(self, group):
        return "33:33:" + ":".join("%02x" % b for b in self.pack(group)[12:])

    def query(self, group=None, sources=(), tenths=5, version=2, ttl=1, robustness=2, spoil=0, src=LL6, alert=True):
        m = bytes([130, 0, 0, 0]) + (tenths * 100).to_bytes(2, "big") + b"\0\0" + self.pack(group or "::")
        if version == 2:
            m += bytes([robustness, 125, 0, len(sources)]) + b"".join(map(self.pack, sources))
        to = group or "ff02::1"
        ip = IPv6(src=src, dst=to, hlim=ttl)
        m = m[:2] + (in6_chksum(58, ip, m) ^ spoil).to_bytes(2, "big") + m[4:]
        if alert:
            ip /= IPv6ExtHdrHopByHop(nh=58, options=[RouterAlert()])
        else:
            ip.nh = 58
        return Ether(src=MAC, dst=self.mac(to)) / ip / Raw(m)

    def data(self, source, group):
        return Ether(src=MAC, dst=self.mac(group)) / IPv6(src=source, dst=group) / UDP(dport=PORT) / Raw(b"x")

    def message(self, f):
        """RFC 3810 5: from a link-local address, hop limit 1, router alert."""
        if IPv6ExtHdrHopByHop not in f or f.src == MAC:
            return None
        m = raw(f[IPv6ExtHdrHopByHop].payload)
        assert f[IPv6].hlim == 1 and f[IPv6].src.startswith("fe80:")
        assert any(isinstance(o, RouterAlert) for o in f[IPv6ExtHdrHopByHop].options)
        return m

    def is_report(self, m):
        return m[0] == 143

    def is_old(self, m, group, version):
        return m[0] == 131 and m[8:] == self.pack(group)

    def is_leave(self, m, group):
        return m[0] == 132 and m[8:] == self.pack(group)

    def dst(self, f):
        return f[IPv6].dst


class Net:
    """The machine, one family of it, and a group that nobody else uses."""

    def __init__(self, peer, family):
        self.peer, self.f = peer, family
        self.group = next(family.groups)
        self.members = []

    def join(self, mode="ex", *sources):
        """A member inside: number of its output."""
        n = len(self.members)
        out = self.peer.vm.run(f"/guest/mcast hold eth0 {self.group} {mode} {' '.join(sources)} >/tmp/m{n} 2>&1 & "
                               "echo pid $!")
        self.members.append(int(out.split("pid ")[1].split()[0]))
        return n

    def leave(self, n):
        self.peer.vm.run(f"kill {self.members[n]}; wait {self.members[n]}")
        self.members[n] = None

    def leave_all(self):
        for n, pid in enumerate(self.members):
            if pid:
                self.leave(n)

    def heard(self, n):
        return self.peer.vm.run(f"cat /tmp/m{n}").split("heard ")[1:]

    def messages(self, seconds):
        time.sleep(seconds)
        with self.peer.changed:
            frames = list(self.peer.frames)
        return [(f, m) for f in frames if (m := self.f.message(f))]

    def records(self, seconds=1.6):
        """What reports of the newest version said about the group: (type, sources)."""
        found = []
        for f, m in self.messages(seconds):
            if not self.f.is_report(m):
                continue
            assert self.f.dst(f) == self.f.routers
            at, size = 8, self.f.size
            for _ in range(self.f.count(m)):
                kind, n = m[at], int.from_bytes(m[at + 2:at + 4], "big")
                group, at = m[at + 4:at + 4 + size], at + 4 + size
                sources = {m[at + i * size:at + (i + 1) * size] for i in range(n)}
                at += n * size
                if group == self.f.pack(self.group):
                    found.append((kind, sources))
            assert at == len(m)
        return found

    def forget(self, seconds=0.0):
        time.sleep(seconds)
        self.peer.forget()

    def ask(self, **query):
        self.peer.send(self.f.query(**query))

    def said(self, kind, *sources):
        return kind, set(map(self.f.pack, sources))


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcast")
    (folder / "list").write_text(f"file /guest/mcast {TOP}/build/guest/mcast 0755\n")
    subprocess.run([f"{TOP}/scripts/mkcpio", folder / "mcast.cpio", folder / "list"], check=True)
    with Peer(kernel=DEBUG_KERNEL, initrd=[f"{TOP}/build/initrd.cpio.gz", str(folder / "mcast.cpio")]) as p:
        yield p


@pytest.fixture(params=[V4Family(), V6Family()], ids=lambda f: f.name)
def net(machine, request):
    n = Net(machine, request.param)
    n.forget()
    yield n
    n.leave_all()


def test_rfc3376_5_1_rfc3810_6_1_join_for_any_source(net):
    net.join()
    assert net.records() == [net.said(TO_EX)] * 2


def test_rfc3376_5_1_rfc3810_6_1_join_for_sources(net):
    net.join("in", net.f.a, net.f.b)
    last = net.records()
    # The group is joined first and then given its filter: from "all" to two sources.
    assert last[-1] == net.said(TO_IN, net.f.a, net.f.b) and 2 <= len(last) <= 4


def test_rfc3376_5_1_rfc3810_6_1_a_source_more_and_one_less(net):
    net.join("in", net.f.a)
    net.forget(1.5)
    n = net.join("in", net.f.b)
    net.forget(1.5)
    net.leave(n)
    assert net.records() == [net.said(BLOCK, net.f.b)] * 2


def test_rfc3376_5_1_rfc3810_6_1_leave(net):
    n = net.join()
    net.forget(1.5)
    net.leave(n)
    assert net.records() == [net.said(TO_IN)] * 2


def test_rfc3376_3_2_rfc3810_4_2_filters_of_members_are_merged(net):
    net.join("in", net.f.a)
    net.forget(1.5)
    n = net.join("ex", net.f.a, net.f.b)
    told = net.records()  # joined, then given its filter, and both merged if that was quick
    assert told[0][0] == TO_EX and told[-1] in (net.said(TO_EX, net.f.b), net.said(BLOCK, net.f.b))
    net.forget()
    net.leave(n)
    assert net.records() == [net.said(TO_IN, net.f.a)] * 2


def test_rfc3376_3_2_rfc3810_4_2_input_is_filtered(net):
    n = net.join("in", net.f.a)
    net.forget(1.5)
    for source in (net.f.b, net.f.a, net.f.c):
        net.peer.send(net.f.data(source, net.group))
    time.sleep(0.5)
    assert [s.strip() for s in net.heard(n)] == [net.f.a]
    other = net.join("ex", net.f.a, net.f.b)
    time.sleep(0.5)
    for source in (net.f.b, net.f.a, net.f.c):
        net.peer.send(net.f.data(source, net.group))
    time.sleep(0.5)
    assert [s.strip() for s in net.heard(n)] == [net.f.a] * 2
    assert [s.strip() for s in net.heard(other)] == [net.f.c]


def test_rfc3376_5_2_rfc3810_6_2_general_query(net):
    net.join("in", net.f.a, net.f.b)
    net.forget(1.5)
    net.ask()
    assert net.records(1) == [net.said(IS_IN, net.f.a, net.f.b)]


def test_rfc3376_5_2_rfc3810_6_2_group_query(net):
    net.join("ex", net.f.a)
    net.forget(1.5)
    net.ask(group=net.group)
    assert net.records(1) == [net.said(IS_EX, net.f.a)]


def test_rfc3376_5_2_rfc3810_6_2_query_about_another_group(net):
    net.join()
    net.forget(1.5)
    net.ask(group=next(net.f.groups))
    assert net.records(1) == []


def test_rfc3376_5_2_rfc3810_6_2_query_about_sources_that_are_included(net):
    net.join("in", net.f.a, net.f.b)
    net.forget(1.5)
    net.ask(group=net.group, sources=[net.f.b, net.f.c])
    assert net.records(1) == [net.said(IS_IN, net.f.b)]


def test_rfc3376_5_2_rfc3810_6_2_query_about_sources_that_are_not_excluded(net):
    net.join("ex", net.f.a)
    net.forget(1.5)
    net.ask(group=net.group, sources=[net.f.a, net.f.c])
    assert net.records(1) == [net.said(IS_IN, net.f.c)]


def test_rfc3376_5_2_rfc3810_6_2_query_about_sources_nobody_wants(net):
    net.join("in", net.f.a)
    net.forget(1.5)
    net.ask(group=net.group, sources=[net.f.b])
    assert net.records(1) == []


def test_rfc3376_5_2_rfc3810_6_2_queries_that_wait_are_answered_at_once(net):
    """Rules 4 and 5: two lists of sources become one answer, one about the group has all."""
    net.join("in", net.f.a, net.f.b)
    net.forget(1.5)
    net.ask(group=net.group, sources=[net.f.a], tenths=10)
    net.ask(group=net.group, sources=[net.f.b], tenths=10)
    assert net.records(1.4) in ([net.said(IS_IN, net.f.a, net.f.b)],
                                [net.said(IS_IN, net.f.a), net.said(IS_IN, net.f.b)])  # the first was drawn as 0
    net.forget()
    net.ask(group=net.group, sources=[net.f.c], tenths=10)
    net.ask(group=net.group, tenths=10)
    assert net.records(1.5) == [net.said(IS_IN, net.f.a, net.f.b)]


def test_rfc3376_4_1_6_rfc3810_5_1_8_robustness_is_the_queriers(net):
    net.ask(robustness=3)
    net.forget(1)
    net.join()
    assert net.records(2.8) == [net.said(TO_EX)] * 3
    net.ask(robustness=2)
    time.sleep(1)


def test_rfc3376_9_1_rfc3810_6_2_bad_queries_are_not_answered(net):
    net.join()
    net.forget(1.5)
    bad = [{"ttl": 2}, {"spoil": 0x1111}]
    if net.f.name == "v6":
        bad += [{"src": "fd77::1"}, {"alert": False}]
    for q in bad:
        net.ask(group=net.group, **q)
    assert net.records(1) == []


@pytest.mark.parametrize("version", [2, 1])
def test_rfc3376_7_2_rfc3810_8_2_older_queriers(net, version):
    """Last, and from the newer to the older: the machine speaks as they do for minutes."""
    if version >= net.f.newest:
        pytest.skip("is its own version")
    n = net.join()
    net.forget(1.5)
    net.ask(group=net.group, version=version)
    old = [(f, m) for f, m in net.messages(11 if version == 1 and net.f.name == "v4" else 1)
           if net.f.is_old(m, net.group, version)]
    assert len(old) == 1 and net.f.dst(old[0][0]) == net.group
    net.forget()
    net.leave(n)
    left = [f for f, m in net.messages(2) if net.f.is_leave(m, net.group)]
    if net.f.name == "v4" and version == 1:
        assert not left
    else:
        assert [net.f.dst(f) for f in left] == ["224.0.0.2" if net.f.name == "v4" else "ff02::2"]
