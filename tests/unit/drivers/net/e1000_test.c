/*
 * The Intel drivers on the register-level model (tests/models/e1000_model.h): each test is a
 * machine with one controller. Long: tests of one driver over one set of helpers.
 * LINK: drivers/net/e1000.c drivers/net/e1000e.c
 * drivers/net/e1000_netdev.c drivers/net/e1000_hw.c drivers/net/e1000_filter.c
 * drivers/net/e1000_rx.c drivers/net/e1000_tx.c tests/models/e1000_model.c
 * tests/models/e1000_model_rings.c net/pkt.c net/pkt_data.c net/drops.c lib/inet_csum.c
 * lib/string.c lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/mutex.c tests/fakes/kmalloc.c tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 * tests/fakes/clock.c tests/unit/drivers/net/e1000_env.c
 */
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/ip.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/drivers/net/e1000_env.h"
#include "tests/unit/ktest.h"

__asm__(
    ".section .set.drivers,\"aw\"\n.globl set_drivers_start\nset_drivers_start:\n.text");

enum { TYPE = 0x88b5, RING = 256, NUM_CHIPS = 4 };

/* ---- Attach ------------------------------------------------------------------------------- */

KTEST(e1000_takes_its_address_from_the_eeprom)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		CHECK(!memcmp(env.nd->mac, env_mac, ETH_ALEN));
		CHECK(!memcmp(env.nd->permanent_mac, env_mac, ETH_ALEN));
		CHECK_EQ(env.nd->speed_mbps, 1000);
		CHECK(env.nd->is_full_duplex);
		CHECK(env_end());
	}
}

KTEST(e1000_reads_the_eeprom_bit_by_bit_when_its_register_is_dead)
{
	env_init(MODEL_82540);
	env.chip.has_broken_eerd = true;
	CHECK_EQ(env_attach(), OK);
	CHECK(!memcmp(env.nd->mac, env_mac, ETH_ALEN));
	CHECK(env_end());
}

KTEST(e1000_with_a_damaged_eeprom_has_a_random_local_address)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		env_init(chip);
		env.chip.nvm[20] ^= 0x0100;
		CHECK_EQ(env_attach(), OK);
		CHECK_EQ(env.nd->mac[0] & 3, 2);
		CHECK(memcmp(env.nd->mac, env_mac, ETH_ALEN) != 0);
		CHECK(env_end());
	}
}

KTEST(e1000_refuses_a_group_address_in_the_eeprom)
{
	env_init(MODEL_82574);
	env.chip.nvm[0] |= 1;
	e1000_model_seal_nvm(&env.chip);
	CHECK_EQ(env_attach(), OK);
	CHECK_EQ(env.nd->mac[0] & 1, 0);
	CHECK(env_end());
}

KTEST(e1000e_does_without_firmware_that_keeps_the_semaphore)
{
	env_init(MODEL_82574);
	env.chip.has_busy_firmware = true;
	CHECK_EQ(env_attach(), OK);
	CHECK_EQ(env.nd->mac[0] & 3, 2);
	CHECK_EQ(env.nd->ops->up(env.nd), OK);
	env.nd->flags |= NETDEV_UP;
	CHECK(env_end());
}

KTEST(e1000_resets_by_ports_what_ignores_memory)
{
	CHECK(env_start(MODEL_82540));
	CHECK(env.chip.num_resets >= 2);
	CHECK(env_end());
}

KTEST(e1000_gives_up_on_a_chip_that_never_leaves_reset)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		env_init(chip);
		env.chip.is_deaf_to_reset = true;
		CHECK_EQ(env_attach(), ERR_IO);
		CHECK(env_end());
	}
}

KTEST(e1000_attach_to_a_removed_device_fails)
{
	env_init(MODEL_82574);
	env.chip.is_gone = true;
	CHECK_EQ(env_attach(), ERR_NODEV);
	CHECK(env_end());
}

KTEST(e1000_attach_fails_cleanly_wherever_memory_ends)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		unsigned n = 0;
		enum err err;

		do {
			env_init(chip);
			fake_kmalloc_fail_nth(++n);
			err = env_attach();
			fake_kmalloc_fail_nth(0);
			CHECK(env_end());
		} while (err != OK);
		CHECK(n > 3);
		for (n = 1, err = ERR_NOMEM; err != OK; n++) {
			env_init(chip);
			env.dma_fail_in = n;
			err = env_attach();
			CHECK(env_end());
		}
		CHECK(n > 2);
		for (n = 1; n <= 2; n++) {
			env_init(chip);
			env.netdev_fail_in = n;
			CHECK_EQ(env_attach(), ERR_NOMEM);
			CHECK(env_end());
		}
	}
}

KTEST(e1000_attach_without_any_interrupt_fails)
{
	env_init(MODEL_82574);
	env.kinds = 0;
	CHECK_EQ(env_attach(), ERR_NODEV);
	CHECK(env_end());
}

