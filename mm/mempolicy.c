/*
 * Memory policies: from which nodes memory is wanted (mbind(2), set_mempolicy(2),
 * get_mempolicy(2), migrate_pages(2), move_pages(2)). Policies are checked, kept and told,
 * by thread and by area; all nodes serve all requests, so on a machine of one node the
 * answers are those of Linux. Of an area's policy the mode is kept, in its flags: its nodes
 * are told as all that have memory.
 */
#include "kernel/platform.h"
#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/page.h"
#include "mm/usercopy.h"
#include "mm/userpt.h"
#include "syscalls.h"

enum mpol_mode {
	MPOL_DEFAULT,
	MPOL_PREFERRED,
	MPOL_BIND,
	MPOL_INTERLEAVE,
	MPOL_LOCAL,
	MPOL_PREFERRED_MANY,
	MPOL_MODES,
};

enum {
	MPOL_F_NUMA_BALANCING = 1 << 13, /* of modes */
	MPOL_F_RELATIVE_NODES = 1 << 14,
	MPOL_F_STATIC_NODES = 1 << 15,
	MPOL_F_USER = MPOL_F_RELATIVE_NODES | MPOL_F_STATIC_NODES,
	MPOL_F_ALL = MPOL_F_USER | MPOL_F_NUMA_BALANCING,

	MPOL_F_NODE = 1 << 0, /* of get_mempolicy */
	MPOL_F_ADDR = 1 << 1,
	MPOL_F_MEMS_ALLOWED = 1 << 2,

	MPOL_MF_STRICT = 1 << 0, /* of mbind and move_pages */
	MPOL_MF_MOVE = 1 << 1,
	MPOL_MF_MOVE_ALL = 1 << 2,
};

enum {
	MAX_NODES = 1024, /* in masks, as on Linux */
	WORD_BITS = 64,
	MASK_BITS_MAX = PAGE_SIZE * 8,
};

/* A node that is beyond what there can be stands for all such. */
#define NO_NODE (1ull << 63)

/* Mode, flags and nodes as one thread or area has them. */
struct policy {
	unsigned mode, flags;
	uint64_t nodes; /* as given */
};

static uint64_t
memory_nodes(void)
{
	uint64_t nodes = 0;

	for (unsigned i = 0; i < platform.num_mem_nodes; i++)
		nodes |= 1ull << platform.mem_nodes[i].node;
	return nodes ? nodes : 1;
}

/* ---- Masks in user memory ---- */

/* A mask of `maxnode` - 1 bits: the nodes below 63, and NO_NODE if there are others. */
static enum err
nodes_get(const uint64_t USER *mask, uint64_t maxnode, uint64_t *out)
{
	uint64_t bits = maxnode - 1, word;

	*out = 0;
	if (!bits || !mask)
		return OK;
	if (bits > MASK_BITS_MAX)
		return ERR_INVAL;
	for (uint64_t at = 0; at < bits; at += WORD_BITS) {
		if (get_user(word, mask + at / WORD_BITS) != OK)
			return ERR_FAULT;
		if (bits - at < WORD_BITS)
			word &= (1ull << (bits - at)) - 1;
		if (word && at >= MAX_NODES)
			return ERR_INVAL;
		if (at == 0)
			*out = word;
		else if (word)
			*out |= NO_NODE;
	}
	return OK;
}

static enum err
nodes_put(uint64_t USER *mask, uint64_t maxnode, uint64_t nodes)
{
	size_t size = ALIGN_UP(maxnode - 1, (uint64_t)WORD_BITS) / 8;

	if (!size)
		return OK;
	if (size > PAGE_SIZE)
		return ERR_INVAL;
	if (put_user(nodes, mask) != OK)
		return ERR_FAULT;
	return clear_user(mask + 1, size - sizeof(nodes));
}

/* ---- Policies ---- */

