/*
 * FADT: power and reset registers, the PM timer, and which legacy devices exist (ACPI 6.4
 * section 5.2.9). The table grew over the years; acpi_get gives 0 for fields a short one
 * lacks.
 *
 * Also the scan for \_S5_, the one AML object needed to switch the machine off: until
 * there is an AML interpreter, its encoding (section 20.2) is recognised byte by byte.
 * Every firmware writes it as a package of constants, since power-off must not depend on
 * methods.
 */
#include "acpi/acpi.h"

#include "acpi/tables.h"
#include "kernel/platform.h"
#include "lib/string.h"

enum fadt_field {
	FADT_SCI_INT = 46,
	FADT_SMI_CMD = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_PM1A_CNT = 64,
	FADT_PM1B_CNT = 68,
	FADT_PM_TMR = 76,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM1B_CNT = 184,
	FADT_X_PM_TMR = 208,
	FADT_SLEEP_CONTROL = 244,
};

enum fadt_flags {
	FADT_TMR_VAL_EXT = 1 << 8,
	FADT_RESET_REG_SUP = 1 << 10,
	FADT_HW_REDUCED = 1 << 20,
};

enum fadt_boot_arch {
	BOOT_ARCH_8042 = 1 << 1,
	BOOT_ARCH_NO_RTC = 1 << 5,
};

/* Generic address structure, section 5.2.3.2. */
static struct platform_reg
get_reg(const struct acpi_table *t, uint32_t offset)
{
	return (struct platform_reg){
	    .space = (uint8_t)acpi_get(t, offset, 1),
	    .bits = (uint8_t)acpi_get(t, offset + 1, 1),
	    .address = acpi_get(t, offset + 4, 8),
	};
}

/*
 * A block that has a 64-bit description in newer tables and a bare port in all of them.
 */
static struct platform_reg
get_block(
    const struct acpi_table *t, uint32_t x_offset, uint32_t port_offset, uint8_t bits)
{
	struct platform_reg r = get_reg(t, x_offset);

	if (!r.address || r.space > SPACE_IO)
		r = (struct platform_reg){
		    .space = SPACE_IO,
		    .bits = bits,
		    .address = acpi_get(t, port_offset, 4),
		};
	r.bits = bits; /* some firmware writes nonsense here; the size is fixed anyway */
	return r;
}

static void
parse_power(const struct acpi_table *t, uint32_t flags, struct platform_power *power)
{
	power->is_hw_reduced = flags & FADT_HW_REDUCED;
	if (power->is_hw_reduced) {
		power->sleep_control = get_reg(t, FADT_SLEEP_CONTROL);
	} else {
		power->pm1a_control = get_block(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT, 16);
		power->pm1b_control = get_block(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT, 16);
		power->smi_command = (uint32_t)acpi_get(t, FADT_SMI_CMD, 4);
		power->acpi_enable = (uint8_t)acpi_get(t, FADT_ACPI_ENABLE, 1);
	}
	power->reset = get_reg(t, FADT_RESET_REG);
	power->reset_value = (uint8_t)acpi_get(t, FADT_RESET_VALUE, 1);
	power->has_reset = flags & FADT_RESET_REG_SUP && power->reset.address &&
	                   power->reset.space <= SPACE_PCI;
}

void
fadt_parse(const struct acpi_table *t, struct platform_info *out)
{
	uint32_t flags = (uint32_t)acpi_get(t, FADT_FLAGS, 4);
	uint32_t arch = (uint32_t)acpi_get(t, FADT_BOOT_ARCH, 2);

	parse_power(t, flags, &out->power);
	out->sci_gsi = (uint32_t)acpi_get(t, FADT_SCI_INT, 2);
	out->rtc_century = (uint8_t)acpi_get(t, FADT_CENTURY, 1);
	if (!out->power.is_hw_reduced) {
		out->pm_timer = get_block(t, FADT_X_PM_TMR, FADT_PM_TMR, 32);
		out->is_pm_timer_32bit = flags & FADT_TMR_VAL_EXT;
	}
	/* Boot architecture flags came with ACPI 2.0: table revision 2 and later. */
	if (t->revision >= 2) {
		out->has_i8042 = arch & BOOT_ARCH_8042;
		out->has_rtc = !(arch & BOOT_ARCH_NO_RTC);
	}
	if (out->power.is_hw_reduced)
		out->has_pit = false;
}

/* ---- \_S5_ ------------------------------------------------------------------------- */

enum aml_op {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_PACKAGE = 0x12,
	AML_ROOT_CHAR = '\\',
};

/* Reads one integer constant at *pos, moves *pos behind it. */
static bool
read_integer(const struct acpi_table *t, uint32_t *pos, uint32_t *value)
{
	static const uint8_t width[] = {[AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4};
	uint8_t op;

	if (*pos >= t->len)
		return false;
	op = t->data[(*pos)++];
	if (op == AML_ZERO || op == AML_ONE) {
		*value = op;
		return true;
	}
	if (op < AML_BYTE || op > AML_DWORD || t->len - *pos < width[op])
		return false;
	*value = (uint32_t)acpi_get(t, *pos, width[op]);
	*pos += width[op];
	return true;
}

/* The package whose first byte after the name is at `pos`. */
static bool
read_s5_package(
    const struct acpi_table *t, uint32_t pos, uint8_t *type_a, uint8_t *type_b)
{
	uint32_t a, b, num_elements, extra_length_bytes;

	if (acpi_get(t, pos, 1) != AML_PACKAGE || pos + 3 > t->len)
		return false;
	extra_length_bytes = t->data[pos + 1] >> 6; /* PkgLength, section 20.2.4 */
	pos += 2 + extra_length_bytes;
	if (pos >= t->len)
		return false;
	num_elements = t->data[pos++];
	if (num_elements < 1 || !read_integer(t, &pos, &a))
		return false;
	/* With one element it holds both types, the second in bits 8 to 15. */
	if (num_elements == 1)
		b = a >> 8;
	else if (!read_integer(t, &pos, &b))
		return false;
	*type_a = a & 7;
	*type_b = b & 7;
	return true;
}

bool
s5_scan(const struct acpi_table *t, uint8_t *type_a, uint8_t *type_b)
{
	for (uint32_t i = ACPI_HEADER_SIZE + 1; i + 4 < t->len; i++) {
		const uint8_t *p = t->data + i;

		if (memcmp(p, "_S5_", 4) != 0)
			continue;
		if (p[-1] != AML_NAME && !(p[-1] == AML_ROOT_CHAR && p[-2] == AML_NAME))
			continue;
		if (read_s5_package(t, i + 4, type_a, type_b))
			return true;
	}
	return false;
}
