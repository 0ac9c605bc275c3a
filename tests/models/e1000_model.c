/*
 * The register side of the model: reset, EEPROM, PHY, interrupts. The rings are in
 * e1000_model_rings.c.
 */
#include "tests/models/e1000_model.h"

#include <stdarg.h>

#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/models/e1000_model_priv.h"

void
model_violation(struct e1000_model *m, const char *fmt, ...)
{
	va_list args;

	m->violations++;
	va_start(args, fmt);
	vsnprintf(m->violation, sizeof(m->violation), fmt, args);
	va_end(args);
}

/* ---- Interrupts (SDM 13.4.17-21; 82574 7.4) ------------------------------------------- */

enum {
	IVAR_FIELDS = 5, /* RxQ0 RxQ1 TxQ0 TxQ1 Other */
	CAUSE_OTHER = 24,
	CAUSE_LSC = 1 << 2,
	CAUSES_OTHER = 1 << 2 | 1 << 6 | 1 << 4, /* LSC, RXO, RXDMT0 */
};

static void
send_messages(struct e1000_model *m)
{
	static const unsigned bits[IVAR_FIELDS] = {20, 21, 22, 23, 24};

	for (unsigned i = 0; i < IVAR_FIELDS; i++) {
		uint32_t field = REG(m, 0xe4) >> 4 * i & 15;
		uint32_t cause = 1u << bits[i];

		if (!(REG(m, 0xc0) & REG(m, 0xd0) & cause))
			continue;
		if (!(field & 8)) {
			model_violation(m, "cause %u has no vector in IVAR", bits[i]);
			continue;
		}
		m->vectors |= 1u << (field & 7);
		/* EIAC: the message acknowledges. The others must be cleared by software. */
		REG(m, 0xc0) &= ~(REG(m, 0xdc) & cause);
		if (bits[i] == CAUSE_OTHER)
			REG(m, 0xd0) &= ~0u;
	}
}

static void
update(struct e1000_model *m)
{
	m->line = !m->has_msix && (REG(m, 0xc0) & REG(m, 0xd0)) != 0;
	if (m->has_msix)
		send_messages(m);
}

void
e1000_model_raise(struct e1000_model *m, uint32_t causes)
{
	if (m->is_gone)
		return;
	if (m->chip == MODEL_82574 && causes & CAUSES_OTHER & REG(m, 0xd0))
		causes |= 1u << CAUSE_OTHER;
	REG(m, 0xc0) |= causes;
	update(m);
}

/* 82574 10.2.4.1: cleared if nothing is enabled, or if an interrupt is asserted. */
static uint32_t
read_icr(struct e1000_model *m)
{
	uint32_t v = REG(m, 0xc0);
	bool is_asserted = v & REG(m, 0xd0);

	if (m->chip == MODEL_82574) {
		if (REG(m, 0xd0) == 0 || is_asserted)
			REG(m, 0xc0) = 0;
		v |= is_asserted ? 1u << 31 : 0;
	} else {
		REG(m, 0xc0) = 0;
	}
	update(m);
	return v;
}

/* ---- Reset ----------------------------------------------------------------------------- */

static uint16_t
nvm_sum(const struct e1000_model *m)
{
	uint16_t sum = 0;

	for (unsigned i = 0; i < 64; i++)
		sum = (uint16_t)(sum + m->nvm[i]);
	return sum;
}

void
e1000_model_seal_nvm(struct e1000_model *m)
{
	m->nvm[63] = (uint16_t)(m->nvm[63] + 0xbaba - nvm_sum(m));
}

static void
set_status(struct e1000_model *m)
{
	uint32_t v = 2u << 6 | 1; /* 1000 Mb/s, full duplex */

	if (m->has_link && REG(m, 0) & 1u << 6)
		v |= 1u << 1;
	if (m->is_pcix)
		v |= 1u << 13;
	if (m->chip == MODEL_82574 && !(REG(m, 0) & 1u << 2))
		v |= 1u << 19;
	REG(m, 8) = v;
}

