/* What the file system tests share: a directory of their own, and small files in it. */
#pragma once

#include "tests/guest/check.h"

#include <sys/stat.h>

static char dir[] = "/tmp/fstest.XXXXXX";

/* Each test works in a directory of its own. */
static inline void
begin(void)
{
	umask(022);
	strcpy(dir, "/tmp/fstest.XXXXXX");
	CHECK(mkdtemp(dir));
	CHECK_EQ(chmod(dir, 0777), 0);
	CHECK_EQ(chdir(dir), 0);
}

static inline void
put(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0666);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK_EQ(close(fd), 0);
}

static inline char *
get(const char *name)
{
	static char buf[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n >= 0);
	buf[n] = 0;
	close(fd);
	return buf;
}

static inline unsigned
mode_of(const char *name)
{
	struct stat st;

	CHECK_EQ(lstat(name, &st), 0);
	return st.st_mode;
}

static inline unsigned
links_of(const char *name)
{
	struct stat st;

	CHECK_EQ(lstat(name, &st), 0);
	return st.st_nlink;
}

static inline void
become_user(void)
{
	CHECK_EQ(setgid(1000), 0);
	CHECK_EQ(setuid(1000), 0);
}
