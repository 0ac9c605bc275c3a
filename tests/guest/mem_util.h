/* What the tests of memory share: lines of /proc, and which pages are present. */
#pragma once

#include "tests/guest/check.h"

#include <sys/mman.h>

/* kB of a line of /proc/meminfo or /proc/self/status. No FILE: it would move the heap. */
static inline long
kb_of(const char *path, const char *name)
{
	int fd = open(path, O_RDONLY);
	static char text[8192];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	const char *line;

	CHECK(n > 0);
	close(fd);
	text[n] = '\0';
	line = strstr(text, name);
	CHECK(line != NULL && line[strlen(name)] == ':');
	return strtol(line + strlen(name) + 1, NULL, 10);
}

/* How many of the pages (64 at most) are in memory. */
static inline int
present(const char *p, size_t pages)
{
	unsigned char vec[64];
	int sum = 0;

	CHECK_EQ(mincore((void *)p, pages * sysconf(_SC_PAGESIZE), vec), 0);
	for (size_t i = 0; i < pages; i++)
		sum += vec[i] & 1;
	return sum;
}
