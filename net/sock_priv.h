/* Between the files that make up sockets: socket.c, sys_socket.c, sys_sockmsg.c, sock_opt.c. */
#pragma once

#include "kernel/fcntl.h"
#include "net/sock.h"

enum { SOCK_NONBLOCK = O_NONBLOCK, SOCK_CLOEXEC = O_CLOEXEC };

/* Passes a send's result on; ERR_PIPE of a stream raises SIGPIPE unless MSG_NOSIGNAL says no. */
long sock_sigpipe(struct sock *, unsigned flags, long result);

/* The socket of a descriptor, with a reference to its file; NULL: *err = ERR_BADF, ERR_NOTSOCK. */
struct sock *sock_by_fd(int fd, struct file **f, long *err);

/* Addresses from and to user memory, errors as Linux gives them. */
enum err sock_addr_from_user(struct sock_addr *, const void USER *user, int len);
enum err sock_addr_to_user(const struct sock_addr *, void USER *user, int USER *user_len);

/* sndbuf and rcvbuf as net.core.wmem_default and rmem_default say. */
void sock_set_default_bufs(struct sock *);
/* Files in /proc/sys/net/core. */
void sock_opt_init(void);
