/*
 * Intel 8254x and 82574: reset, EEPROM, PHY, link, statistics. Chapters are those of the
 * 8254x Software Developer's Manual (SDM) unless the 82574's data sheet is named.
 */
#define LOG_PREFIX "e1000: "
#include "drivers/net/e1000_priv.h"
#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "lib/string.h"

enum {
	IO_ADDR = 0, /* the port window (13.2.2): an address here, its data there */
	IO_DATA = 4,
	FLOW_ADDR_LOW = 0x00c28001, /* 01:80:c2:00:00:01, IEEE 802.3 annex 31B */
	FLOW_ADDR_HIGH = 0x0100,
	FLOW_TYPE = 0x8808,
	FLOW_TIME = 0xffff,
};

static bool
is_82574(const struct e1000 *e)
{
	return e->quirks & E1000_IS_82574;
}

/* ---- Reset ------------------------------------------------------------------------- */

void
e1000_hw_quiet(struct e1000 *e)
{
	e1000_write(e, E1000_IMC, ~0u);
	e1000_write(e, E1000_RCTL, 0);
	e1000_write(e, E1000_TCTL, TCTL_PSP);
	e1000_flush(e);
	/* What is on its way must end before a reset (14.4). */
	if (is_82574(e)) {
		uint32_t ctrl = e1000_read(e, E1000_CTRL);

		e1000_write(e, E1000_CTRL, ctrl | CTRL_GIO_MASTER_DISABLE);
		(void)poll_until(!(e1000_read(e, E1000_STATUS) & STATUS_GIO_MASTER),
		    1 * NSEC_PER_MSEC);
	}
}

static void
write_by_io(struct e1000 *e, unsigned reg, uint32_t v)
{
	port_out32(e->io_port + IO_ADDR, reg);
	port_out32(e->io_port + IO_DATA, v);
}

/*
 * The 82540 to 82546 do not acknowledge the memory write that resets them when the bus
 * makes it part of a 64-bit one (specification updates): the I/O window it is. Whether a
 * reset took place shows in a register that it clears; if not, memory has to do.
 */
static void
reset_mac(struct e1000 *e)
{
	uint32_t ctrl = e1000_read(e, E1000_CTRL) | CTRL_RST;

	if (e->quirks & E1000_RESET_BY_IO && e->io_port) {
		e1000_write(e, E1000_TDLEN, 128);
		write_by_io(e, E1000_CTRL, ctrl);
		delay_ns(2 * NSEC_PER_USEC);
		if (e1000_read(e, E1000_TDLEN) == 0)
			return;
	}
	e1000_write(e, E1000_CTRL, ctrl);
	delay_ns(2 * NSEC_PER_USEC); /* 13.4.1: no access for 1 us */
}

/* The EEPROM is read into the chip after a reset (5.6; 82574: 10.2.2.2). */
static void
wait_for_auto_read(struct e1000 *e)
{
	if (is_82574(e))
		(void)poll_until(
		    e1000_read(e, E1000_EECD) & EECD_AUTO_RD, 20 * NSEC_PER_MSEC);
	else
		thread_sleep_ns(5 * NSEC_PER_MSEC);
}

/*
 * 82574: bits that its data sheet and specification update want set (10.2.6.9, TARC; GCR
 * bit 22; errata 13 and 20 for ACKs and interrupts).
 */
static void
init_82574(struct e1000 *e)
{
	uint32_t ext = e1000_read(e, E1000_CTRL_EXT);

	ext &= ~(1u << 23);
	ext |= 1u << 22 | CTRL_EXT_DRV_LOAD;
	e1000_write(e, E1000_CTRL_EXT, ext);
	e1000_write(e, E1000_TARC, e1000_read(e, E1000_TARC) | 1u << 26);
	e1000_write(e, E1000_GCR, e1000_read(e, E1000_GCR) | 1u << 22);
	e1000_write(e, E1000_GCR2, e1000_read(e, E1000_GCR2) | 1u << 0);
	e1000_write(e, E1000_RFCTL, RFCTL_EXSTEN | RFCTL_ACKDIS | RFCTL_ACKD_DIS);
}

/*
 * How the packet memory is divided: the receiver's part in KiB, the transmitter has the
 * rest of 64 (82574: 40), and in it room for two of the longest frames. A pause frame goes
 * out when one more of them is all that fits (8.7.3, 13.4.2).
 */
