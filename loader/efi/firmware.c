/*
 * What the firmware knows and the kernel wants: ACPI and SMBIOS tables, randomness, the
 * time and the device we came from. Nothing here is necessary: what is missing stays 0.
 */
#include "loader/efi/loader.h"

#include "lib/string.h"
#include "loader/arch.h"
#include "loader/rsdp.h"

/* UEFI 2.10, 37.5 */
#define RNG_GUID \
	{ \
		0x3152bca5, 0xeade, 0x433d, \
		{ \
			0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44 \
		} \
	}
/* SMBIOS 3 entry point: UEFI 2.10, 4.6 */
#define SMBIOS3_GUID \
	{ \
		0xf2fd1544, 0x9794, 0x4a2c, \
		{ \
			0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94 \
		} \
	}

struct rng {
	EFI_STATUS(EFIAPI *get_info)(struct rng *, UINTN *, EFI_GUID *);
	EFI_STATUS(EFIAPI *get_rng)(struct rng *, EFI_GUID *, UINTN, UINT8 *);
};

void
firmware_entropy(struct loader *l)
{
	EFI_GUID guid = RNG_GUID;
	uint64_t words[BOOT_ENTROPY_SIZE / sizeof(uint64_t)];
	struct rng *rng;

	if (!EFI_ERROR(l->bs->LocateProtocol(&guid, NULL, (void **)&rng)) &&
	    !EFI_ERROR(rng->get_rng(rng, NULL, sizeof(words), (UINT8 *)words))) {
		for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
			entropy_add(&l->entropy, words[i], 64);
	}
	entropy_add_cpu(&l->entropy);
}

/* The address of a configuration table, 0 when the firmware has none. */
static paddr_t
config_table(struct loader *l, EFI_GUID guid)
{
	for (UINTN i = 0; i < l->st->NumberOfTableEntries; i++) {
		EFI_CONFIGURATION_TABLE *t = &l->st->ConfigurationTable[i];

		if (!memcmp(&t->VendorGuid, &guid, sizeof(guid)))
			return (paddr_t)t->VendorTable;
	}
	return 0;
}

/* Firmware maps what is in its memory map; other addresses may fault. */
static const void *
reach(void *ctx, paddr_t base, uint64_t size)
{
	const struct efi_memory *m = ctx;

	for (UINTN at = 0; at + m->desc_size <= m->size; at += m->desc_size) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(m->buffer + at);
		uint64_t bytes = d->NumberOfPages * 4096;

		if (base >= d->PhysicalStart && base - d->PhysicalStart < bytes &&
		    size <= bytes - (base - d->PhysicalStart))
			return (const void *)base;
	}
	return NULL;
}

static void
find_acpi(struct loader *l)
{
	paddr_t v2 = config_table(l, (EFI_GUID)ACPI_20_TABLE_GUID);
	paddr_t v1 = config_table(l, (EFI_GUID)ACPI_TABLE_GUID);
	struct efi_memory m;

	if (v2 && rsdp_is_good((const void *)v2))
		l->boot->acpi_rsdp = v2;
	else if (v1 && rsdp_is_good((const void *)v1))
		l->boot->acpi_rsdp = v1;
	if (!l->boot->acpi_rsdp) {
		say(v1 || v2 ? "the ACPI root pointer is damaged: starting without ACPI"
		             : "the firmware has no ACPI tables");
		return;
	}
	if (!memory_map_alloc(l, &m))
		return;
	l->boot->mcfg =
	    rsdp_find_table((const void *)l->boot->acpi_rsdp, "MCFG", reach, &m);
	pages_free(l, m.buffer, m.capacity);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; March starts the year. */
static int64_t
days_to(int64_t year, unsigned month, unsigned day)
{
	unsigned from_march = (month + 9) % 12;

	year -= month <= 2;
	return year * 365 + year / 4 - year / 100 + year / 400 +
	       (from_march * 153 + 2) / 5 + day - 1 - 719468;
}

static void
read_time(struct loader *l)
{
	EFI_TIME t;
	int64_t seconds;

	if (EFI_ERROR(l->st->RuntimeServices->GetTime(&t, NULL)) || t.Year < 1998 ||
	    t.Month < 1 || t.Month > 12 || t.Day < 1 || t.Day > 31)
		return;
	l->boot->boot_time_tsc = arch_rdtsc();
	seconds = days_to(t.Year, t.Month, t.Day) * 86400 + t.Hour * 3600 +
	          t.Minute * 60 + t.Second;
	/* UTC = local time + TimeZone minutes (UEFI 2.10, 8.3). */
	if (t.TimeZone != EFI_UNSPECIFIED_TIMEZONE)
		seconds += t.TimeZone * 60;
	l->boot->boot_time = seconds;
	l->boot->has_boot_time = 1;
	entropy_add(&l->entropy, (uint64_t)seconds << 32 ^ t.Nanosecond, 0);
}

/* The GPT partition's own identifier, from the hard disk node of the device path. */
static void
find_partition(struct loader *l, const EFI_DEVICE_PATH *path)
{
	const HARDDRIVE_DEVICE_PATH *hd;

	for (; !IsDevicePathEndType(path); path = NextDevicePathNode(path)) {
		if (DevicePathNodeLength(path) < sizeof(EFI_DEVICE_PATH))
			return;
		hd = (const void *)path;
		if (DevicePathType(path) == MEDIA_DEVICE_PATH &&
		    DevicePathSubType(path) == MEDIA_HARDDRIVE_DP &&
		    hd->SignatureType == SIGNATURE_TYPE_GUID)
			memcpy(l->boot->boot_partition_guid, hd->Signature, 16);
	}
}

static void
find_boot_device(struct loader *l)
{
	EFI_GUID path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_GUID text_guid = EFI_DEVICE_PATH_TO_TEXT_PROTOCOL_GUID;
	EFI_DEVICE_PATH_TO_TEXT_PROTOCOL *to_text;
	EFI_DEVICE_PATH *path;
	CHAR16 *text;
	size_t i;

	if (EFI_ERROR(l->bs->HandleProtocol(
	        l->loaded->DeviceHandle, &path_guid, (void **)&path)))
		return;
	find_partition(l, path);
	if (EFI_ERROR(l->bs->LocateProtocol(&text_guid, NULL, (void **)&to_text)))
		return;
	text = to_text->ConvertDevicePathToText(path, TRUE, FALSE);
	if (!text)
		return;
	for (i = 0; text[i] && i < sizeof(l->boot->boot_device) - 1; i++)
		l->boot->boot_device[i] = text[i] < 0x80 ? (char)text[i] : '?';
	l->bs->FreePool(text);
}

void
firmware_collect(struct loader *l)
{
	l->boot->efi_system_table = (paddr_t)l->st;
	l->boot->smbios = config_table(l, (EFI_GUID)SMBIOS3_GUID);
	if (!l->boot->smbios)
		l->boot->smbios = config_table(l, (EFI_GUID)SMBIOS_TABLE_GUID);
	find_acpi(l);
	read_time(l);
	find_boot_device(l);
}
