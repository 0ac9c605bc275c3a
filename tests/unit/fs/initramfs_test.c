/*
 * Unpacking of initial file systems, whole and damaged. LINK: fs/anon.c fs/attr.c fs/change.c
 * fs/context.c fs/data.c fs/dcache.c fs/device.c fs/file_caps.c fs/inode.c fs/initramfs.c
 * fs/inotify.c fs/locks.c fs/notify.c
 * fs/mount.c fs/namei.c fs/open.c fs/permission.c fs/protect.c fs/seq.c fs/tmpfs.c fs/xattr.c
 * kernel/file.c
 * kernel/proc/cred.c lib/cpio.c lib/crc32.c lib/fmt.c lib/inflate.c lib/rbtree.c
 * lib/string.c mm/commit.c mm/evict.c mm/pagecache.c mm/uio.c tests/fakes/clock.c tests/fakes/frames.c
 * tests/fakes/fs_env.c tests/fakes/kmalloc.c tests/fakes/mutex.c tests/fakes/panic.c
 * tests/fakes/no_user.c
 * tests/fakes/percpu.c tests/fakes/rcu.c tests/fakes/spinlock.c tests/fakes/wait.c
 */
#include "fs/vfs.h"
#include "kernel/boot.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/fs_env.h"
#include "tests/unit/ktest.h"

#include <stdio.h>
#include <unistd.h>

enum { ORDER = 8, ROOM = PAGE_SIZE << ORDER };

static struct boot_info boot;
static uint64_t freed;
static uint32_t seed = 3;

void
frames_free_range(paddr_t base, uint64_t size)
{
	freed += size;
}

static uint32_t
rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* The memory of initrd number `i`. */
static uint8_t *
range(unsigned i)
{
	static struct page *pages[2];
	static bool is_up;

	if (!is_up)
		fake_fs_begin();
	is_up = true;
	fake_log_is_quiet = true;
	if (!pages[i])
		pages[i] = page_alloc(ORDER, 0);
	boot.initrd[i].base = page_to_phys(pages[i]);
	return page_to_virt(pages[i]);
}

static size_t
member(uint8_t *to, const char *name, unsigned mode, const char *contents, unsigned ino,
    unsigned nlink)
{
	size_t size = strlen(contents), n;

	n = (size_t)scnprintf((char *)to, 200,
	    "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ino, mode, 5, 6,
	    nlink, 1000, (unsigned)size, 0, 0, 7, 9, (unsigned)strlen(name) + 1, 0);
	memcpy(to + n, name, strlen(name) + 1);
	n += strlen(name) + 1;
	for (; n % 4; n++)
		to[n] = 0;
	memcpy(to + n, contents, size);
	n += size;
	for (; n % 4; n++)
		to[n] = 0;
	return n;
}

static size_t
sample(uint8_t *to, const char *top)
{
	char name[64];
	size_t n = 0;

	n += member(to + n, top, S_IFDIR | 0750, "", 1, 1);
	snprintf(name, sizeof(name), "%s/file", top);
	n += member(to + n, name, S_IFREG | 04755, "contents of the file", 2, 1);
	snprintf(name, sizeof(name), "%s/deep/er/file", top);
	n += member(
	    to + n, name, S_IFREG | 0644, "in folders the archive leaves out", 3, 1);
	snprintf(name, sizeof(name), "%s/link", top);
	n += member(to + n, name, S_IFLNK | 0777, "file", 4, 1);
	snprintf(name, sizeof(name), "%s/node", top);
	n += member(to + n, name, S_IFCHR | 0600, "", 5, 1);
	snprintf(name, sizeof(name), "%s/one", top);
	n += member(to + n, name, S_IFREG | 0644, "", 6, 2);
	snprintf(name, sizeof(name), "%s/two", top);
	n += member(to + n, name, S_IFREG | 0644, "comes with the last name", 6, 2);
	n += member(to + n, "TRAILER!!!", 0, "", 0, 1);
	return n;
}

static size_t
gzip(const uint8_t *data, size_t n, uint8_t *out)
{
	char name[] = "/tmp/initramfs_test.XXXXXX", command[64];
	int fd = mkstemp(name);
	size_t len;
	FILE *f;

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	close(fd);
	sprintf(command, "gzip -9 -c <%s", name);
	f = popen(command, "r");
	len = fread(out, 1, ROOM, f);
	pclose(f);
	unlink(name);
	return len;
}

static const char *
text_of(const char *top, const char *name)
{
	static char buf[256];
	char path[64];
	struct file *f;
	ssize_t n;

	snprintf(path, sizeof(path), "/%s/%s", top, name);
	if (file_open(path, O_RDONLY, 0, &f))
		return NULL;
	n = file_read_at(f, buf, sizeof(buf) - 1, 0);
	file_put(f);
	buf[n < 0 ? 0 : n] = '\0';
	return buf;
}

