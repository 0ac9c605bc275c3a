/* ACPI 6.4, 5.2.5 (RSDP), 5.2.7 (RSDT), 5.2.8 (XSDT). */
#include "loader/rsdp.h"

#include "lib/string.h"

enum { V1_SIZE = 20, V2_SIZE = 36, MAX_ROOT_TABLE = 1 << 16 };

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t checksum2, reserved[3];
} PACKED;

struct table_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[26];
};

static_assert(sizeof(struct rsdp) == V2_SIZE, "RSDP layout");
static_assert(sizeof(struct table_header) == 36, "table header layout");

static bool
sums_to_zero(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum += *b++;
	return sum == 0;
}

bool
rsdp_is_good(const void *p)
{
	const struct rsdp *r = p;

	if (memcmp(r->signature, "RSD PTR ", 8) != 0 || !sums_to_zero(r, V1_SIZE))
		return false;
	return r->revision < 2 || sums_to_zero(r, V2_SIZE);
}

paddr_t
rsdp_find_table(const void *p, const char signature[4],
    const void *(*reach)(void *ctx, paddr_t base, uint64_t size), void *ctx)
{
	const struct rsdp *r = p;
	bool has_xsdt = r->revision >= 2 && r->xsdt;
	paddr_t root = has_xsdt ? r->xsdt : r->rsdt;
	size_t entry_size = has_xsdt ? 8 : 4;
	const struct table_header *h = reach(ctx, root, sizeof(*h)), *t;

	if (!h || h->length < sizeof(*h) || h->length > MAX_ROOT_TABLE ||
	    !reach(ctx, root, h->length) || !sums_to_zero(h, h->length))
		return 0;
	for (size_t off = sizeof(*h); off + entry_size <= h->length; off += entry_size) {
		paddr_t at = 0;

		memcpy(&at, (const char *)h + off, entry_size);
		t = reach(ctx, at, sizeof(*t));
		if (t && !memcmp(t->signature, signature, 4))
			return at;
	}
	return 0;
}
