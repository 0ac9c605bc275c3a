/*
 * A machine with one Intel controller: the model (tests/models/e1000_model.h) behind the
 * register calls, the device core and the network stack as far as the drivers use them.
 */
#pragma once

#include "drivers/pci/pci.h"
#include "net/netdev.h"
#include "net/pkt.h"
#include "tests/models/e1000_model.h"

enum { ENV_KEEP = 600 };

struct env {
	struct e1000_model chip;
	struct pci_dev pci;
	const struct driver *driver;
	struct netdev *nd;
	irq_handler handlers[8];
	void *handler_args[8];
	unsigned num_handlers;
	unsigned handled, not_ours;

	struct pkt *received[ENV_KEEP]; /* what the stack got */
	unsigned num_received;
	struct model_sent *sent[ENV_KEEP];
	unsigned num_sent;
	unsigned num_wakes, num_links;

	uint8_t mc[64][ETH_ALEN];
	unsigned num_mc;
	unsigned dma_fail_in, netdev_fail_in;
	unsigned kinds, max_irqs; /* interrupts that the machine offers */
	bool is_registered;
	uint32_t (*lie)(uint32_t truth); /* what a register reads as instead; or NULL */
};

extern struct env env;
extern const uint8_t env_mac[ETH_ALEN];

/* A machine with the chip; nothing is attached. */
void env_init(enum model_chip chip);
/* With the whole path: attached, up, link seen. False: did not work. */
bool env_start(enum model_chip chip);
enum err env_attach(void);
/* Detaches if need be, frees all; true: nothing leaked, the model saw nothing forbidden. */
bool env_end(void);
/* Delivers interrupts and polls until nothing happens any more. */
void env_settle(void);
/* A frame from the wire: to `dst` (NULL: us), an EtherType, len bytes in all. */
bool env_receive(const uint8_t *dst, unsigned type, unsigned len, unsigned seed);
/* What was received nth is that frame. */
bool env_got(unsigned nth, unsigned len, unsigned seed);
/* The same as a packet to send. */
struct pkt *env_packet(unsigned type, unsigned len, unsigned seed);
enum err env_send(struct pkt *, unsigned queue);
bool env_put(unsigned nth, unsigned len, unsigned seed); /* sent, so */