static enum err
policy_make(int mode, uint64_t nodes, struct policy *p)
{
	p->flags = (unsigned)mode & MPOL_F_ALL;
	p->mode = (unsigned)mode & ~(unsigned)MPOL_F_ALL;
	p->nodes = nodes;
	if (p->mode >= MPOL_MODES || (p->flags & MPOL_F_USER) == MPOL_F_USER ||
	    (p->flags & MPOL_F_NUMA_BALANCING && p->mode != MPOL_BIND))
		return ERR_INVAL;
	if (p->mode == MPOL_DEFAULT || p->mode == MPOL_LOCAL)
		return nodes || (p->mode == MPOL_LOCAL && p->flags) ? ERR_INVAL : OK;
	if (p->mode == MPOL_PREFERRED && !nodes) {
		p->mode = MPOL_LOCAL;
		return p->flags ? ERR_INVAL : OK;
	}
	/* Relative ones are counted among the nodes there are: some are always left. */
	if (!nodes || (!(p->flags & MPOL_F_RELATIVE_NODES) && !(nodes & memory_nodes())))
		return ERR_INVAL;
	return OK;
}

/* What get_mempolicy tells as its nodes. */
static uint64_t
policy_nodes(const struct policy *p)
{
	if (p->mode == MPOL_DEFAULT || p->mode == MPOL_LOCAL)
		return 0;
	return p->flags & MPOL_F_USER ? p->nodes : p->nodes & memory_nodes();
}

static uint32_t
policy_to_area(const struct policy *p)
{
	return (p->mode | (p->flags & MPOL_F_USER) >> AREA_POLICY_FLAG_SHIFT)
	       << AREA_POLICY_SHIFT;
}

static void
policy_of_area(const struct area *a, struct policy *p)
{
	uint32_t bits = (a->flags & AREA_POLICY) >> AREA_POLICY_SHIFT;

	p->mode = bits & AREA_POLICY_MODE;
	p->flags = bits << AREA_POLICY_FLAG_SHIFT & MPOL_F_USER;
	p->nodes = memory_nodes();
}

long
sys_set_mempolicy(int mode, const uint64_t USER *mask, uint64_t maxnode)
{
	struct thread *t = current_thread();
	struct policy p;
	uint64_t nodes;
	enum err err = nodes_get(mask, maxnode, &nodes);

	if (err == OK)
		err = policy_make(mode, nodes, &p);
	if (err != OK)
		return err;
	t->mem_policy = p.mode | p.flags;
	t->mem_nodes = p.nodes;
	return OK;
}

/* ---- Where pages are ---- */

/* The node of the page at `va`; ERR_FAULT: no memory there, ERR_NOENT: none yet. */
static long
node_of_page(struct aspace *as, vaddr_t va)
{
	long node = ERR_FAULT;
	struct area *a;
	pte_t entry;

	rwsem_lock_shared(&as->lock);
	a = va < USER_SPACE_END ? area_find(as, va) : NULL;
	if (a) {
		entry = upt_entry(as, ALIGN_DOWN(va, PAGE_SIZE));
		if (!entry)
			node = ERR_NOENT;
		else if (!(entry & PTE_SPECIAL))
			node = phys_to_page(pte_phys(entry))->node;
	}
	rwsem_unlock_shared(&as->lock);
	return node;
}

/* The node of the page that is at `va` or comes there now. */
static long
node_by_fault(struct aspace *as, vaddr_t va)
{
	long node;

	if (va >= USER_SPACE_END || aspace_fault(as, va, AREA_READ) != OK)
		return ERR_FAULT;
	node = node_of_page(as, va);
	return node >= 0 ? node : 0; /* the page of zeros */
}

static enum err
area_policy_get(struct aspace *as, vaddr_t va, struct policy *p)
{
	enum err err = ERR_FAULT;
	const struct area *a;

	rwsem_lock_shared(&as->lock);
	a = va < USER_SPACE_END ? area_find(as, va) : NULL;
	if (a) {
		policy_of_area(a, p);
		err = OK;
	}
	rwsem_unlock_shared(&as->lock);
	return err;
}

