"""stress-ng's stressors from Debian on four CPUs with the debug kernel: none panics, hangs or fails, and
all together leave nothing behind. `make test` runs a sample for a second each; `make test-stress`
(KEEL_STRESS=whole) all of them, KEEL_STRESS_SECONDS each, those whose name STRESS matches."""
import os
import re

import pytest
from conftest import DEBUG_KERNEL
from test_debian import make_rootfs
from vm import VM

pytestmark = pytest.mark.alone
IS_WHOLE = os.environ.get("KEEL_STRESS") == "whole"
SECONDS = int(os.environ.get("KEEL_STRESS_SECONDS") or (30 if IS_WHOLE else 1))
WANTED = re.compile(os.environ.get("STRESS") or ".")

# What runs, with options where the default is not for a machine of 2 GiB.
STRESSORS = """
    access affinity alarm bad-altstack bigheap brk chdir chmod chown clock clone close context copy-file cpu
    daemon dentry dev-shm dir dirdeep dirmany dup epoll eventfd exec exit-group fallocate fault fcntl fifo
    filename flock fork fstat futex get getdent getrandom handle hrtimers icmp-flood inotify io itimer kcmp
    kill link lockf locka lockofd madvise malloc membarrier mincore mknod mlock mmap mmapaddr mmapfixed
    mmapfork mmapmany mprotect mremap msg msync munmap mutex nanosleep netdev nice null open opcode pipe
    pipeherd poll prctl procfs pthread ptrace pty race-sched remap rename resched resources rlimit
    rotate schedpolicy seccomp seek sem sem-sysv sendfile session set shm shm-sysv sigabrt sigchld sigfd
    sigfpe sigpending sigpipe sigq sigrt sigsegv sigsuspend sigtrap sigio signal sigsuspend sleep sock
    sockabuse sockfd sockmany sockpair softlockup spawn splice stack stackmmap switch symlink sync-file
    sysbadaddr sysinfo tee timer timerfd tlb-shootdown tmpfs touch tree tun udp udp-flood unshare urandom
    utime vdso vfork vforkmany vm vm-rw vm-segv vm-splice wait xattr yield zero zombie"""
SAMPLE = ("clone", "exec", "futex", "kill", "mmap", "signal", "vfork")


def free_kib(vm):
    """When it no longer grows: what ends is freed a little later."""
    last, now = 0, 1
    while now > last:
        last = max(now, last)
        now = int(re.search(r"MemFree:\s+(\d+) kB", vm.run("sleep 2; cat /proc/meminfo", limit=60))[1])
    return last


def num_threads(vm):
    return int(vm.run("ls -d /proc/[0-9]*/task/* | wc -l", limit=60))


class Machine:
    """One boot for all; another one after a stressor broke it. What it has when the sample has run once,
    and so all that is cached once for all, is what it must have at the end."""

    def __init__(self):
        self.vm = self.memory = self.threads = None

    def get(self):
        if not self.vm:
            rootfs = make_rootfs("stress", ["stress-ng"])[0]
            self.vm = VM(boot="pvh", kernel=DEBUG_KERNEL, smp="4", mem="2G", initrd=[rootfs], limit=120)
            self.vm.__enter__()
            self.vm.prompt()
            self.vm.run("bind 'set enable-bracketed-paste off'; dmesg -n 1; mkdir -m 1777 /w; cd /w")
            for name in SAMPLE:
                self.stress(name, 1)
            self.memory, self.threads = free_kib(self.vm), num_threads(self.vm)
            self.vm.run("echo mark >/proc/slab_leaks")
        return self.vm

    def end(self):
        if self.vm:
            self.vm.__exit__()
        self.vm = None

    def stress(self, name, seconds):
        # exec does not run as root.
        run = "setpriv --reuid=1000 --clear-groups " if name == "exec" else ""
        command = f"{run}stress-ng --{name} 4 -t {seconds} --verify --log-brief 2>&1; echo status $?"
        try:
            return self.get().run(command, limit=8 * seconds + 120)
        except AssertionError:
            self.end()
            raise


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    yield m
    m.end()


CHOSEN = [s for s in (sorted(set(STRESSORS.split())) if IS_WHOLE else SAMPLE) if WANTED.search(s)]


@pytest.mark.parametrize("name", CHOSEN)
def test_stressor(machine, name):
    out = machine.stress(name, SECONDS)
    assert re.search(r"^status [03]$", out, re.M), out  # 3: the stressor says that it cannot run here
    assert "fail:" not in out, out


def test_nothing_is_left_behind(machine):
    vm = machine.get()
    lost = machine.memory - free_kib(vm)  # by then process 1 has waited for the orphans
    assert "stress-ng" not in vm.run("cat /proc/[0-9]*/comm")
    assert num_threads(vm) == machine.threads, vm.run("ps")
    print(f"{lost} KiB less memory is free")
    assert lost < (16384 if IS_WHOLE else 4096), f"{lost} KiB\n{vm.run('cat /proc/slab_leaks')}"