static void
divide_memory(struct e1000 *e)
{
	unsigned kib = 40;

	if (is_82574(e))
		kib = e->nd && e->nd->mtu > 1500 ? 20 : 32;
	e1000_write(e, E1000_PBA, kib);
	e1000_write(e, E1000_FCAL, FLOW_ADDR_LOW);
	e1000_write(e, E1000_FCAH, FLOW_ADDR_HIGH);
	e1000_write(e, E1000_FCT, FLOW_TYPE);
	e1000_write(e, E1000_FCTTV, FLOW_TIME);
	e1000_write(e, E1000_FCRTL, FCRTL_XONE | (uint32_t)KIB(kib - 12));
	e1000_write(e, E1000_FCRTH, (uint32_t)KIB(kib - 10));
}

enum err
e1000_hw_reset(struct e1000 *e)
{
	uint32_t ctrl;

	if (e1000_read(e, E1000_STATUS) == E1000_GONE)
		return ERR_NODEV;
	e1000_hw_quiet(e);
	thread_sleep_ns(10 * NSEC_PER_MSEC);
	reset_mac(e);
	if (!poll_until(!(e1000_read(e, E1000_CTRL) & CTRL_RST), 10 * NSEC_PER_MSEC))
		return e1000_read(e, E1000_STATUS) == E1000_GONE ? ERR_NODEV : ERR_IO;
	wait_for_auto_read(e);
	e1000_write(e, E1000_IMC, ~0u);
	(void)e1000_read(e, E1000_ICR);
	e1000_write(e, E1000_WUC, 0);
	divide_memory(e);
	if (is_82574(e))
		init_82574(e);
	else
		e1000_write(
		    e, E1000_MANC, e1000_read(e, E1000_MANC) & ~(uint32_t)MANC_ARP_EN);

	/* Speed and duplex as the PHY found them (8.6.1). */
	ctrl = e1000_read(e, E1000_CTRL);
	ctrl &= ~(uint32_t)(CTRL_LRST | CTRL_FRCSPD | CTRL_FRCDPLX | CTRL_ILOS |
	                    CTRL_VME | CTRL_RFCE | CTRL_TFCE);
	e1000_write(e, E1000_CTRL, ctrl | CTRL_SLU);
	e1000_write(e, E1000_VET, 0x8100);
	e1000_write(e, E1000_TIPG, TIPG_COPPER);
	return OK;
}

/* ---- EEPROM ------------------------------------------------------------------------ */

/* 82574 10.2.2.18: firmware uses the PHY and the NVM too. */
static bool
take_semaphore(struct e1000 *e)
{
	if (!is_82574(e))
		return true;
	return poll_until((e1000_write(e, E1000_EXTCNF_CTRL,
	                       e1000_read(e, E1000_EXTCNF_CTRL) | EXTCNF_MDIO_SW),
	                      e1000_read(e, E1000_EXTCNF_CTRL) & EXTCNF_MDIO_SW),
	    100 * NSEC_PER_MSEC);
}

static void
give_semaphore(struct e1000 *e)
{
	if (is_82574(e))
		e1000_write(e, E1000_EXTCNF_CTRL,
		    e1000_read(e, E1000_EXTCNF_CTRL) & ~(uint32_t)EXTCNF_MDIO_SW);
}

/* 5.3.1: one word by the register made for it. */
static bool
read_eerd(struct e1000 *e, unsigned word, uint16_t *out)
{
	unsigned shift = is_82574(e) ? EERD_ADDR_SHIFT_82574 : EERD_ADDR_SHIFT;
	uint32_t done = is_82574(e) ? EERD_DONE_82574 : EERD_DONE, v = 0;

	e1000_write(e, E1000_EERD, word << shift | EERD_START);
	if (!poll_until((v = e1000_read(e, E1000_EERD)) & done, 2 * NSEC_PER_MSEC) ||
	    v == E1000_GONE)
		return false;
	*out = (uint16_t)(v >> EERD_DATA_SHIFT);
	return true;
}

/* One clock of the Microwire bus: `bit` goes in; what comes out while it is high is returned. */
static unsigned
microwire_clock(struct e1000 *e, uint32_t eecd, bool bit)
{
	unsigned out;

	eecd |= EECD_CS | (bit ? EECD_DI : 0);
	e1000_write(e, E1000_EECD, eecd);
	delay_ns(NSEC_PER_USEC);
	e1000_write(e, E1000_EECD, eecd | EECD_SK);
	delay_ns(NSEC_PER_USEC);
	out = (e1000_read(e, E1000_EECD) & EECD_DO) != 0;
	e1000_write(e, E1000_EECD, eecd);
	delay_ns(NSEC_PER_USEC);
	return out;
}

