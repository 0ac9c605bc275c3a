"""IPv6 with Linux, radvd and dnsmasq on the other end of the wire: addresses by advertisement and by
DHCPv6, ping both ways with fragments, duplicate addresses."""
import re
import time

import pytest
from conftest import DEBUG_KERNEL
from lan import Lan
from vm import VM

pytestmark = pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")

RADVD = """interface tap0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; %s
    prefix fd77::/64 { AdvOnLink on; AdvAutonomous on; };
    RDNSS fd77::1 { }; DNSSL example.org { }; };"""


def wait_for(what, fn, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = fn()
        if result:
            return result
        time.sleep(0.3)
    raise AssertionError(f"no {what} in {seconds} s")


def machine(lan, **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, limit=60, nic="virtio", **lan.vm_options, **options)


def addresses(vm):
    """Interface addresses in full, that may be used: scope and flags by /proc/net/if_inet6."""
    lines = vm.run("cat /proc/net/if_inet6").split("\n")
    fields = [x.split() for x in lines if x.endswith("eth0")]
    return [":".join(re.findall("....", f[0])) for f in fields if not int(f[4], 16) & 0x48]


def global_address(vm, prefix="fd77:"):
    return wait_for("address", lambda: next((a for a in addresses(vm) if a.startswith(prefix)), None))


def ping(lan, address, *options):
    return lan.run("busybox", "ping", "-6", "-c", "3", "-W", "2", *options, address)


def test_address_by_advertisement_and_ping():
    with Lan() as lan:
        lan.radvd(RADVD % "")
        with machine(lan) as vm:
            vm.prompt()
            address = global_address(vm)
            assert " 0% packet loss" in ping(lan, address)
            assert " 0% packet loss" in ping(lan, address, "-s", "4000")
            assert " 0% packet loss" in vm.run("ping6 -c 3 fd77::1")
            assert " 0% packet loss" in vm.run("ping6 -c 2 -s 5000 fd77::1")
            assert "nameserver fd77::1" in vm.run("cat /etc/resolv.conf")
            assert re.search(r"^0{32} 00 0{32} 00 fe80.*eth0$", vm.run("cat /proc/net/ipv6_route"), re.M)


def test_duplicate_address_is_not_used():
    # The second machine has the same MAC: RFC 7217 makes it ask for the same addresses only if the
    # secrets are alike, which the command line sees to.
    secret = "ip6_secret=" + "5" * 32
    with Lan() as lan:
        lan.radvd(RADVD % "")
        with machine(lan, append=secret) as vm:
            vm.prompt()
            first = global_address(vm)
        lan.ip("addr", "add", f"{first}/64", "dev", "tap0", "nodad")
        with machine(lan, append=secret) as vm:
            vm.prompt()
            second = global_address(vm)
            assert second != first
            assert "is used by another station" in vm.run("dmesg")


def test_address_by_dhcp6():
    with Lan() as lan:
        log = lan.dnsmasq("--port=0", "--enable-ra", "--dhcp-range=fd77::100,fd77::1ff,64,10m",
                          "--dhcp-option=option6:dns-server,[fd77::53]")
        with machine(lan) as vm:
            vm.prompt()
            address = global_address(vm, "fd77:0000:0000:0000:0000:0000:0000:01")
            assert " 0% packet loss" in ping(lan, address)
            assert "nameserver fd77::53" in vm.run("cat /etc/resolv.conf")
            vm.run("ifconfig eth0 down")
            wait_for("release", lambda: "DHCPRELEASE" in open(log).read())
            assert not addresses(vm)


def test_settings_by_stateless_dhcp6():
    with Lan() as lan:
        lan.dnsmasq("--port=0", "--enable-ra", "--dhcp-range=fd77::,ra-stateless",
                    "--dhcp-option=option6:dns-server,[fd77::53]")
        with machine(lan) as vm:
            vm.prompt()
            global_address(vm)
            wait_for("name server", lambda: "nameserver fd77::53" in vm.run("cat /etc/resolv.conf"))


def test_forwards_between_two_links():
    with Lan(v6="fd77::1/64") as near, Lan(v6="fd78::1/64") as far:
        fd = far.vm_options["fds"][0]
        options = {"net": near.vm_options["net"], "fds": (*near.vm_options["fds"], fd)}
        extra = ("-netdev", f"tap,id=far,fd={fd}", "-device", "virtio-net-pci,netdev=far,mac=52:54:00:12:34:99,romfile=")
        with VM(boot="pvh", kernel=DEBUG_KERNEL, limit=60, nic="virtio", extra=extra, **options) as vm:
            vm.prompt()
            vm.run("ip -6 addr add fd77::2/64 dev eth0; ip -6 addr add fd78::2/64 dev eth1; ifconfig eth1 up")
            near.ip("-6", "route", "add", "fd78::/64", "via", "fd77::2")
            far.ip("-6", "route", "add", "fd77::/64", "via", "fd78::2")
            time.sleep(3)  # duplicate address detection
            assert "100% packet loss" in near.run("sh", "-c", "busybox ping -6 -c 1 -W 1 fd78::1 || true")
            vm.run("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
            assert " 0% packet loss" in ping(near, "fd78::1")
            hops = near.run("busybox", "traceroute6", "-n", "-w", "2", "-q", "1", "fd78::1")
            assert re.search(r" 1  fd77::2 .*\n 2  fd78::1 ", hops), hops
            vm.run("ifconfig eth1 mtu 1280")
            ping(near, "fd78::1", "-s", "1400")
            assert "mtu 1280" in near.ip("-6", "route", "get", "fd78::1")
