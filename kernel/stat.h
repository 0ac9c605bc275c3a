/* File types and modes, and struct stat as Linux x86-64 user programs see it. */
#pragma once

#include "lib/types.h"

enum {
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	S_IFLNK = 0120000,
	S_IFREG = 0100000,
	S_IFBLK = 0060000,
	S_IFDIR = 0040000,
	S_IFCHR = 0020000,
	S_IFIFO = 0010000,
	S_ISUID = 04000,
	S_ISGID = 02000,
	S_ISVTX = 01000,
	S_IRWXUGO = 0777,
	S_IALLUGO = 07777,
	S_IXUGO = 0111,
	S_IWGRP = 0020,
	S_IXGRP = 0010,
	S_IWOTH = 0002,
};

static inline bool
s_isdir(uint32_t mode)
{
	return (mode & S_IFMT) == S_IFDIR;
}

static inline bool
s_isreg(uint32_t mode)
{
	return (mode & S_IFMT) == S_IFREG;
}

static inline bool
s_islnk(uint32_t mode)
{
	return (mode & S_IFMT) == S_IFLNK;
}

struct stat {
	uint64_t st_dev;
	uint64_t st_ino;
	uint64_t st_nlink;
	uint32_t st_mode;
	uint32_t st_uid;
	uint32_t st_gid;
	uint32_t pad0;
	uint64_t st_rdev;
	int64_t st_size;
	int64_t st_blksize;
	int64_t st_blocks; /* of 512 bytes */
	int64_t st_atime, st_atime_nsec;
	int64_t st_mtime, st_mtime_nsec;
	int64_t st_ctime, st_ctime_nsec;
	int64_t reserved[3];
};

static_assert(sizeof(struct stat) == 144, "struct stat of x86-64");

/* Device numbers as stat shows them: 12 bits of major, 20 of minor, split as Linux does.
 */
static inline uint64_t
dev_make(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (uint64_t)(major & 0xfff) << 8 |
	       (uint64_t)(minor & ~0xffu) << 12;
}

static inline uint32_t
dev_major(uint64_t dev)
{
	return dev >> 8 & 0xfff;
}

static inline uint32_t
dev_minor(uint64_t dev)
{
	return (dev & 0xff) | (dev >> 12 & 0xfff00);
}