static void
reset(struct e1000_model *m)
{
	memset(m->regs, 0, sizeof(m->regs));
	memset(m->tx_len, 0, sizeof(m->tx_len));
	m->is_stuck = false;
	m->hang_after = m->hang_after == 0 ? -1 : m->hang_after;
	m->num_resets++;
	/* The station address comes from the EEPROM (5.6.2). */
	REG(m, 0x5400) = m->nvm[0] | (uint32_t)m->nvm[1] << 16;
	REG(m, 0x5404) = m->nvm[2] | (nvm_sum(m) == 0xbaba ? 1u << 31 : 0);
	REG(m, 0x0) = 1u << 6;
	REG(m, 0x1000) = 48;
	if (m->chip == MODEL_82574)
		REG(m, 0x10) = 1u << 9;
	set_status(m);
	update(m);
}

void
e1000_model_init(struct e1000_model *m, enum model_chip chip, const uint8_t mac[6])
{
	memset(m, 0, sizeof(*m));
	m->chip = chip;
	m->hang_after = -1;
	m->rx_len = -1;
	m->has_link = true;
	for (unsigned i = 0; i < 3; i++)
		m->nvm[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
	for (unsigned i = 3; i < 63; i++)
		m->nvm[i] = (uint16_t)(i * 0x0123);
	e1000_model_seal_nvm(m);
	m->phy[0] = 0x1140; /* autonegotiation, full duplex, 1000 */
	m->phy[1] = 0x796d;
	m->phy[4] = 0x01e1;
	m->phy[5] = 0x45e1; /* the partner pauses */
	m->phy[9] = 0x0200;
	reset(m);
	m->num_resets = 0;
}

void
e1000_model_set_link(struct e1000_model *m, bool is_up)
{
	if (m->has_link == is_up)
		return;
	m->has_link = is_up;
	set_status(m);
	e1000_model_raise(m, CAUSE_LSC);
}

/* ---- EEPROM (SDM 5.3) -------------------------------------------------------------------- */

static void
write_eerd(struct e1000_model *m, uint32_t v)
{
	unsigned word = m->chip == MODEL_82574 ? v >> 2 & 0x3fff : v >> 8 & 0xff;

	if (m->chip == MODEL_82544)
		model_violation(m, "the 82544 has no EERD");
	if (!(v & 1) || m->has_broken_eerd || m->chip == MODEL_82544)
		return;
	REG(m, 0x14) = (uint32_t)m->nvm[word & 63] << 16 |
	               (m->chip == MODEL_82574 ? 1u << 1 : 1u << 4);
}

/*
 * The Microwire EEPROM of 64 words: after chip select, a start bit and "10" and six bits of
 * address come in, one on each rising clock; then a word goes out.
 */
static void
write_eecd(struct e1000_model *m, uint32_t v)
{
	bool clock = v & 1, select = v & 2, in = v & 4;
	uint32_t out = REG(m, 0x10) & 8;

	if (!select) {
		m->mw_bits = 0;
		m->mw_shift = 0;
	} else if (clock && !m->mw_clock) {
		if (m->chip != MODEL_82544 && !(v & 1u << 6))
			model_violation(m, "EEPROM used without a request");
		if (m->mw_bits < 9) {
			if (m->mw_bits ||
			    in) /* zeros before the start bit do not count */
				m->mw_shift = m->mw_shift << 1 | in, m->mw_bits++;
			if (m->mw_bits == 9)
				m->mw_shift = m->mw_shift >> 6 == 6
				                  ? m->nvm[m->mw_shift & 63]
				                  : 0xdead;
		} else {
			out = m->mw_shift & 0x8000 ? 8 : 0;
			m->mw_shift <<= 1;
		}
	}
	m->mw_clock = clock;
	REG(m, 0x10) = (v & ~0x388u) | out | (v & 1u << 6 ? 1u << 7 : 0) |
	               (m->chip == MODEL_82574 ? 1u << 9 : 0);
}

/* ---- PHY (SDM 8.5) ------------------------------------------------------------------------ */

static void
write_mdic(struct e1000_model *m, uint32_t v)
{
	unsigned reg = v >> 16 & 31, op = v >> 26 & 3;

	if (m->chip == MODEL_82574 && !(REG(m, 0xf00) & 1u << 5))
		model_violation(m, "MDIC without the semaphore");
	REG(m, 0x20) = v & ~(1u << 28);
	if (m->has_broken_phy)
		return;
	if ((v >> 21 & 31) != 1 || op == 0 || op == 3) {
		REG(m, 0x20) = v | 1u << 28 | 1u << 30;
		return;
	}
	if (op == 1)
		m->phy[reg] = (uint16_t)v & (reg == 0 ? ~(1u << 9) : ~0u);
	REG(m, 0x20) = (v & 0xffff0000) | 1u << 28 | m->phy[reg];
}

/* ---- Registers ------------------------------------------------------------------------------ */

static bool
is_counter(unsigned off)
{
	return off >= 0x4000 && off < 0x4100;
}

uint32_t
e1000_model_read(struct e1000_model *m, unsigned off)
{
	uint32_t v;

	if (m->is_gone)
		return ~0u;
	if (off % 4 || off >= MODEL_SPACE) {
		model_violation(m, "read at %x", off);
		return 0;
	}
	if (off == 0xc0)
		return read_icr(m);
	if (off == 0xd8)
		return 0;
	v = REG(m, off);
	if (is_counter(off))
		REG(m, off) = 0;
	return v;
}

static void
write_ctrl(struct e1000_model *m, uint32_t v, bool is_io)
{
	bool is_reset = v & 1u << 26;

	REG(m, 0) = v & ~(1u << 26);
	set_status(m);
	if (!is_reset)
		return;
	if (m->is_deaf_to_reset)
		REG(m, 0) |= 1u << 26;
	else if (is_io || m->chip == MODEL_82574 || m->chip == MODEL_82545)
		reset(m);
	/* else: the write was part of a 64-bit one, and lost (specification update) */
}

/* The tables; a write to an odd word of the 82544 spoils the one before it. */
static void
write_table(struct e1000_model *m, unsigned off, uint32_t v)
{
	REG(m, off) = v;
	if (m->chip == MODEL_82544 && off & 4)
		REG(m, off - 4) = 0xbadbad;
}

static void
write_tail(struct e1000_model *m, unsigned off, uint32_t v)
{
	unsigned len = REG(m, off - 0x10);

	if (v >= len / 16 && v)
		model_violation(m, "tail %x = %u of %u", off, v, len / 16);
	REG(m, off) = v;
}

void
e1000_model_write(struct e1000_model *m, unsigned off, uint32_t v)
{
	if (m->is_gone)
		return;
	if (off % 4 || off >= MODEL_SPACE) {
		model_violation(m, "write at %x", off);
		return;
	}
	if ((off >= 0x5200 && off < 0x5400) || (off >= 0x5600 && off < 0x5800)) {
		write_table(m, off, v);
		return;
	}
	switch (off) {
	case 0x0: write_ctrl(m, v, false); return;
	case 0x8: model_violation(m, "write to STATUS"); return;
	case 0x10: write_eecd(m, v); return;
	case 0x14: write_eerd(m, v); return;
	case 0x20: write_mdic(m, v); return;
	case 0xc0: REG(m, 0xc0) &= ~v; break;
	case 0xc8: e1000_model_raise(m, v); return;
	case 0xd0: REG(m, 0xd0) |= v; break;
	case 0xd8: REG(m, 0xd0) &= ~v; break;
	case 0xf00: REG(m, off) = m->has_busy_firmware ? v & ~(1u << 5) : v; return;
	case 0x2818:
	case 0x2918:
	case 0x3818:
	case 0x3918: write_tail(m, off, v); return;
	case 0x2808:
	case 0x2908:
	case 0x3808:
	case 0x3908:
		if (v % 128)
			model_violation(m, "ring of %u bytes", v);
		REG(m, off) = v;
		return;
	default: REG(m, off) = v; return;
	}
	update(m);
}

/* SDM 13.2.2: IOADDR at 0, IODATA at 4. */
void
e1000_model_io_write(struct e1000_model *m, unsigned port, uint32_t v)
{
	if (port == 0)
		m->io_addr = v;
	else if (port == 4 && m->io_addr == 0)
		write_ctrl(m, v, true);
	else
		e1000_model_write(m, m->io_addr, v);
}
