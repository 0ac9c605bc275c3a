/* Firmware with 5-level paging: turns it on and starts the loader. */
#include "tests/efi/chain.h"

extern char la57_switch[], la57_switch_end[];

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

static void
turn_on(EFI_BOOT_SERVICES *bs)
{
	EFI_PHYSICAL_ADDRESS pages = 0xffffffff;
	UINT64 *pml5, cr3;

	bs->AllocatePages(AllocateMaxAddress, EfiBootServicesData, 2, &pages);
	pml5 = (UINT64 *)pages;
	bs->SetMem(pml5, 4096, 0);
	bs->CopyMem((void *)(pages + 4096), la57_switch, la57_switch_end - la57_switch);
	__asm__ volatile("cli; mov %%cr3, %0" : "=r"(cr3));
	pml5[0] = (cr3 & ~0xfffull) | 3;
	((void(EFIAPI *)(UINT64 *))(pages + 4096))(pml5);
	__asm__ volatile("sti");
}

EFI_STATUS EFIAPI
efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	UINT64 cr4;

	turn_on(st->BootServices);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	if (cr4 >> 12 & 1)
		st->ConOut->OutputString(st->ConOut, L"5-level paging is on\r\n");
	return start_loader(handle, st);
}
