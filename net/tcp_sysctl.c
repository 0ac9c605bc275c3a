/*
 * /proc/sys/net/ipv4/tcp_* and net/core/somaxconn: Linux's names, units and limits. One table
 * (tcp_sysctl.def) gives each file its show and its store.
 */
#include "kernel/procfs.h"
#include "lib/string.h"
#include "net/inet_priv.h"
#include "net/tcp_conn.h"

enum { MAX_CC_NAME = 16 };

static enum err
store_number(const char *text, uint32_t *field, uint32_t min, uint32_t max)
{
	uint32_t v;

	if (!sock_parse_numbers(text, &v, 1) || v < min || v > max)
		return ERR_INVAL;
	__atomic_store_n(field, v, __ATOMIC_RELAXED);
	return OK;
}

static void
show_number(struct seq *s, const uint32_t *field)
{
	seq_printf(s, "%u\n", __atomic_load_n(field, __ATOMIC_RELAXED));
}

static enum err
store_three(const char *text, uint32_t *field)
{
	uint32_t v[3];

	if (!sock_parse_numbers(text, v, 3))
		return ERR_INVAL;
	for (unsigned i = 0; i < 3; i++)
		if (!v[i] || v[i] > INT32_MAX)
			return ERR_INVAL;
	memcpy(field, v, sizeof(v));
	return OK;
}

static void
show_three(struct seq *s, const uint32_t *field)
{
	seq_printf(s, "%u\t%u\t%u\n", field[0], field[1], field[2]);
}

/* ---- One number each ------------------------------------------------------------------------ */

#define TCP_SYSCTL(path, field, min, max) \
	static void show_##field(struct seq *s) \
	{ \
		show_number(s, &tcp_set.field); \
	} \
	static enum err store_##field(const char *text) \
	{ \
		return store_number(text, &tcp_set.field, min, max); \
	}
#include "net/tcp_sysctl.def"
#undef TCP_SYSCTL

/* ---- Others ---------------------------------------------------------------------------------- */

static void
show_rmem(struct seq *s)
{
	show_three(s, tcp_set.rmem);
}

static enum err
store_rmem(const char *text)
{
	return store_three(text, tcp_set.rmem);
}

static void
show_wmem(struct seq *s)
{
	show_three(s, tcp_set.wmem);
}

static enum err
store_wmem(const char *text)
{
	return store_three(text, tcp_set.wmem);
}

static void
show_mem(struct seq *s)
{
	seq_printf(s, "%lu\t%lu\t%lu\n", tcp_set.mem[0], tcp_set.mem[1], tcp_set.mem[2]);
}

static enum err
store_mem(const char *text)
{
	uint32_t v[3];

	if (!sock_parse_numbers(text, v, 3))
		return ERR_INVAL;
	for (unsigned i = 0; i < 3; i++)
		tcp_set.mem[i] = v[i];
	return OK;
}

static void
show_cc(struct seq *s)
{
	seq_printf(s, "%s\n", tcp_cc_name(tcp_set.cc));
}

static enum err
store_cc(const char *text)
{
	const struct tcp_cc_ops *cc = tcp_cc_find(text);

	if (!cc)
		return ERR_NOENT;
	tcp_set.cc = cc;
	return OK;
}

static void
show_available(struct seq *s)
{
	seq_puts(s, "reno cubic\n");
}

static const struct {
	const char *path;
	void (*show)(struct seq *);
	enum err (*store)(const char *);
} files[] = {
#define TCP_SYSCTL(path, field, min, max) {path, show_##field, store_##field},
#include "net/tcp_sysctl.def"
#undef TCP_SYSCTL
    {"sys/net/ipv4/tcp_rmem", show_rmem, store_rmem},
    {"sys/net/ipv4/tcp_wmem", show_wmem, store_wmem},
    {"sys/net/ipv4/tcp_mem", show_mem, store_mem},
    {"sys/net/ipv4/tcp_congestion_control", show_cc, store_cc},
};

void
tcp_sysctl_init(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		(void)proc_register_rw(files[i].path, files[i].show,
		    files[i].store); /* fails without memory */
	(void)proc_register(
	    "sys/net/ipv4/tcp_available_congestion_control", show_available);
	(void)proc_register(
	    "sys/net/ipv4/tcp_allowed_congestion_control", show_available);
}
