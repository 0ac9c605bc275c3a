/*
 * keel.conf: lines "key = value". Blanks round key and value do not count; a line that is
 * empty or begins with # is skipped. Keys:
 *
 *	kernel = PATH		default kernel.elf
 *	initrd = PATH, PATH..	default initrd.cpio.gz; empty: none
 *	cmdline = TEXT		the rest of the line, handed to the kernel as it is
 *	video = auto | keep | none | WIDTHxHEIGHT
 *
 * A path is relative to the folder of keel.conf unless it begins with / or \.
 * Pure. What is wrong is reported by line; the key then keeps its default.
 */
#pragma once

#include "kernel/boot.h"

enum { CONFIG_PATH_MAX = 256 };

enum video_wish {
	VIDEO_AUTO, /* the highest sensible mode */
	VIDEO_KEEP, /* as the firmware left it */
	VIDEO_NONE, /* no framebuffer for the kernel */
	VIDEO_SIZE,
};

struct config {
	char kernel[CONFIG_PATH_MAX];
	char initrd[BOOT_MAX_INITRDS][CONFIG_PATH_MAX];
	uint32_t num_initrds;
	char cmdline[BOOT_CMDLINE_MAX];
	uint32_t video; /* enum video_wish */
	uint32_t width, height;
};

struct config_report {
	/* `what` says what is wrong, `name` is the key or value in question. */
	void (*problem)(void *ctx, unsigned line, const char *what, const char *name);
	void *ctx;
};

void config_defaults(struct config *);

/* Reads `len` bytes of text over the defaults in *c. Any bytes are fine. */
void config_parse(
    struct config *c, const char *text, size_t len, const struct config_report *report);
