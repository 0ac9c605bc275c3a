/* What uname tells: the system's name for programs. */
#pragma once

enum { UTSNAME_LEN = 65 };

struct utsname {
	char sysname[UTSNAME_LEN], nodename[UTSNAME_LEN], release[UTSNAME_LEN],
	    version[UTSNAME_LEN], machine[UTSNAME_LEN], domainname[UTSNAME_LEN];
};

extern struct utsname kernel_utsname;
