/*
 * The EFI loader's own state and the calls between its files. It runs single-threaded
 * under boot services, where memory is mapped one to one, so physical addresses are
 * pointers here.
 *
 * Calls that can fail say what is wrong on the firmware's console and return false;
 * main.c then waits for a key and goes back to the firmware.
 */
#pragma once

#include <efi.h>

#include "kernel/boot.h"
#include "loader/config.h"
#include "loader/elf.h"
#include "loader/entropy.h"

enum { LOADER_MAX_OWNED = 48, LOADER_STACK_SIZE = 16384 };

/* Memory the kernel will find under its own type in the map. */
struct owned {
	paddr_t base;
	uint64_t size;
	uint32_t type; /* enum boot_mem_type */
};

struct loader {
	EFI_HANDLE handle;
	EFI_SYSTEM_TABLE *st;
	EFI_BOOT_SERVICES *bs;
	EFI_LOADED_IMAGE *loaded;
	EFI_FILE_HANDLE volume;

	struct config config;
	struct entropy entropy;
	struct boot_info *boot; /* in LOADER memory */
	struct elf_image elf;
	struct owned owned[LOADER_MAX_OWNED];
	unsigned nowned;
};

/* A file in memory: whole pages, `size` bytes of content. */
struct blob {
	paddr_t base;
	uint64_t size;
};

/* console.c: what the user sees. Numbers of 64 bits need %ll: this code is LLP64. */
void console_init(EFI_SYSTEM_TABLE *);
void say(const char *fmt, ...) PRINTF(1, 2);
bool fail(const char *fmt, ...) PRINTF(1, 2); /* the same with "error:"; returns false */
void console_wait(unsigned seconds);          /* until a key or the time has passed */
/* Turns a status to words for a message. */
const char *status_text(EFI_STATUS);

/* memory.c */
enum { ANYWHERE = 0, BELOW_4G = 1 };
/* Zeroed pages; 0 when there are none. Owned by the loader as `type` from then on. */
paddr_t pages_alloc(struct loader *, uint64_t size, unsigned where, uint32_t type);
/* The same at a given place; false when it is taken. */
bool pages_alloc_at(struct loader *, paddr_t base, uint64_t size, uint32_t type);
void pages_free(struct loader *, paddr_t base, uint64_t size);

/* A copy of the firmware's map. The buffer has room to spare for it to grow. */
struct efi_memory {
	paddr_t buffer;
	UINTN capacity, size, key, desc_size;
	UINT32 desc_version;
};

bool memory_map_alloc(struct loader *, struct efi_memory *);
EFI_STATUS memory_map_read(struct loader *, struct efi_memory *);

/* file.c */
bool volume_open(struct loader *);
/* Reads a file of the volume; a path without leading slash is beside keel.conf. */
bool file_read(struct loader *, const char *path, uint32_t type, struct blob *);
/* keel.conf: missing is not an error. */
void config_read(struct loader *);

/* kernel.c: load, place, relocate */
bool kernel_load(struct loader *);

/* firmware.c: randomness first; then tables, time, boot device */
void firmware_entropy(struct loader *);
void firmware_collect(struct loader *);

/* video.c */
void video_setup(struct loader *);

/* pci.c: after boot services have ended */
void pci_stop_dma(void);

/* handover.c: does not return when all is well */
bool handover(struct loader *);
