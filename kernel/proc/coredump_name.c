/*
 * core_pattern (core(5), "Naming of core dump files"): specifiers become what they stand for; a
 * pattern that begins with "|" is a program and its arguments, which are told apart before.
 */
#include "kernel/proc/coredump_priv.h"
#include "lib/fmt.h"
#include "lib/string.h"

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
add_char(struct core_name *n, char c)
{
	if (n->len + 1 >= sizeof(n->text))
		return false;
	n->text[n->len++] = c;
	n->text[n->len] = '\0';
	return true;
}

static bool
add_text(struct core_name *n, const char *text)
{
	for (; *text; text++)
		if (!add_char(n, *text))
			return false;
	return true;
}

static bool
add_number(struct core_name *n, uint64_t value)
{
	char text[24];

	scnprintf(text, sizeof(text), "%lu", value);
	return add_text(n, text);
}

/* A name that others chose: it must not lead anywhere else. */
static bool
add_harmless(struct core_name *n, const char *text)
{
	size_t start = n->len;

	if (strcmp(text, ".") == 0)
		return add_text(n, "!");
	if (strcmp(text, "..") == 0)
		return add_text(n, "!.");
	if (!add_text(n, *text ? text : "!"))
		return false;
	for (size_t i = start; i < n->len; i++)
		if (n->text[i] == '/')
			n->text[i] = '!';
	return true;
}

static bool
add_exe(struct core_name *n, const struct core_facts *f, bool is_short)
{
	const char *slash = f->exe ? strrchr(f->exe, '/') : NULL;

	if (!f->exe && !is_short)
		return add_harmless(n, f->comm) && add_text(n, " (path unknown)");
	if (!f->exe)
		return add_harmless(n, f->comm);
	return add_harmless(n, is_short && slash ? slash + 1 : f->exe);
}

static bool
add_specifier(struct core_name *n, char which, const struct core_facts *f)
{
	switch (which) {
	case '%': return add_char(n, '%');
	case 'p':
	case 'P': return add_number(n, f->pid);
	case 'i':
	case 'I': return add_number(n, f->tid);
	case 'u': return add_number(n, f->uid);
	case 'g': return add_number(n, f->gid);
	case 'd': return add_number(n, f->dumpable);
	case 's': return add_number(n, (uint64_t)f->signo);
	case 't': return add_number(n, f->time_s);
	case 'h': return add_harmless(n, f->host);
	case 'e': return add_harmless(n, f->comm);
	case 'f': return add_exe(n, f, true);
	case 'E': return add_exe(n, f, false);
	case 'c': return add_number(n, f->limit);
	case 'C': return add_number(n, f->cpu);
	default: return true;
	}
}

/* Blanks of a program's pattern end an argument; another begins with what follows. */
static bool
begin_argument(struct core_name *n)
{
	if (n->argc == CORE_ARGS_MAX || (n->argc && !add_char(n, '\0')))
		return false;
	n->args[n->argc++] = (uint16_t)n->len;
	return true;
}

bool
core_name_expand(struct core_name *n, const char *pattern, const struct core_facts *f)
{
	bool has_pid = false, is_between = true;

	n->is_pipe = *pattern == '|';
	n->argc = 0;
	n->len = 0;
	n->text[0] = '\0';
	for (pattern += n->is_pipe; *pattern; pattern++) {
		if (n->is_pipe && is_space(*pattern)) {
			is_between = true;
			continue;
		}
		if (n->is_pipe && is_between && !begin_argument(n))
			return false;
		is_between = false;
		if (*pattern != '%') {
			if (!add_char(n, *pattern))
				return false;
			continue;
		}
		if (!*++pattern)
			break;
		has_pid |= *pattern == 'p';
		if (!add_specifier(n, *pattern, f))
			return false;
	}
	if (n->is_pipe)
		return n->argc > 0 && n->text[0];
	return has_pid || !f->adds_pid || (add_char(n, '.') && add_number(n, f->pid));
}
