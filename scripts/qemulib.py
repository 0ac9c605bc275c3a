"""What Keel's tools know of QEMU: options to a command line, and one running machine.

scripts/qemu is the command; tests/lib/vm.py adds what tests want. Python 3 and its standard
library only."""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QEMU = "qemu-system-x86_64"
OVMF_2M = "/usr/share/ovmf/OVMF.fd"
OVMF_4M_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_4M_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"

# How a guest ended, as exit codes of scripts/qemu.
ENDED_POWER_OFF, ENDED_PANIC, ENDED_USAGE, ENDED_RESET, ENDED_QEMU, ENDED_TIMEOUT = 0, 1, 2, 3, 4, 124


class Options:
    """One machine. Each name is also an option of scripts/qemu."""

    boot = "efi"          # efi | pvh | bios-iso | efi-iso
    image = None          # disk image to boot (efi), default build/keel.img
    kernel = None         # kernel.elf for pvh
    iso = None
    initrd = None         # list of files: replaces the default initrd
    append = None         # kernel command line: replaces the default
    smp = "2"
    mem = "512M"
    machine = "q35"
    cpu = None            # default: host under KVM, max under TCG
    firmware = "2m"       # 2m | 4m | a file for -bios
    accel = "auto"        # auto | kvm | tcg
    nic = "e1000e"
    net = "user"          # user | tap:IF | none | socket arguments as for -netdev
    hostfwd = ()          # tcp:127.0.0.1:8080-:80
    disks = ()            # FILE[,fmt] data disks
    disk_controller = "virtio"  # ahci | nvme | virtio
    boot_controller = "ahci"
    display = "none"      # none | window | vnc
    vga = "std"           # none: no display device at all
    serial = "stdio"      # stdio | none | a chardev
    icount = None         # shift value: deterministic, one host thread
    no_reboot = False
    gdb = False
    fds = ()              # descriptors that QEMU inherits, for net="tap,fd=N"
    incoming = None       # a machine saved by Machine.save: go on from there
    timeout = 0
    extra = ()

    def __init__(self, **kw):
        for k, v in kw.items():
            if not hasattr(Options, k):
                raise TypeError(f"no option {k}")
            setattr(self, k, v)


def kvm_works():
    """Whether a kernel really runs under KVM here: /dev/kvm alone proves nothing. Boots ours for a
    moment, through the door that needs no firmware; the answer is kept in build/."""
    kernel = f"{TOP}/build/release/kernel.elf"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or not os.path.exists(kernel):
        return False
    memo = f"{TOP}/build/.kvm"
    boot_id = open("/proc/sys/kernel/random/boot_id").read().strip()
    if os.path.exists(memo):
        known, answer = open(memo).read().split()
        if known == boot_id:
            return answer == "yes"
    probe = [QEMU, "-M", "q35,accel=kvm", "-cpu", "host", "-m", "256", "-smp", "2", "-nodefaults",
             "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel,
             "-append", "panic=1 init=/none"]
    try:
        out = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).stdout
    except subprocess.TimeoutExpired as e:
        out = e.stdout or b""
    except OSError:
        out = b""
    # The last step before init: every subsystem has come up.
    works = b"KENTRY" in out and b"init" in out
    with open(memo, "w") as f:
        f.write(f"{boot_id} {'yes' if works else 'no'}\n")
    return works


def config_text(o):
    """keel.conf for the options: what an ESP with another initrd and command line holds."""
    lines = ["kernel = kernel.elf"]
    names = [f"initrd{i}" for i in range(len(o.initrd))] if o.initrd else ["initrd.cpio.gz"]
    lines.append("initrd = " + ", ".join(names))
    if o.append is not None:
        lines.append("cmdline = " + o.append)
    return "\n".join(lines) + "\n"


def prepare_image(o, work):
    """The boot disk: the built one, or a copy with another initrd or command line on its ESP."""
    image = o.image or f"{TOP}/build/keel.img"
    if o.initrd is None and o.append is None and o.kernel is None:
        return image
    conf = os.path.join(work, "keel.conf")
    with open(conf, "w") as f:
        f.write(config_text(o))
    args = [f"EFI/keel/keel.conf={conf}"]
    for i, f in enumerate(o.initrd or ()):
        args.append(f"EFI/keel/initrd{i}={f}")
    if o.kernel:
        args.append(f"EFI/keel/kernel.elf={o.kernel}")
    out = os.path.join(work, "boot.img")
    subprocess.run([f"{TOP}/scripts/mkimage", out, f"{TOP}/build/esp", *args], check=True,
                   stdout=subprocess.DEVNULL)
    return out


