/* process_madvise(2): advice about the memory of a process that a descriptor names. */
#include "kernel/proc/access.h"
#include "kernel/proc/pidfd.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/mman.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

/* process_madvise for a space: the bytes advised, or an err if there are none. */
static long
advise_vector(struct aspace *as, const struct iovec USER *vector, size_t num, int advice)
{
	struct iovec iov;
	enum err err = OK;
	long done = 0;

	for (size_t i = 0; i < num && err == OK; i++) {
		if (get_user(iov, vector + i) != OK)
			err = ERR_FAULT;
		else
			err = range_advise(as, (vaddr_t)iov.base, iov.len, advice);
		done += err == OK ? (long)iov.len : 0;
	}
	return done ? done : err;
}

/* Of the advice, only what changes no contents may be given for another process. */
long
sys_process_madvise(
    int fd, const struct iovec USER *vector, size_t num, int advice, unsigned flags)
{
	enum { VECTORS_MAX = 1024 };
	struct process *p;
	struct aspace *as;
	bool is_nonblock;
	long result;

	if (flags || num > VECTORS_MAX)
		return ERR_INVAL;
	p = pidfd_process(fd, &is_nonblock);
	if (!p)
		return ERR_BADF;
	if (advice != MADV_COLD && advice != MADV_PAGEOUT && advice != MADV_WILLNEED)
		result = ERR_INVAL;
	else
		result = process_access_aspace(p, ACCESS_FS_IDS, &as);
	process_put(p);
	if (result != OK)
		return result;
	result =
	    capable(CAP_SYS_NICE) ? advise_vector(as, vector, num, advice) : ERR_PERM;
	aspace_put(as);
	return result;
}
