/*
 * Makes firmware with 5-level paging out of one with 4-level paging: turns it on and
 * starts \EFI\BOOT\KEEL.EFI, the loader under another name.
 */
#include <efi.h>

extern char la57_switch[], la57_switch_end[];

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

static EFI_DEVICE_PATH *
path_of(EFI_BOOT_SERVICES *bs, EFI_HANDLE device, const CHAR16 *file, UINTN bytes)
{
	EFI_GUID guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_DEVICE_PATH *from, *node;
	UINT8 *to;
	UINTN n = 0;

	bs->HandleProtocol(device, &guid, (void **)&from);
	while (!IsDevicePathEndType((EFI_DEVICE_PATH *)((UINT8 *)from + n)))
		n += DevicePathNodeLength((EFI_DEVICE_PATH *)((UINT8 *)from + n));
	bs->AllocatePool(EfiLoaderData, n + bytes + 8, (void **)&to);
	bs->CopyMem(to, from, n);
	node = (EFI_DEVICE_PATH *)(to + n);
	node->Type = MEDIA_DEVICE_PATH;
	node->SubType = MEDIA_FILEPATH_DP;
	SetDevicePathNodeLength(node, 4 + bytes);
	bs->CopyMem(node + 1, (void *)file, bytes);
	node = (EFI_DEVICE_PATH *)(to + n + 4 + bytes);
	node->Type = END_DEVICE_PATH_TYPE;
	node->SubType = END_ENTIRE_DEVICE_PATH_SUBTYPE;
	SetDevicePathNodeLength(node, 4);
	return (EFI_DEVICE_PATH *)to;
}

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
	static const CHAR16 name[] = L"\\EFI\\BOOT\\KEEL.EFI";
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *me;
	EFI_HANDLE child = NULL;
	EFI_STATUS status;
	UINT64 cr4;

	st->BootServices->HandleProtocol(handle, &guid, (void **)&me);
	turn_on(st->BootServices);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	st->ConOut->OutputString(
	    st->ConOut, (CHAR16 *)(cr4 >> 12 & 1 ? L"5-level paging is on\r\n"
	                                         : L"no 5-level paging\r\n"));
	status = st->BootServices->LoadImage(FALSE, handle,
	    path_of(st->BootServices, me->DeviceHandle, name, sizeof(name)), NULL, 0,
	    &child);
	if (!EFI_ERROR(status))
		status = st->BootServices->StartImage(child, NULL, NULL);
	return status;
}

/* The compiler may want these for structures. */
void *memcpy(void *dst, const void *src, UINTN n);
void *memset(void *dst, int c, UINTN n);

void *
memcpy(void *dst, const void *src, UINTN n)
{
	for (UINTN i = 0; i < n; i++)
		((volatile UINT8 *)dst)[i] = ((const UINT8 *)src)[i];
	return dst;
}

void *
memset(void *dst, int c, UINTN n)
{
	for (UINTN i = 0; i < n; i++)
		((volatile UINT8 *)dst)[i] = (UINT8)c;
	return dst;
}
