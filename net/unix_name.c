/*
 * Names of AF_UNIX sockets (unix(7)): abstract ones, any bytes after a NUL, one name space for each
 * type; names in the file system, a socket's inode that bind makes; or none. Both kinds are in one
 * table, by a hash of the bytes or of the inode. A name in the file system outlives its socket:
 * connecting to it is refused then.
 */
#include "kernel/random.h"
#include "lib/fmt.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/unix.h"

enum {
	NUM_BUCKETS = 256,
	AUTOBIND_NAMES = 1 << 20, /* five digits */
	AUTOBIND_LEN = UNIX_PATH_AT + 6,
};

static struct bucket {
	struct spinlock lock;
	struct list socks; /* [lock] unix_sock.name_link */
} buckets[NUM_BUCKETS];
static struct siphash_key key;

void
unix_name_init(void)
{
	random_bytes(&key, sizeof(key));
	for (unsigned i = 0; i < NUM_BUCKETS; i++) {
		spin_init(&buckets[i].lock, "unix names", RANK_NET_TABLE);
		list_init(&buckets[i].socks);
	}
}

static struct bucket *
bucket_of(uint32_t hash)
{
	return &buckets[hash % NUM_BUCKETS];
}

static uint32_t
hash_of(const void *data, size_t n)
{
	return (uint32_t)siphash13(&key, data, n);
}

/* ---- Addresses ---------------------------------------------------------------------------- */

enum err
unix_check_addr(const struct sock_addr *a)
{
	return a->len <= UNIX_PATH_AT || a->len > UNIX_ADDR_MAX || a->family != AF_UNIX
	           ? ERR_INVAL
	           : OK;
}

/* A checked address as it is kept: a path with its NUL, whether that was given or not. */
static struct unix_addr *
addr_make(const struct sock_addr *a)
{
	struct unix_addr *addr = kzalloc(sizeof(*addr));
	size_t n = a->len - UNIX_PATH_AT;

	if (!addr)
		return NULL;
	addr->refs = 1;
	addr->len = a->len;
	memcpy(addr->path, a->bytes + UNIX_PATH_AT, n);
	if (addr->path[0])
		addr->len = UNIX_PATH_AT + (uint32_t)strnlen(addr->path, n) + 1;
	return addr;
}

void
unix_addr_put(struct unix_addr *a)
{
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
		kfree(a);
}

void
unix_tell_addr(const struct unix_sock *u, struct sock_addr *out)
{
	const struct unix_addr *a = __atomic_load_n(&u->addr, __ATOMIC_ACQUIRE);

	if (!a)
		return;
	out->family = AF_UNIX;
	out->len = a->len;
	memcpy(out->bytes + UNIX_PATH_AT, a->path, a->len - UNIX_PATH_AT);
}

/* ---- The table ------------------------------------------------------------------------------ */

static bool
has_abstract_name(
    const struct unix_sock *u, uint32_t hash, int type, const struct unix_addr *a)
{
	return u->name_hash == hash && u->sock.type == type && !u->node.dentry &&
	       u->addr->len == a->len &&
	       !memcmp(u->addr->path, a->path, a->len - UNIX_PATH_AT);
}

/* In `b`, whose lock is held. */
static struct unix_sock *
find_abstract(struct bucket *b, uint32_t hash, int type, const struct unix_addr *a)
{
	struct unix_sock *u;

	list_for_each(u, &b->socks, name_link)
		if (has_abstract_name(u, hash, type, a))
			return u;
	return NULL;
}

static uint32_t
hash_of_inode(const struct inode *inode)
{
	uintptr_t address = (uintptr_t)inode;

	return hash_of(&address, sizeof(address));
}

/* Who has the inode; a reference, or NULL. */
static struct unix_sock *
find_inode(const struct inode *inode)
{
	struct bucket *b = bucket_of(hash_of_inode(inode));
	struct unix_sock *u, *found = NULL;

	spin_lock(&b->lock);
	list_for_each(u, &b->socks, name_link) {
		if (u->node.dentry && sock_node_inode(&u->node) == inode) {
			(void)sock_get(&u->sock);
			found = u;
			break;
		}
	}
	spin_unlock(&b->lock);
	return found;
}

static enum err
find_path(const char *path, int type, struct unix_sock **out)
{
	struct sock_node node;
	enum err err = sock_node_find(path, &node);

	if (err != OK)
		return err;
	*out = find_inode(sock_node_inode(&node));
	sock_node_put(&node);
	if (!*out)
		return ERR_CONNREFUSED;
	if ((*out)->sock.type == type)
		return OK;
	sock_put(&(*out)->sock);
	return ERR_PROTOTYPE;
}

static uint32_t
hash_abstract(const struct unix_addr *a)
{
	return hash_of(a->path, a->len - UNIX_PATH_AT);
}

