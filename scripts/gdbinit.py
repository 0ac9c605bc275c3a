"""Commands of gdb for Keel, which `make debug` loads: keel-symbols, keel-threads, keel-bt, keel-cpus,
keel-log. They read the guest's memory only, so they work wherever it stopped.

The EFI loader places the kernel at random unless the command line has `nokaslr`; keel-symbols then
moves the symbols to where the kernel lies: its IDT is a variable of its own, and QEMU tells IDTR."""
import re

import gdb

STATES = ["runnable", "sleeping", "blocked", "stopped", "dead"]  # enum thread_state
RECORD_ALIGN, FILLER = 16, 0xFFFFFFFF  # kernel/log.c
value = gdb.parse_and_eval


def number(text):
    return int(value(text)) & (2**64 - 1)


def word(address):
    data = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(data.tobytes(), "little")


def text_of(array):
    return array.string("utf-8", "replace")


def threads():
    """Every thread, as kernel/sched/thread.c lists them."""
    head = value("'kernel/sched/thread.c'::all_threads")
    thread = gdb.lookup_type("struct thread")
    offset = next(f.bitpos // 8 for f in thread.fields() if f.name == "all_link")
    link = head["next"]
    while int(link) and link != head.address:
        yield gdb.Value(int(link) - offset).cast(thread.pointer())
        link = link["next"]


def cpu_registers(cpu_id):
    """(rip, rbp) of a stopped CPU: gdb's thread N is QEMU's CPU N - 1."""
    before = gdb.selected_thread()
    gdb.execute(f"thread {cpu_id + 1}", to_string=True)
    found = number("$rip"), number("$rbp")
    before.switch()
    return found


def walk(rip, rbp):
    """Return addresses along the frame pointers, through traps: kernel/x86/backtrace.c."""
    entries = number("(uint64_t)&trap_return"), number("(uint64_t)&trap_return_ist")
    trap = gdb.lookup_type("struct trap_frame").pointer()
    yield rip, False
    for _ in range(40):
        if rbp < 2**63 or rbp % 8:
            return
        rip, after = word(rbp + 8), word(rbp)
        if rip in entries:
            frame = gdb.Value(rbp + 16).cast(trap)
            if int(frame["cs"]) & 3:
                return
            rip, after = int(frame["rip"]), int(frame["rbp"])
            yield rip, False
        elif rip:
            yield rip, True
        rbp = after


def show(t):
    is_running, cpu, sp = t["sched"]["is_running"], t["sched"]["cpu"], int(t["kernel_sp"])
    state = "running" if is_running else STATES[int(t["state"])]
    print(f"{int(t['tid']):5} {text_of(t['name']):16} {state:9} "
          f"{'CPU %d' % cpu['id'] if int(cpu) else 'no CPU'}  {int(t):#x}")
    # Else what context_switch pushed: r15 r14 r13 r12 rbx rbp, and the address to go on at.
    rip, rbp = cpu_registers(int(cpu["id"])) if is_running else (word(sp + 48), word(sp + 40))
    if rip < 2**63:
        print(f"    {rip:#018x} user mode")
        return
    for address, is_return in walk(rip, rbp):
        where = gdb.find_pc_line(address - is_return)
        name = gdb.execute(f"info symbol {address - is_return:#x}", to_string=True).split(" in section")[0]
        print(f"    {address:#018x} {name.strip()}",
              f"at {where.symtab.filename}:{where.line}" if where.symtab else "")


def keel_threads(_):
    """All threads: tid, name, state, CPU, address, and the stack of each."""
    for t in threads():
        show(t)


def keel_bt(argument):
    """keel-bt THREAD: the stack of one thread, by tid, name or address."""
    found = [t for t in threads() if argument in (str(int(t["tid"])), text_of(t["name"]), hex(int(t)))]
    if not found:
        raise gdb.GdbError(f"no thread {argument!r}: see keel-threads")
    for t in found:
        show(t)


def keel_cpus(_):
    """All CPUs: what runs there, and how deep in disabled preemption and interrupts."""
    for c in filter(int, (value(f"cpus[{i}]") for i in range(number("num_cpus")))):
        name = text_of(c["current"]["name"]) if int(c["current"]) else "none"
        print(f"CPU {int(c['id'])}: APIC {int(c['apic_id'])}, {'online' if c['is_online'] else 'offline'}, "
              f"thread {name}, preempt {int(c['preempt_count'])}, irq depth {int(c['irq_off_depth'])}")


def keel_log(_):
    """The kernel's log ring, oldest line first."""
    ring = value("'kernel/log.c'::ring")
    head = gdb.lookup_type("struct record_head").sizeof
    data = gdb.selected_inferior().read_memory(int(ring.address), ring.type.sizeof).tobytes()
    pos, end = number("'kernel/log.c'::tail_pos"), number("'kernel/log.c'::head_pos")
    while pos < end:
        at = pos % len(data)
        ns, length, level = (int.from_bytes(data[at + a:at + b], "little") for a, b in ((0, 8), (8, 12), (12, 16)))
        if level != FILLER:
            line = data[at + head:at + head + length].decode("utf-8", "replace")
            print(f"[{ns // 10**9:5}.{ns // 1000 % 10**6:06}] {line}")
        pos += head + -(-length // RECORD_ALIGN) * RECORD_ALIGN


def keel_symbols(_):
    """Moves the symbols to where the kernel lies. Once it has loaded its IDT."""
    base = re.search(r"IDT=\s+([0-9a-f]+)", gdb.execute("monitor info registers", to_string=True))
    slide = int(base.group(1), 16) - number("(uint64_t)&'kernel/x86/descriptors.c'::idt")
    if slide % 4096:
        raise gdb.GdbError("the kernel has not loaded its IDT yet")
    if slide:
        keel_symbols.slide += slide
        gdb.execute(f"symbol-file -o {keel_symbols.slide:#x} {gdb.objfiles()[0].filename}", to_string=True)
    print(f"the kernel lies {keel_symbols.slide:#x} from where it was linked")


keel_symbols.slide = 0


def register(function):
    def invoke(_self, argument, _from_tty):
        function(argument.strip())

    name = function.__name__.replace("_", "-")
    type(name, (gdb.Command,), {"__doc__": function.__doc__, "invoke": invoke})(name, gdb.COMMAND_DATA)


gdb.execute("set pagination off")
for command in (keel_threads, keel_bt, keel_cpus, keel_log, keel_symbols):
    register(command)