/* 5.3.2: bit by bit. READ is 110, then the address, then 16 bits come out. */
static bool
read_microwire(struct e1000 *e, unsigned word, uint16_t *out)
{
	enum { READ = 6, READ_BITS = 3 };
	uint32_t eecd = e1000_read(e, E1000_EECD);
	unsigned addr_bits = eecd & EECD_SIZE ? 8 : 6, command, v = 0;

	eecd &= ~(uint32_t)(EECD_SK | EECD_CS | EECD_DI);
	eecd |= EECD_REQ;
	e1000_write(e, E1000_EECD, eecd);
	/* The 82544 does without the grant. */
	if (!(e->quirks & E1000_NO_EERD) &&
	    !poll_until(e1000_read(e, E1000_EECD) & EECD_GNT, NSEC_PER_MSEC)) {
		e1000_write(e, E1000_EECD, eecd & ~(uint32_t)EECD_REQ);
		return false;
	}
	command = READ << addr_bits | word;
	for (unsigned i = READ_BITS + addr_bits; i-- > 0;)
		(void)microwire_clock(e, eecd, command >> i & 1);
	for (unsigned i = 0; i < 16; i++)
		v = v << 1 | microwire_clock(e, eecd, false);
	e1000_write(e, E1000_EECD, eecd);
	delay_ns(NSEC_PER_USEC);
	e1000_write(e, E1000_EECD, eecd & ~(uint32_t)EECD_REQ);
	*out = (uint16_t)v;
	return true;
}

static bool
read_nvm(struct e1000 *e, unsigned word, uint16_t *out)
{
	if (!(e->quirks & E1000_NO_EERD) && read_eerd(e, word, out))
		return true;
	return !is_82574(e) && read_microwire(e, word, out);
}

/* 5.6.35: the words up to the checksum's own make 0xbaba. */
static bool
read_nvm_mac(struct e1000 *e, uint8_t mac[ETH_ALEN])
{
	uint16_t sum = 0, word;

	if (!take_semaphore(e))
		return false;
	for (unsigned i = 0; i < NVM_WORDS; i++) {
		if (!read_nvm(e, i, &word)) {
			give_semaphore(e);
			return false;
		}
		sum = (uint16_t)(sum + word);
		if (i >= NVM_MAC && i < NVM_MAC + ETH_ALEN / 2) {
			mac[2 * (i - NVM_MAC)] = (uint8_t)word;
			mac[2 * (i - NVM_MAC) + 1] = (uint8_t)(word >> 8);
		}
	}
	give_semaphore(e);
	if (e->quirks & E1000_TWO_PORTS && e1000_read(e, E1000_STATUS) & STATUS_FUNCTION)
		mac[5] ^= 1;
	return sum == NVM_SUM;
}

static bool
is_station_address(const uint8_t mac[ETH_ALEN])
{
	static const uint8_t zero[ETH_ALEN];

	return !(mac[0] & 1) && memcmp(mac, zero, ETH_ALEN) != 0;
}

