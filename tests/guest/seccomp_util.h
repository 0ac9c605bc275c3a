/* The structures of filters and of what they judge. */
#pragma once

#include <stdint.h>

/* <linux/filter.h>, <linux/seccomp.h> */
struct sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

struct sock_fprog {
	unsigned short len;
	struct sock_filter *filter;
};

struct seccomp_data {
	int nr;
	uint32_t arch;
	uint64_t instruction_pointer, args[6];
};