KTEST(e1000_up_fails_cleanly_wherever_memory_ends)
{
	for (unsigned n = 1; n < RING; n += 19) {
		env_init(MODEL_82540);
		CHECK_EQ(env_attach(), OK);
		fake_kmalloc_fail_nth(n);
		CHECK_EQ(env.nd->ops->up(env.nd), ERR_NOMEM);
		fake_kmalloc_fail_nth(0);
		CHECK(env_end());
	}
}

/* ---- Receive -------------------------------------------------------------------------------- */

KTEST(e1000_receives_frames_of_every_length)
{
	static const unsigned lens[] = {60, 191, 192, 193, 1500, 1514};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
			CHECK(env_receive(NULL, TYPE, lens[i], i));
			env_settle();
			CHECK(env_got(i, lens[i], i));
			CHECK(env.received[i]->dev == env.nd);
		}
		CHECK(env_end());
	}
}

KTEST(e1000_receive_ring_goes_round)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		for (unsigned i = 0; i < ENV_KEEP; i++) {
			CHECK(env_receive(NULL, TYPE, 60 + i % 400, i));
			if (i % 7 == 0)
				env_settle();
		}
		env_settle();
		CHECK_EQ(env.num_received, ENV_KEEP);
		for (unsigned i = 0; i < ENV_KEEP; i++)
			CHECK(env_got(i, 60 + i % 400, i));
		CHECK(env_end());
	}
}

KTEST(e1000_full_receive_ring_loses_only_what_does_not_fit)
{
	struct netdev_stats s = {0};

	CHECK(env_start(MODEL_82540));
	for (unsigned i = 0; i < RING + 10; i++)
		CHECK_EQ(env_receive(NULL, TYPE, 100, i), i < RING - 1);
	env_settle();
	CHECK_EQ(env.num_received, RING - 1);
	CHECK(env_receive(NULL, TYPE, 100, 3));
	env_settle();
	CHECK(env_got(RING - 1, 100, 3));
	env.nd->ops->get_stats(env.nd, &s);
	CHECK_EQ(s.rx_fifo, 11);
	CHECK_EQ(s.rx_errors, 11);
	CHECK(env_end());
}

KTEST(e1000_chains_the_buffers_of_a_long_frame)
{
	static const unsigned lens[] = {2048, 2049, 4096, 8191, 9014};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		CHECK(!env_receive(NULL, TYPE, 9014, 1)); /* too long for MTU 1500 */
		CHECK_EQ(env.nd->ops->set_mtu(env.nd, 9000), OK);
		env_settle();
		for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
			CHECK(env_receive(NULL, TYPE, lens[i], i));
			env_settle();
			CHECK(env_got(i, lens[i], i));
		}
		CHECK(env_end());
	}
}

KTEST(e1000_drops_frames_with_errors)
{
	static const uint8_t errors[] = {1, 2, 4, 0x10, 0x80};
	struct netdev_stats s = {0};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		s = (struct netdev_stats){0};
		CHECK(env_start(chip));
		CHECK_EQ(env.nd->ops->set_mtu(env.nd, 9000), OK);
		env_settle();
		for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
			env.chip.rx_errors = errors[i];
			CHECK(env_receive(NULL, TYPE, i % 2 ? 5000 : 300, i));
			env_settle();
			CHECK_EQ(env.num_received, i);
			CHECK(env_receive(NULL, TYPE, 300, i));
			env_settle();
			CHECK(env_got(i, 300, i));
		}
		env.nd->ops->get_stats(env.nd, &s);
		CHECK_EQ(s.rx_errors, ARRAY_SIZE(errors));
		CHECK(env_end());
	}
}

KTEST(e1000_does_not_believe_a_length_beyond_the_buffer)
{
	static const int lens[] = {0, 2049, 16384, 65535, 13};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
			env.chip.rx_len = lens[i];
			CHECK(env_receive(NULL, TYPE, 300, i));
			env_settle();
			CHECK_EQ(env.num_received, 0);
		}
		CHECK(env_receive(NULL, TYPE, 300, 7));
		env_settle();
		CHECK(env_got(0, 300, 7));
		CHECK(env_end());
	}
}

KTEST(e1000_bounds_a_frame_without_end)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		CHECK_EQ(env.nd->ops->set_mtu(env.nd, 9000), OK);
		env_settle();
		env.chip.rx_no_end = true;
		for (unsigned i = 0; i < 3 * RING; i++) {
			(void)env_receive(NULL, TYPE, 2048, i);
			env_settle();
		}
		CHECK_EQ(env.num_received, 0);
		env.chip.rx_no_end = false;
		CHECK(env_receive(NULL, TYPE, 300, 1)); /* the end of the bad one */
		CHECK(env_receive(NULL, TYPE, 300, 2));
		env_settle();
		CHECK_EQ(env.num_received, 1);
		CHECK(env_got(0, 300, 2));
		CHECK(env_end());
	}
}

