/* What the tests of pseudo terminals share. */
#pragma once

#include "tests/guest/check.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* A new master with its slave unlocked. */
static inline int
open_master(int flags)
{
	int unlock = 0, m = open("/dev/ptmx", O_RDWR | O_NOCTTY | flags);

	CHECK(m >= 0);
	CHECK_EQ(ioctl(m, TIOCSPTLCK, &unlock), 0);
	return m;
}

static inline int
number_of(int m)
{
	int n = -1;

	CHECK_EQ(ioctl(m, TIOCGPTN, &n), 0);
	CHECK(n >= 0);
	return n;
}

static inline const char *
slave_name(int m)
{
	static char name[32];

	snprintf(name, sizeof(name), "/dev/pts/%d", number_of(m));
	return name;
}

static inline int
open_slave(int m, int flags)
{
	int s = open(slave_name(m), O_RDWR | O_NOCTTY | flags);

	CHECK(s >= 0);
	return s;
}

static inline void
set_raw(int fd)
{
	struct termios t;

	CHECK_EQ(tcgetattr(fd, &t), 0);
	cfmakeraw(&t);
	CHECK_EQ(tcsetattr(fd, TCSANOW, &t), 0);
}

static inline void
expect(int fd, const char *text)
{
	char buf[256];
	size_t n = 0, want = strlen(text);

	while (n < want) {
		ssize_t got = read(fd, buf + n, want - n);

		CHECK(got > 0);
		n += (size_t)got;
	}
	buf[n] = '\0';
	if (strcmp(buf, text) != 0)
		printf("got '%s', not '%s'\n", buf, text);
	CHECK(!memcmp(buf, text, want));
}

static inline void
put(int fd, const char *text)
{
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
}

static inline int
events(int fd, int wanted, int ms)
{
	struct pollfd p = {fd, (short)wanted, 0};

	CHECK(poll(&p, 1, ms) >= 0);
	return p.revents;
}

static inline void
slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, text, size - 1);
	CHECK(n > 0);
	text[n] = '\0';
	close(fd);
}
