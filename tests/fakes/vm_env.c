/*
 * What address spaces want of the rest of the kernel: files by reference, random numbers
 * that repeat, a process without signals or capabilities.
 */
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "kernel/random.h"
#include "kernel/x86/traps.h"
#include "lib/string.h"
#include "mm/oom.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

static uint64_t state = 1;

uint64_t
random_below(uint64_t limit)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 20) % limit;
}

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5a, n);
}

enum err
file_punch_hole(struct file *f, loff_t offset, loff_t len)
{
	page_cache_punch(f->cache, (uint64_t)offset, (uint64_t)offset + (uint64_t)len);
	return OK;
}

bool
capable(enum capability cap)
{
	return false;
}

bool
signal_is_fatal_pending(const struct thread *t)
{
	return false;
}

enum oom_answer
oom_make_room(void)
{
	return OOM_GIVE_UP;
}

void
signal_fault(int sig, int code, vaddr_t addr)
{
}

enum err
signal_send_process(struct process *p, int sig, const struct siginfo *info)
{
	return OK;
}

const struct ex_entry *
ex_table_find(uint64_t rip)
{
	return NULL;
}

struct file *
file_alloc(const struct file_ops *ops, uint32_t flags, void *private)
{
	struct file *f = kzalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->ops = ops;
	f->refs = 1;
	f->private = private;
	return f;
}

struct file *
file_get(struct file *f)
{
	f->refs++;
	return f;
}

void
file_put(struct file *f)
{
	if (--f->refs)
		return;
	f->ops->release(f);
	kfree(f);
}

enum err
copy_to_user(void USER *dst, const void *src, size_t n)
{
	memcpy((void *)(uintptr_t)dst, src, n);
	return OK;
}