KTEST(e1000_without_memory_loses_frames_and_goes_on)
{
	struct netdev_stats s = {0};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		CHECK_EQ(env.nd->ops->set_mtu(env.nd, 9000), OK);
		env_settle();
		/* A packet is one object; the long frame five of them. */
		for (unsigned nth = 1; nth <= 5; nth++) {
			fake_kmalloc_fail_nth(nth);
			CHECK(env_receive(NULL, TYPE, 9014, nth));
			env_settle();
			fake_kmalloc_fail_nth(0);
			CHECK_EQ(env.num_received, nth - 1);
			CHECK(env_receive(NULL, TYPE, 500, nth));
			env_settle();
			CHECK(env_got(nth - 1, 500, nth));
		}
		fake_kmalloc_fail_nth(1);
		CHECK(env_receive(NULL, TYPE, 60, 1));
		env_settle();
		fake_kmalloc_fail_nth(0);
		CHECK_EQ(env.num_received, 5);
		s = (struct netdev_stats){0};
		env.nd->ops->get_stats(env.nd, &s);
		CHECK_EQ(s.rx_dropped, 6);
		CHECK(env_end());
	}
}

/* An IPv4 packet with TCP or UDP of `len` bytes payload; right sums. */
static unsigned
make_ip4(uint8_t *f, unsigned proto, unsigned len)
{
	unsigned hdr = proto == IP_PROTO_TCP ? 20 : 8, total = 20 + hdr + len;
	uint8_t *ip = f + 14, *l4 = ip + 20;
	uint32_t sum;
	uint16_t c;

	memset(f, 0, 14 + total);
	memcpy(f, env.nd->mac, 6);
	f[12] = 8;
	ip[0] = 0x45;
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[8] = 64;
	ip[9] = (uint8_t)proto;
	memcpy(ip + 12, "\x0a\x00\x00\x02\x0a\x00\x00\x01", 8);
	c = csum_finish(csum_add(0, ip, 20));
	ip[10] = (uint8_t)(c >> 8);
	ip[11] = (uint8_t)c;
	for (unsigned i = 0; i < len; i++)
		l4[hdr + i] = (uint8_t)(i * 3);
	if (proto == IP_PROTO_TCP)
		l4[12] = 5 << 4;
	else
		l4[5] = (uint8_t)(hdr + len);
	sum = csum_add(0, ip + 12, 8);
	sum = csum_add(sum,
	    (uint8_t[]){
	        0, (uint8_t)proto, (uint8_t)((hdr + len) >> 8), (uint8_t)(hdr + len)},
	    4);
	c = csum_finish(csum_add(sum, l4, hdr + len));
	l4[proto == IP_PROTO_TCP ? 16 : 6] = (uint8_t)(c >> 8);
	l4[proto == IP_PROTO_TCP ? 17 : 7] = (uint8_t)c;
	return 14 + total;
}

KTEST(e1000_says_which_transport_checksums_were_right)
{
	static const unsigned protos[] = {IP_PROTO_TCP, IP_PROTO_UDP};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		unsigned n = 0;

		CHECK(env_start(chip));
		env.nd->features |= NETDEV_RXCSUM;
		for (unsigned i = 0; i < 2; i++) {
			uint8_t f[600];
			unsigned len = make_ip4(f, protos[i], 200);

			CHECK(e1000_model_receive(&env.chip, f, len));
			f[60] ^= 1;
			CHECK(e1000_model_receive(&env.chip, f, len));
			f[60] ^= 1;
			f[24] ^= 1; /* the IP header's */
			CHECK(e1000_model_receive(&env.chip, f, len));
			env_settle();
			CHECK(env.received[n++]->flags & PKT_CSUM_OK);
			CHECK(!(env.received[n++]->flags & PKT_CSUM_OK));
			CHECK(!(env.received[n++]->flags & PKT_CSUM_OK));
		}
		CHECK(env_receive(NULL, TYPE, 100, 1));
		env_settle();
		CHECK(!(env.received[n]->flags & PKT_CSUM_OK));
		CHECK(env_end());
	}
}

KTEST(e1000e_spreads_flows_over_two_queues)
{
	uint8_t f[600];
	unsigned len;

	num_cpus = 2;
	CHECK(env_start(MODEL_82574));
	num_cpus = 1;
	CHECK_EQ(env.nd->num_queues, 2);
	CHECK_EQ(env.num_handlers, 3);
	len = make_ip4(f, IP_PROTO_TCP, 100);
	CHECK(e1000_model_receive(&env.chip, f, len));
	CHECK_EQ(env.chip.vectors & 3, 1);
	f[29] ^= 1;
	CHECK(e1000_model_receive(&env.chip, f, len));
	CHECK_EQ(env.chip.vectors & 3, 3);
	env_settle();
	CHECK_EQ(env.num_received, 2);
	CHECK(env.received[0]->flags & PKT_HAS_HASH);
	CHECK_EQ(env.received[0]->hash, 0x12345678);
	CHECK(env_end());
}