/* What get_mempolicy gives, checked: the number for *policy, or an err; *nodes. */
static long
policy_ask(vaddr_t addr, uint64_t flags, uint64_t *nodes)
{
	const struct thread *t = current_thread();
	struct policy p = {.mode = t->mem_policy & ~(unsigned)MPOL_F_ALL,
	    .flags = t->mem_policy & MPOL_F_ALL,
	    .nodes = t->mem_nodes};
	enum err err = OK;

	if (flags & ~(uint64_t)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return ERR_INVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		*nodes = memory_nodes();
		return flags & (MPOL_F_NODE | MPOL_F_ADDR) ? ERR_INVAL : 0;
	}
	if (flags & MPOL_F_ADDR)
		err = area_policy_get(t->aspace, addr, &p);
	else if (addr)
		err = ERR_INVAL;
	if (err != OK)
		return err;
	*nodes = policy_nodes(&p);
	if (!(flags & MPOL_F_NODE))
		return p.mode | p.flags;
	if (flags & MPOL_F_ADDR)
		return node_by_fault(t->aspace, addr);
	/* The node that the next page of an interleaved thread comes from. */
	return p.mode == MPOL_INTERLEAVE ? __builtin_ctzll(memory_nodes()) : ERR_INVAL;
}

long
sys_get_mempolicy(
    int USER *policy, uint64_t USER *mask, uint64_t maxnode, vaddr_t addr, uint64_t flags)
{
	uint64_t nodes = 0;
	long answer;
	int number;

	if (mask && maxnode < platform.num_nodes)
		return ERR_INVAL;
	answer = policy_ask(addr, flags, &nodes);
	if (answer < 0)
		return answer;
	number = (int)answer;
	if (policy && put_user(number, policy) != OK)
		return ERR_FAULT;
	return mask ? nodes_put(mask, maxnode, nodes) : OK;
}

/* ---- Areas ---- */

static enum err
do_nothing(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	return OK;
}

static bool
is_without_gap(struct aspace *as, vaddr_t start, vaddr_t end)
{
	enum err err;

	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, start, end, do_nothing, NULL);
	rwsem_unlock_shared(&as->lock);
	return err == OK;
}

/*
 * The end of a range of mbind's kind, in *end. ERR_INVAL: it wraps, or is not aligned. A length
 * that wraps when it is rounded up is 0, as on Linux.
 */
static enum err
range_end(vaddr_t start, size_t len, vaddr_t *end)
{
	*end = start + ALIGN_UP(len, PAGE_SIZE);
	return IS_ALIGNED(start, PAGE_SIZE) && *end >= start ? OK : ERR_INVAL;
}

