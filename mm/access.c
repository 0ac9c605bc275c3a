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

/* Copies [va, va + n) of one page from or to `buf`. */
struct piece {
	vaddr_t va;
	char *buf;
	size_t n;
	bool is_write;
};

static void
copy_piece(const struct piece *c, pte_t entry)
{
	char *memory = (char *)phys_to_virt(pte_phys(entry)) + c->va % PAGE_SIZE;

	if (c->is_write)
		memcpy(memory, c->buf, c->n);
	else
		memcpy(c->buf, memory, c->n);
}

/* Whether the entry allows the copy. */
static bool
may_copy(pte_t entry, bool is_write)
{
	/* Without PTE_DIRTY what is written might be freed: mm/lazyfree.h. */
	unsigned need = PTE_PRESENT | (is_write ? PTE_WRITE | PTE_DIRTY : 0);

	if ((entry & need) != need)
		return false;
	/* Not a device's memory. */
	return !(entry & PTE_SPECIAL) || pte_phys(entry) == zero_page;
}

/*
 * Copies if the page is present with the right. The lock is held exclusively to the end of the
 * copy, and the file's: nobody takes the page away, and nobody finds a mapping gone (and seals
 * the file) while it is still written through it.
 */
static bool
try_copy(struct aspace *as, const struct piece *c)
{
	bool is_done = false;
	struct area *a;
	pte_t entry;

	rwsem_lock(&as->lock);
	a = area_find(as, c->va);
	if (a) {
		area_lock_file(a);
		entry = upt_entry(as, c->va);
		is_done = may_copy(entry, c->is_write);
		if (is_done)
			copy_piece(c, entry);
		area_unlock_file(a);
	}
	rwsem_unlock(&as->lock);
	return is_done;
}

static bool
fault_and_copy(struct aspace *as, const struct piece *c)
{
	enum { TRIES = 8 }; /* another thread may unmap it time and again */

	for (unsigned i = 0; i < TRIES; i++) {
		if (aspace_fault(as, c->va, c->is_write ? AREA_WRITE : AREA_READ) != OK)
			return false;
		if (try_copy(as, c))
			return true;
	}
	return false;
}

/* Copies page by page by `fn`; how many bytes it could. */
static size_t
copy(struct aspace *as, struct piece c, size_t len,
    bool (*fn)(struct aspace *, const struct piece *))
{
	size_t done = 0;

	if (c.va > USER_SPACE_END || len > USER_SPACE_END - c.va)
		return 0;
	while (done < len) {
		c.n = MIN(len - done, PAGE_SIZE - c.va % PAGE_SIZE);
		if (!fn(as, &c))
			break;
		done += c.n;
		c.va += c.n;
		c.buf += c.n;
	}
	return done;
}

size_t
aspace_read(struct aspace *as, vaddr_t va, void *buf, size_t len)
{
	return copy(as, (struct piece){.va = va, .buf = buf}, len, fault_and_copy);
}

size_t
aspace_write(struct aspace *as, vaddr_t va, const void *buf, size_t len)
{
	struct piece c = {.va = va, .buf = (char *)buf, .is_write = true};

	return copy(as, c, len, fault_and_copy);
}

/* ---- For debuggers ----------------------------------------------------------------- */

/* Takes the right to write, which the program has not, from the page or the 2 MiB around. */
static void
protect_again(struct area *a, vaddr_t page)
{
	vaddr_t start = huge_fits(a, page) ? ALIGN_DOWN(page, HUGE_SIZE) : page;
	vaddr_t end = start + (huge_fits(a, page) ? HUGE_SIZE : PAGE_SIZE);
	struct tlb_batch batch;

	tlb_batch_begin(&batch, a->aspace);
	upt_protect(a->aspace, start, end, a->flags, &batch);
	tlb_batch_end(&batch);
}

/* Present or not. Lock held exclusively. false: there is no page. */
static bool
force_piece(struct area *a, const struct piece *c)
{
	bool is_forced = c->is_write && !(a->flags & AREA_WRITE);
	vaddr_t page = ALIGN_DOWN(c->va, PAGE_SIZE);
	unsigned access = c->is_write ? AREA_WRITE : AREA_READ;
	enum err err;
	pte_t entry;

	if (c->is_write && a->flags & AREA_DEVICE)
		return false;
	if (is_forced && a->flags & AREA_SHARED)
		return false;
	err = a->ops->fault(a, page, access);
	if (err == ERR_AGAIN) {
		huge_split(a->aspace, page);
		err = a->ops->fault(a, page, access);
	}
	area_lock_file(a);
	entry = err == OK ? upt_entry(a->aspace, page) : 0;
	if (entry)
		copy_piece(c, entry);
	area_unlock_file(a);
	if (entry && is_forced)
		protect_again(a, page);
	return entry;
}

static bool
force(struct aspace *as, const struct piece *c)
{
	struct area *a;
	bool is_done;

	rwsem_lock(&as->lock);
	a = area_find(as, c->va);
	is_done = a && force_piece(a, c);
	rwsem_unlock(&as->lock);
	return is_done;
}

size_t
aspace_peek(struct aspace *as, vaddr_t va, void *buf, size_t len)
{
	return copy(as, (struct piece){.va = va, .buf = buf}, len, force);
}

size_t
aspace_poke(struct aspace *as, vaddr_t va, const void *buf, size_t len)
{
	struct piece c = {.va = va, .buf = (char *)buf, .is_write = true};

	return copy(as, c, len, force);
}