static bool
is_whole(const char *top)
{
	char path[64];
	struct path p, q;
	bool ok;

	if (!text_of(top, "link") ||
	    strcmp(text_of(top, "link"), "contents of the file") ||
	    strcmp(text_of(top, "deep/er/file"), "in folders the archive leaves out") ||
	    strcmp(text_of(top, "one"), "comes with the last name"))
		return false;
	snprintf(path, sizeof(path), "/%s/file", top);
	if (path_lookup(AT_FDCWD, path, 0, &p))
		return false;
	ok = p.dentry->inode->mode == (S_IFREG | 04755) && p.dentry->inode->uid == 5 &&
	     p.dentry->inode->gid == 6 &&
	     p.dentry->inode->mtime_ns == 1000 * (int64_t)NSEC_PER_SEC;
	path_put(&p);
	snprintf(path, sizeof(path), "/%s/node", top);
	if (path_lookup(AT_FDCWD, path, 0, &p))
		return false;
	ok = ok && p.dentry->inode->rdev == dev_make(7, 9);
	path_put(&p);
	snprintf(path, sizeof(path), "/%s/one", top);
	if (path_lookup(AT_FDCWD, path, 0, &p))
		return false;
	snprintf(path, sizeof(path), "/%s/two", top);
	if (path_lookup(AT_FDCWD, path, 0, &q))
		return false;
	ok = ok && p.dentry->inode == q.dentry->inode && p.dentry->inode->nlink == 2;
	path_put(&p);
	path_put(&q);
	return ok;
}

static void
unpack(size_t n0, size_t n1)
{
	boot.num_initrds = n1 ? 2 : 1;
	boot.initrd[0].size = n0;
	boot.initrd[1].size = n1;
	freed = 0;
	initramfs_unpack(&boot);
}

KTEST(initramfs_plain_gzip_joined_and_several)
{
	static uint8_t plain[65536];
	uint8_t *a = range(0), *b = range(1);
	size_t n, na = 0;

	/* Plain, zeros, gzip of two archives, gzip; and a second range. */
	na += sample(a, "p1");
	memset(a + na, 0, 512);
	na += 512;
	n = sample(plain, "p2");
	memset(plain + n, 0, 100);
	n += 100;
	n += sample(plain + n, "p3");
	na += gzip(plain, n, a + na);
	n = sample(plain, "p4");
	na += gzip(plain, n, a + na);
	unpack(na, sample(b, "p5"));
	CHECK(is_whole("p1"));
	CHECK(is_whole("p2"));
	CHECK(is_whole("p3"));
	CHECK(is_whole("p4"));
	CHECK(is_whole("p5"));
	CHECK_EQ(freed, ALIGN_UP(na, PAGE_SIZE) + PAGE_SIZE);
}

KTEST(initramfs_later_members_replace_earlier_ones)
{
	uint8_t *a = range(0);
	size_t n = 0;

	n += member(a + n, "r", S_IFDIR | 0755, "", 1, 1);
	n += member(a + n, "r/f", S_IFREG | 0644, "a longer first text", 2, 1);
	n += member(a + n, "r/f", S_IFREG | 0644, "second", 3, 1);
	n += member(a + n, "r/l", S_IFLNK | 0777, "nowhere", 4, 1);
	n += member(a + n, "r/l", S_IFLNK | 0777, "f", 5, 1);
	n += member(a + n, "TRAILER!!!", 0, "", 0, 1);
	unpack(n, 0);
	CHECK(!strcmp(text_of("r", "f"), "second"));
	CHECK(!strcmp(text_of("r", "l"), "second"));
}

KTEST(initramfs_keeps_what_comes_before_the_damage)
{
	static uint8_t plain[65536];
	uint8_t *a = range(0);
	size_t n = sample(plain, "cut"), gz;

	/* Cut in the last member: the first ones are there; the memory is freed all the
	 * same. */
	memcpy(a, plain, n);
	unpack(n - 200, 0);
	CHECK(!strcmp(text_of("cut", "file"), "contents of the file"));
	CHECK_EQ(freed, ALIGN_UP(n - 200, PAGE_SIZE));
	gz = gzip(plain, n, a);
	a[gz - 8] ^= 1; /* the checksum: everything has been unpacked by then */
	unpack(gz, 0);
	CHECK(is_whole("cut"));
	memset(a, 'x', 100);
	unpack(100, 0);
	CHECK_EQ(freed, PAGE_SIZE);
}

/* Nothing to check but that the sanitizers stay silent, that it ends and frees the range.
 */
KTEST(initramfs_survives_changed_bytes)
{
	static uint8_t plain[65536], gz[65536];
	uint8_t *a = range(0);
	size_t n = sample(plain, "noise"), ngz = gzip(plain, n, gz);

	for (unsigned round = 0; round < 1500; round++) {
		bool is_gz = round % 2;
		size_t len = is_gz ? ngz : n;

		memcpy(a, is_gz ? gz : plain, len);
		for (unsigned i = 0; i <= rnd() % 3; i++)
			a[rnd() % len] =
			    is_gz ? rnd() : (uint8_t) "0F7 z\0\377/"[rnd() % 8];
		unpack(len, 0);
		CHECK_EQ(freed, ALIGN_UP(len, PAGE_SIZE));
	}
}

KTEST(initramfs_out_of_memory_is_no_disaster)
{
	uint8_t *a = range(0);
	size_t n = sample(a, "mem");
	long frames = fake_frames_live;

	for (unsigned i = 1; i < 120; i++) {
		sample(a, "mem");
		fake_kmalloc_fail_nth(i);
		unpack(n, 0);
		fake_kmalloc_fail_nth(0);
	}
	unpack(n, 0);
	CHECK(is_whole("mem"));
	CHECK(fake_frames_live <= frames + 16);
}
