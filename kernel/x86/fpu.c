/*
 * FPU state; see fpu.h. With XSAVE the area is in the standard (not compacted) format,
 * which is also what Linux puts into signal frames. An area of zeros with the two control
 * words is the initial state: XSTATE_BV = 0 makes XRSTOR load initial values (SDM vol.
 * 1, 13.8).
 */
#include "kernel/x86/fpu.h"

#include "kernel/sched/thread.h"
#include "kernel/x86/context.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu_ops.h"
#include "kernel/x86/usercopy_asm.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

/* The FXSAVE image and the XSAVE header (SDM vol. 1, table 13-1 and 13.4.2). */
struct xsave_area {
	uint16_t fcw;
	uint8_t x87[22];
	uint32_t mxcsr, mxcsr_mask;
	uint8_t registers[432];
	uint8_t software[48];
	uint64_t xstate_bv, xcomp_bv;
	uint8_t header_reserved[48];
};

static_assert(offsetof(struct xsave_area, mxcsr) == 24, "FXSAVE layout");
static_assert(offsetof(struct xsave_area, xstate_bv) == 512, "XSAVE layout");

struct fpu_state {
	struct cpu *cpu; /* whose registers held it last; with cpu->fpu_owner: still do */
	/* Being written from user memory: a switch neither saves nor loads it. */
	bool is_changing;
	struct xsave_area area ALIGNED(64);
};

enum {
	FCW_INITIAL = 0x37f,
	MXCSR_INITIAL = 0x1f80,
	MXCSR_MASK_DEFAULT = 0xffbf, /* when the processor stores 0: SDM vol. 1, 11.6.6 */
};

static uint32_t mxcsr_mask = MXCSR_MASK_DEFAULT;

static void
save(struct fpu_state *s)
{
	if (cpu_features.has_xsaveopt)
		xsaveopt(&s->area, cpu_features.xcr0);
	else if (cpu_features.has_xsave)
		xsave(&s->area, cpu_features.xcr0);
	else
		fxsave(&s->area);
}

static void
load(struct fpu_state *s)
{
	struct cpu *c = this_cpu();

	if (cpu_features.has_xsave)
		xrstor(&s->area, cpu_features.xcr0);
	else
		fxrstor(&s->area);
	s->cpu = c;
	c->fpu_owner = s;
}

void
fpu_init_cpu(void)
{
	struct xsave_area area ALIGNED(64) = {0};

	fninit();
	fxsave(&area);
	if (area.mxcsr_mask)
		mxcsr_mask = area.mxcsr_mask;
	this_cpu()->fpu_owner = NULL;
}

static size_t
area_size(void)
{
	return MAX((size_t)cpu_features.xsave_size, sizeof(struct xsave_area));
}

void
fpu_reset(struct fpu_state *s)
{
	memset(&s->area, 0, area_size());
	s->area.fcw = FCW_INITIAL;
	s->area.mxcsr = MXCSR_INITIAL;
	s->cpu = NULL;
}

struct fpu_state *
fpu_alloc(void)
{
	/* A power of two is aligned to itself. */
	struct fpu_state *s =
	    kmalloc(round_up_pow2(offsetof(struct fpu_state, area) + area_size()));

	if (s)
		s->is_changing = false;
	return s;
}

void
fpu_free(struct fpu_state *s)
{
	kfree(s);
}

void
fpu_switch(struct thread *prev, struct thread *next)
{
	struct cpu *c = this_cpu();

	if (prev->fpu && !prev->fpu->is_changing)
		save(prev->fpu);
	if (next->fpu && !next->fpu->is_changing &&
	    (c->fpu_owner != next->fpu || next->fpu->cpu != c))
		load(next->fpu);
}

void
fpu_copy_current(struct fpu_state *to)
{
	struct thread *t = current_thread();

	irq_disable_nested();
	save(t->fpu);
	memcpy(&to->area, &t->fpu->area, area_size());
	irq_enable_nested();
	to->cpu = NULL;
}

