/*
 * Device registers: I/O ports and memory-mapped registers. Drivers touch hardware only through
 * these, so that host tests can put a device model behind them (tests/fakes).
 */
#pragma once

#include "lib/types.h"

static inline uint8_t
port_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %w1, %b0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t
port_in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %w1, %w0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t
port_in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void
port_out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %b0, %w1" : : "a"(v), "Nd"(port));
}

static inline void
port_out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %w0, %w1" : : "a"(v), "Nd"(port));
}

static inline void
port_out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %w1" : : "a"(v), "Nd"(port));
}

static inline uint8_t
mmio_read8(const volatile void *base, size_t off)
{
	return *(const volatile uint8_t *)((const volatile char *)base + off);
}

static inline uint16_t
mmio_read16(const volatile void *base, size_t off)
{
	return *(const volatile uint16_t *)((const volatile char *)base + off);
}

static inline uint32_t
mmio_read32(const volatile void *base, size_t off)
{
	return *(const volatile uint32_t *)((const volatile char *)base + off);
}

static inline uint64_t
mmio_read64(const volatile void *base, size_t off)
{
	return *(const volatile uint64_t *)((const volatile char *)base + off);
}

static inline void
mmio_write8(volatile void *base, size_t off, uint8_t v)
{
	*(volatile uint8_t *)((volatile char *)base + off) = v;
}

static inline void
mmio_write16(volatile void *base, size_t off, uint16_t v)
{
	*(volatile uint16_t *)((volatile char *)base + off) = v;
}

static inline void
mmio_write32(volatile void *base, size_t off, uint32_t v)
{
	*(volatile uint32_t *)((volatile char *)base + off) = v;
}

static inline void
mmio_write64(volatile void *base, size_t off, uint64_t v)
{
	*(volatile uint64_t *)((volatile char *)base + off) = v;
}
