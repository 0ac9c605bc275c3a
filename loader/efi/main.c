/*
 * \EFI\BOOT\BOOTX64.EFI: started by the firmware, starts the kernel. Top to bottom: find
 * our volume, read keel.conf, load kernel and initial file systems, ask the firmware for
 * what it knows, and leave it. Until the last step every mistake is told on the screen
 * and we go back.
 */
#include "loader/efi/loader.h"

#include "lib/fmt.h"
#include "lib/string.h"
#include "loader/arch.h"

enum { ERROR_WAIT_SECONDS = 10 };

/* The entry point lld-link is told of. */
EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

static struct loader loader;

static bool
start(struct loader *l)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_STATUS status = l->bs->HandleProtocol(l->handle, &guid, (void **)&l->loaded);

	if (EFI_ERROR(status))
		return fail("the firmware does not know me: %s", status_text(status));
	if (!arch_has_nx())
		return fail("this processor cannot forbid execution (NX): too old");
	/* Large files take their time; the firmware resets after 5 minutes otherwise. */
	l->bs->SetWatchdogTimer(0, 0, 0, NULL);
	firmware_entropy(l);
	return volume_open(l);
}

static bool
make_boot_info(struct loader *l)
{
	paddr_t cmdline = pages_alloc(l, BOOT_CMDLINE_MAX, ANYWHERE, BOOT_MEM_LOADER);
	struct boot_info *boot;
	char vendor[32];
	unsigned i;

	boot = (void *)pages_alloc(l, sizeof(*boot), ANYWHERE, BOOT_MEM_LOADER);
	if (!boot || !cmdline)
		return fail("no memory at all");
	l->boot = boot;
	boot->magic = BOOT_INFO_MAGIC;
	boot->version = BOOT_INFO_VERSION;
	boot->size = sizeof(*boot);
	boot->path = BOOT_PATH_EFI;
	strlcpy((char *)cmdline, l->config.cmdline, BOOT_CMDLINE_MAX);
	boot->cmdline = cmdline;
	for (i = 0;
	     i < sizeof(vendor) - 1 && l->st->FirmwareVendor && l->st->FirmwareVendor[i];
	     i++)
		vendor[i] = l->st->FirmwareVendor[i] < 0x80
		                ? (char)l->st->FirmwareVendor[i]
		                : '?';
	vendor[i] = '\0';
	snprintf(boot->loader_name, sizeof(boot->loader_name), "its EFI loader, %s %u.%u",
	    vendor, l->st->FirmwareRevision >> 16, l->st->FirmwareRevision & 0xffff);
	return true;
}

static bool
load_initrds(struct loader *l)
{
	struct blob b;

	for (uint32_t i = 0; i < l->config.num_initrds; i++) {
		if (!file_read(l, l->config.initrd[i], BOOT_MEM_INITRD, &b))
			return false;
		l->boot->initrd[i] = (struct boot_range){b.base, b.size};
		l->boot->num_initrds = i + 1;
	}
	return true;
}

static bool
run(struct loader *l)
{
	if (!start(l))
		return false;
	config_read(l);
	if (!make_boot_info(l) || !kernel_load(l) || !load_initrds(l))
		return false;
	firmware_collect(l);
	video_setup(l); /* the last one that may write on the screen comes before this */
	return handover(l);
}

/* Gives back what was taken; an error path only. */
static void
give_back(struct loader *l)
{
	while (l->nowned)
		pages_free(l, l->owned[0].base, l->owned[0].size);
	if (l->volume)
		l->volume->Close(l->volume);
}

EFI_STATUS EFIAPI
efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	struct loader *l = &loader;

	l->handle = handle;
	l->st = st;
	l->bs = st->BootServices;
	console_init(st);
	if (!run(l)) {
		give_back(l);
		say("not started. Back to the firmware in %u seconds, or with any key.",
		    ERROR_WAIT_SECONDS);
		console_wait(ERROR_WAIT_SECONDS);
	}
	return EFI_LOAD_ERROR;
}
