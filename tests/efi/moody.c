/*
 * Firmware in a bad mood: a memory map of a thousand pieces that grows whenever boot
 * services shall end, which it refuses three times. Some pieces are of types an OS must
 * not touch.
 */
#include "tests/efi/chain.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

enum { PIECES = 1000, REFUSALS = 3 };

static EFI_BOOT_SERVICES *bs;
static EFI_STATUS(EFIAPI *real_exit)(EFI_HANDLE, UINTN);
static UINTN refused;

static EFI_STATUS EFIAPI
exit_boot_services(EFI_HANDLE handle, UINTN key)
{
	EFI_PHYSICAL_ADDRESS page;

	if (refused++ >= REFUSALS)
		return real_exit(handle, key);
	/* The map is another one now, whatever the caller has. */
	bs->AllocatePages(AllocateAnyPages, EfiRuntimeServicesData, 1, &page);
	return EFI_INVALID_PARAMETER;
}

static void
shatter(void)
{
	static const EFI_MEMORY_TYPE types[] = {EfiReservedMemoryType,
	    EfiACPIReclaimMemory, EfiRuntimeServicesData, EfiACPIMemoryNVS};
	static EFI_PHYSICAL_ADDRESS pages[2 * PIECES];

	for (UINTN i = 0; i < 2 * PIECES; i++)
		bs->AllocatePages(AllocateAnyPages,
		    i % 2 ? types[i / 2 % 4] : EfiLoaderData, 1, &pages[i]);
	for (UINTN i = 0; i < 2 * PIECES; i += 2)
		bs->FreePages(pages[i], 1);
}

EFI_STATUS EFIAPI
efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	bs = st->BootServices;
	shatter();
	real_exit = bs->ExitBootServices;
	bs->ExitBootServices = exit_boot_services;
	st->ConOut->OutputString(st->ConOut, L"in a bad mood\r\n");
	return start_loader(handle, st);
}
