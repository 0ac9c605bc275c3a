/*
 * Options of a mounted procfs (proc(5)): hidepid= hides the processes that one may not look into, but not
 * from the group gid=. /proc itself is one instance, which is mounted again where there are no options;
 * with options it is another.
 */
#include "fs/procfs.h"

#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"

enum hidepid { HIDE_NOTHING, HIDE_CONTENT, HIDE_PROCESS, HIDE_UNLESS_TRACEABLE = 4 };

struct options {
	uint32_t hidepid; /* [a] */
	uint32_t gid;     /* [a] who sees all the same */
};

static const struct {
	const char *name;
	enum hidepid value;
} names[] = {{"off", HIDE_NOTHING}, {"noaccess", HIDE_CONTENT},
    {"invisible", HIDE_PROCESS}, {"ptraceable", HIDE_UNLESS_TRACEABLE}};

static struct options first; /* of /proc */

/* What comes after NAME= in an option of `len` bytes; NULL: it is another. */
static const char *
value_of(const char *option, size_t len, const char *name, size_t *value_len)
{
	size_t n = strlen(name);

	if (len <= n || strncmp(option, name, n) != 0)
		return NULL;
	*value_len = len - n;
	return option + n;
}

static bool
parse_hidepid(struct options *o, const char *text, size_t len)
{
	const char *end;
	uint64_t n;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == len &&
		    strncmp(text, names[i].name, len) == 0) {
			o->hidepid = names[i].value;
			return true;
		}
	if (!parse_u64(text, &end, 10, &n) || end != text + len ||
	    (n > HIDE_PROCESS && n != HIDE_UNLESS_TRACEABLE))
		return false;
	o->hidepid = (uint32_t)n;
	return true;
}

static bool
parse_option(struct options *o, const char *text, size_t len)
{
	const char *value, *end;
	size_t value_len;
	uint64_t n;

	value = value_of(text, len, "hidepid=", &value_len);
	if (value)
		return parse_hidepid(o, value, value_len);
	value = value_of(text, len, "gid=", &value_len);
	if (!value || !parse_u64(value, &end, 10, &n) || end != value + value_len ||
	    n > INT32_MAX)
		return false;
	o->gid = (uint32_t)n;
	return true;
}

static bool
parse(struct options *o, const char *text)
{
	while (*text) {
		const char *comma = strchr(text, ',');
		size_t len = comma ? (size_t)(comma - text) : strlen(text);

		if (len && !parse_option(o, text, len))
			return false;
		text += len + (comma != NULL);
	}
	return true;
}

static struct options *
options_of(const struct super *super)
{
	return super->private;
}

static void
set(struct options *o, const struct options *from)
{
	__atomic_store_n(&o->gid, from->gid, __ATOMIC_RELAXED);
	__atomic_store_n(&o->hidepid, from->hidepid, __ATOMIC_RELAXED);
}

/* What is not said again stays. */
static enum err
remount(struct super *super, const char *data)
{
	struct options o = *options_of(super);

	if (!parse(&o, data))
		return ERR_INVAL;
	set(options_of(super), &o);
	return OK;
}

static void
show_options(struct super *super, struct seq *s)
{
	const struct options *o = options_of(super);

	if (o->gid)
		seq_printf(s, ",gid=%u", o->gid);
	for (unsigned i = 1; i < ARRAY_SIZE(names); i++)
		if (o->hidepid == names[i].value)
			seq_printf(s, ",hidepid=%s", names[i].name);
}

static void
free_super(struct super *super)
{
	if (options_of(super) != &first)
		kfree(options_of(super));
}

const struct super_ops proc_super_ops = {
    .show_options = show_options, .remount = remount, .free = free_super};

enum err
proc_options_add(struct super *super, const char *data)
{
	struct options o = {.hidepid = HIDE_NOTHING}, *own;

	if (!data) {
		super->private = &first;
		return OK;
	}
	if (!parse(&o, data))
		return ERR_INVAL;
	own = kzalloc(sizeof(*own));
	if (!own)
		return ERR_NOMEM;
	*own = o;
	super->private = own;
	return OK;
}

static enum err
check(const struct super *super, uint32_t pid, enum hidepid least)
{
	uint32_t hidepid, gid;

	hidepid = __atomic_load_n(&options_of(super)->hidepid, __ATOMIC_RELAXED);
	if (hidepid < least)
		return OK;
	gid = __atomic_load_n(&options_of(super)->gid, __ATOMIC_RELAXED);
	if (hidepid != HIDE_UNLESS_TRACEABLE && cred_in_group(current_cred(), gid))
		return OK;
	return proc_may_look(&(struct proc_id){.pid = pid}) == ERR_ACCES ? ERR_PERM : OK;
}

bool
proc_is_visible(const struct super *super, uint32_t pid)
{
	return check(super, pid, HIDE_PROCESS) == OK;
}

enum err
proc_may_enter(const struct inode *inode)
{
	return check(inode->super, proc_inode_of(inode)->id.pid, HIDE_CONTENT);
}
