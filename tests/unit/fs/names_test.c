/*
 * Path walk, dentry cache, tmpfs and permissions. LINK: fs/anon.c fs/attr.c fs/change.c
 * fs/context.c fs/data.c fs/dcache.c fs/device.c fs/file_caps.c fs/inode.c fs/inotify.c fs/locks.c
 * fs/mount.c fs/notify.c
 * fs/namei.c fs/open.c fs/permission.c fs/protect.c
 * fs/seq.c fs/tmpfs.c fs/xattr.c mm/commit.c
 * kernel/file.c
 * kernel/proc/cred.c lib/fmt.c lib/rbtree.c lib/string.c mm/evict.c mm/pagecache.c mm/uio.c
 * tests/fakes/clock.c tests/fakes/frames.c tests/fakes/fs_env.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/percpu.c tests/fakes/rcu.c
 * tests/fakes/spinlock.c tests/fakes/wait.c
 */
#include "fs/vfs.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/fs_env.h"
#include "tests/unit/ktest.h"

extern struct cred cred_root;
static struct cred user = {.refs = 1,
    .uid = 7,
    .euid = 7,
    .suid = 7,
    .fsuid = 7,
    .gid = 8,
    .egid = 8,
    .sgid = 8,
    .fsgid = 8};

/* Each test starts with an empty directory as current. */
static void
begin(void)
{
	static bool is_up;
	static int number;
	char name[32];
	struct path dir;

	if (!is_up)
		fake_fs_begin();
	is_up = true;
	fake_become(&cred_root);
	fs_init_context->umask = 022;
	snprintf(name, sizeof(name), "/t%d", number++);
	if (fs_mknod(AT_FDCWD, name, S_IFDIR | 0777, 0, WALK_KERNEL) ||
	    path_lookup(AT_FDCWD, name, 0, &dir))
		abort();
	fs_context_set_cwd(fs_init_context, &dir);
	path_put(&dir);
}

static enum err
make(const char *name, uint32_t mode)
{
	return fs_mknod(AT_FDCWD, name, mode, 0, 0);
}

static enum err
look(const char *name, unsigned flags)
{
	struct path p;
	enum err err = path_lookup(AT_FDCWD, name, flags, &p);

	if (!err)
		path_put(&p);
	return err;
}

static enum err
open_close(const char *name, uint32_t flags)
{
	const struct open_how how = {.flags = flags, .mode = 0666};
	struct file *f;
	enum err err = file_openat(AT_FDCWD, name, &how, 0, &f);

	if (!err)
		file_put(f);
	return err;
}

static struct inode *
inode_at(const char *name)
{
	struct path p;
	struct inode *inode;

	if (path_lookup(AT_FDCWD, name, 0, &p))
		return NULL;
	inode = p.dentry->inode;
	path_put(&p);
	return inode; /* its link keeps it */
}

KTEST(names_are_made_found_and_removed)
{
	begin();
	CHECK_EQ(look("f", 0), ERR_NOENT);
	CHECK_EQ(make("f", S_IFREG | 0666), OK);
	CHECK_EQ(look("f", 0), OK);
	CHECK_EQ(inode_at("f")->mode, S_IFREG | 0644);
	CHECK_EQ(make("f", S_IFREG | 0666), ERR_EXIST);
	CHECK_EQ(make("d", S_IFDIR | 0777), OK);
	CHECK_EQ(make("d/x", S_IFREG | 0666), OK);
	CHECK_EQ(fs_unlink(AT_FDCWD, "d", true, 0), ERR_NOTEMPTY);
	CHECK_EQ(fs_unlink(AT_FDCWD, "d", false, 0), ERR_ISDIR);
	CHECK_EQ(fs_unlink(AT_FDCWD, "f", true, 0), ERR_NOTDIR);
	CHECK_EQ(fs_unlink(AT_FDCWD, "d/x", false, 0), OK);
	CHECK_EQ(fs_unlink(AT_FDCWD, "d", true, 0), OK);
	CHECK_EQ(look("d", 0), ERR_NOENT);
	CHECK_EQ(look("d/x", 0), ERR_NOENT);
}

