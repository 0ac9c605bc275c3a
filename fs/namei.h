/*
 * The path walk step by step, for calls that treat the last component in their own way:
 *open with O_CREAT, and what makes, removes or renames names. Others use path_lookup
 *(fs/vfs.h).
 *
 *	walk_begin(&w, dirfd, text, flags);
 *	walk_to_parent(&w)	w.cur is the directory, w.last the name in it
 *	...			look it up; if it is a link to follow: walk_follow(&w,
 *&link), again walk_end(&w);		always, also after an error of walk_begin
 */
#pragma once

#include "fs/vfs.h"

enum last_kind {
	LAST_NAME,   /* an ordinary name */
	LAST_DOT,    /* "." */
	LAST_DOTDOT, /* ".." */
	LAST_NONE,   /* the path was "/" or empty: `cur` is the result */
};

struct walk {
	struct path cur;  /* references */
	struct path root; /* references: ".." stops here, absolute links start here */
	const struct cred *cred;
	struct cred *own_cred; /* for WALK_REAL_IDS, else NULL */
	unsigned flags;        /* WALK_* */
	unsigned num_links;    /* followed so far */
	const char *rest;      /* not yet walked */
	char *link_text;       /* what `rest` points into after a link, or NULL */
	struct name last;
	enum last_kind last_kind;
	bool has_slash; /* slashes follow the last name: it must be a directory */
};

enum err walk_begin(struct walk *, int dirfd, const char *text, unsigned flags);
enum err walk_to_parent(struct walk *);
/* Goes on at what the symlink `link` (whose references it takes) holds, from w->cur. */
enum err walk_follow(struct walk *, struct path *link);
/* The same for the last component of the whole path, which others may have laid there as a trap. */
enum err walk_follow_last(struct walk *, struct path *link);
void walk_end(struct walk *);

/* w->last in w->cur with references: cached or looked up, mount points crossed.
 * ERR_NOENT. */
enum err walk_last(struct walk *, struct path *out);

/* walk_begin, walk_to_parent; the last must be a name: else `not_a_name` is the error. */
enum err walk_parent(
    struct walk *, int dirfd, const char *text, unsigned flags, enum err not_a_name);
