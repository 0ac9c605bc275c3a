/*
 * net/unix_name.c: forms of addresses, who has which name.
 * LINK: net/unix_name.c lib/siphash.c lib/string.c lib/fmt.c tests/fakes/kmalloc.c
 * tests/fakes/spinlock.c tests/fakes/panic.c tests/fakes/percpu.c
 */
#include "kernel/random.h"
#include "lib/string.h"
#include "net/unix.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* ---- What it stands on --------------------------------------------------------------------- */

static uint64_t next_random;
static char made_path[256]; /* the one name in the file system; empty: none */
static int held_nodes;

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 7, n);
}

uint64_t
random_below(uint64_t limit)
{
	return next_random % limit;
}

struct sock *
sock_get(struct sock *sk)
{
	sk->refs++;
	return sk;
}

void
sock_put(struct sock *sk)
{
	sk->refs--;
}

enum err
sock_node_make(const char *path, struct sock_node *out)
{
	if (!strcmp(made_path, path))
		return ERR_EXIST;
	memcpy(made_path, path, strlen(path) + 1);
	out->dentry = (struct dentry *)made_path;
	held_nodes++;
	return OK;
}

bool
sock_node_is_there(const char *path)
{
	return !strcmp(made_path, path);
}

enum err
sock_node_find(const char *path, struct sock_node *out)
{
	if (strcmp(made_path, path) != 0)
		return ERR_NOENT;
	out->dentry = (struct dentry *)made_path;
	held_nodes++;
	return OK;
}

const struct inode *
sock_node_inode(const struct sock_node *n)
{
	return (const struct inode *)n->dentry;
}

