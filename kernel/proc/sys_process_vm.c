/*
 * process_vm_readv and process_vm_writev: memory of another process by vectors, with the
 * rights the program itself has there, for those who may trace it.
 */
#include "syscalls.h"

#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"

enum { VECTORS_MAX = 1024, BOUNCE_SIZE = PAGE_SIZE };

/* One call under way: where the local side stands, and the page between the two. */
struct transfer {
	struct uio local;
	struct aspace *as;
	char *bounce;
	bool is_write;
};

/* A vector from user memory, its sum within what a call may move. */
static enum err
vector_get(const struct iovec USER *from, uint64_t count, struct iovec **out)
{
	size_t size = (size_t)count * sizeof(**out), sum = 0;

	*out = NULL;
	if (count > VECTORS_MAX)
		return ERR_INVAL;
	if (!count)
		return OK;
	*out = kmalloc(size);
	if (!*out)
		return ERR_NOMEM;
	if (copy_from_user(*out, from, size) != OK)
		return ERR_FAULT;
	for (uint64_t i = 0; i < count; i++) {
		if ((*out)[i].len > INT64_MAX - sum)
			return ERR_INVAL;
		sum += (*out)[i].len;
	}
	return OK;
}

/* Bytes of one remote piece that could be moved; less than wanted ends the call. */
static size_t
move_piece(struct transfer *tr, vaddr_t at, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = MIN(len - done, BOUNCE_SIZE - (at + done) % BOUNCE_SIZE), got;

		if (tr->is_write) {
			n = uio_copy_from(&tr->local, tr->bounce, n);
			got = aspace_write(tr->as, at + done, tr->bounce, n);
		} else {
			n = aspace_read(tr->as, at + done, tr->bounce, n);
			got = uio_copy_to(&tr->local, tr->bounce, n);
		}
		done += got;
		if (!got || signal_is_fatal_pending(current_thread()))
			break;
	}
	return done;
}

static long
move_all(struct transfer *tr, const struct iovec *remote, uint64_t count)
{
	size_t total = 0;

	for (uint64_t i = 0; i < count && tr->local.resid; i++) {
		size_t want = MIN(remote[i].len, tr->local.resid);
		size_t got = move_piece(tr, (vaddr_t)remote[i].base, want);

		total += got;
		if (got < want)
			return total ? (long)total : ERR_FAULT;
	}
	return (long)total;
}

static long
move_with(uint32_t pid, struct transfer *tr, const struct iovec *remote, uint64_t count)
{
	struct process *p = process_find(pid);
	long result;

	if (!p)
		return ERR_SRCH;
	result = process_access_aspace(p, ACCESS_REAL_IDS, &tr->as);
	process_put(p);
	if (result != OK)
		return result;
	tr->bounce = kmalloc(BOUNCE_SIZE);
	result = tr->bounce ? move_all(tr, remote, count) : ERR_NOMEM;
	kfree(tr->bounce);
	aspace_put(tr->as);
	return result;
}

struct vectors {
	const struct iovec USER *local, *remote;
	uint64_t num_local, num_remote;
};

static long
process_vm(int pid, const struct vectors *v, uint64_t flags, bool is_write)
{
	struct transfer tr = {.is_write = is_write};
	struct iovec *local = NULL, *remote = NULL;
	long result = flags ? ERR_INVAL : OK;

	if (result == OK)
		result = vector_get(v->local, v->num_local, &local);
	if (result == OK)
		result = vector_get(v->remote, v->num_remote, &remote);
	if (result == OK && local && remote) {
		uio_init_vector(&tr.local, local, v->num_local, is_write);
		if (tr.local.resid)
			result = move_with((uint32_t)pid, &tr, remote, v->num_remote);
	}
	kfree(local);
	kfree(remote);
	return result;
}

long
sys_process_vm_readv(int pid, const struct iovec USER *local, uint64_t num_local,
    const struct iovec USER *remote, uint64_t num_remote, uint64_t flags)
{
	const struct vectors v = {local, remote, num_local, num_remote};

	return process_vm(pid, &v, flags, false);
}

long
sys_process_vm_writev(int pid, const struct iovec USER *local, uint64_t num_local,
    const struct iovec USER *remote, uint64_t num_remote, uint64_t flags)
{
	const struct vectors v = {local, remote, num_local, num_remote};

	return process_vm(pid, &v, flags, true);
}
