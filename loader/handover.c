/* Choices common to all doors; see handover.h. */
#include "loader/handover.h"

#include "lib/string.h"
#include "loader/entropy.h"

#define DIRECT_MAP_MIN 0xffff800000000000ull
#define DIRECT_MAP_MAX 0xffffc00000000000ull

bool
handover_cmdline_has(const char *cmdline, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = cmdline; *p;) {
		size_t len = 0;

		while (*p == ' ')
			p++;
		while (p[len] && p[len] != ' ')
			len++;
		if (len == 2 && !memcmp(p, "--", 2))
			return false;
		if (len == n && !memcmp(p, word, n))
			return true;
		p += len;
	}
	return false;
}

uint64_t
handover_pick_slot(struct entropy *e, uint64_t min, uint64_t max, uint64_t size)
{
	uint64_t slots;

	min = ALIGN_UP(min, MIB(2));
	if (max < min || max - min < size)
		return min;
	slots = (max - min - size) / MIB(2) + 1;
	return min + entropy_draw(e) % slots * MIB(2);
}

uint64_t
handover_pick_direct_map(struct entropy *e, paddr_t top, const char *cmdline)
{
	uint64_t size = ALIGN_UP(MAX(top, GIB(4)), GIB(1));
	uint64_t room = DIRECT_MAP_MAX - DIRECT_MAP_MIN;

	if (handover_cmdline_has(cmdline, "nokaslr") || size >= room)
		return DIRECT_MAP_MIN;
	return DIRECT_MAP_MIN + entropy_draw(e) % ((room - size) / GIB(1) + 1) * GIB(1);
}
