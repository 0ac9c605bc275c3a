/*
 * Access to a space from the kernel's side, page by page: making pages present ahead of
 * time, and copying to and from a space that is not the current one.
 */
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/huge.h"
#include "mm/userpt.h"

/*
 * Makes the page at `va` present for `access`, 0: as its area allows; nothing where there is
 * none, or no right.
 */
static enum err
populate_page(struct aspace *as, vaddr_t va, unsigned access)
{
	struct area *a;
	enum err err = OK;

	rwsem_lock_shared(&as->lock);
	a = area_find(as, va);
	if (a && !access)
		access = (a->flags & (AREA_WRITE | AREA_SHARED)) == AREA_WRITE
		             ? AREA_WRITE
		             : AREA_READ;
	if (a && a->flags & (access == AREA_WRITE ? AREA_WRITE : AREA_ACCESS))
		err = a->ops->fault(a, va, access);
	rwsem_unlock_shared(&as->lock);
	return err;
}

enum err
aspace_populate(struct aspace *as, vaddr_t start, size_t len)
{
	return aspace_populate_for(as, start, len, 0);
}

enum err
aspace_populate_for(struct aspace *as, vaddr_t start, size_t len, unsigned access)
{
	for (vaddr_t va = start; va < start + len; va += PAGE_SIZE) {
		enum err err = populate_page(as, va, access);

		if (err == ERR_AGAIN) {
			huge_split_unlocked(as, va);
			va -= PAGE_SIZE;
			continue;
		}
		if (err != OK)
			return err;
		if (signal_is_fatal_pending(current_thread()))
			return ERR_INTR;
	}
	return OK;
}

/* What the entry for `va` shows, with a reference, if it allows `access`; else NULL. */
static struct page *
page_in_entry(struct aspace *as, vaddr_t va, unsigned access)
{
	pte_t entry = upt_entry(as, va);
	unsigned need = PTE_PRESENT | (access == AREA_WRITE ? PTE_WRITE : 0);

	if ((entry & need) != need)
		return NULL;
	if (entry & PTE_SPECIAL && pte_phys(entry) != zero_page)
		return NULL; /* a device */
	return page_get(phys_to_page(pte_phys(entry)));
}

/* The page at `va` with a reference, made present for `access`. NULL: cannot be had. */
static struct page *
take_page(struct aspace *as, vaddr_t va, unsigned access)
{
	enum { TRIES = 8 }; /* another thread may unmap it time and again */
	struct page *pg = NULL;

	for (unsigned i = 0; i < TRIES && !pg; i++) {
		if (aspace_fault(as, va, access) != OK)
			return NULL;
		/* Exclusively, so that nobody takes the page out between look and
		 * reference. */
		rwsem_lock(&as->lock);
		pg = page_in_entry(as, va, access);
		rwsem_unlock(&as->lock);
	}
	return pg;
}

static size_t
copy(struct aspace *as, vaddr_t va, char *buf, size_t len, unsigned access)
{
	size_t done = 0;

	if (va > USER_SPACE_END || len > USER_SPACE_END - va)
		return 0;
	while (done < len) {
		size_t offset = (va + done) % PAGE_SIZE;
		size_t n = MIN(len - done, PAGE_SIZE - offset);
		struct page *pg = take_page(as, va + done, access);
		char *memory;

		if (!pg)
			break;
		memory = (char *)page_to_virt(pg) + offset;
		if (access == AREA_WRITE)
			memcpy(memory, buf + done, n);
		else
			memcpy(buf + done, memory, n);
		page_put(pg);
		done += n;
	}
	return done;
}

size_t
aspace_read(struct aspace *as, vaddr_t va, void *buf, size_t len)
{
	return copy(as, va, buf, len, AREA_READ);
}

size_t
aspace_write(struct aspace *as, vaddr_t va, const void *buf, size_t len)
{
	return copy(as, va, (char *)buf, len, AREA_WRITE);
}

/* ---- For debuggers ----------------------------------------------------------------- */

/* [va, va+n) of one page, present or not. Lock held exclusively. false: there is none. */
static bool
force_page(struct area *a, vaddr_t va, char *buf, size_t n, bool is_write)
{
	vaddr_t page = ALIGN_DOWN(va, PAGE_SIZE);
	bool is_forced = is_write && !(a->flags & AREA_WRITE);
	struct tlb_batch batch;
	enum err err;
	char *memory;
	pte_t entry;

	if (is_write && a->flags & AREA_DEVICE)
		return false;
	if (is_forced && a->flags & AREA_SHARED)
		return false;
	err = a->ops->fault(a, page, is_write ? AREA_WRITE : AREA_READ);
	if (err == ERR_AGAIN) {
		huge_split(a->aspace, page);
		err = a->ops->fault(a, page, is_write ? AREA_WRITE : AREA_READ);
	}
	entry = err == OK ? upt_entry(a->aspace, page) : 0;
	if (!entry)
		return false;
	memory = phys_to_virt(pte_phys(entry));
	memory += va % PAGE_SIZE;
	if (is_write)
		memcpy(memory, buf, n);
	else
		memcpy(buf, memory, n);
	if (is_forced) { /* the program itself still may not */
		tlb_batch_begin(&batch, a->aspace);
		upt_protect(a->aspace, page, page + PAGE_SIZE, a->flags, &batch);
		tlb_batch_end(&batch);
	}
	return true;
}

static size_t
force(struct aspace *as, vaddr_t va, char *buf, size_t len, bool is_write)
{
	size_t done = 0;
	bool ok = true;

	if (va > USER_SPACE_END || len > USER_SPACE_END - va)
		return 0;
	while (done < len && ok) {
		size_t n = MIN(len - done, PAGE_SIZE - (va + done) % PAGE_SIZE);
		struct area *a;

		rwsem_lock(&as->lock);
		a = area_find(as, va + done);
		ok = a && force_page(a, va + done, buf + done, n, is_write);
		rwsem_unlock(&as->lock);
		done += ok ? n : 0;
	}
	return done;
}

size_t
aspace_peek(struct aspace *as, vaddr_t va, void *buf, size_t len)
{
	return force(as, va, buf, len, false);
}

size_t
aspace_poke(struct aspace *as, vaddr_t va, const void *buf, size_t len)
{
	return force(as, va, (char *)buf, len, true);
}
