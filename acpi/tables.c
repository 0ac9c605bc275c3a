/*
 * From the RSDP (ACPI 6.4 section 5.2.5) over the XSDT or RSDT (5.2.7, 5.2.8) to an array
 * of checked tables. Two checks of each table matter: its header must be readable before
 * its length is believed, and the whole length readable before the checksum is summed.
 */
#define LOG_PREFIX "acpi: "
#include "acpi/tables.h"

#include "acpi/map.h"
#include "kernel/log.h"
#include "lib/string.h"

/* RSDP fields, section 5.2.5.3. */
enum {
	RSDP_SIZE_V1 = 20,
	RSDP_SIZE_V2 = 36,
	RSDP_REVISION = 15,
	RSDP_RSDT = 16,
	RSDP_LENGTH = 20,
	RSDP_XSDT = 24,
};

/* Header and FADT fields used here, sections 5.2.6 and 5.2.9. */
enum {
	HEADER_LENGTH = 4,
	HEADER_REVISION = 8,
	FADT_DSDT = 40,
	FADT_X_DSDT = 140,
};

static struct acpi_table tables[ACPI_MAX_TABLES];
static unsigned num_tables, num_refused;

static uint64_t
get_le(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)p[i] << i * 8;
	return v;
}

static uint8_t
sum_bytes(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum += *p++;
	return sum;
}

static void
copy_signature(char out[5], const uint8_t *p)
{
	for (unsigned i = 0; i < 4; i++)
		out[i] = p[i] >= ' ' && p[i] < 0x7f ? (char)p[i] : '?';
	out[4] = '\0';
}

static bool
refuse(const char *name, paddr_t pa, const char *why)
{
	num_refused++;
	log_warn("table %s at %#llx refused: %s", name, (unsigned long long)pa, why);
	return false;
}

/* Fills *t from the table at `pa`; false, and a log line, when it is damaged. */
static bool
open_table(paddr_t pa, const char *expected, struct acpi_table *t)
{
	const uint8_t *header = acpi_map(pa, ACPI_HEADER_SIZE);

	if (!header)
		return refuse(expected ? expected : "?", pa, "not in firmware memory");
	copy_signature(t->signature, header);
	if (expected && memcmp(header, expected, 4) != 0)
		return refuse(expected, pa, "wrong signature");
	t->len = (uint32_t)get_le(header + HEADER_LENGTH, 4);
	t->revision = header[HEADER_REVISION];
	if (t->len < ACPI_HEADER_SIZE || t->len > ACPI_MAX_TABLE_SIZE)
		return refuse(t->signature, pa, "impossible length");
	t->data = acpi_map(pa, t->len);
	if (!t->data)
		return refuse(t->signature, pa, "runs out of firmware memory");
	if (sum_bytes(t->data, t->len))
		return refuse(t->signature, pa, "bad checksum");
	return true;
}

static void
add_table(paddr_t pa, const char *expected)
{
	if (!pa) /* an empty slot: some firmware leaves them */
		return;
	if (num_tables == ACPI_MAX_TABLES) {
		refuse(expected ? expected : "?", pa, "too many tables");
		return;
	}
	if (open_table(pa, expected, &tables[num_tables]))
		num_tables++;
}

/* The RSDP's root table in *root; *entry_size is 8 for an XSDT, 4 for an RSDT. */
static bool
open_root(paddr_t pa, struct acpi_table *root, unsigned *entry_size)
{
	const uint8_t *rsdp = acpi_map(pa, RSDP_SIZE_V1);
	paddr_t rsdt;

	if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) != 0)
		return refuse("RSDP", pa, "no signature");
	if (sum_bytes(rsdp, RSDP_SIZE_V1))
		return refuse("RSDP", pa, "bad checksum");
	rsdt = get_le(rsdp + RSDP_RSDT, 4);
	if (rsdp[RSDP_REVISION] >= 2) {
		const uint8_t *v2 = acpi_map(pa, RSDP_SIZE_V2);
		uint32_t len = v2 ? (uint32_t)get_le(v2 + RSDP_LENGTH, 4) : 0;

		v2 = len >= RSDP_SIZE_V2 && len <= 4096 ? acpi_map(pa, len) : NULL;
		if (!v2 || sum_bytes(v2, len))
			(void)refuse("RSDP", pa, "bad ACPI 2.0 part, using the 1.0 part");
		else if (get_le(v2 + RSDP_XSDT, 8)) {
			*entry_size = 8;
			if (open_table(get_le(v2 + RSDP_XSDT, 8), "XSDT", root))
				return true;
		}
	}
	*entry_size = 4;
	return rsdt && open_table(rsdt, "RSDT", root);
}

/*
 * The DSDT hangs off the FADT, by a 64-bit field in newer tables, by a 32-bit one in old.
 */
static void
add_dsdt(void)
{
	const struct acpi_table *fadt = acpi_find("FACP", 0);
	paddr_t pa;

	if (!fadt)
		return;
	pa = acpi_get(fadt, FADT_X_DSDT, 8);
	if (!pa)
		pa = acpi_get(fadt, FADT_DSDT, 4);
	add_table(pa, "DSDT");
}

unsigned
acpi_tables_init(paddr_t rsdp)
{
	struct acpi_table root;
	unsigned entry_size;

	num_tables = 0;
	num_refused = 0;
	if (!rsdp) {
		log_warn("firmware gives no RSDP; booting one CPU with legacy devices");
		return 0;
	}
	if (!open_root(rsdp, &root, &entry_size)) {
		log_warn("no usable root table; booting one CPU with legacy devices");
		return 0;
	}
	for (uint32_t off = ACPI_HEADER_SIZE; root.len - off >= entry_size;
	     off += entry_size)
		add_table(acpi_get(&root, off, entry_size), NULL);
	add_dsdt();
	return num_tables;
}

const struct acpi_table *
acpi_find(const char *signature, unsigned nth)
{
	for (unsigned i = 0; i < num_tables; i++)
		if (!strcmp(tables[i].signature, signature) && nth-- == 0)
			return &tables[i];
	return NULL;
}

unsigned
acpi_tables_refused(void)
{
	return num_refused;
}

uint64_t
acpi_get(const struct acpi_table *t, uint32_t offset, unsigned width)
{
	if (offset > t->len || width > t->len - offset)
		return 0;
	return get_le(t->data + offset, width);
}

bool
acpi_next_entry(const struct acpi_table *t, uint32_t *offset, struct acpi_entry *e)
{
	uint32_t off = *offset;

	if (off >= t->len)
		return false;
	if (t->len - off < 2 || t->data[off + 1] < 2 || t->data[off + 1] > t->len - off) {
		log_warn("table %s: impossible entry at offset %u, the rest is ignored",
		    t->signature, off);
		return false;
	}
	e->type = t->data[off];
	e->len = t->data[off + 1];
	e->data = t->data + off;
	*offset = off + e->len;
	return true;
}

uint64_t
acpi_entry_get(const struct acpi_entry *e, unsigned offset, unsigned width)
{
	if (offset > e->len || width > e->len - offset)
		return 0;
	return get_le(e->data + offset, width);
}
