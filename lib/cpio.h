/*
 * The newc cpio format (and newc with checksums): what an initial file system comes in.
 * The text is fed in pieces of any size; for each member the parser calls `entry`, then
 * `data` with pieces of its contents, then `end`. Any input is safe; what is wrong is
 * said in ->error.
 *
 * Format: cpio(5), "New ASCII Format": a header of 110 characters, the name with its NUL
 * padded to 4 bytes, the contents padded to 4 bytes; the member TRAILER!!! ends the
 * archive.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum { CPIO_HEADER = 110, CPIO_NAME_MAX = 4096 };

struct cpio_entry {
	const char *name; /* terminated; valid until `end` */
	uint32_t ino, mode, uid, gid, nlink, mtime;
	uint32_t size; /* of the contents */
	uint32_t dev_major, dev_minor, rdev_major, rdev_minor;
};

struct cpio_ops {
	/* An error from any of these ends the parsing, which returns it. */
	enum err (*entry)(void *arg, const struct cpio_entry *);
	enum err (*data)(void *arg, const void *data, size_t n);
	enum err (*end)(void *arg);
};

struct cpio {
	const struct cpio_ops *ops;
	void *arg;
	const char *error;
	uint32_t state;
	uint32_t have;     /* bytes of the header or name collected */
	uint32_t left;     /* bytes of the contents or padding to come */
	uint32_t name_len; /* with its NUL */
	bool has_checksum;
	uint32_t checksum, sum;
	struct cpio_entry entry;
	char header[CPIO_HEADER + 1];
	char name[CPIO_NAME_MAX];
};

/* Whether text[n] starts like an archive this parser reads. */
bool cpio_is(const uint8_t *text, size_t n);

void cpio_init(struct cpio *, const struct cpio_ops *, void *arg);

/*
 * Takes from text[n] up to the end of the archive; *used gets how many bytes. After the
 * trailer cpio_is_done; what follows it (padding, another archive: cpio_init again) is
 * the caller's.
 */
enum err cpio_feed(struct cpio *, const void *text, size_t n, size_t *used);

bool cpio_is_done(const struct cpio *);   /* the trailer has been read */
bool cpio_is_inside(const struct cpio *); /* in the middle of a member: more must come */