void
sock_node_put(struct sock_node *n)
{
	if (n->dentry)
		held_nodes--;
	n->dentry = NULL;
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void
make(struct unix_sock *u, int type)
{
	static bool is_ready;

	if (!is_ready)
		unix_name_init();
	is_ready = true;
	*u = (struct unix_sock){.sock = {.refs = 1, .type = (uint16_t)type}};
	spin_init(&u->sock.lock, "socket", RANK_SOCK);
	list_init(&u->name_link);
}

static void
end(struct unix_sock *u)
{
	unix_unname(u);
	if (u->addr)
		unix_addr_put(u->addr);
	CHECK_EQ(u->sock.refs, 1);
}

static struct sock_addr
address(const char *path, size_t n)
{
	struct sock_addr a = {.len = (unsigned)(UNIX_PATH_AT + n), .family = AF_UNIX};

	memcpy(a.bytes + UNIX_PATH_AT, path, n);
	return a;
}

KTEST(unix_check_addr_wants_a_name_of_the_family)
{
	struct sock_addr a = address("x", 1);

	CHECK_EQ(unix_check_addr(&a), OK);
	a.len = UNIX_PATH_AT;
	CHECK_EQ(unix_check_addr(&a), ERR_INVAL);
	a.len = UNIX_ADDR_MAX;
	CHECK_EQ(unix_check_addr(&a), OK);
	a.len++;
	CHECK_EQ(unix_check_addr(&a), ERR_INVAL);
	a = address("x", 1);
	a.family = 2;
	CHECK_EQ(unix_check_addr(&a), ERR_INVAL);
}

KTEST(unix_bind_keeps_paths_with_their_nul)
{
	char longest[UNIX_PATH_MAX];
	struct unix_sock u;
	struct sock_addr a, got;

	memset(longest, 'l', sizeof(longest));
	for (int with_nul = 0; with_nul < 2; with_nul++) {
		made_path[0] = 0;
		make(&u, SOCK_STREAM);
		a = address("/p", 2 + with_nul);
		CHECK_EQ(unix_bind(&u.sock, &a), OK);
		got = (struct sock_addr){.len = 0};
		unix_tell_addr(&u, &got);
		CHECK_EQ(got.len, UNIX_PATH_AT + 3);
		end(&u);
	}
	made_path[0] = 0;
	make(&u, SOCK_STREAM);
	a = address(longest, sizeof(longest));
	CHECK_EQ(unix_bind(&u.sock, &a), OK);
	unix_tell_addr(&u, &got);
	CHECK_EQ(got.len, UNIX_ADDR_MAX + 1);
	end(&u);
	CHECK_EQ(held_nodes, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(unix_abstract_names_are_of_one_type_and_all_bytes)
{
	struct sock_addr a = address("\0ab", 3), longer = address("\0ab\0", 4);
	struct unix_sock s, d, other, *found;

	make(&s, SOCK_STREAM);
	make(&d, SOCK_DGRAM);
	make(&other, SOCK_STREAM);
	CHECK_EQ(unix_bind(&s.sock, &a), OK);
	CHECK_EQ(unix_bind(&other.sock, &a), ERR_ADDRINUSE);
	CHECK_EQ(unix_bind(&other.sock, &longer), OK);
	CHECK_EQ(unix_bind(&d.sock, &a), OK);
	CHECK_EQ(unix_bind(&d.sock, &longer), ERR_INVAL);
	CHECK_EQ(unix_find(&a, SOCK_STREAM, &found), OK);
	CHECK(found == &s);
	sock_put(&found->sock);
	CHECK_EQ(unix_find(&longer, SOCK_STREAM, &found), OK);
	CHECK(found == &other);
	sock_put(&found->sock);
	CHECK_EQ(unix_find(&longer, SOCK_DGRAM, &found), ERR_CONNREFUSED);
	end(&s);
	CHECK_EQ(unix_find(&a, SOCK_STREAM, &found), ERR_CONNREFUSED);
	end(&d);
	end(&other);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(unix_paths_lead_to_their_socket_while_it_lives)
{
	struct sock_addr a = address("/p", 3);
	struct unix_sock s, d, *found;

	made_path[0] = 0;
	make(&s, SOCK_STREAM);
	make(&d, SOCK_DGRAM);
	CHECK_EQ(unix_find(&a, SOCK_STREAM, &found), ERR_NOENT);
	CHECK_EQ(unix_bind(&s.sock, &a), OK);
	CHECK_EQ(unix_bind(&d.sock, &a), ERR_ADDRINUSE);
	CHECK_EQ(unix_bind(&s.sock, &a), ERR_ADDRINUSE);
	CHECK_EQ(unix_find(&a, SOCK_DGRAM, &found), ERR_PROTOTYPE);
	CHECK_EQ(unix_find(&a, SOCK_STREAM, &found), OK);
	CHECK(found == &s);
	sock_put(&found->sock);
	end(&s);
	CHECK_EQ(unix_find(&a, SOCK_STREAM, &found), ERR_CONNREFUSED);
	end(&d);
	CHECK_EQ(held_nodes, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(unix_autobind_takes_the_next_free_number)
{
	struct sock_addr none = {.len = UNIX_PATH_AT, .family = AF_UNIX}, got;
	struct unix_sock u[3];

	next_random = 0xfffff;
	for (int i = 0; i < 3; i++) {
		make(&u[i], SOCK_STREAM);
		CHECK_EQ(unix_bind(&u[i].sock, &none), OK);
		CHECK_EQ(unix_bind(&u[i].sock, &none), OK);
	}
	unix_tell_addr(&u[0], &got);
	CHECK_EQ(got.len, UNIX_PATH_AT + 6);
	CHECK(!memcmp(got.bytes + UNIX_PATH_AT, "\0fffff", 6));
	unix_tell_addr(&u[2], &got);
	CHECK(!memcmp(got.bytes + UNIX_PATH_AT, "\00000001", 6));
	for (int i = 0; i < 3; i++)
		end(&u[i]);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(unix_bind_without_memory_leaves_no_name)
{
	struct sock_addr a = address("\0mem", 4),
	                 none = {.len = UNIX_PATH_AT, .family = AF_UNIX};
	struct unix_sock u;

	make(&u, SOCK_STREAM);
	fake_kmalloc_fail_nth(1);
	CHECK_EQ(unix_bind(&u.sock, &a), ERR_NOMEM);
	fake_kmalloc_fail_nth(1);
	CHECK_EQ(unix_bind(&u.sock, &none), ERR_NOMEM);
	fake_kmalloc_fail_nth(0);
	CHECK_EQ(unix_bind(&u.sock, &a), OK);
	end(&u);
	CHECK_EQ(fake_kmalloc_live, 0);
}