long
sys_mbind(vaddr_t start, size_t len, int mode, const uint64_t USER *mask,
    uint64_t maxnode, unsigned flags)
{
	struct aspace *as = current_process()->aspace;
	struct policy p;
	uint64_t nodes;
	vaddr_t end;
	enum err err = nodes_get(mask, maxnode, &nodes);

	if (err != OK)
		return err;
	if (flags & ~(unsigned)(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return ERR_INVAL;
	if (flags & MPOL_MF_MOVE_ALL && !capable(CAP_SYS_NICE))
		return ERR_PERM;
	err = range_end(start, len, &end);
	if (err != OK || start == end)
		return err;
	err = policy_make(mode, nodes, &p);
	if (err != OK)
		return err;
	if (end > USER_SPACE_END ||
	    (p.mode != MPOL_DEFAULT && !is_without_gap(as, start, end)))
		return ERR_FAULT;
	err = range_change_flags(as, start, end, policy_to_area(&p), AREA_POLICY);
	return p.mode == MPOL_DEFAULT && err == ERR_NOMEM ? OK : err;
}

struct home {
	bool has_policy;
};

static enum err
check_home(struct area *a, vaddr_t from, vaddr_t to, void *arg)
{
	struct home *h = arg;
	struct policy p;

	policy_of_area(a, &p);
	if (p.mode == MPOL_DEFAULT)
		return OK;
	h->has_policy = true;
	return p.mode == MPOL_BIND || p.mode == MPOL_PREFERRED_MANY ? OK : ERR_OPNOTSUPP;
}

/* With one node to go to, the home of an area's pages changes nothing. */
long
sys_set_mempolicy_home_node(vaddr_t start, size_t len, uint64_t node, uint64_t flags)
{
	struct aspace *as = current_process()->aspace;
	struct home h = {false};
	vaddr_t end;
	enum err err = range_end(start, len, &end);

	if (err != OK || flags || node >= platform.num_nodes)
		return ERR_INVAL;
	if (start == end)
		return OK;
	rwsem_lock_shared(&as->lock);
	err = range_for_each_part(as, start, end, check_home, &h);
	rwsem_unlock_shared(&as->lock);
	if (err == ERR_OPNOTSUPP)
		return err;
	return h.has_policy ? OK : ERR_NOENT;
}

/* ---- Pages of a process ---- */

/* The space of process `pid` (0: the caller), which the caller may trace. */
static enum err
space_of(int pid, struct aspace **out)
{
	struct process *p =
	    pid ? process_find((uint32_t)pid) : process_get(current_process());
	enum err err;

	if (!p)
		return ERR_SRCH;
	err = process_access_aspace(p, ACCESS_REAL_IDS, out);
	process_put(p);
	return err;
}

long
sys_migrate_pages(int pid, uint64_t maxnode, const uint64_t USER *old_mask,
    const uint64_t USER *new_mask)
{
	uint64_t old_nodes, new_nodes;
	struct aspace *as;
	enum err err = nodes_get(old_mask, maxnode, &old_nodes);

	if (err == OK)
		err = nodes_get(new_mask, maxnode, &new_nodes);
	if (err == OK)
		err = space_of(pid, &as);
	if (err != OK)
		return err;
	aspace_put(as);
	if (new_nodes & ~memory_nodes() && !capable(CAP_SYS_NICE))
		return ERR_PERM;
	return new_nodes & memory_nodes() ? 0 : ERR_INVAL; /* none is left behind */
}

/* One page of move_pages: what its status says. */
static long
page_status(struct aspace *as, vaddr_t va, const int *wanted)
{
	long node = node_of_page(as, va);

	return node < 0 || !wanted || node == *wanted ? node : ERR_BUSY;
}

static enum err
move_one(struct aspace *as, vaddr_t va, const int USER *wanted, int USER *status)
{
	int node = 0, value;

	if (wanted) {
		if (get_user(node, wanted) != OK)
			return ERR_FAULT;
		if (node < 0 || node >= WORD_BITS - 1 || !(memory_nodes() >> node & 1))
			return ERR_NODEV;
	}
	value = (int)page_status(as, va, wanted ? &node : NULL);
	return put_user(value, status);
}

long
sys_move_pages(int pid, uint64_t count, const vaddr_t USER *pages, const int USER *nodes,
    int USER *status, int flags)
{
	struct aspace *as;
	vaddr_t va;
	enum err err;

	if (flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return ERR_INVAL;
	if (flags & MPOL_MF_MOVE_ALL && !capable(CAP_SYS_NICE))
		return ERR_PERM;
	err = space_of(pid, &as);
	if (err != OK)
		return err;
	for (uint64_t i = 0; i < count && err == OK; i++) {
		err = get_user(va, pages + i);
		if (err == OK)
			err = move_one(as, va, nodes ? nodes + i : NULL, status + i);
		if (signal_is_fatal_pending(current_thread()))
			err = ERR_INTR;
	}
	aspace_put(as);
	return err;
}
