/*
 * Device registers on the host: a test that links fake_mmio_read and its friends puts a
 * device model behind them; without them memory is memory, and ports do not exist.
 */
#pragma once

#include <stdlib.h>

#include "lib/types.h"

#define WEAK __attribute__((weak))

WEAK uint64_t fake_mmio_read(const volatile void *base, size_t off, unsigned size);
WEAK void fake_mmio_write(volatile void *base, size_t off, unsigned size, uint64_t v);
WEAK uint32_t fake_port_in(uint16_t port, unsigned size);
WEAK void fake_port_out(uint16_t port, unsigned size, uint32_t v);

#define FAKE_IO(bits) \
	static inline uint##bits##_t mmio_read##bits( \
	    const volatile void *base, size_t off) \
	{ \
		if (fake_mmio_read) \
			return (uint##bits##_t)fake_mmio_read(base, off, bits / 8); \
		return *( \
		    const volatile uint##bits##_t *)((const volatile char *)base + off); \
	} \
	static inline void mmio_write##bits( \
	    volatile void *base, size_t off, uint##bits##_t v) \
	{ \
		if (fake_mmio_write) \
			fake_mmio_write(base, off, bits / 8, v); \
		else \
			*(volatile uint##bits##_t *)((volatile char *)base + off) = v; \
	}
FAKE_IO(8)
FAKE_IO(16)
FAKE_IO(32)
FAKE_IO(64)

#define FAKE_PORT(bits) \
	static inline uint##bits##_t port_in##bits(uint16_t port) \
	{ \
		if (!fake_port_in) \
			abort(); \
		return (uint##bits##_t)fake_port_in(port, bits / 8); \
	} \
	static inline void port_out##bits(uint16_t port, uint##bits##_t v) \
	{ \
		if (!fake_port_out) \
			abort(); \
		fake_port_out(port, bits / 8, v); \
	}
FAKE_PORT(8)
FAKE_PORT(16)
FAKE_PORT(32)