/* ---- Filters ---------------------------------------------------------------------------------- */

KTEST(e1000_receives_what_it_should_and_nothing_else)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t other[6] = {0x02, 1, 2, 3, 4, 5};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		CHECK(env_receive(NULL, TYPE, 60, 0));
		CHECK(env_receive(all, TYPE, 60, 0));
		CHECK(!env_receive(other, TYPE, 60, 0));
		env.nd->flags |= NETDEV_PROMISC;
		env.nd->ops->set_rx_mode(env.nd);
		CHECK(env_receive(other, TYPE, 60, 0));
		env.nd->flags &= ~(uint32_t)NETDEV_PROMISC;
		env.nd->ops->set_rx_mode(env.nd);
		CHECK(!env_receive(other, TYPE, 60, 0));
		CHECK_EQ(env.nd->ops->set_mac(env.nd, other), OK);
		CHECK(env_receive(other, TYPE, 60, 0));
		CHECK(!env_receive(env_mac, TYPE, 60, 0));
		CHECK(env.nd->ops->set_mac(env.nd, all) != OK);
		CHECK(env_end());
	}
}

KTEST(e1000_receives_its_multicast_groups_many_or_few)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		unsigned strangers = 0;

		CHECK(env_start(chip));
		for (env.num_mc = 0; env.num_mc < 40; env.num_mc++)
			memcpy(env.mc[env.num_mc],
			    (uint8_t[]){1, 0, 0x5e, 9, (uint8_t)(env.num_mc * 29),
			        (uint8_t)(env.num_mc * 101)},
			    6);
		env.nd->ops->set_rx_mode(env.nd);
		for (unsigned i = 0; i < env.num_mc; i++)
			CHECK(env_receive(env.mc[i], TYPE, 60, 0));
		for (unsigned i = 0; i < 256; i++)
			strangers += env_receive(
			    (uint8_t[]){0x33, 0x33, 0, 7, (uint8_t)i, 1}, TYPE, 60, 0);
		CHECK(strangers < 20);
		env_settle();
		env.num_mc = 3;
		env.nd->ops->set_rx_mode(env.nd);
		CHECK(env_receive(env.mc[2], TYPE, 60, 0));
		CHECK(!env_receive(env.mc[3], TYPE, 60, 0));
		CHECK(!env_receive(env.mc[39], TYPE, 60, 0));
		env.nd->flags |= NETDEV_ALLMULTI;
		env.nd->ops->set_rx_mode(env.nd);
		CHECK(env_receive(env.mc[39], TYPE, 60, 0));
		CHECK(env_end());
	}
}

KTEST(e1000_filters_and_strips_vlan_tags)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		uint8_t f[100] = {0};

		CHECK(env_start(chip));
		memcpy(f, env.nd->mac, 6);
		memcpy(f + 12, "\x81\x00\x20\x64\x88\xb5", 6); /* priority 1, VLAN 100 */
		CHECK_EQ(env.nd->ops->set_vlan(env.nd, 99, true), OK);
		CHECK(!e1000_model_receive(&env.chip, f, 100));
		CHECK_EQ(env.nd->ops->set_vlan(env.nd, 100, true), OK);
		CHECK_EQ(env.nd->ops->set_vlan(env.nd, 100, true), OK);
		CHECK(e1000_model_receive(&env.chip, f, 100));
		env_settle();
		CHECK_EQ(env.num_received, 1);
		CHECK(env.received[0]->flags & PKT_HAS_VLAN);
		CHECK_EQ(env.received[0]->vlan_tci, 0x2064);
		CHECK_EQ(pkt_len(env.received[0]), 96);
		/* It survives a reset. */
		env.nd->ops->tx_timeout(env.nd);
		CHECK(e1000_model_receive(&env.chip, f, 100));
		CHECK_EQ(env.nd->ops->set_vlan(env.nd, 100, false), OK);
		CHECK(!e1000_model_receive(&env.chip, f, 100));
		f[14] = f[15] = 0; /* only a priority */
		CHECK(e1000_model_receive(&env.chip, f, 100));
		CHECK_EQ(env.nd->ops->set_vlan(env.nd, 4096, true), ERR_INVAL);
		env_settle();
		CHECK(env_end());
	}
}

/* ---- Transmit --------------------------------------------------------------------------------- */

