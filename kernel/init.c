/*
 * The first process. Its program comes from the initial file system or from init=; a machine
 * without one has nothing to do, which is not the kernel's fault: a message and an orderly end,
 * not a panic.
 */
#include "kernel/init.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proc/process.h"

enum { MAX_ARGS = 32, MAX_ENV = 32 };

static const char *args[MAX_ARGS + 2]; /* program, arguments, NULL */
static const char *env[MAX_ENV + 3];

static bool
try_init(const char *path, enum log_level level)
{
	enum err err;

	args[0] = path;
	err = process_start_init(path, args, env);
	if (err == OK) {
		log_notice("%s started as process 1", path);
		return true;
	}
	log_printf(level, "init: %s cannot be started: error %d", path, -err);
	return false;
}

void
first_process_start(void)
{
	static const char *const standard[] = {
	    "/init",
	    "/sbin/init",
	    "/etc/init",
	    "/bin/init",
	    "/bin/sh",
	};
	const char *named = cmdline_get("rdinit", 0);

	args[1 + cmdline_init_args(args + 1, MAX_ARGS)] = NULL;
	env[0] = "HOME=/";
	env[1] = "TERM=linux";
	env[2 + cmdline_init_env(env + 2, MAX_ENV)] = NULL;
	if (!named)
		named = cmdline_get("init", 0);
	if (named && try_init(named, LOG_ERR))
		return;
	for (unsigned i = 0; !named && i < ARRAY_SIZE(standard); i++)
		if (try_init(standard[i], LOG_INFO))
			return;
	log_printf(LOG_EMERG,
	    "No program to run as process 1: is there an initial file system, "
	    "and does it hold /init? init= names another.");
	panic_end();
}
