/* Starts the loader under the firmware as a test program left it; see chain.h. */
#include "tests/efi/chain.h"

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

EFI_STATUS
start_loader(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	static const CHAR16 name[] = L"\\EFI\\BOOT\\KEEL.EFI";
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_BOOT_SERVICES *bs = st->BootServices;
	EFI_LOADED_IMAGE *me;
	EFI_HANDLE child = NULL;
	EFI_STATUS status;

	bs->HandleProtocol(handle, &guid, (void **)&me);
	status = bs->LoadImage(FALSE, handle,
	    path_of(bs, me->DeviceHandle, name, sizeof(name)), NULL, 0, &child);
	return EFI_ERROR(status) ? status : bs->StartImage(child, NULL, NULL);
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
