/*
 * The stack of a new program, from the top down as Linux lays it out: a null word, the
 * file name, the environment's strings, the arguments' strings, a random gap, "x86_64",
 * 16 random bytes, and below them, the stack pointer 16-byte aligned: argc, argv[], 0,
 * envp[], 0, auxiliary vector.
 */
#include "kernel/proc/exec_stack.h"

#include "kernel/proc/exec.h"
#include "kernel/random.h"
#include "kernel/x86/features.h"
#include "kernel/x86/context.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/mman.h"
#include "mm/page.h"

/* Linux's numbers, uapi/linux/auxvec.h. */
enum auxv {
	AT_NULL = 0,
	AT_PHDR = 3,
	AT_PHENT = 4,
	AT_PHNUM = 5,
	AT_PAGESZ = 6,
	AT_BASE = 7,
	AT_FLAGS = 8,
	AT_ENTRY = 9,
	AT_UID = 11,
	AT_EUID = 12,
	AT_GID = 13,
	AT_EGID = 14,
	AT_PLATFORM = 15,
	AT_HWCAP = 16,
	AT_CLKTCK = 17,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_HWCAP2 = 26,
	AT_EXECFN = 31,
	AT_SYSINFO_EHDR = 33,
	AT_MINSIGSTKSZ = 51,
};

enum {
	STACK_FIRST_SIZE = 132 * 1024, /* mapped at once; the rest grows */
	STACK_POINTER_RANDOM = 8192,
	SIGNAL_FRAME_SIZE = 440 + 64 + 128, /* rt_sigframe, alignment, red zone */
	HWCAP2_FSGSBASE = 1 << 1,
	PHDR_SIZE = 56,
	CLOCK_TICKS = 100,
	AUX_MAX = 24,
};

/* Words collected and written to ascending addresses of the new space. */
struct writer {
	struct aspace *as;
	vaddr_t at;
	uint64_t words[32];
	unsigned num;
	bool has_failed;
};

static void
flush(struct writer *w)
{
	size_t len = w->num * sizeof(w->words[0]);

	if (len && aspace_write(w->as, w->at, w->words, len) != len)
		w->has_failed = true;
	w->at += len;
	w->num = 0;
}

static void
put(struct writer *w, uint64_t word)
{
	if (w->num == ARRAY_SIZE(w->words))
		flush(w);
	w->words[w->num++] = word;
}

/* The addresses of `count` strings that begin at *at in `text`; moves both on. */
static void
put_string_addresses(struct writer *w, uint32_t count, const char **text, vaddr_t *at)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t len = strlen(*text) + 1;

		put(w, *at);
		*text += len;
		*at += len;
	}
	put(w, 0);
}

struct aux {
	uint64_t pairs[AUX_MAX][2];
	unsigned num;
};

static void
aux_add(struct aux *a, enum auxv type, uint64_t value)
{
	a->pairs[a->num][0] = type;
	a->pairs[a->num][1] = value;
	a->num++;
}

/* Addresses of what the vector points at. */
struct stack_places {
	vaddr_t filename, strings, platform, random;
};

static void
aux_fill(struct aux *a, const struct exec_args *args, const struct exec_image *image,
    const struct stack_places *places)
{
	if (image->vdso)
		aux_add(a, AT_SYSINFO_EHDR, image->vdso);
	aux_add(a, AT_MINSIGSTKSZ, fpu_signal_size() + SIGNAL_FRAME_SIZE);
	aux_add(a, AT_HWCAP, cpu_features.leaf_1_edx);
	aux_add(a, AT_PAGESZ, PAGE_SIZE);
	aux_add(a, AT_CLKTCK, CLOCK_TICKS);
	aux_add(a, AT_PHDR, image->phdr);
	aux_add(a, AT_PHENT, PHDR_SIZE);
	aux_add(a, AT_PHNUM, image->phnum);
	aux_add(a, AT_BASE, image->interp_base);
	aux_add(a, AT_FLAGS, 0);
	aux_add(a, AT_ENTRY, image->entry);
	aux_add(a, AT_UID, args->uid);
	aux_add(a, AT_EUID, args->euid);
	aux_add(a, AT_GID, args->gid);
	aux_add(a, AT_EGID, args->egid);
	aux_add(a, AT_SECURE, args->is_secure);
	aux_add(a, AT_RANDOM, places->random);
	aux_add(a, AT_HWCAP2, cpu_features.has_fsgsbase ? HWCAP2_FSGSBASE : 0);
	aux_add(a, AT_EXECFN, places->filename);
	aux_add(a, AT_PLATFORM, places->platform);
	aux_add(a, AT_NULL, 0);
}

