"""Network drivers under QEMU: frames both ways, rings longer than they are, down and up again, resets
in the middle, and every kind of interrupt. The in-kernel tests (drivers/net/selftest_rings.c) do the work."""
import contextlib
import ctypes
import os
import subprocess
import time

import pytest
from conftest import DEBUG_KERNEL
from lan import Lan
from vm import VM

SELFTESTS = (
    "nics_come_and_go",
    "nics_send_and_receive",
    "nics_go_down_and_up_again",
    "nics_send_bursts",
    "nics_go_on_after_a_reset",
)


def machine(append="", **options):
    return VM(boot="pvh", kernel=DEBUG_KERNEL, append=append, limit=90, **options)


SHORT = ("nics_send_and_receive", "nics_send_bursts")


def run_selftests(append, tests=SELFTESTS, **options):
    with machine(append + "".join(f" selftest={t}" for t in tests), smp="2", **options) as vm:
        vm.expect(rf"END {len(tests)}$")
        assert "FAIL" not in vm.text, vm.text
        vm.prompt()
        return vm.text, vm.run("cat /proc/interrupts")


@pytest.mark.parametrize("model, chip, append, options", [
    ("virtio", "PCI-MSI", "", {}),
    ("virtio", "PCI-MSI", "", {"machine": "pc"}),
    ("virtio", "IO-APIC", "nomsi", {}),
    ("virtio", "IO-APIC", "nomsi", {"machine": "pc"}),
], ids=["virtio-msix", "virtio-msix-pc", "virtio-line", "virtio-line-pc"])
def test_frames_both_ways(model, chip, append, options):
    text, interrupts = run_selftests(append, nic=model, **options)
    line = next(x for x in reversed(interrupts.splitlines()) if "@0000:" in x).split()
    assert line[3] == chip and sum(map(int, line[1:3])) > 100


@pytest.mark.parametrize("options", [
    "mrg_rxbuf=off", "indirect_desc=off", "event_idx=off", "ctrl_vq=off", "status=off", "host_mtu=1400",
    "rx_queue_size=1024,tx_queue_size=256", "disable-legacy=on", "csum=off,guest_csum=off",
])
def test_virtio_without_a_feature(options):
    # QEMU switches features off by name; the driver must do without each of them.
    text, _ = run_selftests("", nic="none", extra=("-device", f"virtio-net-pci,netdev=x,romfile=,{options}",
                                                   "-netdev", "user,id=x"), tests=SHORT)
    assert "virtio_net" in text


def test_several_nics_behind_bridges():
    extra = ("-device", "pcie-root-port,id=r1,chassis=1,slot=1", "-device", "virtio-net-pci,bus=r1,netdev=a,romfile=",
             "-netdev", "user,id=a", "-device", "pcie-pci-bridge,id=b1", "-device", "virtio-net-pci,bus=b1,netdev=b,romfile=",
             "-netdev", "user,id=b")
    for append in ("", "nomsi "):
        text, _ = run_selftests(append, nic="virtio", extra=extra, tests=SHORT)
        assert text.count(" in\n") >= 3


CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def namespace(*commands):
    """A network namespace for this test, in which the body runs (and QEMU, if it starts there)."""
    name = f"keel-nic-{os.getpid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in commands:
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        assert libc.setns(there, CLONE_NEWNET) == 0
        os.close(there)
        yield name
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)
        subprocess.run(["ip", "netns", "del", name], check=True)


def tap(queues=1):
    return (f"tuntap add tap0 mode tap {'multi_queue' if queues > 1 else ''}",
            "addr add 10.0.2.2/24 dev tap0", "link set tap0 up")


def tap_nic(queues, options=""):
    return ("-netdev", f"tap,id=x,ifname=tap0,script=no,downscript=no,queues={queues}", "-device",
            f"virtio-net-pci,netdev=x,romfile=,mq={'on' if queues > 1 else 'off'},vectors={queues * 2 + 2}{options}")


@pytest.mark.parametrize("cpus, queues, pairs", [("4", 4, 4), ("2", 4, 2), ("4", 2, 2)])
def test_virtio_with_a_pair_of_queues_for_each_cpu(cpus, queues, pairs):
    with namespace(*tap(queues)):
        with machine("".join(f" selftest={t}" for t in SELFTESTS), smp=cpus, nic="none",
                     extra=tap_nic(queues)) as vm:
            vm.expect(f"eth0: {pairs} of {queues} pairs of queues")
            vm.expect(rf"END {len(SELFTESTS)}$")
            assert "FAIL" not in vm.text, vm.text
            vm.prompt()
            lines = [x.split() for x in vm.run("grep virtio_net@ /proc/interrupts").splitlines()]
            assert len(lines) == pairs + 1  # and one for the configuration
            on = [[int(n) > 0 for n in x[1:1 + int(cpus)]] for x in lines[1:]]
            assert all(sum(x) <= 1 for x in on), lines  # each queue has a CPU of its own


