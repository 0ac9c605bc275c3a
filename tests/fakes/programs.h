/*
 * Programs that lie in memory, for what loads them: files whose pages come from bytes, a page for the
 * vDSO, and the processor's features. Who links it says itself what file_open_exec() finds.
 */
#pragma once

#include "kernel/file.h"
#include "mm/pagecache.h"

struct fake_program {
	struct file file;
	struct page_cache cache;
	const uint8_t *bytes;
	size_t size;
};

extern struct page *fake_vdso_page;

/* Once before any is loaded: the address spaces, and the page of the vDSO. May be called again. */
void fake_programs_init(void);

/* A readable file of `size` bytes, which stay the caller's. page_cache_destroy() ends its pages. */
void fake_program_init(struct fake_program *p, const uint8_t *bytes, size_t size);
