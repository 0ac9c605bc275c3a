/* The C library's memory and string calls that the kernel uses, same meaning. */
#pragma once

#include "lib/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);

/* Copies `src` to `dst` of `size` > 0 bytes, cut if need be, always terminated; returns strlen(src). */
size_t strlcpy(char *dst, const char *src, size_t size);

/*
 * Reads a number: decimal, 0x hex or 0 octal when `base` is 0. Stores it and sets *end to
 * the first character not read. Returns false when there is no digit or it does not fit.
 */
bool parse_u64(const char *s, const char **end, unsigned base, uint64_t *value);

/* A size such as 64M: a number as above with an optional suffix K, M, G or T (powers of 1024). */
bool parse_size(const char *s, const char **end, uint64_t *value);
