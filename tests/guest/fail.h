/* CHECK: what must hold, or the process says where it does not and ends. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CHECK(x) \
	do { \
		if (!(x)) { \
			printf("FAIL %s:%d %s (errno %d)\n", __FILE__, __LINE__, #x, \
			    errno); \
			fflush(stdout); \
			_exit(1); \
		} \
	} while (0)