KTEST(e1000_sends_what_it_is_given)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		for (unsigned pcix = 0; pcix < 2; pcix++) {
			/* Host memory knows no 64 KiB: this one needs the bounce area. */
			if (chip == MODEL_82545 && pcix)
				continue;
			env_init(chip);
			env.chip.is_pcix = pcix;
			e1000_model_write(&env.chip, 0, 1u << 6);
			CHECK_EQ(env_attach(), OK);
			CHECK_EQ(env.nd->ops->up(env.nd), OK);
			env.nd->flags |= NETDEV_UP;
			env_settle();
			for (unsigned i = 0; i < ENV_KEEP; i++) {
				CHECK_EQ(
				    env_send(env_packet(TYPE, 60 + i * 2, i), 0), OK);
				if (i % 11 == 0)
					env_settle();
			}
			env_settle();
			CHECK_EQ(env.num_sent, ENV_KEEP);
			for (unsigned i = 0; i < ENV_KEEP; i++)
				CHECK(env_put(i, 60 + i * 2, i));
			CHECK(env_end());
		}
	}
}

static void
count_release(void *arg, uint32_t charge)
{
	++*(unsigned *)arg;
}

/* A sender waits for its memory: it must not lie in the ring until the next interrupt. */
KTEST(e1000_gives_back_what_was_sent_with_the_next_packet)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		unsigned num_released = 0;
		struct pkt *p;

		CHECK(env_start(chip));
		p = env_packet(TYPE, 100, 1);
		p->release = count_release;
		p->release_arg = &num_released;
		CHECK_EQ(env_send(p, 0), OK);
		CHECK_EQ(num_released, 0);
		e1000_model_run(&env.chip); /* sent; nobody takes its interrupt */
		CHECK_EQ(env_send(env_packet(TYPE, 100, 2), 0), OK);
		CHECK_EQ(num_released, 1);
		env_settle();
		CHECK(env_end());
	}
}

KTEST(e1000_full_transmit_ring_refuses_and_wakes)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		unsigned n = 0;

		CHECK(env_start(chip));
		while (env_send(env_packet(TYPE, 100, n), 0) == OK)
			n++;
		n++; /* the one that is held */
		CHECK(n > RING / 4 && n <= RING);
		CHECK(env.nd->queues[0].is_stopped);
		env_settle();
		CHECK(!env.nd->queues[0].is_stopped);
		CHECK_EQ(env.num_sent, n);
		for (unsigned i = 0; i < n; i++)
			CHECK(env_put(i, 100, i));
		CHECK(env_end());
	}
}

