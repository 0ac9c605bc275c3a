/* Firmware with a damaged ACPI root pointer: zeroes it and starts the loader. */
#include "tests/efi/chain.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

static BOOLEAN
is_acpi(const EFI_GUID *g)
{
	static const EFI_GUID v1 = ACPI_TABLE_GUID, v2 = ACPI_20_TABLE_GUID;
	const UINT64 *p = (const UINT64 *)g;
	const UINT64 *a = (const UINT64 *)&v1, *b = (const UINT64 *)&v2;

	return (p[0] == a[0] && p[1] == a[1]) || (p[0] == b[0] && p[1] == b[1]);
}

EFI_STATUS EFIAPI
efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	for (UINTN i = 0; i < st->NumberOfTableEntries; i++) {
		EFI_CONFIGURATION_TABLE *t = &st->ConfigurationTable[i];

		if (is_acpi(&t->VendorGuid))
			st->BootServices->SetMem(t->VendorTable, 20, 0);
	}
	st->ConOut->OutputString(st->ConOut, L"RSDP zeroed\r\n");
	return start_loader(handle, st);
}
