/* One CPU, and the thread that runs on it. */
#include "kernel/sched/thread.h"
#include "tests/fakes/fakes.h"

struct thread fake_thread = {.name = "test", .tid = 1, .refs = 1};
struct cpu fake_cpu = {.self = &fake_cpu, .current = &fake_thread, .is_online = 1};
struct cpu *cpus[MAX_CPUS] = {&fake_cpu};
unsigned num_cpus = 1;
bool fake_irqs_on = true;
