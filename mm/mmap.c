/* The system calls of memory: arguments checked and handed to the calls of mm/aspace.h.
 */
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/aspace.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "mm/usercopy.h"
#include "syscalls.h"

static struct aspace *
current_space(void)
{
	return current_process()->aspace;
}

long
sys_mmap(vaddr_t addr, size_t len, int prot, int flags, int fd, loff_t offset)
{
	struct file *f = NULL;
	long result;

	if (!IS_ALIGNED(offset, PAGE_SIZE))
		return ERR_INVAL;
	if (flags & MAP_HUGETLB)
		return ERR_NOMEM; /* the pool of huge pages is empty */
	if (!(flags & MAP_ANONYMOUS)) {
		f = fd_get(fd);
		if (!f)
			return ERR_BADF;
	}
	result = aspace_map(current_space(), addr, len, prot, flags, f, offset);
	if (f)
		file_put(f);
	return result;
}

long
sys_munmap(vaddr_t addr, size_t len)
{
	return aspace_unmap(current_space(), addr, len);
}

long
sys_mprotect(vaddr_t addr, size_t len, int prot)
{
	return aspace_protect(current_space(), addr, len, prot);
}

long
sys_brk(vaddr_t addr)
{
	return aspace_brk(current_space(), addr);
}

long
sys_mremap(vaddr_t addr, size_t old_len, size_t new_len, int flags, vaddr_t new_addr)
{
	return aspace_remap(current_space(), addr, old_len, new_len, flags, new_addr);
}
