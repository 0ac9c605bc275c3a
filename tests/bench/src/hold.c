/*
 * Many idle connections, from the outside.
 *   hold accept PORT N          takes N, says what each costs the system; a line on standard input
 *                               ends them
 *   hold connect ADDR PORT N FROM
 *                               makes N from the address FROM; a line on standard input: says how
 *                               many still stand
 */
#include "bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>

enum { IN_FLIGHT = 128, NO_PORT = 24 /* IP_BIND_ADDRESS_NO_PORT */ };

static double freeram(void)
{
	struct sysinfo s;

	if (sysinfo(&s) < 0)
		die("sysinfo");
	return (double)s.freeram * s.mem_unit;
}

static void await_line(void)
{
	char c;

	fflush(stdout);
	while (read(0, &c, 1) == 1 && c != '\n')
		;
}

static void hold(int port, long n, int *fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	double before;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (s < 0 || bind(s, (void *)&a, sizeof a) < 0 || listen(s, 4096) < 0)
		die("listen");
	before = freeram();
	printf("listening\n");
	fflush(stdout);
	for (long i = 0; i < n; i++) {
		fd[i] = accept(s, 0, 0);
		if (fd[i] < 0 || write(fd[i], "!", 1) != 1)
			die("accept");
	}
	printf("held %ld, bytes each %.0f\n", n, (before - freeram()) / (double)n);
	await_line();
	for (long i = 0; i < n; i++)
		close(fd[i]);
	printf("closed, bytes kept of each %.0f\n", (before - freeram()) / (double)n);
}

/* Accepted, says a byte: else the accept queue would overflow with those we only think we have. */
static void finish(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char c;

	if (poll(&p, 1, 60000) != 1 || read(fd, &c, 1) != 1)
		die("connection");
}

static void make(const char *addr, int port, long n, const char *source, int *fd)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	long num_alive = 0;

	to.sin_addr.s_addr = inet_addr(addr);
	from.sin_addr.s_addr = inet_addr(source);
	for (long i = 0; i < n + IN_FLIGHT; i++) {
		int one = 1;

		if (i >= IN_FLIGHT)
			finish(fd[i - IN_FLIGHT]);
		if (i >= n)
			continue;
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd[i] < 0)
			die("socket");
		setsockopt(fd[i], IPPROTO_IP, NO_PORT, &one, sizeof one);
		if (bind(fd[i], (void *)&from, sizeof from) < 0)
			die("bind");
		if (connect(fd[i], (void *)&to, sizeof to) < 0 && errno != EINPROGRESS)
			die("connect");
	}
	printf("made %ld\n", n);
	await_line();
	for (long i = 0; i < n; i++) {
		char c;

		num_alive += read(fd[i], &c, 1) < 0 && errno == EAGAIN;
	}
	printf("alive %ld\n", num_alive);
}

int main(int argc, char **argv)
{
	long n = argc == 4 ? atol(argv[3]) : argc == 6 ? atol(argv[4]) : 0;
	rlim_t max = (rlim_t)n + IN_FLIGHT;
	struct rlimit rl = { max, max };
	int *fd = calloc((size_t)n + IN_FLIGHT, sizeof *fd);

	if (!n || !fd)
		die("hold accept PORT N | hold connect ADDR PORT N FROM");
	memset(fd, 1, ((size_t)n + IN_FLIGHT) * sizeof *fd);
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		die("setrlimit");
	if (argc == 4)
		hold(atoi(argv[2]), n, fd);
	else
		make(argv[2], atoi(argv[3]), n, argv[5], fd);
	return 0;
}
