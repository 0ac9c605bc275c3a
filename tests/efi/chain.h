/*
 * What the EFI test programs share: each spoils the firmware in one way, then starts the
 * loader, which lies beside it as \EFI\BOOT\KEEL.EFI.
 */
#pragma once

#include <efi.h>

/* Starts the loader from the volume `handle` came from; returns only when that fails or
 * ends. */
EFI_STATUS start_loader(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);