KTEST(walk_error_is_the_one_of_linux)
{
	static const struct {
		const char *path;
		unsigned flags;
		enum err err;
	} cases[] = {
	    {"", 0, ERR_NOENT},
	    {".", 0, OK},
	    {"..", 0, OK},
	    {"/", 0, OK},
	    {"///", 0, OK},
	    {"/../..", 0, OK},
	    {"d//./f", 0, OK},
	    {"d/../d/f", 0, OK},
	    {"d/f/", 0, ERR_NOTDIR},
	    {"d/f/.", 0, ERR_NOTDIR},
	    {"d/f/..", 0, ERR_NOTDIR},
	    {"none/..", 0, ERR_NOENT},
	    {"to-d", WALK_DIRECTORY, ERR_NOTDIR},
	    {"to-d", WALK_DIRECTORY | WALK_FOLLOW, OK},
	    {"to-d/", 0, OK},
	    {"to-d/f", 0, OK},
	    {"dangling", 0, OK},
	    {"dangling", WALK_FOLLOW, ERR_NOENT},
	    {"loop", 0, OK},
	    {"loop", WALK_FOLLOW, ERR_LOOP},
	    {"loop/x", 0, ERR_LOOP},
	    {"to-d/f", WALK_NO_SYMLINKS, ERR_LOOP},
	    {"/d", WALK_BENEATH, ERR_XDEV},
	    {"..", WALK_BENEATH, ERR_XDEV},
	    {"d/../d/f", WALK_BENEATH, OK},
	};

	begin();
	CHECK_EQ(make("d", S_IFDIR | 0777), OK);
	CHECK_EQ(make("d/f", S_IFREG | 0666), OK);
	CHECK_EQ(fs_symlink("d", AT_FDCWD, "to-d", 0), OK);
	CHECK_EQ(fs_symlink("none", AT_FDCWD, "dangling", 0), OK);
	CHECK_EQ(fs_symlink("loop", AT_FDCWD, "loop", 0), OK);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_EQ(look(cases[i].path, cases[i].flags) * 100 + i,
		    cases[i].err * 100 + i);
}

KTEST(open_error_is_the_one_of_linux)
{
	static const struct {
		const char *path;
		uint32_t flags;
		enum err err;
	} cases[] = {
	    {"f", O_RDWR, OK},
	    {"f", O_CREAT | O_EXCL, ERR_EXIST},
	    {"f", O_DIRECTORY, ERR_NOTDIR},
	    {"d", O_RDONLY, OK},
	    {"d", O_WRONLY, ERR_ISDIR},
	    {"d", O_CREAT, ERR_ISDIR},
	    {"d", O_TRUNC, ERR_ISDIR},
	    {"new/", O_CREAT, ERR_ISDIR},
	    {".", O_CREAT, ERR_ISDIR},
	    {"none/x", O_CREAT, ERR_NOENT},
	    {"f/x", O_CREAT, ERR_NOTDIR},
	    {"link", O_NOFOLLOW, ERR_LOOP},
	    {"link", O_PATH | O_NOFOLLOW, OK},
	    {"link", O_CREAT | O_EXCL, ERR_EXIST},
	    {"dangling", O_RDONLY, ERR_NOENT},
	    {"dangling", O_CREAT | O_WRONLY, OK},
	    {"made", O_RDONLY, OK},
	    {"none", O_TMPFILE | O_RDWR, ERR_NOENT},
	    {"d", O_TMPFILE | O_RDWR, OK},
	    {"d", O_TMPFILE, ERR_INVAL},
	    {"chr", O_RDONLY, ERR_NXIO},
	    {"sock", O_RDONLY, ERR_NXIO},
	};

	begin();
	CHECK_EQ(make("f", S_IFREG | 0666), OK);
	CHECK_EQ(make("d", S_IFDIR | 0777), OK);
	CHECK_EQ(fs_symlink("f", AT_FDCWD, "link", 0), OK);
	CHECK_EQ(fs_symlink("made", AT_FDCWD, "dangling", 0), OK);
	CHECK_EQ(fs_mknod(AT_FDCWD, "chr", S_IFCHR | 0666, dev_make(99, 1), 0), OK);
	CHECK_EQ(make("sock", S_IFSOCK | 0666), OK);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_EQ(open_close(cases[i].path, cases[i].flags) * 100 + i,
		    cases[i].err * 100 + i);
}

