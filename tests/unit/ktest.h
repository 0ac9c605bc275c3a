/*
 * Unit tests. A test is a sentence: KTEST(list_pop_front_of_empty_is_null) { CHECK(...); }
 * Every KTEST of a program runs in turn; a failed CHECK ends its test, the others go on.
 */
#pragma once

#include "lib/types.h"

struct ktest {
	const char *name;
	void (*fn)(void);
	struct ktest *next;
};

void ktest_add(struct ktest *);
void ktest_fail(const char *file, int line, const char *expr, long long a, long long b);

#define KTEST(test_name) \
	static void test_name(void); \
	static struct ktest test_name##_entry = {.name = #test_name, .fn = test_name}; \
	__attribute__((constructor)) static void test_name##_add(void) \
	{ \
		ktest_add(&test_name##_entry); \
	} \
	static void test_name(void)

#define CHECK(x) \
	do { \
		if (!(x)) { \
			ktest_fail(__FILE__, __LINE__, #x, 0, 0); \
			return; \
		} \
	} while (0)

#define CHECK_EQ(a, b) \
	do { \
		long long a_ = (long long)(a), b_ = (long long)(b); \
		if (a_ != b_) { \
			ktest_fail(__FILE__, __LINE__, #a " == " #b, a_, b_); \
			return; \
		} \
	} while (0)
