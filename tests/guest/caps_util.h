/* What tests of rights share: a thread's own capabilities, by the raw calls. */
#pragma once

#include "tests/guest/check.h"

#include <linux/capability.h>
#include <sys/syscall.h>

/* These are permitted and effective, none is inheritable. */
static inline void
set_caps(uint64_t caps)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {
	    {(uint32_t)caps, (uint32_t)caps, 0}, {caps >> 32, caps >> 32, 0}};

	CHECK_EQ(syscall(SYS_capset, &h, d), 0);
}

/* This one is in effect no more; it stays permitted. */
static inline void
drop_capability(int cap)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	CHECK_EQ(syscall(SYS_capget, &h, d), 0);
	d[cap / 32].effective &= ~(1u << cap % 32);
	CHECK_EQ(syscall(SYS_capset, &h, d), 0);
}
