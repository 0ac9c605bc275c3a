"""IPv4 on a wire: addresses by DHCP from dnsmasq, by the command line, by nobody; Linux's ping against
ours; conflict detection, fragments and errors by frames that scapy makes."""
import re
import subprocess
import time

import pytest
from conftest import DEBUG_KERNEL
from lan import Lan, Wire
from vm import VM

needs_lan = pytest.mark.skipif(not Lan.is_possible(), reason="no rights to make name spaces")


def machine(**options):
    options.setdefault("nic", "virtio")
    return VM(boot="pvh", kernel=DEBUG_KERNEL, limit=60, smp="2", **options)


def wait_for(read, pattern, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = read()
        if re.search(pattern, text):
            return text
        time.sleep(0.2)
    raise AssertionError(f"no {pattern!r} in:\n{read()}")


def contents(path):
    with open(path) as f:
        return f.read()


@needs_lan
@pytest.mark.parametrize("nic", ["virtio", "e1000", "e1000e"])
def test_dhcp_from_dnsmasq_and_ping(nic):
    with Lan() as lan:
        log = lan.dnsmasq("--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,1h", "--port=0", "--no-ping",
                          "--dhcp-option=option:router,10.77.0.1", "--dhcp-option=option:dns-server,10.77.0.53",
                          "--dhcp-option=option:domain-name,keel.test",
                          "--dhcp-option=option:ntp-server,10.77.0.123",
                          "--dhcp-option=option:classless-static-route,10.88.0.0/16,10.77.0.7,0.0.0.0/0,10.77.0.1")
        with machine(nic=nic, **lan.vm_options) as vm:
            vm.prompt()
            wait_for(lambda: vm.run("dmesg"), "dhcp: eth0: 10.77.0")
            found = re.search(r"dhcp: eth0: (10\.77\.0\.\d+)/24 from 10\.77\.0\.1 for 3600 s", vm.run("dmesg"))
            assert found, vm.text
            addr = found[1]
            assert "DHCPACK" in contents(log)
            resolv = vm.run("cat /etc/resolv.conf")
            for line in ("nameserver 10.77.0.53", "search keel.test", "# time server 10.77.0.123"):
                assert line in resolv
            lan.run("busybox", "ping", "-c", "3", "-W", "2", addr)
            lan.run("busybox", "ping", "-c", "2", "-W", "2", "-s", "4000", addr)  # fragments both ways
            lan.run("busybox", "ping", "-c", "2", "-W", "2", "-s", "60000", addr)
            arp = vm.run("cat /proc/net/arp")
            assert re.search(r"10\.77\.0\.1 +0x1 +0x2", arp), arp


@needs_lan
def test_address_that_another_has_is_declined():
    with Lan() as lan:
        lan.ip("addr", "add", "10.77.0.50/32", "dev", "tap0")  # answers ARP for it
        log = lan.dnsmasq("--dhcp-range=10.77.0.50,10.77.0.51,255.255.255.0,1h", "--port=0", "--no-ping",
                          "--dhcp-sequential-ip")
        with machine(**lan.vm_options) as vm:
            vm.prompt()
            wait_for(lambda: contents(log), "DHCPDECLINE", 20)
            wait_for(lambda: contents(log), r"DHCPACK.* 10\.77\.0\.51", 40)


@needs_lan
def test_static_address_by_the_command_line():
    with Lan() as lan, machine(append="ip=10.77.0.9::10.77.0.1:255.255.255.0:keel:eth0:off:10.77.0.53",
                               **lan.vm_options) as vm:
        vm.prompt()
        assert "eth0: 10.77.0.9/24 by the command line" in vm.run("dmesg")
        lan.run("busybox", "ping", "-c", "2", "-W", "2", "10.77.0.9")
        assert "nameserver 10.77.0.53" in vm.run("cat /etc/resolv.conf")


@needs_lan
def test_address_goes_with_the_interface_and_comes_back():
    with Lan() as lan:
        log = lan.dnsmasq("--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,1h", "--port=0", "--no-ping")
        with machine(**lan.vm_options) as vm:
            vm.prompt()
            wait_for(lambda: vm.run("dmesg"), "dhcp: eth0: 10.77.0")
            assert "inet " not in vm.run("ifconfig eth0 down; ip -4 addr show eth0")
            wait_for(lambda: contents(log), "DHCPRELEASE")
            vm.run("ifconfig eth0 up")
            wait_for(lambda: vm.run("ip route"), r"default via 10\.77\.0\.1")
            assert "inet 10.77.0." in vm.run("ip -4 addr show eth0")


@needs_lan
def test_routes_between_two_interfaces():
    with Lan(v4="10.77.0.1/24") as a, Lan(v4="10.78.0.1/24") as b:
        fds = a.vm_options["fds"] + b.vm_options["fds"]
        extra = ("-netdev", b.vm_options["net"].replace("tap,", "tap,id=b,"),
                 "-device", "virtio-net-pci,netdev=b,mac=52:54:00:00:00:02,romfile=")
        with machine(net=a.vm_options["net"], fds=fds, extra=extra,
                     append="ip=10.77.0.9/24:::::eth0 ip=10.78.0.9/24:::::eth1") as vm:
            vm.prompt()
            wait_for(lambda: vm.run("ip -4 addr"), "10.77.0.9(.|\n)*10.78.0.9")
            a.ip("route", "add", "10.78.0.0/24", "via", "10.77.0.9")
            b.ip("route", "add", "10.77.0.0/24", "via", "10.78.0.9")
            ping = ("busybox", "ping", "-c", "2", "-W", "2")
            with pytest.raises(subprocess.CalledProcessError):  # off by default
                a.run(*ping, "10.78.0.1")
            vm.run("echo 1 >/proc/sys/net/ipv4/ip_forward")
            a.run(*ping, "10.78.0.1")
            a.run(*ping, "-s", "5000", "10.78.0.1")
            hops = a.run("busybox", "traceroute", "-n", "-q", "1", "-w", "2", "10.78.0.1")
            assert re.search(r"1 +10\.77\.0\.9 .*\n +2 +10\.78\.0\.1 ", hops), hops


@needs_lan
def test_unreachable_port_and_protocol():
    with Lan() as lan, machine(append="ip=10.77.0.9/24:::::eth0", **lan.vm_options) as vm:
        vm.prompt()
        out = lan.run("python3", "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(("10.77.0.9", 9))
s.send(b"x")
try:
    s.recv(10)
except ConnectionRefusedError:
    print("refused")
""")
        assert "refused" in out


def test_nobody_answers_gives_a_link_local_address_that_was_probed():
    scapy = pytest.importorskip("scapy.all")
    with Wire() as wire, machine(net=wire.net) as vm:
        vm.prompt()
        probes, discovers, announced = 0, 0, None
        end = time.monotonic() + 60
        while not announced and time.monotonic() < end:
            frame = wire.recv(1)
            p = scapy.Ether(frame) if frame else None
            if p is None:
                continue
            if p.haslayer("ARP") and p["ARP"].pdst.startswith("169.254."):
                if p["ARP"].psrc == "0.0.0.0":
                    probes += 1
                else:
                    announced = p["ARP"].psrc
            discovers += p.haslayer("BOOTP")
        assert probes == 3 and discovers >= 3 and announced
