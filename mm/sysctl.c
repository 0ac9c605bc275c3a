/*
 * /proc/sys/vm and a few of /proc/sys/kernel: the settings of memory (Linux's Documentation/admin-guide/sysctl/vm.rst).
 * A setting is a number within bounds that its owner reads atomically.
 */
#include "mm/mem_proc.h"

#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/commit.h"
#include "mm/oom.h"
#include "mm/page.h"

struct setting {
	const char *path; /* below /proc */
	uint64_t *value;  /* [a] */
	uint64_t max;
	uint64_t *excludes; /* becomes 0 when this is set, or NULL */
	bool needs_rawio;   /* to be written */
};

/* There is nowhere to swap to: kept for who sets it. */
static uint64_t swappiness = 60;

static const struct setting settings[] = {
    {"sys/kernel/randomize_va_space", &randomize_va_space, RANDOMIZE_HEAP, NULL, false},
    {"sys/vm/admin_reserve_kbytes", &admin_reserve_kbytes, UINT64_MAX, NULL, false},
    {"sys/vm/max_map_count", &max_map_count, INT32_MAX, NULL, false},
    {"sys/vm/mmap_min_addr", &mmap_min_addr, UINT64_MAX, NULL, true},
    {"sys/vm/oom_dump_tasks", &oom_dump_tasks, INT32_MAX, NULL, false},
    {"sys/vm/oom_kill_allocating_task", &oom_kill_allocating_task, INT32_MAX, NULL,
        false},
    {"sys/vm/overcommit_kbytes", &overcommit_kbytes, UINT64_MAX, &overcommit_ratio,
        false},
    {"sys/vm/overcommit_memory", &overcommit_memory, OVERCOMMIT_NEVER, NULL, false},
    {"sys/vm/overcommit_ratio", &overcommit_ratio, INT32_MAX, &overcommit_kbytes, false},
    {"sys/vm/panic_on_oom", &panic_on_oom, 2, NULL, false},
    {"sys/vm/swappiness", &swappiness, 200, NULL, false},
    {"sys/vm/user_reserve_kbytes", &user_reserve_kbytes, UINT64_MAX, NULL, false},
};

static void
show_setting(struct seq *s)
{
	const struct setting *n = s->private;

	seq_printf(s, "%lu\n", __atomic_load_n(n->value, __ATOMIC_RELAXED));
}

static enum err
store_setting(void *private, const char *text)
{
	const struct setting *n = private;
	const char *end;
	uint64_t value;

	if (n->needs_rawio && !capable(CAP_SYS_RAWIO))
		return ERR_PERM;
	if (!parse_u64(text, &end, 10, &value) || *end || value > n->max)
		return ERR_INVAL;
	__atomic_store_n(n->value, value, __ATOMIC_RELAXED);
	if (n->excludes)
		__atomic_store_n(n->excludes, 0, __ATOMIC_RELAXED);
	return OK;
}

static void
show_min_free(struct seq *s)
{
	seq_printf(s, "%lu\n", frames_min_free() * (PAGE_SIZE / 1024));
}

static enum err
store_min_free(const char *text)
{
	const char *end;
	uint64_t kib;

	if (!parse_u64(text, &end, 10, &kib) || *end || kib > INT32_MAX)
		return ERR_INVAL;
	frames_set_min_free(kib / (PAGE_SIZE / 1024));
	return OK;
}

void
mem_sysctl_init(void)
{
	commit_init();
	/* A missing file is no reason not to boot: the registry says so itself. */
	(void)proc_register_rw("sys/vm/min_free_kbytes", show_min_free, store_min_free);
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++)
		(void)proc_register_private(
		    settings[i].path, show_setting, store_setting, (void *)&settings[i]);
}