def firmware_args(o, work):
    if o.firmware == "2m":
        return ["-bios", OVMF_2M]
    if o.firmware == "4m":
        vars_copy = os.path.join(work, "vars.fd")
        shutil.copyfile(OVMF_4M_VARS, vars_copy)
        return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_4M_CODE}",
                "-drive", f"if=pflash,unit=1,format=raw,file={vars_copy}"]
    return ["-bios", o.firmware]


def boot_args(o, work):
    if o.boot == "pvh":
        args = ["-kernel", o.kernel or f"{TOP}/build/release/kernel.elf"]
        initrds = o.initrd if o.initrd is not None else [f"{TOP}/build/initrd.cpio.gz"]
        if len(initrds) > 1:
            joined = os.path.join(work, "initrd")
            with open(joined, "wb") as out:
                for name in initrds:
                    data = open(name, "rb").read()
                    out.write(data + b"\0" * (-len(data) % 4))
            initrds = [joined]
        if initrds:
            args += ["-initrd", initrds[0]]
        if o.append:
            args += ["-append", o.append]
        return args
    if o.boot in ("bios-iso", "efi-iso"):
        args = firmware_args(o, work) if o.boot == "efi-iso" else []
        return args + ["-drive", f"if=none,id=cd,format=raw,readonly=on,file={o.iso or TOP + '/build/keel.iso'}",
                       "-device", "ide-cd,drive=cd,bootindex=0"]
    controller = {"ahci": "ide-hd", "virtio": "virtio-blk-pci", "nvme": "nvme,serial=boot"}[o.boot_controller]
    return firmware_args(o, work) + [
        "-drive", f"if=none,id=boot,format=raw,snapshot=on,file={prepare_image(o, work)}",
        "-device", f"{controller},drive=boot,bootindex=0"]


def device_args(o):
    args = []
    if o.vga != "none":
        args += ["-device", "VGA" if o.vga == "std" else o.vga]
    if o.nic != "none" and o.net != "none":
        if o.net == "user":
            backend = "user,id=n0,ipv4=on,ipv6=on" + "".join(f",hostfwd={h}" for h in o.hostfwd)
        elif o.net.startswith("tap:"):
            backend = f"tap,id=n0,ifname={o.net[4:]},script=no,downscript=no"
        else:
            backend = o.net + ",id=n0"
        model = "virtio-net-pci" if o.nic == "virtio" else o.nic
        # No option ROM: the firmware then has no network boot to try.
        args += ["-netdev", backend, "-device", f"{model},netdev=n0,romfile="]
    for i, disk in enumerate(o.disks):
        name, _, fmt = disk.partition(",")
        args += ["-drive", f"if=none,id=d{i},format={fmt or 'raw'},file={name}", "-device",
                 {"ahci": "ide-hd", "virtio": "virtio-blk-pci",
                  "nvme": f"nvme,serial=keel{i}"}[o.disk_controller] + f",drive=d{i}"]
    return args


