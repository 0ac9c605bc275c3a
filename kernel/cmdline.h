/*
 * The kernel command line, in Linux's form: words "name" or "name=value" parted by blanks,
 * double quotes keep blanks. "--" ends it: the rest is init's. Read-only after cmdline_init.
 */
#pragma once

#include "lib/types.h"

/* Takes a copy of `text`. Called once, before anything reads options. */
void cmdline_init(const char *text);

/* The whole line as given, for /proc/cmdline. */
const char *cmdline_text(void);

/* Whether "name" or "name=..." is there. */
bool cmdline_has(const char *name);

/*
 * The value of the `nth` (from 0) "name=value", or NULL. The string lives forever.
 * "name" alone has the value "".
 */
const char *cmdline_get(const char *name, unsigned nth);

/* The last "name=N" as a number (0x accepted); `dflt` when absent; a bad one is logged. */
uint64_t cmdline_u64(const char *name, uint64_t dflt);

/*
 * init's own arguments: what follows "--", and before it every plain word the kernel does not
 * know; init's environment: every unknown "name=value". Names with a dot are module options and
 * go nowhere. As Linux does it. The arrays get at most `max` pointers; both return how many.
 */
unsigned cmdline_init_args(const char **argv, unsigned max);
unsigned cmdline_init_env(const char **envp, unsigned max);
