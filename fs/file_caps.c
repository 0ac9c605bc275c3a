/*
 * The value of security.capability, as Linux has it on disk (capabilities(7)): a word with revision
 * and flag, then permitted and inheritable set, word by word, the low ones first, all
 * little-endian. Revision 1 has 32 capabilities, 2 has 64, 3 adds the user who is root of the
 * user name space that it is meant for: ours is 0, and for any other exec takes no notice.
 *
 * Only revisions 2 and 3 can be set. What is root's own reads as revision 2, whichever it was.
 */
#include "fs/file_caps.h"

#include "kernel/proc/cred.h"
#include "lib/string.h"

enum {
	REVISION_1 = 0x01000000,
	REVISION_2 = 0x02000000,
	REVISION_3 = 0x03000000,
	FLAG_EFFECTIVE = 1,
	SIZE_1 = 12,
	SIZE_2 = 20,
	SIZE_3 = 24,
	OWNER_AT = 20, /* of revision 3 */
};
#define REVISION_MASK 0xff000000u

static uint32_t
word(const void *value, size_t at)
{
	uint32_t w;

	memcpy(&w, (const uint8_t *)value + at, sizeof(w));
	return w;
}

/* 2 or 3; 0: neither. Nothing but the flag goes with the revision. */
static unsigned
revision_of(const void *value, size_t size)
{
	uint32_t magic = size >= SIZE_2 ? word(value, 0) & ~(uint32_t)FLAG_EFFECTIVE : 0;

	if (size == SIZE_2 && magic == REVISION_2)
		return 2;
	return size == SIZE_3 && magic == REVISION_3 ? 3 : 0;
}

enum err
file_caps_check(const void *value, size_t size)
{
	unsigned revision = revision_of(value, size);

	/* An empty value is kept, but no program with it runs. */
	if (size && !revision)
		return ERR_INVAL;
	if (!capable(CAP_SETFCAP))
		return ERR_PERM;
	return revision == 3 && word(value, OWNER_AT) == UINT32_MAX ? ERR_INVAL : OK;
}

long
file_caps_show(const void *kept, size_t size, uint8_t out[FILE_CAPS_MAX])
{
	unsigned revision = revision_of(kept, size);
	uint32_t magic;

	if (!revision)
		return ERR_INVAL;
	memcpy(out, kept, size);
	if (revision == 2 || word(kept, OWNER_AT) != 0)
		return (long)size;
	magic = REVISION_2 | (word(kept, 0) & FLAG_EFFECTIVE);
	memcpy(out, &magic, sizeof(magic));
	return SIZE_2;
}

enum err
file_caps_parse(const void *kept, size_t size, struct file_caps *out)
{
	uint32_t magic = size >= SIZE_1 ? word(kept, 0) : 0;
	uint32_t revision = magic & REVISION_MASK;

	if (!(revision == REVISION_1 && size == SIZE_1) &&
	    !(revision == REVISION_2 && size == SIZE_2) &&
	    !(revision == REVISION_3 && size == SIZE_3))
		return ERR_INVAL;
	if (revision == REVISION_3 && word(kept, OWNER_AT) != 0)
		return OK;
	out->permitted = word(kept, 4);
	out->inheritable = word(kept, 8);
	if (revision != REVISION_1) {
		out->permitted |= (uint64_t)word(kept, 12) << 32;
		out->inheritable |= (uint64_t)word(kept, 16) << 32;
	}
	out->permitted &= CAP_ALL;
	out->inheritable &= CAP_ALL;
	out->is_effective = magic & FLAG_EFFECTIVE;
	out->is_there = true;
	return OK;
}