def command_line(o, work, qmp_path):
    accel = o.accel
    if accel == "auto":
        accel = "kvm" if o.icount is None and kvm_works() else "tcg"
    args = [QEMU, "-machine", o.machine, "-m", o.mem, "-nodefaults", "-no-user-config",
            "-cpu", o.cpu or ("host" if accel == "kvm" else "max")]
    if o.icount is not None:
        args += ["-accel", "tcg,thread=single", "-icount", f"shift={o.icount},sleep=off", "-smp", o.smp,
                 "-rtc", "base=2024-01-01T00:00:00,clock=vm"]
    else:
        args += ["-accel", "tcg,thread=multi" if accel == "tcg" else accel, "-smp", o.smp]
    args += {"none": ["-display", "none"], "window": [], "vnc": ["-vnc", ":0"]}[o.display]
    if o.serial == "stdio":
        # Ctrl-C goes to the guest; Ctrl-A X ends QEMU, Ctrl-A C is its monitor.
        args += ["-chardev", "stdio,id=s0,mux=on,signal=off", "-serial", "chardev:s0",
                 "-mon", "chardev=s0,mode=readline"]
    elif o.serial != "none":
        args += ["-chardev", f"{o.serial},id=s0", "-serial", "chardev:s0"]
    args += ["-qmp", f"unix:{qmp_path},server=on,wait=off"]
    args += ["-device", "isa-debug-exit,iobase=0x501,iosize=1"]
    if o.no_reboot:
        args += ["-no-reboot"]
    if os.environ.get("KEEL_COVER"):
        # scripts/cover: count what runs, a file a boot.
        cover = os.environ["KEEL_COVER"]
        args += ["-plugin", f"{cover}/plugin.so,out={cover}/{os.path.basename(work)}.counts"]
    if o.incoming:
        args += ["-incoming", f"exec:cat {o.incoming}"]
    if o.gdb:
        args += ["-S", "-gdb", f"unix:{os.path.join(work, 'gdb')},server=on,wait=off"]
    return args + boot_args(o, work) + device_args(o) + list(o.extra)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Qmp:
    """QEMU's machine protocol: commands, and the events seen so far."""

    def __init__(self, path, process, limit=20):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + limit
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("QEMU did not start") from None
                time.sleep(0.01)
        self.stream = self.socket.makefile("r")
        self.events, self.answers = [], []
        self.changed = threading.Condition()
        self.stream.readline()  # greeting
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.command("qmp_capabilities")

    def _read(self):
        try:
            for line in self.stream:
                message = json.loads(line)
                with self.changed:
                    (self.events if "event" in message else self.answers).append(message)
                    self.changed.notify_all()
        except (OSError, ValueError):
            pass

    def command(self, name, limit=20, **arguments):
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        with self.changed:
            if not self.changed.wait_for(lambda: self.answers, limit):
                raise TimeoutError(f"no answer to {name}")
            answer = self.answers.pop(0)
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def wait_event(self, name, limit=20):
        def found():
            return [e for e in self.events if e["event"] == name]
        with self.changed:
            if not self.changed.wait_for(found, limit):
                raise TimeoutError(f"no event {name}")
            return found()[0]

    def shutdown_reason(self):
        self.thread.join(2)
        for e in self.events:
            if e["event"] == "SHUTDOWN":
                return e["data"]["reason"]
        return None


class Machine:
    """A QEMU process with its QMP connection. Ends with its `with` block, whatever happens."""

    def __init__(self, options, stdin=None, stdout=None, stderr=None):
        self.options = options
        self.work = tempfile.mkdtemp(prefix="keel-vm-")
        try:
            self.args = command_line(options, self.work, os.path.join(self.work, "qmp"))
            self.process = subprocess.Popen(self.args, stdin=stdin, stdout=stdout, stderr=stderr,
                                            pass_fds=options.fds, preexec_fn=_die_with_parent)
            self.qmp = Qmp(os.path.join(self.work, "qmp"), self.process)
            if options.incoming:
                self._go_on()
        except BaseException:
            self.close()
            raise

    def _go_on(self, limit=20):
        """A saved machine was stopped, and stays so until it is told."""
        end = time.monotonic() + limit
        while self.qmp.command("query-status")["status"] == "inmigrate":
            if time.monotonic() > end:
                raise RuntimeError("the saved machine does not load")
            time.sleep(0.01)
        self.qmp.command("cont")

    def wait(self, limit=None):
        """Waits for QEMU to end; returns an ENDED_* code."""
        try:
            status = self.process.wait(limit or None)
        except subprocess.TimeoutExpired:
            return ENDED_TIMEOUT
        reason = self.qmp.shutdown_reason()
        if status & 1 and status > 1:  # isa-debug-exit: 2n+1
            return ENDED_POWER_OFF if status == 33 else ENDED_PANIC
        if status != 0:
            return ENDED_QEMU
        return {"guest-shutdown": ENDED_POWER_OFF, "guest-reset": ENDED_RESET,
                "guest-panic": ENDED_PANIC}.get(reason, ENDED_POWER_OFF)

    def save(self, path, limit=60):
        """Stops the machine and writes all its state to a file, for `incoming`. Its disks must not have
        changed (they are snapshots), and the one that goes on must be the same machine."""
        self.qmp.command("stop")
        self.qmp.command("migrate", uri=f"exec:cat > {path}")
        end = time.monotonic() + limit
        while True:
            status = self.qmp.command("query-migrate").get("status")
            if status == "completed":
                return
            if status == "failed" or time.monotonic() > end:
                raise RuntimeError(f"saving the machine: {status}")
            time.sleep(0.02)

    def close(self):
        process = getattr(self, "process", None)
        if process and process.poll() is None and os.environ.get("KEEL_COVER"):
            # Only a QEMU that ends by itself writes what it counted.
            try:
                self.qmp.command("quit")
                process.wait(20)
            except (AttributeError, OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
                pass
        if process and process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
