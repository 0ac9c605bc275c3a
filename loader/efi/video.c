/*
 * The framebuffer (UEFI 2.10, 12.9). `video = auto` takes the largest mode up to Full HD
 * that has a framebuffer in memory, unless the firmware has set a larger one: then that
 * is the screen's own.
 */
#include "loader/efi/loader.h"

#include "lib/bits.h"

enum {
	MAX_WIDTH = 1920,
	MAX_HEIGHT = 1080,
	MIN_WIDTH = 640,
	MIN_HEIGHT = 400,
};

static bool
has_framebuffer(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	return info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor ||
	       info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor ||
	       info->PixelFormat == PixelBitMask;
}

static bool
is_wanted(const struct config *c, const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	uint32_t w = info->HorizontalResolution, h = info->VerticalResolution;

	if (!has_framebuffer(info))
		return false;
	if (c->video == VIDEO_SIZE)
		return w == c->width && h == c->height;
	return w >= MIN_WIDTH && h >= MIN_HEIGHT && w <= MAX_WIDTH && h <= MAX_HEIGHT;
}

static uint64_t
area(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	return (uint64_t)info->HorizontalResolution * info->VerticalResolution;
}

/* The mode to switch to; the current one when there is no better. */
static UINT32
choose_mode(struct loader *l, EFI_GRAPHICS_OUTPUT_PROTOCOL *gop)
{
	UINT32 best = gop->Mode->Mode;
	uint64_t best_area = has_framebuffer(gop->Mode->Info) ? area(gop->Mode->Info) : 0;
	bool found = false;

	if (l->config.video == VIDEO_KEEP)
		return best;
	if (l->config.video == VIDEO_SIZE)
		best_area = 0;
	for (UINT32 i = 0; i < gop->Mode->MaxMode; i++) {
		EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
		UINTN size;

		if (EFI_ERROR(gop->QueryMode(gop, i, &size, &info)))
			continue;
		if (is_wanted(&l->config, info) && area(info) > best_area) {
			best = i;
			best_area = area(info);
			found = true;
		}
		l->bs->FreePool(info);
	}
	if (l->config.video == VIDEO_SIZE && !found)
		say("video: the firmware has no mode %ux%u", l->config.width,
		    l->config.height);
	return best;
}

static void
set_format(struct boot_framebuffer *fb, const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	const EFI_PIXEL_BITMASK *m = &info->PixelInformation;
	uint32_t all = m->RedMask | m->GreenMask | m->BlueMask | m->ReservedMask;

	fb->bits_per_pixel = 32;
	fb->green_mask = 0xff00;
	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor:
		fb->red_mask = 0xff;
		fb->blue_mask = 0xff0000;
		break;
	case PixelBlueGreenRedReserved8BitPerColor:
		fb->red_mask = 0xff0000;
		fb->blue_mask = 0xff;
		break;
	default:
		fb->red_mask = m->RedMask;
		fb->green_mask = m->GreenMask;
		fb->blue_mask = m->BlueMask;
		fb->bits_per_pixel = all ? ALIGN_UP(bit_last(all) + 1, 8u) : 32;
	}
}

/* Without Blt, clears what firmware and loader wrote, so the kernel starts on black. */
static void
describe(struct loader *l, const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop)
{
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = gop->Mode->Info;
	struct boot_framebuffer *fb = &l->boot->fb;
	uint64_t needed;

	if (!has_framebuffer(info) || !gop->Mode->FrameBufferBase)
		return;
	set_format(fb, info);
	fb->width = info->HorizontalResolution;
	fb->height = info->VerticalResolution;
	fb->pitch = info->PixelsPerScanLine * (fb->bits_per_pixel / 8);
	fb->base = gop->Mode->FrameBufferBase;
	needed = (uint64_t)fb->pitch * fb->height;
	/* Some firmware gives a size of 0 or of one line. */
	fb->size = MAX((uint64_t)gop->Mode->FrameBufferSize, needed);
	if (fb->bits_per_pixel >= 16 && fb->width &&
	    fb->pitch >= fb->width * (fb->bits_per_pixel / 8))
		fb->format = BOOT_FB_RGB;
}

void
video_setup(struct loader *l)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = NULL;
	UINT32 mode;

	if (l->config.video == VIDEO_NONE)
		return;
	/* The console's own first: with several cards it is the one people look at. */
	if (EFI_ERROR(
	        l->bs->HandleProtocol(l->st->ConsoleOutHandle, &guid, (void **)&gop)) ||
	    !gop) {
		if (EFI_ERROR(l->bs->LocateProtocol(&guid, NULL, (void **)&gop)))
			return;
	}
	mode = choose_mode(l, gop);
	if (mode != gop->Mode->Mode && EFI_ERROR(gop->SetMode(gop, mode)))
		say("video: the firmware refuses mode %u", mode);
	describe(l, gop);
}