/* Writes the strings and random bytes; *sp is below them afterwards. */
static enum err
write_strings(struct aspace *as, const struct exec_args *args,
    struct stack_places *places, vaddr_t *sp)
{
	static const char platform[] = "x86_64";
	size_t path_size = strlen(args->path) + 1;
	uint8_t random[16];
	vaddr_t p = as->stack_top - sizeof(uint64_t);

	random_bytes(random, sizeof(random));
	p -= path_size;
	places->filename = p;
	p -= args->strings_len;
	places->strings = p;
	p = ALIGN_DOWN(p - layout_random(RANDOMIZE_LAYOUT, STACK_POINTER_RANDOM), 16ull);
	p -= sizeof(platform);
	places->platform = p;
	p -= sizeof(random);
	places->random = p;
	*sp = ALIGN_DOWN(p, 16ull);
	if (aspace_write(as, places->filename, args->path, path_size) != path_size ||
	    aspace_write(as, places->strings, args->strings, args->strings_len) !=
	        args->strings_len ||
	    aspace_write(as, places->platform, platform, sizeof(platform)) !=
	        sizeof(platform) ||
	    aspace_write(as, places->random, random, sizeof(random)) != sizeof(random))
		return ERR_NOMEM;
	return OK;
}

enum err
exec_build_stack(struct aspace *as, const struct exec_args *args,
    const struct exec_image *image, vaddr_t *sp)
{
	uint64_t pointers = (uint64_t)args->argc + args->envc + 3;
	size_t need = args->strings_len + strlen(args->path) + 8 * pointers +
	              2 * STACK_POINTER_RANDOM;
	struct writer w = {.as = as};
	const char *text = args->strings;
	struct stack_places places;
	struct aux aux = {.num = 0};
	vaddr_t at;
	enum err err;

	need = ALIGN_UP(MAX(need, STACK_FIRST_SIZE), PAGE_SIZE);
	if (need > as->stack_top / 4)
		return ERR_2BIG;
	err = aspace_map_stack(as, as->stack_top, need,
	    PROT_READ | PROT_WRITE | (image->stack_is_exec ? PROT_EXEC : 0));
	if (err == OK)
		err = write_strings(as, args, &places, sp);
	if (err != OK)
		return err;
	aux_fill(&aux, args, image, &places);

	*sp = ALIGN_DOWN(*sp - 8 * pointers - aux.num * sizeof(aux.pairs[0]), 16ull);
	w.at = *sp;
	at = places.strings;
	put(&w, args->argc);
	as->arg_start = at;
	put_string_addresses(&w, args->argc, &text, &at);
	as->arg_end = as->env_start = at;
	put_string_addresses(&w, args->envc, &text, &at);
	as->env_end = at;
	as->auxv_start = w.at + w.num * sizeof(w.words[0]);
	as->auxv_end = as->auxv_start + aux.num * sizeof(aux.pairs[0]);
	for (unsigned i = 0; i < aux.num; i++) {
		put(&w, aux.pairs[i][0]);
		put(&w, aux.pairs[i][1]);
	}
	flush(&w);
	return w.has_failed ? ERR_NOMEM : OK;
}
