/* The system calls of memory: arguments checked and handed to the calls of mm/aspace.h.
 */
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
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

/* The file behind the shared area that holds all of [start, start + size), with a reference,
 * and its rights; NULL: there is none. */
static struct file *
shared_file_at(vaddr_t start, size_t size, int *prot)
{
	struct aspace *as = current_space();
	struct file *f = NULL;
	const struct area *a;

	rwsem_lock_shared(&as->lock);
	a = start < USER_SPACE_END ? area_find(as, start) : NULL;
	if (a && a->flags & AREA_SHARED && a->file && size <= a->end - start) {
		f = file_get(a->file);
		*prot = (a->flags & AREA_READ ? PROT_READ : 0) |
		        (a->flags & AREA_WRITE ? PROT_WRITE : 0) |
		        (a->flags & AREA_EXEC ? PROT_EXEC : 0);
	}
	rwsem_unlock_shared(&as->lock);
	return f;
}

/* As on Linux since 4.0: other pages of the file, by a mapping of their own. */
long
sys_remap_file_pages(vaddr_t start, size_t size, int prot, uint64_t page, int flags)
{
	int how = MAP_SHARED | MAP_FIXED | MAP_POPULATE | (flags & MAP_NONBLOCK);
	uint64_t len = ALIGN_DOWN(size, (size_t)PAGE_SIZE);
	struct file *f;
	int rights;
	long result;

	start = ALIGN_DOWN(start, (vaddr_t)PAGE_SIZE);
	if (prot || start + len <= start || page + (len >> PAGE_SHIFT) < page ||
	    page + (len >> PAGE_SHIFT) > INT64_MAX >> PAGE_SHIFT)
		return ERR_INVAL;
	f = shared_file_at(start, len, &rights);
	if (!f)
		return ERR_INVAL;
	result = aspace_map(
	    current_space(), start, len, rights, how, f, (loff_t)(page << PAGE_SHIFT));
	file_put(f);
	return result < 0 ? result : OK;
}
