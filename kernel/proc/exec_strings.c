/* Gathering argv and envp: see the header. */
#include "kernel/proc/exec_strings.h"

#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

enum { STRINGS_START = 4096, STRINGS_MIN_LIMIT = 128 << 10, POINTER_BATCH = 16 };

enum err
exec_strings_init(struct exec_strings *s, uint64_t stack_limit)
{
	*s = (struct exec_strings){.size = STRINGS_START};
	s->limit = MIN(MAX(stack_limit / 4, (uint64_t)STRINGS_MIN_LIMIT),
	    (uint64_t)EXEC_STRINGS_MAX);
	s->buf = kmalloc(s->size);
	return s->buf ? OK : ERR_NOMEM;
}

void
exec_strings_free(struct exec_strings *s)
{
	kfree(s->buf);
	s->buf = NULL;
}

/* Bytes that may still be added, the pointers of all strings and of one more counted. */
static size_t
exec_strings_room(const struct exec_strings *s)
{
	size_t used = s->len + (s->argc + s->envc + 1) * sizeof(vaddr_t);

	return used < s->limit ? s->limit - used : 0;
}

/* Makes the buffer larger than it is. */
static enum err
exec_strings_grow(struct exec_strings *s, size_t need)
{
	size_t size = s->size;
	char *bigger;

	while (size < need)
		size *= 2;
	if (size > EXEC_STRINGS_MAX)
		return ERR_2BIG;
	bigger = krealloc(s->buf, size);
	if (!bigger)
		return ERR_NOMEM;
	s->buf = bigger;
	s->size = size;
	return OK;
}

static enum err
exec_strings_add_user(struct exec_strings *s, const char USER *text)
{
	for (;;) {
		size_t max = MIN(exec_strings_room(s), (size_t)EXEC_STRING_MAX);
		size_t n = MIN(s->size - s->len, max);
		long len;
		enum err err;

		if (max == 0)
			return ERR_2BIG;
		len = n ? strncpy_from_user(s->buf + s->len, text, n) : ERR_NAMETOOLONG;
		if (len >= 0) {
			s->len += (size_t)len + 1;
			return OK;
		}
		if (len != ERR_NAMETOOLONG)
			return (enum err)len;
		if (n == max)
			return ERR_2BIG;
		err = exec_strings_grow(s, s->size * 2);
		if (err != OK)
			return err;
	}
}

/* Adds the strings of a NULL-terminated array, the pointers read in batches. */
static enum err
exec_strings_add_array(struct exec_strings *s, const vaddr_t USER *array, uint32_t *count)
{
	vaddr_t pointers[POINTER_BATCH];

	if (!array)
		return OK;
	for (;; array += POINTER_BATCH) {
		size_t got = copy_from_user_partial(pointers, array, sizeof(pointers)) /
		             sizeof(vaddr_t);

		for (size_t i = 0; i < got; i++) {
			enum err err;

			if (!pointers[i])
				return OK;
			err = exec_strings_add_user(s, (const char USER *)pointers[i]);
			if (err != OK)
				return err;
			++*count;
		}
		if (got < POINTER_BATCH)
			return ERR_FAULT;
	}
}

enum err
exec_strings_add_argv(struct exec_strings *s, const vaddr_t USER *argv)
{
	enum err err = exec_strings_add_array(s, argv, &s->argc);

	s->args_len = s->len;
	return err;
}

enum err
exec_strings_add_envp(struct exec_strings *s, const vaddr_t USER *envp)
{
	return exec_strings_add_array(s, envp, &s->envc);
}

enum err
exec_strings_add(struct exec_strings *s, const char *text, bool is_env)
{
	size_t n = strlen(text) + 1;
	enum err err;

	if (n > exec_strings_room(s) || n > EXEC_STRING_MAX)
		return ERR_2BIG;
	if (s->len + n > s->size) {
		err = exec_strings_grow(s, s->len + n);
		if (err != OK)
			return err;
	}
	memcpy(s->buf + s->len, text, n);
	s->len += n;
	if (is_env) {
		s->envc++;
	} else {
		s->argc++;
		s->args_len = s->len;
	}
	return OK;
}

enum err
exec_strings_replace_argv0(
    struct exec_strings *s, const char *const *strings, unsigned num)
{
	size_t old = s->argc ? strlen(s->buf) + 1 : 0, new = 0;
	enum err err;

	for (unsigned i = 0; i < num; i++)
		new += strlen(strings[i]) + 1;
	if (new > old &&new - old + num * sizeof(vaddr_t) > exec_strings_room(s))
		return ERR_2BIG;
	if (s->len - old + new > s->size) {
		err = exec_strings_grow(s, s->len - old + new);
		if (err != OK)
			return err;
	}
	memmove(s->buf + new, s->buf + old, s->len - old);
	s->len += new - old;
	s->args_len += new - old;
	s->argc += num - (s->argc ? 1 : 0);
	for (char *at = s->buf; num; num--, strings++) {
		size_t n = strlen(*strings) + 1;

		memcpy(at, *strings, n);
		at += n;
	}
	return OK;
}
