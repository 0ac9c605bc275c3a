"""What a machine does by itself: with `ip6=off`, for a new address, when names change; numbers of its
fragments. One machine of its own, as its settings are changed."""
import re
import time

import pytest
from scapy.all import (ARP, ICMP, IP, Ether, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6ND_RS,
                       ICMPv6NDOptDstLLAddr, ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS, IPv6, IPv6ExtHdrFragment, Raw,
                       fragment, raw)

from conftest import DEBUG_KERNEL
from peer import FENCE6, KEEL4, KEEL6, LL6, MAC, V4, V6, Peer

CONF6 = "/proc/sys/net/ipv6/conf/eth0"


@pytest.fixture(scope="module")
def machine():
    with Peer(kernel=DEBUG_KERNEL, append="ip6=off") as p:
        yield p


def advertise(peer, *options):
    peer.send(Ether(src=MAC, dst="33:33:00:00:00:01") / IPv6(src=LL6, dst="ff02::1", hlim=255) /
              ICMPv6ND_RA(routerlifetime=1800) / options[0] / (options[1] if len(options) > 1 else b""))
    peer.fence()
    time.sleep(0.5)


PREFIX = ICMPv6NDOptPrefixInfo(prefix="fd99::", prefixlen=64, L=1, A=1, validlifetime=600, preferredlifetime=600)


def test_ip6_off_asks_and_believes_no_router(machine):
    time.sleep(2)
    with machine.changed:
        assert not any(ICMPv6ND_RS in f for f in machine.frames)
    advertise(machine, PREFIX)
    out = machine.vm.run("ip -6 addr show dev eth0; ip -6 route")
    assert "fe80::" in out and KEEL6 in out  # the link's address, and the one that was given
    assert "fd99:" not in out and LL6 + " " not in out


def test_resolv_conf_is_replaced_whole(machine):
    def inode():
        return int(machine.vm.run("ls -i /etc/resolv.conf").split()[0])
    machine.vm.run(f"echo 1 >{CONF6}/accept_ra")
    seen = set()
    for n in range(1, 4):
        advertise(machine, ICMPv6NDOptRDNSS(dns=[f"fd77::{n}"], lifetime=600))
        assert f"nameserver fd77::{n}\n" in machine.vm.run("cat /etc/resolv.conf").replace("\r", "") + "\n"
        seen.add(inode())
    assert len(seen) >= 2  # written anew beside it each time
    assert ".resolv" not in machine.vm.run("ls -a /etc")
    machine.vm.run(f"echo 0 >{CONF6}/accept_ra")


def test_rfc9131_6_1_2_routers_learn_of_a_new_address(machine):
    machine.forget()
    machine.vm.run("ip addr add fd77::77/64 dev eth0")
    found = machine.wait(lambda f: ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == "fd77::77", 10)
    assert found, "nothing was said"
    na = found[0]
    assert na[IPv6].dst == "ff02::2" and na.dst == "33:33:00:00:00:02" and na[IPv6].hlim == 255
    assert (na[ICMPv6ND_NA].S, na[ICMPv6ND_NA].O) == (0, 0)
    assert na[ICMPv6NDOptDstLLAddr].lladdr == machine.mac


def neighbour(machine, addr, *options):
    na = Ether(src=MAC, dst="33:33:00:00:00:02") / IPv6(src=addr, dst="ff02::2", hlim=255)
    na /= ICMPv6ND_NA(tgt=addr, R=0, S=0, O=0)
    for o in options:
        na /= o
    machine.send(na)
    machine.fence()
    return machine.vm.run(f"ip -6 neigh show {addr}")


def test_rfc4861_7_2_5_hosts_do_not_keep_what_they_did_not_ask_for(machine):
    assert "fd77::31" not in neighbour(machine, "fd77::31", ICMPv6NDOptDstLLAddr(lladdr=MAC)).split("\n", 1)[-1]