void
fpu_reset_current(void)
{
	struct thread *t = current_thread();

	irq_disable_nested();
	fpu_reset(t->fpu);
	load(t->fpu);
	irq_enable_nested();
}

void
fpu_save_current(void)
{
	irq_disable_nested();
	save(current_thread()->fpu);
	irq_enable_nested();
}

/* ---- Images for debuggers and core files ---- */

enum { XFEATURE_X87 = 1, XFEATURE_SSE = 2, XFEATURE_FIRST_EXTENDED = 2 };

size_t
fpu_image_size(void)
{
	return cpu_features.has_xsave ? area_size() : 0;
}

/* XSAVE leaves parts in initial state as they were in memory: SDM vol. 1, 13.7. */
static void
fill_initial(void *image, size_t size, uint64_t present)
{
	struct xsave_area *a = image;

	if (!(present & XFEATURE_X87)) {
		a->fcw = FCW_INITIAL;
		memset(a->x87, 0, sizeof(a->x87));
		memset(a->registers, 0, 128);
	}
	if (!(present & XFEATURE_SSE))
		memset(a->registers + 128, 0, 256);
	for (unsigned i = XFEATURE_FIRST_EXTENDED; i < 63; i++) {
		struct cpuid part;

		if (!(cpu_features.xcr0 >> i & 1) || present >> i & 1)
			continue;
		part = cpuid(0xd, i);
		if (part.ebx < size && part.eax <= size - part.ebx)
			memset((uint8_t *)image + part.ebx, 0, part.eax);
	}
}

void
fpu_get_image(const struct fpu_state *s, void *image, size_t size)
{
	struct xsave_area *a = image;

	memcpy(image, &s->area, size);
	memset(a->software, 0, sizeof(a->software));
	if (cpu_features.has_xsave)
		fill_initial(image, size, s->area.xstate_bv);
	if (size <= FPU_LEGACY_SIZE)
		return;
	memset((uint8_t *)image + offsetof(struct xsave_area, xcomp_bv), 0, 56);
	memcpy(a->software, &cpu_features.xcr0, sizeof(cpu_features.xcr0));
}

enum err
fpu_set_image(struct fpu_state *s, const void *image, size_t size)
{
	const struct xsave_area *from = image;
	uint64_t reserved[7];

	if (from->mxcsr & ~mxcsr_mask)
		return ERR_INVAL;
	if (size > FPU_LEGACY_SIZE) {
		memcpy(reserved, &from->xcomp_bv, sizeof(reserved));
		for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
			if (reserved[i])
				return ERR_INVAL;
		if (from->xstate_bv & ~cpu_features.xcr0)
			return ERR_INVAL;
	}
	memcpy(&s->area, image, size);
	if (size <= FPU_LEGACY_SIZE && cpu_features.has_xsave)
		s->area.xstate_bv |= XFEATURE_X87 | XFEATURE_SSE;
	s->cpu = NULL; /* no CPU's registers hold it any more */
	return OK;
}

/* ---- Signal frames: Linux's <asm/sigcontext.h>, struct _fpx_sw_bytes ---- */

enum { FP_MAGIC1 = 0x46505853, FP_MAGIC2 = 0x46505845, SW_OFFSET = 464 };

struct fpx_software {
	uint32_t magic1;
	uint32_t extended_size; /* with FP_MAGIC2 */
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t padding[7];
};

static_assert(sizeof(struct fpx_software) == 48, "software bytes");

size_t
fpu_signal_size(void)
{
	return cpu_features.has_xsave ? area_size() + sizeof(uint32_t) : FPU_LEGACY_SIZE;
}

/* What XSAVE leaves alone, from the software bytes to the end of the header: it must be
 * zeros there, but for the former. */
struct signal_tail {
	struct fpx_software software;
	uint64_t header[8];
};

