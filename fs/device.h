/* Within fs/: devices behind nodes. fs/device.c, fs/dev_mem.c */
#pragma once

#include "fs/vfs.h"

/* Gives a file that is being opened the driver's operations. ERR_NXIO: no such device. */
enum err device_open(struct file *, uint64_t rdev);

void device_init(void);  /* the table and devtmpfs; needs tmpfs */
void dev_mem_init(void); /* null, zero, full, random, urandom, kmsg */