def test_rfc9131_6_1_1_routers_keep_what_they_did_not_ask_for(machine):
    machine.vm.run(f"echo 1 >{CONF6}/forwarding")
    try:
        assert re.search(f"lladdr {MAC}.*STALE", neighbour(machine, "fd77::32", ICMPv6NDOptDstLLAddr(lladdr=MAC)))
        assert "lladdr" not in neighbour(machine, "fd77::33")
    finally:
        machine.vm.run(f"echo 0 >{CONF6}/forwarding")


def test_rfc4291_2_8_a_router_is_in_the_groups_of_routers(machine):
    group = "ff020000000000000000000000000002"
    assert group not in machine.vm.run("cat /proc/net/igmp6")
    machine.vm.run(f"echo 1 >{CONF6}/forwarding")
    assert group in machine.vm.run("cat /proc/net/igmp6")
    machine.vm.run(f"echo 0 >{CONF6}/forwarding")
    assert group not in machine.vm.run("cat /proc/net/igmp6")


def identifications(peer, source):
    """Of the fragments of eight answers."""
    found = []
    for n in range(8):
        whole = raw(IPv6(src=source, dst=KEEL6) / ICMPv6EchoRequest(id=9, seq=n, data=bytes(2000)))[40:]
        cut = 1208
        peer.forget()
        for off, part, more in ((0, whole[:cut], 1), (cut, whole[cut:], 0)):
            peer.send(Ether(src=MAC, dst=peer.mac) / IPv6(src=source, dst=KEEL6, nh=44) /
                      IPv6ExtHdrFragment(nh=58, offset=off // 8, m=more, id=0x1000 + n) / Raw(part))
        got = peer.wait(lambda f: IPv6ExtHdrFragment in f and not f[IPv6ExtHdrFragment].m, 5)
        assert got, "no answer"
        found.append(got[0][IPv6ExtHdrFragment].id)
    return found


def test_rfc7739_5_identifications_of_one_path_do_not_tell_of_another(machine):
    """Keyed hash of the path, random steps: no repetition, no counter of all that is sent."""
    a, b = identifications(machine, V6), identifications(machine, FENCE6)
    for ids in (a, b):
        steps = [(y - x) & 0xffffffff for x, y in zip(ids, ids[1:])]
        assert len(set(ids)) == len(ids) and all(0 < s < 1000 for s in steps)
        assert len(set(steps)) > 1, "the steps can be foreseen"
    assert min((x - y) & 0xffffffff for x in a for y in b) > 1000
    assert min((y - x) & 0xffffffff for x in a for y in b) > 1000


def test_rfc6864_4_1_identification_of_what_is_not_cut(machine):
    """An atomic datagram (DF, whole) says nothing by it; pieces of another share theirs."""
    machine.forget()
    for p in fragment(IP(src=V4, dst=KEEL4) / ICMP(id=9) / Raw(bytes(2000)), fragsize=1400):
        machine.send(Ether(src=MAC, dst=machine.mac) / p)
    got = machine.wait(lambda f: IP in f and f[IP].proto == 1 and f[IP].frag, 5)
    parts = [f for f in got if IP in f and f[IP].proto == 1]
    assert len(parts) == 2 and parts[0][IP].id == parts[1][IP].id != 0


def test_rfc4861_7_2_6_rfc5227_3_a_link_that_is_back_learns_who_is_here(machine):
    for state in ("off", "on"):
        machine.forget()
        machine.vm.qmp.command("human-monitor-command", **{"command-line": f"set_link n0 {state}"})
        time.sleep(2)
    with machine.changed:
        frames = list(machine.frames)
    said = {f[ICMPv6ND_NA].tgt for f in frames
            if ICMPv6ND_NA in f and f[IPv6].dst == "ff02::1" and f[ICMPv6ND_NA].O and not f[ICMPv6ND_NA].S}
    assert KEEL6 in said and any(a.startswith("fe80::") for a in said)
    assert any(ARP in f and f[ARP].psrc == f[ARP].pdst == KEEL4 and f.dst == "ff:ff:ff:ff:ff:ff" for f in frames)
    # Switches behind the new plug learn its groups, too.
    assert any(IPv6 in f and f[IPv6].dst == "ff02::16" for f in frames)
