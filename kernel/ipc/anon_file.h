/* Descriptors of kernel objects that have no name: eventfd and its like. */
#pragma once

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "mm/slab.h"

/*
 * A descriptor for `object`, with the access mode, and O_NONBLOCK and O_CLOEXEC of
 * `flags`. On an error the object is released: by ops->release when a file was made, else
 * by kfree.
 */
static inline long
anon_file_install(const struct file_ops *ops, uint32_t access, int flags, void *object)
{
	struct file *f = file_alloc(ops, access | ((uint32_t)flags & O_NONBLOCK), object);
	int fd;

	if (!f) {
		kfree(object);
		return ERR_NOMEM;
	}
	fd = fd_install(f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}