def test_link_goes_and_comes_back():
    with machine("selftest=nics_send_and_receive", smp="2", nic="virtio") as vm:
        vm.expect(r"END 1$")
        for state in ("off", "on"):
            vm.qmp.command("human-monitor-command", **{"command-line": f"set_link n0 {state}"})
            vm.expect("eth0: link is " + {"off": "down", "on": "up"}[state])


def exchange(vm, run, folder, megabytes=8):
    """A file to the guest and back over HTTP, compared; `run` runs a command beside the guest."""
    data = os.urandom(1 << 20) * megabytes
    (folder / "f").write_bytes(data)
    vm.run("ifconfig eth0 10.77.0.2 netmask 255.255.255.0 up")
    assert " 0% packet loss" in vm.run("ping -c 2 10.77.0.1")
    vm.run("wget -q -O /tmp/f http://10.77.0.1:8000/f")
    vm.run("httpd -p 8080 -h /tmp")
    run("curl", "-sf", "-m", "50", "-o", str(folder / "g"), "http://10.77.0.2:8080/f")
    assert (folder / "g").read_bytes() == data


@pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")
@pytest.mark.parametrize("append", ["", "nomsi"])
def test_virtio_carries_tcp_with_segmentation_offload(append, tmp_path):
    with Lan(v6=None) as lan:
        lan.start("/usr/bin/python3", "-m", "http.server", "8000", "--bind", "10.77.0.1", "-d", str(tmp_path))
        with machine(append, nic="virtio", smp="2", mem="256M", **lan.vm_options) as vm:
            vm.prompt()
            exchange(vm, lan.run, tmp_path)
            # What came in was cut by nobody: far fewer packets than segments.
            fields = vm.run("grep eth0: /proc/net/dev").split()
            assert int(fields[1]) > 8 << 20 and int(fields[2]) < (8 << 20) // 1448 and int(fields[3]) == 0


@pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")
def test_virtio_carries_tcp_over_four_pairs_of_queues(tmp_path):
    def run(*args):
        subprocess.run(args, check=True)

    with namespace("tuntap add tap0 mode tap multi_queue", "addr add 10.77.0.1/24 dev tap0", "link set tap0 up"):
        server = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", "8000", "--bind", "10.77.0.1",
                                   "-d", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with machine(nic="none", smp="4", mem="256M", extra=tap_nic(4)) as vm:
                vm.expect("4 of 4 pairs of queues")
                vm.prompt()
                exchange(vm, run, tmp_path)
        finally:
            server.kill()
            server.wait()


@pytest.mark.skipif(not Lan.is_possible(), reason="needs root and /dev/net/tun")
def test_virtio_takes_frames_of_9000_bytes_and_says_when_it_moved():
    with Lan(v6=None) as lan:
        lan.ip("link", "set", "tap0", "mtu", "9000")
        with machine(nic="virtio", smp="2", mem="256M", **lan.vm_options) as vm:
            vm.prompt()
            vm.run("ifconfig eth0 10.77.0.2 netmask 255.255.255.0 mtu 9000 up")
            assert " 0% packet loss" in vm.run("ping -c 3 -s 8900 10.77.0.1")
            # After a move the neighbours are told: whoever had forgotten us knows us again.
            lan.ip("neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", "tap0", "nud", "stale")
            vm.qmp.command("announce-self", **{"initial": 50, "max": 100, "rounds": 2, "step": 50})
            assert wait_for(lambda: "52:54:00:12:34:56" in lan.ip("neigh", "show", "10.77.0.2"))


def test_virtio_lets_the_vlans_pass_that_there_are():
    with machine(nic="virtio", smp="2", mem="256M") as vm:
        vm.prompt()
        vm.run("ifconfig eth0 up; vconfig add eth0 7; vconfig add eth0 8; vconfig rem eth0.8")
        (nic,) = vm.qmp.command("query-rx-filter")
        assert nic["vlan"] == "normal" and nic["vlan-table"] == [7]
        # A device that is reset learns it again; and the multicast addresses as well.
        vm.run("ifconfig eth0 down; ifconfig eth0 up")
        (nic,) = vm.qmp.command("query-rx-filter")
        assert nic["vlan-table"] == [7] and not nic["promiscuous"]
        assert "01:00:5e:00:00:01" in nic["multicast-table"]


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False
