/* Credentials: user and group identities and capability sets, Linux's meaning. Immutable,
 * counted. */
#pragma once

#include "kernel/sync/rcu.h"
#include "lib/types.h"

/* The four ids of one kind; their rules are the same for users and groups. */
struct id_set {
	uint32_t real, effective, saved, fs;
};

struct cred {
	uint32_t refs; /* [a] */
	struct rcu_head rcu;
	union {
		struct id_set user;
		struct {
			uint32_t uid, euid, suid, fsuid;
		};
	};
	union {
		struct id_set group;
		struct {
			uint32_t gid, egid, sgid, fsgid;
		};
	};
	uint64_t cap_permitted, cap_effective, cap_inheritable, cap_bounding, cap_ambient;
	uint32_t securebits; /* SECBIT_* */
	uint32_t num_groups;
	uint32_t *groups; /* sorted */
};

/* How user id 0 and capabilities hang together (capabilities(7), "The securebits flags"); the bit above
 * each locks it. */
enum securebit {
	SECBIT_NOROOT = 1 << 0,
	SECBIT_NO_SETUID_FIXUP = 1 << 2,
	SECBIT_KEEP_CAPS = 1 << 4,
	SECBIT_NO_CAP_AMBIENT_RAISE = 1 << 6,
	SECBITS_ALL = 0xff,
	SECBITS_LOCKS = 0xaa,
};

/* Linux capability numbers that the kernel checks so far. */
enum capability {
	CAP_CHOWN = 0,
	CAP_DAC_OVERRIDE = 1,
	CAP_DAC_READ_SEARCH = 2,
	CAP_FOWNER = 3,
	CAP_FSETID = 4,
	CAP_KILL = 5,
	CAP_SETGID = 6,
	CAP_SETUID = 7,
	CAP_SETPCAP = 8,
	CAP_LINUX_IMMUTABLE = 9,
	CAP_NET_BIND_SERVICE = 10,
	CAP_NET_ADMIN = 12,
	CAP_NET_RAW = 13,
	CAP_IPC_LOCK = 14,
	CAP_IPC_OWNER = 15,
	CAP_SYS_RAWIO = 17,
	CAP_SYS_CHROOT = 18,
	CAP_SYS_PTRACE = 19,
	CAP_SYS_ADMIN = 21,
	CAP_SYS_BOOT = 22,
	CAP_SYS_NICE = 23,
	CAP_SYS_RESOURCE = 24,
	CAP_SYS_TIME = 25,
	CAP_SYS_TTY_CONFIG = 26,
	CAP_MKNOD = 27,
	CAP_SETFCAP = 31,
	CAP_MAC_OVERRIDE = 32,
	CAP_SYSLOG = 34,
	CAP_CHECKPOINT_RESTORE = 40,
	CAP_LAST = 40,
};
#define CAP_ALL ((1ull << (CAP_LAST + 1)) - 1)
/* Those that go with the user id for files (capabilities(7), "Effect of user ID changes"). */
#define CAP_FILES \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH | \
	    1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_LINUX_IMMUTABLE | \
	    1ull << CAP_MKNOD | 1ull << CAP_MAC_OVERRIDE)

/* Capabilities of a program file (capabilities(7), "File capabilities"). */
struct file_caps {
	uint64_t permitted, inheritable;
	bool is_effective;
	bool is_there; /* it has some, be it none of them */
};

extern struct cred cred_root; /* every right; never freed */

const struct cred *current_cred(void);
bool capable(enum capability); /* the current thread's effective set */
bool cred_in_group(const struct cred *, uint32_t gid); /* fsgid or supplementary */
struct cred *cred_get(struct cred *);
void cred_put(struct cred *);
struct cred *cred_copy(
    const struct cred *); /* a private copy to change; NULL: no memory */