KTEST(rename_error_is_the_one_of_linux)
{
	static const struct {
		const char *old, *new;
		unsigned flags;
		enum err err;
	} cases[] = {
	    {"none", "x", 0, ERR_NOENT},
	    {"f", "d", 0, ERR_ISDIR},
	    {"d", "f", 0, ERR_NOTDIR},
	    {"empty", "d", 0, ERR_NOTEMPTY},
	    {"d", "d/sub/x", 0, ERR_INVAL},
	    {"d/sub", "d", 0, ERR_NOTEMPTY},
	    {"d", "d/sub", RENAME_EXCHANGE, ERR_INVAL},
	    {"f", "g", RENAME_NOREPLACE, ERR_EXIST},
	    {"f", "none", RENAME_EXCHANGE, ERR_NOENT},
	    {"f", "g", RENAME_NOREPLACE | RENAME_EXCHANGE, ERR_INVAL},
	    {"f", "g", 8, ERR_INVAL},
	    {".", "x", 0, ERR_BUSY},
	    {"f", "..", 0, ERR_BUSY},
	    {"f/", "x", 0, ERR_NOTDIR},
	    {"f", "x/", 0, ERR_NOTDIR},
	    {"f", "f", 0, OK},
	    {"f", "same", 0, OK},
	    {"f", "none/x", 0, ERR_NOENT},
	    {"", "x", 0, ERR_NOENT},
	};

	begin();
	CHECK_EQ(make("f", S_IFREG | 0666), OK);
	CHECK_EQ(make("g", S_IFREG | 0666), OK);
	CHECK_EQ(make("d", S_IFDIR | 0777), OK);
	CHECK_EQ(make("d/sub", S_IFDIR | 0777), OK);
	CHECK_EQ(make("empty", S_IFDIR | 0777), OK);
	CHECK_EQ(fs_link(AT_FDCWD, "f", AT_FDCWD, "same", 0), OK);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_EQ(fs_rename(AT_FDCWD, cases[i].old, AT_FDCWD, cases[i].new,
		             cases[i].flags) *
		                 100 +
		             i,
		    cases[i].err * 100 + i);
}

KTEST(rename_moves_names_links_and_cached_paths)
{
	struct inode *d, *e;
	struct path p, root = fs_root;
	char buf[256];
	bool is_reachable;
	char *text;

	begin();
	root = fs_root;
	CHECK_EQ(make("a", S_IFDIR | 0777), OK);
	CHECK_EQ(make("b", S_IFDIR | 0777), OK);
	CHECK_EQ(make("a/d", S_IFDIR | 0777), OK);
	CHECK_EQ(make("a/d/f", S_IFREG | 0666), OK);
	d = inode_at("a/d");
	CHECK_EQ(inode_at("a")->nlink, 3);
	CHECK_EQ(path_lookup(AT_FDCWD, "a/d/f", 0, &p), OK);
	CHECK_EQ(fs_rename(AT_FDCWD, "a/d", AT_FDCWD,
	             "b/a-name-much-longer-than-what-fits-into-a-dentry", 0),
	    OK);
	CHECK_EQ(inode_at("a")->nlink, 2);
	CHECK_EQ(inode_at("b")->nlink, 3);
	CHECK_EQ(look("a/d", 0), ERR_NOENT);
	CHECK(inode_at("b/a-name-much-longer-than-what-fits-into-a-dentry") == d);
	text = path_text(&p, &root, buf, sizeof(buf), &is_reachable);
	CHECK(text && is_reachable);
	CHECK(strstr(text, "/b/a-name-much-longer-than-what-fits-into-a-dentry/f"));
	CHECK_EQ(make("a/x", S_IFREG | 0666), OK);
	e = inode_at("a/x");
	CHECK_EQ(
	    fs_rename(AT_FDCWD, "a/x", AT_FDCWD,
	        "b/a-name-much-longer-than-what-fits-into-a-dentry", RENAME_EXCHANGE),
	    OK);
	CHECK(inode_at("a/x") == d);
	CHECK(inode_at("b/a-name-much-longer-than-what-fits-into-a-dentry") == e);
	CHECK_EQ(inode_at("a")->nlink, 3);
	CHECK_EQ(inode_at("b")->nlink, 2);
	text = path_text(&p, &root, buf, sizeof(buf), &is_reachable);
	CHECK(text && strstr(text, "/a/x/f"));
	CHECK(!path_text(&p, &root, buf, 8, &is_reachable));
	path_put(&p);
}

