/*
 * Messages by the firmware's console (UEFI 2.10, 12.4): the screen, and the serial line
 * where the firmware redirects to one.
 */
#include "loader/efi/loader.h"

#include "lib/fmt.h"

enum { LINE_MAX = 512 };

static EFI_SYSTEM_TABLE *st;

void
console_init(EFI_SYSTEM_TABLE *system_table)
{
	st = system_table;
}

static void
put(const char *s)
{
	static CHAR16 wide[2 * LINE_MAX + 2];
	unsigned n = 0;

	for (; *s && n < 2 * LINE_MAX; s++) {
		if (*s == '\n')
			wide[n++] = '\r';
		wide[n++] = (unsigned char)*s < 0x80 ? (CHAR16)*s : '?';
	}
	wide[n] = 0;
	if (st->ConOut)
		st->ConOut->OutputString(st->ConOut, wide);
}

void
say(const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	put("Keel: ");
	put(line);
	put("\n");
}

bool
fail(const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	put("Keel: error: ");
	put(line);
	put("\n");
	return false;
}

void
console_wait(unsigned seconds)
{
	EFI_INPUT_KEY key;

	/* Keys that were pressed before do not count. */
	for (unsigned i = 0; i < 256 && st->ConIn; i++) {
		if (EFI_ERROR(st->ConIn->ReadKeyStroke(st->ConIn, &key)))
			break;
	}
	for (unsigned tenths = 0; tenths < seconds * 10; tenths++) {
		if (st->ConIn && !EFI_ERROR(st->ConIn->ReadKeyStroke(st->ConIn, &key)))
			return;
		st->BootServices->Stall(100000);
	}
}

const char *
status_text(EFI_STATUS status)
{
	switch (status) {
	case EFI_NOT_FOUND: return "not found";
	case EFI_OUT_OF_RESOURCES: return "no memory";
	case EFI_DEVICE_ERROR: return "device error";
	case EFI_NO_MEDIA: return "no medium";
	case EFI_MEDIA_CHANGED: return "the medium was changed";
	case EFI_VOLUME_CORRUPTED: return "the file system is damaged";
	case EFI_ACCESS_DENIED: return "access denied";
	case EFI_UNSUPPORTED: return "not supported";
	case EFI_INVALID_PARAMETER: return "invalid parameter";
	case EFI_CRC_ERROR: return "checksum error";
	default: return "failed";
	}
}
