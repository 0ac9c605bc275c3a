/* Programs that the kernel runs to have something done outside of it (core_pattern's pipes). */
#pragma once

#include "lib/err.h"

struct file;

/*
 * Starts `path` (a program or script, from the root of process 1) with root's rights, no
 * environment, and `input` as its only descriptor, 0. It is a child of process 1 that nobody has to
 * wait for. Thread context, sleeps until it is started; the errors are those of execve.
 */
enum err helper_start(const char *path, const char *const argv[], struct file *input);
