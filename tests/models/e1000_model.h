/*
 * A model of Intel's 8254x and 82574 at the level of registers, written by the manuals (see
 * drivers/net/e1000_regs.h for their titles): what a driver writes takes effect as they
 * say, descriptors are read and written in the test's memory, and frames come out and go in.
 * Time stands still: things happen in e1000_model_run, so that a test says in which order.
 *
 * What the manuals forbid is counted as a violation, with the last one's text. Faults that
 * real devices show can be switched on.
 *
 * Its tables and names are its own, not the driver's.
 */
#pragma once

#include "lib/types.h"

enum model_chip { MODEL_82540, MODEL_82544, MODEL_82545, MODEL_82574 };

enum {
	MODEL_SPACE = 0x20000,
	MODEL_FRAME = 16384,
	MODEL_VECTORS = 5,
};

/* What one frame on the wire was, after offloads. */
struct model_sent {
	uint8_t bytes[MODEL_FRAME];
	unsigned len;
	unsigned queue;
};

struct e1000_model {
	enum model_chip chip;
	bool is_pcix;
	uint32_t regs[MODEL_SPACE / 4];
	uint16_t nvm[64], phy[32];
	bool has_link;
	uint64_t dma_end; /* an address at or above is a violation; 0: no limit */

	/* The wire and the interrupt pins, for the test. */
	void (*on_sent)(struct e1000_model *, const struct model_sent *);
	bool line;        /* INTx or MSI: asserted */
	uint32_t vectors; /* MSI-X: messages sent, bit by vector; the test clears them */
	bool has_msix;
	void *arg;

	/* Faults. */
	bool is_gone;           /* reads are ones, writes vanish, no DMA */
	bool is_deaf_to_reset;  /* CTRL.RST never clears */
	bool has_broken_phy;    /* MDIC never ready */
	bool has_broken_eerd;   /* EERD never done */
	bool has_busy_firmware; /* the semaphore is not to be had */
	int hang_after;         /* descriptors until transmission stops; -1: never */
	unsigned num_resets;
	uint8_t rx_errors; /* put into the next frame's last descriptor */
	int rx_len;        /* put into the next descriptor instead; -1: no */
	bool rx_no_end;    /* the next frames' last descriptors have no EOP */

	unsigned violations;
	char violation[160];

	/* Its own. */
	unsigned io_addr;
	unsigned mw_state, mw_bits; /* Microwire */
	uint32_t mw_shift;
	bool mw_clock;
	struct {
		uint8_t ipcss, ipcso, tucss, tucso, hdrlen;
		uint16_t ipcse, tucse, mss;
		uint32_t paylen, cmd;
	} ctx[2];
	uint8_t tx_buf[2][1 << 17];
	unsigned tx_len[2];
	struct model_sent sent;
	bool is_stuck;
};

/* Powered on, with `mac` in its EEPROM and a link. */
void e1000_model_init(struct e1000_model *, enum model_chip, const uint8_t mac[6]);
void e1000_model_seal_nvm(struct e1000_model *); /* makes the checksum right */

uint32_t e1000_model_read(struct e1000_model *, unsigned off);
void e1000_model_write(struct e1000_model *, unsigned off, uint32_t v);
void e1000_model_io_write(struct e1000_model *, unsigned port, uint32_t v);

/* A frame comes from the wire, without FCS. False: filtered, or lost (counters tell). */
bool e1000_model_receive(struct e1000_model *, const void *frame, unsigned len);
/* Sends what the transmit rings hold. */
void e1000_model_run(struct e1000_model *);
void e1000_model_set_link(struct e1000_model *, bool is_up);
/* Raises causes by itself: a spurious interrupt. */
void e1000_model_raise(struct e1000_model *, uint32_t causes);