void
e1000_hw_mac(struct e1000 *e, uint8_t mac[ETH_ALEN])
{
	uint32_t low, high;

	if (read_nvm_mac(e, mac) && is_station_address(mac))
		return;
	low = e1000_read(e, E1000_RAL);
	high = e1000_read(e, E1000_RAH);
	for (unsigned i = 0; i < ETH_ALEN; i++)
		mac[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
	if (high & RAH_AV && is_station_address(mac)) {
		log_warn("%s: the EEPROM is damaged; the address is what the chip has",
		    e->dev->name);
		return;
	}
	random_bytes(mac, ETH_ALEN);
	mac[0] = (mac[0] & 0xfc) | 2;
	log_warn("%s: no usable address in the EEPROM: a random one", e->dev->name);
}

/* ---- PHY and link ------------------------------------------------------------------ */

/* 8.5: a frame on the management interface takes some 64 us. */
static bool
mdic(struct e1000 *e, uint32_t command, uint16_t *out)
{
	uint32_t v = 0;

	e1000_write(e, E1000_MDIC, command | MDIC_PHY_ADDR);
	if (!poll_until(
	        (v = e1000_read(e, E1000_MDIC)) & MDIC_READY, 2 * NSEC_PER_MSEC) ||
	    v & MDIC_ERROR)
		return false;
	*out = (uint16_t)v;
	return true;
}

static bool
phy_read(struct e1000 *e, unsigned reg, uint16_t *out)
{
	bool is_ok;

	if (!take_semaphore(e))
		return false;
	is_ok = mdic(e, reg << MDIC_REG_SHIFT | MDIC_OP_READ, out);
	give_semaphore(e);
	return is_ok;
}

static void
phy_write(struct e1000 *e, unsigned reg, uint16_t v)
{
	uint16_t unused;

	if (!take_semaphore(e))
		return;
	(void)mdic(e, reg << MDIC_REG_SHIFT | MDIC_OP_WRITE | v, &unused);
	give_semaphore(e);
}

/* Does not disturb a link that already is what we want. */
void
e1000_phy_start(struct e1000 *e)
{
	uint16_t control, advertise, giga;
	uint16_t want = PHY_ADVERTISE_ALL | PHY_PAUSE | PHY_PAUSE_ASYM;

	if (!phy_read(e, PHY_CONTROL, &control) ||
	    !phy_read(e, PHY_ADVERTISE, &advertise) ||
	    !phy_read(e, PHY_1000_CONTROL, &giga)) {
		log_warn("%s: its PHY does not answer", e->dev->name);
		return;
	}
	if (control & PHY_CONTROL_AUTONEG && !(control & PHY_CONTROL_POWER_DOWN) &&
	    (advertise & want) == want && giga & PHY_1000_FULL)
		return;
	phy_write(e, PHY_ADVERTISE, advertise | want);
	phy_write(e, PHY_1000_CONTROL, giga | PHY_1000_FULL);
	control &= (uint16_t)~PHY_CONTROL_POWER_DOWN;
	phy_write(e, PHY_CONTROL, control | PHY_CONTROL_AUTONEG | PHY_CONTROL_RESTART);
}

/* IEEE 802.3 annex 28B.3, as far as both sides pause alike; 8.7.3. */
static void
set_flow_control(struct e1000 *e)
{
	uint32_t ctrl = e1000_read(e, E1000_CTRL) & ~(uint32_t)(CTRL_RFCE | CTRL_TFCE);
	uint16_t partner;

	if (phy_read(e, PHY_PARTNER, &partner) && partner & PHY_PAUSE)
		ctrl |= CTRL_RFCE | CTRL_TFCE;
	e1000_write(e, E1000_CTRL, ctrl);
}

void
e1000_link_update(struct e1000 *e)
{
	static const uint16_t speeds[] = {10, 100, 1000, 1000};
	uint32_t status = e1000_read(e, E1000_STATUS);
	bool has_link = status != E1000_GONE && status & STATUS_LU;

	if (has_link && !e->nd->has_link)
		set_flow_control(e);
	netdev_link_change(e->nd, has_link,
	    has_link ? speeds[status >> STATUS_SPEED_SHIFT & 3] : 0,
	    has_link && status & STATUS_FD);
}

/* ---- Statistics -------------------------------------------------------------------- */

/* 13.7: reading clears. A removed device counts nothing more. */
static uint64_t
count(struct e1000 *e, unsigned reg)
{
	uint32_t v = e1000_read(e, reg);

	return v == E1000_GONE ? 0 : v;
}

static void
add_counters(struct e1000 *e, struct netdev_stats *s)
{
	uint64_t crc = count(e, E1000_CRCERRS), missed = count(e, E1000_MPC);
	uint64_t length =
	    count(e, E1000_RUC) + count(e, E1000_ROC) + count(e, E1000_RLEC);
	uint64_t late = count(e, E1000_ECOL) + count(e, E1000_LATECOL);
	uint64_t carrier = count(e, E1000_TNCRS);

	s->rx_frame += crc;
	s->rx_fifo += missed;
	s->rx_dropped += count(e, E1000_RNBC);
	s->rx_errors +=
	    crc + missed + length + count(e, E1000_RXERRC) + count(e, E1000_CEXTERR);
	s->rx_multicast += count(e, E1000_MPRC);
	s->tx_collisions += count(e, E1000_COLC);
	s->tx_carrier += carrier;
	s->tx_errors += late + carrier;
}

void
e1000_get_stats(struct netdev *nd, struct netdev_stats *out)
{
	struct e1000 *e = nd->private;

	spin_lock(&e->stats_lock);
	add_counters(e, &e->stats);
	out->rx_frame += e->stats.rx_frame;
	out->rx_fifo += e->stats.rx_fifo;
	out->rx_dropped += e->stats.rx_dropped;
	out->rx_errors += e->stats.rx_errors;
	out->rx_multicast += e->stats.rx_multicast;
	out->tx_collisions += e->stats.tx_collisions;
	out->tx_carrier += e->stats.tx_carrier;
	out->tx_errors += e->stats.tx_errors;
	spin_unlock(&e->stats_lock);
	for (unsigned i = 0; i < e->num_queues; i++) {
		const struct e1000_queue *q = &e->queues[i];

		out->rx_errors += q->rx.bad;
		out->rx_dropped += q->rx.no_memory;
		out->tx_errors += q->tx.failed;
	}
}
