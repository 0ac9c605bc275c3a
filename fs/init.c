/* Bring-up of the file name space, and the mounts every program expects. */
#define LOG_PREFIX "fs: "

#include "fs/anon.h"
#include "fs/device.h"
#include "fs/notify.h"
#include "fs/procfs.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "mm/reclaim.h"

static struct shrinker dentry_shrinker = {.name = "dentry", .shrink = dcache_shrink};

void
fs_init(void)
{
	dcache_init();
	shrinker_register(&dentry_shrinker);
	namei_init();
	tmpfs_init();
	if (fs_mount("rootfs", "rootfs", NULL, 0, "mode=755,size=0,nr_inodes=0"))
		panic("no memory for the root file system");
	fs_init_context = fs_context_create_first();
	if (!fs_init_context)
		panic("no memory for the root file system");
	anon_init();
	memfd_init();
	device_init();
	dev_mem_init();
	procfs_init();
	protect_init();
	mqueue_fs_init();
	inotify_init();
}

/* Makes the directory if it is not there and mounts on it, unless something is mounted
 * already. */
static void
mount_on(const char *dir, const char *type, uint32_t flags)
{
	struct path path;
	enum err err;

	(void)fs_mknod(AT_FDCWD, dir, S_IFDIR | 0755, 0, WALK_KERNEL); /* may exist */
	err =
	    path_lookup(AT_FDCWD, dir, WALK_KERNEL | WALK_FOLLOW | WALK_DIRECTORY, &path);
	if (!err) {
		if (path.dentry != path.mount->root)
			err = fs_mount(type, type, &path, flags, "");
		path_put(&path);
	}
	if (err)
		log_err("%s could not be mounted (error %d)", dir, -err);
}

void
fs_mount_standard(void)
{
	mount_on("/dev", "devtmpfs", MS_NOSUID);
	mount_on("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
	mount_on("/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
}