KTEST(permission_table_holds)
{
	static const struct {
		uint32_t mode, uid, gid;
		unsigned may;
		enum err err;
	} cases[] = {
	    {S_IFREG | 0400, 7, 0, MAY_READ, OK},
	    {S_IFREG | 0400, 7, 0, MAY_WRITE, ERR_ACCES},
	    {S_IFREG | 0077, 7, 8, MAY_READ,
	        ERR_ACCES}, /* the owner's bits, not better ones */
	    {S_IFREG | 0707, 0, 8, MAY_READ, ERR_ACCES}, /* the group's, the same */
	    {S_IFREG | 0040, 0, 8, MAY_READ, OK},
	    {S_IFREG | 0004, 0, 0, MAY_READ, OK},
	    {S_IFREG | 0005, 0, 0, MAY_READ | MAY_EXEC, OK},
	    {S_IFREG | 0770, 0, 0, MAY_EXEC, ERR_ACCES},
	};
	static const struct inode_ops no_ops;
	struct inode inode = {.ops = &no_ops};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		inode.mode = cases[i].mode;
		inode.uid = cases[i].uid;
		inode.gid = cases[i].gid;
		CHECK_EQ(inode_permission(&user, &inode, cases[i].may) * 100 + i,
		    cases[i].err * 100 + i);
	}
	inode.mode = S_IFREG | 0600;
	CHECK_EQ(inode_permission(&cred_root, &inode, MAY_READ | MAY_WRITE), OK);
	CHECK_EQ(inode_permission(&cred_root, &inode, MAY_EXEC), ERR_ACCES);
	inode.mode = S_IFDIR | 0;
	CHECK_EQ(inode_permission(&cred_root, &inode, MAY_EXEC), OK);
}

KTEST(a_user_is_kept_out)
{
	begin();
	CHECK_EQ(make("private", S_IFDIR | 0700), OK);
	CHECK_EQ(make("private/f", S_IFREG | 0666), OK);
	CHECK_EQ(make("sticky", S_IFDIR | 0777), OK);
	fs_init_context->umask = 0;
	CHECK_EQ(make("sticky2", S_IFDIR | S_ISVTX | 0777), OK);
	CHECK_EQ(make("sticky2/f", S_IFREG | 0666), OK);
	fake_become(&user);
	CHECK_EQ(look("private/f", 0), ERR_ACCES);
	CHECK_EQ(look("private/none", 0), ERR_ACCES);
	CHECK_EQ(make("private/g", S_IFREG | 0666), ERR_ACCES);
	CHECK_EQ(fs_unlink(AT_FDCWD, "private/f", false, 0), ERR_ACCES);
	CHECK_EQ(fs_unlink(AT_FDCWD, "sticky2/f", false, 0), ERR_PERM);
	CHECK_EQ(make("sticky2/mine", S_IFREG | 0666), OK);
	CHECK_EQ(fs_unlink(AT_FDCWD, "sticky2/mine", false, 0), OK);
	fake_become(&cred_root);
}

