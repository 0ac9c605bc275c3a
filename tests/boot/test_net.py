"""The network's floor in a machine: interfaces and their tools, VLANs, AF_PACKET and DHCP by busybox,
under each driver, with QEMU's own network as the other side."""
import re

import pytest
from conftest import DEBUG_KERNEL
from vm import VM


def machine(nic="none", **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="256M", limit=60, nic=nic, **options)


@pytest.fixture(scope="module")
def quiet():
    with machine() as vm:
        vm.prompt()
        yield vm


@pytest.fixture(scope="module", params=["virtio", "e1000", "e1000e"])
def wired(request):
    # QEMU's network is 10.0.2.0/24, fec0::/64; its host side is .2 in both.
    with machine(request.param, append="ip=off") as vm:
        vm.prompt()
        vm.run("dmesg -n 1; ip link set eth0 up; ip addr flush dev eth0")
        vm.run("ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; sleep 1")
        yield vm


def test_lo_is_up_and_has_its_addresses(quiet):
    out = quiet.run("ip addr show lo")
    assert "<LOOPBACK,UP,LOWER_UP> mtu 65536" in out
    assert "inet 127.0.0.1/8 scope host lo" in out and "inet6 ::1/128 scope host" in out


def test_lo_answers(quiet):
    assert "2 packets received" in quiet.run("ping -c 2 -i 0.2 127.0.0.1")


def test_proc_net_dev_counts(quiet):
    def packets():
        line = re.search(r"lo:\s+(\d+)\s+(\d+)", quiet.run("cat /proc/net/dev"))
        return int(line.group(2))

    before = packets()
    quiet.run("ping -c 3 -i 0.1 127.0.0.1")
    assert packets() == before + 6


def test_ifconfig_reads_and_writes(quiet):
    quiet.run("ifconfig lo:1 127.7.7.7 netmask 255.255.0.0")
    assert "127.7.7.7/16" in quiet.run("ip addr show lo")
    out = quiet.run("ifconfig lo:1")
    assert "inet addr:127.7.7.7" in out and "Mask:255.255.0.0" in out
    quiet.run("ip addr del 127.7.7.7/16 dev lo")
    assert "127.7.7.7" not in quiet.run("ip addr show lo")


def test_lo_goes_down_and_up(quiet):
    quiet.run("ip link set lo down")
    assert "UP" not in quiet.run("ip link show lo").split(">")[0]
    assert "127.0.0.0/8" not in quiet.run("ip route show table local")
    quiet.run("ip link set lo up")
    assert "1 packets received" in quiet.run("ping -c 1 127.0.0.1")


def test_switches_are_in_proc_sys(quiet):
    quiet.run("echo 1 >/proc/sys/net/ipv4/ip_forward")
    assert quiet.run("cat /proc/sys/net/ipv4/conf/lo/forwarding").split()[-1] == "1"
    quiet.run("echo 0 >/proc/sys/net/ipv4/ip_forward")
    assert quiet.run("cat /proc/sys/net/ipv4/conf/lo/forwarding").split()[-1] == "0"
    assert "nvalid" in quiet.run("echo 7 >/proc/sys/net/ipv4/ip_forward")
    assert quiet.run("cat /sys/class/net/lo/mtu").split()[-1] == "65536"


def test_ping_crosses_the_wire(wired):
    assert "3 packets received" in wired.run("ping -c 3 -i 0.2 10.0.2.2")
    assert "REACHABLE" in wired.run("ip neigh show 10.0.2.2")
    assert "10.0.2.2" in wired.run("cat /proc/net/arp")


def test_udhcpc_gets_a_lease_by_af_packet(wired):
    out = wired.run("udhcpc -n -q -i eth0 -s /bin/true 2>&1")
    assert re.search(r"lease of 10\.0\.2\.\d+ obtained", out), out


def test_arping_hears_the_answer(wired):
    assert "Received 2 response" in wired.run("arping -c 2 -I eth0 10.0.2.2")


def test_vlan_comes_and_goes(wired):
    wired.run("ip link add link eth0 name eth0.5 type vlan id 5; ip link set eth0.5 up")
    assert "eth0.5@eth0: <BROADCAST,MULTICAST,UP,LOWER_UP>" in wired.run("ip link show eth0.5")
    assert "eth0.5" in wired.run("cat /proc/net/vlan/config")
    assert "File exists" in wired.run("ip link add link eth0 name x type vlan id 5")
    wired.run("ip addr add 10.5.0.1/24 dev eth0.5; ip link del eth0.5")
    out = wired.run("ip addr; ip route")
    assert "eth0.5" not in out and "10.5.0" not in out


def test_files_of_an_interface_come_and_go_with_it(wired):
    for _ in range(2):
        assert "eth0.6" not in wired.run("ls /sys/class/net /proc/sys/net/ipv4/conf")
        wired.run("ip link add link eth0 name eth0.6 type vlan id 6; ip link set eth0.6 mtu 1400")
        assert wired.run("cat /sys/class/net/eth0.6/mtu").split()[-1] == "1400"
        assert "eth0.6" in wired.run("ls /proc/sys/net/ipv6/conf")
        wired.run("ip link set eth0.6 name other0")
        assert "eth0.6" not in wired.run("ls /sys/class/net")
        assert wired.run("cat /sys/class/net/other0/mtu").split()[-1] == "1400"
        wired.run("ip link del other0")


def test_nothing_was_dropped_without_a_name(wired):
    out = wired.run("cat /proc/net/drops")
    assert "TX_FAILED" in out and re.search(r"NO_MEMORY +0 ", out)
