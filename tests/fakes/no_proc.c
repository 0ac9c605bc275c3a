/* No /proc: what is registered there is not shown. */
#include "kernel/procfs.h"

enum err
proc_register(const char *name, void (*show)(struct seq *))
{
	return OK;
}