enum err
unix_find(const struct sock_addr *a, int type, struct unix_sock **out)
{
	struct unix_addr addr = {.len = a->len};
	struct bucket *b;
	uint32_t hash;

	memcpy(addr.path, a->bytes + UNIX_PATH_AT, a->len - UNIX_PATH_AT);
	if (addr.path[0])
		return find_path(addr.path, type, out);
	hash = hash_abstract(&addr);
	b = bucket_of(hash);
	spin_lock(&b->lock);
	*out = find_abstract(b, hash, type, &addr);
	if (*out)
		(void)sock_get(&(*out)->sock);
	spin_unlock(&b->lock);
	return *out ? OK : ERR_CONNREFUSED;
}

/* The bucket's lock is held. The socket has the name from now on. */
static void
enter(struct unix_sock *u, struct bucket *b, uint32_t hash, struct unix_addr *a)
{
	u->name_hash = hash;
	__atomic_store_n(&u->addr, a, __ATOMIC_RELEASE);
	list_push_back(&b->socks, &u->name_link);
}

void
unix_unname(struct unix_sock *u)
{
	struct bucket *b = bucket_of(u->name_hash);

	/* A connection has its listener's name to tell, but is not found by it. */
	if (!list_is_empty(&u->name_link)) {
		spin_lock(&b->lock);
		list_remove(&u->name_link);
		spin_unlock(&b->lock);
	}
	sock_node_put(&u->node);
}

/* ---- Binding --------------------------------------------------------------------------------- */

/* Only one may give the socket its name, and only once. */
static bool
begin_bind(struct unix_sock *u)
{
	bool may;

	spin_lock(&u->sock.lock);
	may = !u->addr && !u->is_binding;
	if (may)
		u->is_binding = true;
	spin_unlock(&u->sock.lock);
	return may;
}

static void
end_bind(struct unix_sock *u)
{
	spin_lock(&u->sock.lock);
	u->is_binding = false;
	spin_unlock(&u->sock.lock);
}

/* ERR_ADDRINUSE leaves the address to the caller. */
static enum err
enter_abstract(struct unix_sock *u, struct unix_addr *a)
{
	uint32_t hash = hash_abstract(a);
	struct bucket *b = bucket_of(hash);
	enum err err = ERR_ADDRINUSE;

	spin_lock(&b->lock);
	if (!find_abstract(b, hash, u->sock.type, a)) {
		enter(u, b, hash, a);
		err = OK;
	}
	spin_unlock(&b->lock);
	return err;
}

static enum err
enter_path(struct unix_sock *u, struct unix_addr *a)
{
	const struct inode *inode;
	struct sock_node node;
	struct bucket *b;
	uint32_t hash;
	enum err err = sock_node_make(a->path, &node);

	if (err != OK)
		return err == ERR_EXIST ? ERR_ADDRINUSE : err;
	inode = sock_node_inode(&node);
	hash = hash_of_inode(inode);
	b = bucket_of(hash);
	spin_lock(&b->lock);
	u->node = node;
	enter(u, b, hash, a);
	spin_unlock(&b->lock);
	return OK;
}

enum err
unix_bind(struct sock *sk, const struct sock_addr *name)
{
	struct unix_sock *u = unix_of(sk);
	struct unix_addr *a;
	enum err err;

	if (name->len == UNIX_PATH_AT && name->family == AF_UNIX)
		return unix_autobind(u);
	err = unix_check_addr(name);
	if (err != OK)
		return err;
	a = addr_make(name);
	if (!a)
		return ERR_NOMEM;
	if (!begin_bind(u)) {
		err =
		    a->path[0] && sock_node_is_there(a->path) ? ERR_ADDRINUSE : ERR_INVAL;
	} else {
		err = a->path[0] ? enter_path(u, a) : enter_abstract(u, a);
		end_bind(u);
	}
	if (err != OK)
		unix_addr_put(a);
	return err;
}

enum err
unix_autobind(struct unix_sock *u)
{
	struct unix_addr *a;
	uint32_t first = (uint32_t)random_below(AUTOBIND_NAMES);
	enum err err = ERR_NOSPC;

	if (!begin_bind(u))
		return OK; /* it has a name, or gets one this moment */
	a = kzalloc(sizeof(*a));
	if (a) {
		a->refs = 1;
		a->len = AUTOBIND_LEN;
		for (uint32_t i = 0; i < AUTOBIND_NAMES; i++) {
			(void)snprintf(a->path + 1, sizeof(a->path) - 1, "%05x",
			    (first + i) % AUTOBIND_NAMES);
			err = enter_abstract(u, a);
			if (err == OK)
				break;
		}
		if (err != OK)
			unix_addr_put(a);
	} else {
		err = ERR_NOMEM;
	}
	end_bind(u);
	return err == ERR_ADDRINUSE ? ERR_NOSPC : err;
}