/* A TCP packet for the device to finish: `headers` in the linear part, the rest in pages. */
static struct pkt *
make_tcp(bool is_v6, unsigned payload, unsigned mss)
{
	unsigned l4 = is_v6 ? 54 : 34, headers = l4 + 20, made = 0;
	struct pkt *p = pkt_alloc(headers);
	uint8_t *f = pkt_put(p, headers);
	unsigned total = payload + 20 + (is_v6 ? 0 : 20);
	uint32_t sum;
	uint16_t c;

	memset(f, 0, headers);
	memcpy(f, "\x02\x09\x09\x09\x09\x09", 6);
	memcpy(f + 6, env.nd->mac, 6);
	if (is_v6) {
		memcpy(f + 12, "\x86\xdd\x60", 3);
		f[18] = (uint8_t)(total >> 8);
		f[19] = (uint8_t)total;
		f[20] = IP_PROTO_TCP;
		f[22] = 0xfe;
		f[38] = 0xfd;
		f[53] = 9;
		sum = csum_add(0, f + 22, 32);
	} else {
		memcpy(f + 12, "\x08\x00\x45", 3);
		f[16] = (uint8_t)(total >> 8);
		f[17] = (uint8_t)total;
		f[18] = 0x12;
		f[22] = 64;
		f[23] = IP_PROTO_TCP;
		memcpy(f + 26, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
		c = csum_finish(csum_add(0, f + 14, 20));
		f[24] = (uint8_t)(c >> 8);
		f[25] = (uint8_t)c;
		sum = csum_add(0, f + 26, 8);
	}
	sum = csum_add(sum,
	    (uint8_t[]){
	        0, IP_PROTO_TCP, (uint8_t)((payload + 20) >> 8), (uint8_t)(payload + 20)},
	    4);
	c = (uint16_t)~csum_finish(sum);
	memcpy(f + l4, "\x12\x34\x00\x50\xff\xff\xff\x00\0\0\0\0\x50\x18\x10\x00", 16);
	f[l4 + 16] = (uint8_t)(c >> 8);
	f[l4 + 17] = (uint8_t)c;
	while (made < payload) {
		unsigned n = MIN(payload - made, 4000u);
		struct page *pg = page_alloc(0, 0);
		uint8_t *b = (uint8_t *)page_to_virt(pg) + 64;

		for (unsigned i = 0; i < n; i++)
			b[i] = (uint8_t)((made + i) * 13 + (made + i) / 256);
		if (!pkt_add_frag(p, pg, 64, n))
			return NULL;
		made += n;
	}
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = (uint16_t)(f + l4 - p->head);
	p->csum_offset = 16;
	if (mss) {
		p->gso_type = is_v6 ? PKT_GSO_TCP6 : PKT_GSO_TCP4;
		p->gso_size = (uint16_t)mss;
		p->gso_segs = (uint16_t)DIV_ROUND_UP(payload, mss);
	}
	return p;
}

/* The segments sent carry `payload` bytes in order, each with right lengths and sums. */
static bool
segments_are_right(bool is_v6, unsigned payload, unsigned mss)
{
	unsigned l4 = is_v6 ? 54 : 34, off = 0;

	for (unsigned i = 0; i < env.num_sent; i++) {
		const uint8_t *f = env.sent[i]->bytes;
		unsigned len = env.sent[i]->len, n = len - l4 - 20;
		uint32_t sum = csum_add(0, is_v6 ? f + 22 : f + 26, is_v6 ? 32 : 8);

		sum = csum_add(sum,
		    (uint8_t[]){
		        0, IP_PROTO_TCP, (uint8_t)((n + 20) >> 8), (uint8_t)(n + 20)},
		    4);
		if (csum_finish(csum_add(sum, f + l4, n + 20)) != 0)
			return false;
		if (!is_v6 && csum_finish(csum_add(0, f + 14, 20)) != 0)
			return false;
		if ((unsigned)(f[is_v6 ? 18 : 16] << 8 | f[is_v6 ? 19 : 17]) !=
		    n + 20 + (is_v6 ? 0 : 20))
			return false;
		if ((be32_get(*(const be32 *)(f + l4 + 4)) - 0xffffff00u) != off)
			return false;
		if (n > mss || (n < mss && off + n != payload))
			return false;
		if (((f[l4 + 13] & 8) != 0) != (off + n == payload)) /* PSH only last */
			return false;
		for (unsigned b = 0; b < n; b++)
			if (f[l4 + 20 + b] != (uint8_t)((off + b) * 13 + (off + b) / 256))
				return false;
		off += n;
	}
	return off == payload;
}

KTEST(e1000_sums_and_segments_tcp)
{
	static const unsigned sizes[] = {1, 1459, 1461, 4000, 30000, 65000};

	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 4; i++) {
			unsigned payload = sizes[i / 4], mss = i & 1 ? 1440 : 0;
			bool is_v6 = i & 2;

			if (!mss && payload > 8000)
				continue;
			CHECK(env_start(chip));
			if (mss && is_v6 && !(env.nd->hw_features & NETDEV_TSO6)) {
				CHECK(env_end());
				continue;
			}
			CHECK_EQ(env_send(make_tcp(is_v6, payload, mss), 0), OK);
			env_settle();
			CHECK(segments_are_right(is_v6, payload, mss ? mss : payload));
			CHECK(env_end());
		}
	}
}

KTEST(e1000_does_not_change_a_shared_header)
{
	struct pkt *p, *shared;
	uint8_t before[100], after[100];

	CHECK(env_start(MODEL_82574));
	p = make_tcp(false, 4000, 1000);
	shared = pkt_clone(p);
	CHECK(pkt_read(shared, 0, before, sizeof(before)));
	CHECK_EQ(env_send(p, 0), OK);
	CHECK(pkt_read(shared, 0, after, sizeof(after)));
	CHECK(!memcmp(before, after, sizeof(before)));
	pkt_free(shared);
	env_settle();
	CHECK(segments_are_right(false, 4000, 1000));
	CHECK(env_end());
}

KTEST(e1000_sums_in_software_what_its_registers_cannot_reach)
{
	struct pkt *p;
	uint32_t sum;

	CHECK(env_start(MODEL_82540));
	p = env_packet(TYPE, 600, 5);
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = (uint16_t)(p->data + 300 - p->head);
	p->csum_offset = 10;
	CHECK_EQ(env_send(p, 0), OK);
	env_settle();
	CHECK_EQ(env.num_sent, 1);
	/* The field was part of the sum: with the result in it all adds up to the old field. */
	sum = csum_add(0, env.sent[0]->bytes + 300, 300);
	CHECK_EQ(csum_finish(sum),
	    (uint16_t)((uint8_t)(5 + 310 * 7 + 1) << 8 | (uint8_t)(5 + 311 * 7 + 1)));
	CHECK(env_end());
}

KTEST(e1000_puts_vlan_tags_in)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		struct pkt *p;

		CHECK(env_start(chip));
		p = env_packet(TYPE, 100, 1);
		p->flags |= PKT_HAS_VLAN;
		p->vlan_tci = 0x6123;
		CHECK_EQ(env_send(p, 0), OK);
		env_settle();
		CHECK_EQ(env.sent[0]->len, 104);
		CHECK(!memcmp(env.sent[0]->bytes + 12, "\x81\x00\x61\x23\x88\xb5", 6));
		CHECK(env_end());
	}
}