static_assert(SW_OFFSET == offsetof(struct xsave_area, software) &&
                  SW_OFFSET + sizeof(struct signal_tail) ==
                      offsetof(struct xsave_area, header_reserved) + 48,
    "the tail ends with the header");

static enum err
save_extended(void USER *buf)
{
	const struct signal_tail tail = {
	    .software = {.magic1 = FP_MAGIC1,
	        .extended_size = (uint32_t)fpu_signal_size(),
	        .xfeatures = cpu_features.xcr0,
	        .xstate_size = (uint32_t)area_size()},
	};
	static const uint32_t magic2 = FP_MAGIC2;
	char USER *to = buf;

	if (!user_range_ok(buf, fpu_signal_size()) ||
	    copy_to_user(to + SW_OFFSET, &tail, sizeof(tail)) != OK)
		return ERR_FAULT;
	/* Not XSAVEOPT: it leaves out parts in initial state, and a handler may look at
	 * them. */
	if (usercopy_xsave((void *)(uintptr_t)buf, cpu_features.xcr0))
		return ERR_FAULT;
	return put_user(magic2, (uint32_t USER *)(to + area_size()));
}

enum err
fpu_signal_save(void USER *buf)
{
	struct xsave_area *a = &current_thread()->fpu->area;

	if (cpu_features.has_xsave)
		return save_extended(buf);
	/* If the thread is switched out before the copy is done, the same is saved again. */
	irq_disable_nested();
	fxsave(a);
	irq_enable_nested();
	return copy_to_user(buf, a, FPU_LEGACY_SIZE);
}

/* Which parts of an XSAVE area a frame says it has; none: it is an FXSAVE image. */
static enum err
frame_features(const char USER *buf, uint64_t *features)
{
	struct fpx_software sw;
	uint32_t magic2;
	enum err err;

	*features = 0;
	if (!cpu_features.has_xsave)
		return OK;
	err = copy_from_user(&sw, buf + SW_OFFSET, sizeof(sw));
	if (err != OK || sw.magic1 != FP_MAGIC1 || sw.xstate_size != area_size())
		return err;
	err = get_user(magic2, (const uint32_t USER *)(buf + area_size()));
	if (err == OK && magic2 == FP_MAGIC2)
		*features = sw.xfeatures & cpu_features.xcr0;
	return err;
}

/* Parts that the frame does not have become initial. What XRSTOR and FXRSTOR would fault on
 * is ERR_FAULT: SDM vol. 1, 10.5.1, 13.8.1. */
static enum err
restore_parts(struct fpu_state *s, const void USER *buf, uint64_t features)
{
	enum err err;

	if ((uintptr_t)buf % (features ? 64 : 16))
		return ERR_FAULT;
	__atomic_store_n(&s->is_changing, true, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	err = copy_from_user(&s->area, buf, features ? area_size() : FPU_LEGACY_SIZE);
	s->area.xstate_bv =
	    features ? s->area.xstate_bv & features : XFEATURE_X87 | XFEATURE_SSE;
	s->area.xcomp_bv = 0;
	memset(s->area.header_reserved, 0, sizeof(s->area.header_reserved));
	if (s->area.mxcsr & ~mxcsr_mask)
		err = ERR_FAULT;
	irq_disable_nested();
	s->is_changing = false;
	if (err == OK)
		load(s);
	irq_enable_nested();
	return err;
}

enum err
fpu_signal_restore(const void USER *buf)
{
	uint64_t features;
	enum err err;

	if (!buf) {
		fpu_reset_current();
		return OK;
	}
	err = user_range_ok(buf, fpu_signal_size()) ? frame_features(buf, &features)
	                                            : ERR_FAULT;
	if (err == OK && features && features == cpu_features.xcr0)
		err = usercopy_xrstor((const void *)(uintptr_t)buf, features) ? ERR_FAULT
		                                                              : OK;
	else if (err == OK)
		err = restore_parts(current_thread()->fpu, buf, features);
	if (err != OK)
		fpu_reset_current();
	return err;
}
