/*
 * The kernel command line. One copy is kept as given, for /proc/cmdline; a second is cut
 * into words in place: blanks end a word, double quotes keep blanks and are dropped.
 */
#define LOG_PREFIX "cmdline: "

#include "kernel/cmdline.h"

#include "kernel/boot.h"
#include "kernel/log.h"
#include "lib/string.h"

enum { MAX_WORDS = 256 };

static char whole[BOOT_CMDLINE_MAX];
static char cut[BOOT_CMDLINE_MAX];
static const char *words[MAX_WORDS];
static unsigned num_words;
static unsigned first_init_word; /* index after "--", or num_words */

/* Names the kernel acts on; any other word is passed to init, as Linux does. */
static const char *const known[] = {
    "BOOT_IMAGE",
    "acpi",
    "console",
    "debug",
    "dns",
    "earlycon",
    "hpet",
    "init",
    "initrd",
    "ip",
    "ip6",
    "ip6_secret",
    "loglevel",
    "maxcpus",
    "mem",
    "noapic",
    "nokaslr",
    "nommconf",
    "nomsi",
    "nomsix",
    "nopcid",
    "nosmp",
    "nox2apic",
    "panic",
    "panic_port",
    "quiet",
    "rdinit",
    "reboot",
    "ro",
    "root",
    "rootfstype",
    "rw",
    "selftest",
    "strace",
    "stress_seconds",
    "test",
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies the next word of `s` to *out without its quotes; returns where it ended. */
static const char *
cut_word(const char *s, char **out)
{
	bool in_quotes = false;
	char *d = *out;

	for (; *s && (in_quotes || !is_blank(*s)); s++) {
		if (*s == '"')
			in_quotes = !in_quotes;
		else
			*d++ = *s;
	}
	*d++ = '\0';
	*out = d;
	return s;
}

void
cmdline_init(const char *text)
{
	const char *s = whole;
	char *d = cut;

	if (strlcpy(whole, text, sizeof(whole)) >= sizeof(whole))
		log_warn("longer than %u bytes: cut", BOOT_CMDLINE_MAX - 1);
	num_words = 0;
	first_init_word = MAX_WORDS;
	for (;;) {
		while (is_blank(*s))
			s++;
		if (!*s)
			break;
		if (num_words == MAX_WORDS) {
			log_warn("more than %u words: the rest is ignored", MAX_WORDS);
			break;
		}
		words[num_words] = d;
		s = cut_word(s, &d);
		if (!strcmp(words[num_words], "--") && first_init_word == MAX_WORDS)
			first_init_word = num_words;
		else
			num_words++;
	}
	first_init_word = MIN(first_init_word, num_words);
}

const char *
cmdline_text(void)
{
	return whole;
}

/* The value of `word` if it is "name" or "name=value": "" or the value; else NULL. */
static const char *
word_value(const char *word, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0)
		return NULL;
	return word[n] == '=' ? word + n + 1 : word[n] == '\0' ? word + n : NULL;
}

const char *
cmdline_get(const char *name, unsigned nth)
{
	for (unsigned i = 0; i < first_init_word; i++) {
		const char *value = word_value(words[i], name);

		if (value && nth-- == 0)
			return value;
	}
	return NULL;
}

bool
cmdline_has(const char *name)
{
	return cmdline_get(name, 0) != NULL;
}

uint64_t
cmdline_u64(const char *name, uint64_t dflt)
{
	const char *value, *end;
	uint64_t v = dflt;

	for (unsigned i = 0; (value = cmdline_get(name, i)); i++) {
		if (parse_u64(value, &end, 0, &v) && *end == '\0')
			continue;
		log_warn("%s=%s: not a number, %lu is used", name, value, dflt);
		v = dflt;
	}
	return v;
}

static bool
is_known(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (word_value(word, known[i]))
			return true;
	return false;
}

unsigned
cmdline_init_args(const char **argv, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < num_words && n < max; i++) {
		bool is_for_init = i >= first_init_word ||
		                   (!strchr(words[i], '=') && !strchr(words[i], '.') &&
		                       !is_known(words[i]));

		if (is_for_init)
			argv[n++] = words[i];
	}
	return n;
}

unsigned
cmdline_init_env(const char **envp, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < first_init_word && n < max; i++)
		if (strchr(words[i], '=') && !strchr(words[i], '.') &&
		    !is_known(words[i]))
			envp[n++] = words[i];
	return n;
}