KTEST(e1000_drops_a_packet_that_never_fits)
{
	struct pkt *p;
	uint64_t before = drop_total(DROP_TX_FAILED);

	CHECK(env_start(MODEL_82540));
	p = make_tcp(false, 65000, 60); /* 4 segments a descriptor: too many of them */
	CHECK(env_send(p, 0) != ERR_BUSY);
	CHECK_EQ(drop_total(DROP_TX_FAILED), before + 1);
	CHECK(env_end());
}

/* ---- Interrupts, link, faults ------------------------------------------------------------------ */

KTEST(e1000_leaves_interrupts_of_others_alone)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		env_init(chip);
		env.kinds = DEV_IRQ_INTX;
		CHECK_EQ(env_attach(), OK);
		CHECK_EQ(env.nd->ops->up(env.nd), OK);
		env.nd->flags |= NETDEV_UP;
		env_settle();
		CHECK_EQ(env.handlers[0](env.handler_args[0]), IRQ_NONE);
		CHECK(!env.nd->queues[0].is_scheduled);
		/* Causes nobody asked for. */
		e1000_model_raise(&env.chip, 1 << 9 | 1 << 15);
		CHECK_EQ(env.handlers[0](env.handler_args[0]), IRQ_NONE);
		/* One without anything to do. */
		e1000_model_raise(&env.chip, 1 << 7);
		CHECK(env.chip.line);
		env_settle();
		CHECK(!env.chip.line);
		CHECK_EQ(env.num_received, 0);
		CHECK(env_end());
	}
}

/* A neighbour on the line makes us read ICR while a poll is on; no frame may wait for ever. */
KTEST(e1000_looks_again_after_it_unmasked)
{
	CHECK(env_start(MODEL_82540));
	CHECK(env_receive(NULL, TYPE, 60, 1));
	CHECK_EQ(env.handlers[0](env.handler_args[0]), IRQ_HANDLED);
	CHECK(env_receive(NULL, TYPE, 60, 2));
	(void)env.handlers[0](env.handler_args[0]); /* clears the cause */
	CHECK(!env.chip.line);
	env_settle();
	CHECK_EQ(env.num_received, 2);
	CHECK(env_end());
}

KTEST(e1000_works_with_each_kind_of_interrupt)
{
	static const struct {
		unsigned kinds, max, handlers, queues;
	} cases[] = {
	    {DEV_IRQ_INTX, 1, 1, 1},
	    {DEV_IRQ_MSI | DEV_IRQ_INTX, 1, 1, 1},
	    {DEV_IRQ_ANY, 8, 3, 2},
	    {DEV_IRQ_ANY, 2, 2, 1},
	    {DEV_IRQ_ANY, 1, 1, 1},
	};

	num_cpus = 2;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		env_init(MODEL_82574);
		env.kinds = cases[i].kinds;
		env.max_irqs = cases[i].max;
		CHECK_EQ(env_attach(), OK);
		/* One message for all: the model's causes are those of a line. */
		if (cases[i].handlers == 1)
			env.chip.has_msix = false;
		CHECK_EQ(env.num_handlers, cases[i].handlers);
		CHECK_EQ(env.nd->num_queues, cases[i].queues);
		CHECK_EQ(env.nd->ops->up(env.nd), OK);
		env.nd->flags |= NETDEV_UP;
		env_settle();
		for (unsigned n = 0; n < 20; n++) {
			CHECK(env_receive(NULL, TYPE, 100, n));
			CHECK_EQ(
			    env_send(env_packet(TYPE, 100, n), n % cases[i].queues), OK);
			env_settle();
			CHECK(env_got(n, 100, n));
			CHECK(env_put(n, 100, n));
		}
		e1000_model_set_link(&env.chip, false);
		env_settle();
		CHECK(!env.nd->has_link);
		CHECK(env_end());
	}
	num_cpus = 1;
}

KTEST(e1000_follows_a_link_that_flaps)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		for (unsigned i = 0; i < 50; i++) {
			e1000_model_set_link(&env.chip, false);
			if (i % 3)
				env_settle();
			CHECK_EQ(env_send(env_packet(TYPE, 100, i), 0), OK);
			CHECK(i % 3 == 0 || !env.nd->has_link);
			e1000_model_set_link(&env.chip, true);
			env_settle();
			CHECK(env.nd->has_link);
			CHECK_EQ(env.num_sent, i + 1);
		}
		CHECK(env.chip.regs[0] & 1u << 27); /* the partner pauses: so do we */
		CHECK(env_end());
	}
}

