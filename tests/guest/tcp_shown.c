/*
 * What the system tells of TCP's connections: /proc/net/tcp and its fields, the counters of
 * /proc/net/netstat, options and ioctls that only ask.
 */
#define _GNU_SOURCE
#include "tcp_util.h"

#include <sys/resource.h>

static const char *
proc_path(void)
{
	return family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6";
}

/* ---- /proc/net/tcp ------------------------------------------------------------------------ */

/* The whole text by reads of `piece` bytes. */
static char *
read_all(int fd, size_t piece, size_t *len)
{
	size_t size = 1 << 20;
	char *text = malloc(size);
	ssize_t n;

	for (*len = 0; *len + piece < size; *len += (size_t)n) {
		n = read(fd, text + *len, piece);
		CHECK(n >= 0);
		if (!n)
			break;
	}
	text[*len] = '\0';
	return text;
}

/* Text of more than one piece: every connection once, and the same after going back. */
static void
long_list_has_everybody_once(void)
{
	enum { N = 450 };
	static const size_t pieces[] = {100, 1000, 4096, 65536};
	int c[N], fd = open(proc_path(), O_RDONLY);
	uint16_t port;
	int l = listener(N, &port);
	char want[16];
	size_t len;

	CHECK(fd >= 0);
	for (int i = 0; i < N; i++)
		c[i] = connect_to(port);
	for (unsigned k = 0; k < 4; k++) {
		char *text = read_all(fd, pieces[k], &len);

		for (int i = 0; i < N; i++) {
			char *at;

			snprintf(want, sizeof(want), ":%04X ", port_of(c[i]));
			at = strstr(text, want); /* its own line, and the other end's */
			CHECK(at != NULL);
			at = strstr(at + 1, want);
			CHECK(at != NULL);
			CHECK(!strstr(at + 1, want));
		}
		CHECK_EQ(text[len - 1], '\n');
		free(text);
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	}
	(void)l;
}

static const struct test tests[] = {
    TEST(long_list_has_everybody_once),
};

int
main(int argc, char **argv)
{
	return run_families(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
