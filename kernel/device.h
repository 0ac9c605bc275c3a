/*
 * Device nodes. A driver registers a name and file operations; fs/device.c implements this
 * and shows the node in /dev. Any node of that type and number (mknod elsewhere too)
 * opens it.
 */
#pragma once

#include "kernel/file.h"

enum {
	DEV_MAJOR_MEM = 1,
	DEV_MAJOR_TTY = 4,
	DEV_MAJOR_TTYAUX = 5,
	DEV_MAJOR_MISC = 10,
	DEV_MAJOR_PTS = 136
};

/*
 * Registers character device major:minor as /dev/NAME ("pts/0" makes the folder). `mode`
 * is permission bits. Opening gives a struct file with `ops` and `private`; ops->open
 * then runs. Thread context, may sleep; at any time after fs_init. ERR_EXIST: name or
 * number is taken.
 */
enum err dev_register_char(const char *name, uint32_t mode, unsigned major,
    unsigned minor, const struct file_ops *ops, void *private);

/* The same for all minors of `major`, without a node: a file system of its own has those. */
enum err dev_register_char_major(unsigned major, const struct file_ops *ops);

/* Takes name and number away; files that are open stay as they are. */
void dev_unregister_char(unsigned major, unsigned minor);