/* Names enough to make the tree deep, in an order of their own; positions stay while
 * others go. */
struct counting {
	struct dir_sink sink;
	unsigned seen, stop_after;
};

static bool
count_one(struct dir_sink *sink, const char *name, size_t len, uint64_t ino,
    uint32_t mode, loff_t next_pos)
{
	struct counting *c = container_of(sink, struct counting, sink);

	if (c->seen == c->stop_after)
		return false;
	c->seen++;
	return true;
}

KTEST(directories_hold_many_names_and_list_each_once)
{
	enum { NAMES = 3000 };
	struct counting c = {.sink = {.emit = count_one}};
	struct inode *dir;
	char name[32];
	int rounds = 0;

	begin();
	CHECK_EQ(make("many", S_IFDIR | 0777), OK);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_EQ(make(name, S_IFREG | 0666), OK);
	}
	dir = inode_at("many");
	for (unsigned before = ~0u; c.seen != before; rounds++) {
		before = c.seen;
		c.stop_after = c.seen + 7;
		CHECK_EQ(dir->ops->readdir(dir, &c.sink), OK);
	}
	CHECK_EQ(c.seen, NAMES + 2);
	CHECK(rounds > NAMES / 7);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_EQ(fs_unlink(AT_FDCWD, name, false, 0), OK);
	}
	CHECK_EQ(fs_unlink(AT_FDCWD, "many", true, 0), OK);
}

KTEST(contents_are_read_as_written_with_holes)
{
	struct file *f;
	char buf[64] = "";
	const struct attr cut = {.valid = ATTR_SIZE, .size = 5};
	long frames;

	begin();
	CHECK_EQ(file_open("/data", O_CREAT | O_RDWR, 0600, &f), OK);
	frames = fake_frames_live;
	CHECK_EQ(file_write_at(f, "0123456789", 10, 100000), 10);
	CHECK_EQ(f->inode->size, 100010);
	CHECK_EQ(file_read_at(f, buf, 12, 99998), 12);
	CHECK(!memcmp(buf,
	    "\0\0"
	    "0123456789",
	    12));
	CHECK_EQ(file_read_at(f, buf, 64, 100005), 5);
	CHECK_EQ(file_read_at(f, buf, 64, 100010), 0);
	CHECK_EQ(data_seek(f, 0, SEEK_DATA), 98304);
	CHECK_EQ(data_seek(f, 99000, SEEK_HOLE), 100010);
	CHECK_EQ(data_seek(f, 100010, SEEK_DATA), ERR_NXIO);
	mutex_lock(&f->inode->lock);
	CHECK_EQ(f->inode->ops->setattr(f->inode, &cut), OK);
	mutex_unlock(&f->inode->lock);
	CHECK_EQ(fake_frames_live, frames);
	CHECK_EQ(file_write_at(f, "x", 1, 4096), 1);
	CHECK_EQ(fs_unlink(AT_FDCWD, "/data", false, 0), OK);
	CHECK_EQ(f->inode->nlink, 0);
	CHECK_EQ(file_read_at(f, buf, 1, 4096), 1);
	file_put(f);
	dcache_shrink(1000);
	CHECK_EQ(fake_frames_live, frames);
}