KTEST(e1000_hung_transmission_is_reset_and_nothing_is_lost)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		env.chip.hang_after = 5;
		for (unsigned i = 0; i < 40; i++)
			CHECK_EQ(env_send(env_packet(TYPE, 100, i), 0), OK);
		CHECK_EQ(env_send(make_tcp(false, 5000, 1000), 0), OK);
		env_settle();
		CHECK(env.num_sent < 10);
		env.nd->ops->tx_timeout(env.nd);
		env_settle();
		CHECK_EQ(env.num_sent, 45);
		for (unsigned i = 0; i < 40; i++)
			CHECK(env_put(i, 100, i));
		CHECK(env_receive(NULL, TYPE, 100, 9));
		env_settle();
		CHECK(env_got(0, 100, 9));
		CHECK(env_end());
	}
}

KTEST(e1000_packet_that_hangs_it_twice_is_given_up)
{
	struct netdev_stats s = {0};

	CHECK(env_start(MODEL_82574));
	env.chip.hang_after = 0;
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(env_send(env_packet(TYPE, 100, i), 0), OK);
	env_settle();
	env.chip.hang_after = 1; /* survives the reset that sets 0 back */
	env.nd->ops->tx_timeout(env.nd);
	env.chip.is_stuck = true;
	env_settle();
	CHECK_EQ(env.num_sent, 0);
	env.chip.hang_after = -1;
	env.nd->ops->tx_timeout(env.nd);
	env_settle();
	CHECK_EQ(env.num_sent, 2);
	CHECK(env_put(0, 100, 1));
	env.nd->ops->get_stats(env.nd, &s);
	CHECK_EQ(s.tx_errors, 1);
	CHECK(env_end());
}

KTEST(e1000_survives_being_pulled)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		struct netdev_stats s = {0};

		CHECK(env_start(chip));
		CHECK(env_receive(NULL, TYPE, 60, 1));
		env.chip.is_gone = true;
		if (env.num_handlers == 1)
			CHECK_EQ(env.handlers[0](env.handler_args[0]), IRQ_NONE);
		else
			CHECK_EQ(env.handlers[env.num_handlers - 1](
			             env.handler_args[env.num_handlers - 1]),
			    IRQ_HANDLED);
		env_settle();
		CHECK(!env.nd->has_link);
		for (unsigned i = 0; i < 2 * RING; i++)
			(void)env_send(env_packet(TYPE, 100, i), 0);
		env.nd->ops->get_stats(env.nd, &s);
		CHECK_EQ(s.rx_errors, 0);
		env.nd->ops->set_rx_mode(env.nd);
		env.nd->ops->tx_timeout(env.nd);
		pkt_queue_free(&env.nd->queues[0].held);
		env.nd->ops->down(env.nd);
		env.nd->flags = 0;
		CHECK_EQ(env.nd->ops->up(env.nd), ERR_NODEV);
		CHECK(env_end());
	}
}

KTEST(e1000_down_and_up_again_and_again)
{
	for (enum model_chip chip = 0; chip < NUM_CHIPS; chip++) {
		CHECK(env_start(chip));
		for (unsigned i = 0; i < 5; i++) {
			CHECK(env_receive(NULL, TYPE, 60, 1));
			CHECK_EQ(env_send(env_packet(TYPE, 100, i), 0), OK);
			env.nd->ops->down(env.nd);
			CHECK(!env.nd->has_link);
			CHECK(!env_receive(NULL, TYPE, 60, 1));
			env_settle();
			CHECK_EQ(env.nd->ops->up(env.nd), OK);
			env_settle();
			CHECK(env.nd->has_link);
		}
		env.driver->quiesce(&env.pci.dev);
		CHECK(!env_receive(NULL, TYPE, 60, 1));
		CHECK(env_end());
	}
}

KTEST(e1000_moderates_interrupts_by_the_load)
{
	uint32_t idle, busy;

	CHECK(env_start(MODEL_82540));
	for (unsigned i = 0; i < 3; i++) {
		CHECK(env_receive(NULL, TYPE, 60, i));
		env_settle();
	}
	idle = env.chip.regs[0xc4 / 4];
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned n = 0; n < 40; n++)
			CHECK(env_receive(NULL, TYPE, 1514, n));
		env_settle();
	}
	busy = env.chip.regs[0xc4 / 4];
	CHECK(idle > 0 && idle < 100);
	CHECK(busy > 4 * idle && busy < 1000);
	CHECK(env_end());
}

KTEST(e1000_with_a_dead_phy_still_carries_frames)
{
	env_init(MODEL_82540);
	env.chip.has_broken_phy = true;
	CHECK_EQ(env_attach(), OK);
	CHECK_EQ(env.nd->ops->up(env.nd), OK);
	env.nd->flags |= NETDEV_UP;
	env_settle();
	CHECK(env_receive(NULL, TYPE, 60, 1));
	env_settle();
	CHECK(env_got(0, 60, 1));
	CHECK(env_end());
}
