/*
 * Tests inside the running kernel, debug builds only: each selftest=NAME on the command
 * line runs one late in boot, selftest=all those that come back. Output, one line each:
 * "T NAME", then "OK" or "FAIL why"; last "END n". A test of a panic does not come back:
 * the report is its result.
 *
 *	SELFTEST(vmalloc_guard) { SELFTEST_CHECK(x == 3); }	runs with "all"
 *	SELFTEST_FATAL(stack_overflow) { ... }			by name only
 */
#pragma once

#include "lib/types.h"

struct selftest {
	const char *name;
	void (*run)(void);
	bool is_fatal;
};

#define SELFTEST_ENTRY_(test_name, fatal) \
	static void selftest_##test_name(void); \
	static const struct selftest selftest_entry_##test_name \
	    __attribute__((section(".set.selftests"), used)) = { \
	        #test_name, selftest_##test_name, fatal}; \
	static void selftest_##test_name(void)

#define SELFTEST(test_name)       SELFTEST_ENTRY_(test_name, false)
#define SELFTEST_FATAL(test_name) SELFTEST_ENTRY_(test_name, true)

#define SELFTEST_CHECK(x) \
	do { \
		if (!(x)) { \
			selftest_fail(__FILE__, __LINE__, #x); \
			return; \
		} \
	} while (0)

void selftest_fail(const char *file, int line, const char *expr);

/* Runs what the command line asks for, if anything. In a thread, when all rooms are up.
 */
void selftest_run(void);