KTEST(a_full_tmpfs_says_so_and_recovers)
{
	struct path at;
	struct file *f;
	char page[4096];

	begin();
	memset(page, 1, sizeof(page));
	CHECK_EQ(make("m", S_IFDIR | 0777), OK);
	CHECK_EQ(path_lookup(AT_FDCWD, "m", 0, &at), OK);
	CHECK_EQ(fs_mount("tmpfs", "t", &at, 0, "size=8k,nr_inodes=3"), OK);
	path_put(&at);
	CHECK_EQ(make("m/a", S_IFREG | 0666), OK);
	CHECK_EQ(make("m/b", S_IFREG | 0666), OK);
	CHECK_EQ(make("m/c", S_IFREG | 0666), ERR_NOSPC);
	CHECK_EQ(fs_unlink(AT_FDCWD, "m/b", false, 0), OK);
	dcache_shrink(100);
	CHECK_EQ(make("m/c", S_IFREG | 0666), OK);
	CHECK_EQ(path_lookup(AT_FDCWD, "m/a", 0, &at), OK);
	f = NULL;
	CHECK_EQ(path_open(&at, O_RDWR, &f), OK);
	CHECK_EQ(file_write_at(f, page, 4096, 0), 4096);
	CHECK_EQ(file_write_at(f, page, 4096, 4096), 4096);
	CHECK_EQ(file_write_at(f, page, 4096, 8192), ERR_NOSPC);
	CHECK_EQ(path_truncate(&at, 0), OK);
	CHECK_EQ(file_write_at(f, page, 4096, 8192), 4096);
	file_put(f);
	path_put(&at);
	CHECK_EQ(fs_rename(AT_FDCWD, "m/a", AT_FDCWD, "a", 0), ERR_XDEV);
	CHECK_EQ(fs_unlink(AT_FDCWD, "m", true, 0), ERR_BUSY);
	CHECK_EQ(path_lookup(AT_FDCWD, "m", 0, &at), OK);
	CHECK_EQ(fs_umount(&at, 0), OK);
	fake_rcu_run();
	CHECK_EQ(fs_unlink(AT_FDCWD, "m", true, 0), OK);
}

/* Every allocation fails once; nothing leaks and the name space stays whole. */
KTEST(running_out_of_memory_undoes_the_call)
{
	bool is_done = false;

	begin();
	CHECK_EQ(make("d", S_IFDIR | 0777), OK);
	for (unsigned n = 1; !is_done; n++) {
		enum err err;

		CHECK(n < 100);
		fake_kmalloc_fail_nth(n);
		err =
		    make("d/file-with-a-name-longer-than-a-dentry-holds", S_IFREG | 0666);
		if (!err)
			err = fs_rename(AT_FDCWD,
			    "d/file-with-a-name-longer-than-a-dentry-holds", AT_FDCWD,
			    "d/another-name-longer-than-what-a-dentry-holds", 0);
		fake_kmalloc_fail_nth(0);
		is_done =
		    !err &&
		    look("d/another-name-longer-than-what-a-dentry-holds", 0) == OK &&
		    n > 20;
		(void)fs_unlink(
		    AT_FDCWD, "d/file-with-a-name-longer-than-a-dentry-holds", false, 0);
		(void)fs_unlink(
		    AT_FDCWD, "d/another-name-longer-than-what-a-dentry-holds", false, 0);
	}
	CHECK_EQ(fs_unlink(AT_FDCWD, "d", true, 0), OK);
}

KTEST(cached_names_give_their_memory_back)
{
	char name[32];
	long live;

	begin();
	dcache_shrink(100000);
	fake_rcu_run();
	live = fake_kmalloc_live;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "none-%d", i);
		CHECK_EQ(look(name, 0), ERR_NOENT);
	}
	CHECK(fake_kmalloc_live > live + 1000); /* negative ones are kept */
	while (dcache_shrink(1000) > 0)
		;
	CHECK_EQ(fake_kmalloc_live, live);
}

KTEST(mounts_are_shown_as_in_fstab)
{
	struct seq s;

	begin();
	seq_init(&s);
	mounts_show(&s, &fs_root, MOUNTS_FSTAB);
	seq_putc(&s, '\0');
	CHECK(strstr(s.buf, "rootfs / rootfs rw,relatime"));
	seq_free(&s);
	seq_init(&s);
	seq_escape(&s, "a b\\c", " \\");
	CHECK(s.len == 11 && !memcmp(s.buf, "a\\040b\\134c", 11));
	seq_free(&s);
}
