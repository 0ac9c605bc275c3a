/*
 * Intel 8254x and 82574: which frames are received. The station's address is entry 0 of
 * the exact filter (SDM 13.5.2); multicast addresses fill its other entries, and what does
 * not fit goes through the table of 4096 hashes (13.5.1). VLANs have a table of a bit each
 * (13.5.3).
 */
#include "drivers/net/e1000_priv.h"
#include "lib/string.h"

/* A word of a table. The 82544 spoils the word before an odd one: it is written again. */
static void
write_table(struct e1000 *e, unsigned base, const uint32_t *words, unsigned i)
{
	e1000_write(e, base + 4 * i, words[i]);
	if (e->quirks & E1000_TABLE_BUG && i & 1) {
		e1000_flush(e);
		e1000_write(e, base + 4 * (i - 1), words[i - 1]);
	}
}

static void
write_exact(struct e1000 *e, unsigned i, const uint8_t mac[ETH_ALEN])
{
	uint32_t low = 0, high = 0;

	if (mac) {
		low = mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 |
		      (uint32_t)mac[3] << 24;
		high = mac[4] | (uint32_t)mac[5] << 8 | RAH_AV;
	}
	/* Off while it changes. */
	e1000_write(e, E1000_RAH + 8 * i, 0);
	e1000_write(e, E1000_RAL + 8 * i, low);
	e1000_write(e, E1000_RAH + 8 * i, high);
}

static void
add_multicast(void *arg, const uint8_t mac[ETH_ALEN])
{
	struct e1000 *e = arg;
	unsigned hash;

	if (e->num_exact < E1000_NUM_RAR) {
		write_exact(e, e->num_exact++, mac);
		return;
	}
	hash = mac[4] >> 4 | (unsigned)mac[5] << 4; /* RCTL.MO 0: bits 47-36 */
	e->mta[hash >> 5] |= 1u << (hash & 31);
}

/* What RCTL has besides the filters' switches. */
static uint32_t
receive_control(const struct e1000 *e)
{
	uint32_t rctl = RCTL_EN | RCTL_BAM | RCTL_BSIZE_2048 | RCTL_SECRC;
	uint32_t flags = e->nd->flags;

	if (e->nd->mtu > 1500)
		rctl |= RCTL_LPE;
	if (flags & NETDEV_PROMISC)
		return rctl | RCTL_UPE | RCTL_MPE;
	if (flags & NETDEV_ALLMULTI)
		rctl |= RCTL_MPE;
	if (e->num_vlans)
		rctl |= RCTL_VFE;
	return rctl;
}

static void
write_multicast(struct e1000 *e)
{
	memset(e->mta, 0, sizeof(e->mta));
	e->num_exact = 1;
	netdev_for_each_mc(e->nd, add_multicast, e);
	for (unsigned i = e->num_exact; i < E1000_NUM_RAR; i++)
		write_exact(e, i, NULL);
	for (unsigned i = 0; i < E1000_MTA_WORDS; i++)
		write_table(e, E1000_MTA, e->mta, i);
}

void
e1000_filter_init(struct e1000 *e)
{
	uint32_t ctrl = e1000_read(e, E1000_CTRL) & ~(uint32_t)CTRL_VME;

	write_exact(e, 0, e->nd->mac);
	write_multicast(e);
	e->vfta[0] |= 1; /* tag 0 has only a priority */
	for (unsigned i = 0; i < E1000_VFTA_WORDS; i++)
		write_table(e, E1000_VFTA, e->vfta, i);
	if (e->nd->features & NETDEV_VLAN_RX)
		ctrl |= CTRL_VME;
	e1000_write(e, E1000_CTRL, ctrl);
	e1000_write(e, E1000_RCTL, receive_control(e));
}

void
e1000_set_rx_mode(struct netdev *nd)
{
	struct e1000 *e = nd->private;

	mutex_lock(&e->conf_lock);
	if (e->is_up) {
		write_multicast(e);
		e1000_write(e, E1000_RCTL, receive_control(e));
	}
	mutex_unlock(&e->conf_lock);
}

enum err
e1000_set_mac(struct netdev *nd, const uint8_t mac[ETH_ALEN])
{
	struct e1000 *e = nd->private;

	if (mac[0] & 1)
		return ERR_ADDRNOTAVAIL;
	mutex_lock(&e->conf_lock);
	if (e->is_up)
		write_exact(e, 0, mac);
	mutex_unlock(&e->conf_lock);
	return OK;
}

enum err
e1000_set_vlan(struct netdev *nd, unsigned vid, bool is_on)
{
	struct e1000 *e = nd->private;
	uint32_t bit = 1u << (vid & 31), *word;

	if (vid >= E1000_VFTA_WORDS * 32)
		return ERR_INVAL;
	mutex_lock(&e->conf_lock);
	word = &e->vfta[vid >> 5];
	if (vid != 0 && (*word & bit) == (is_on ? 0 : bit)) {
		*word ^= bit;
		e->num_vlans += is_on ? 1 : -1;
		if (e->is_up) {
			write_table(e, E1000_VFTA, e->vfta, vid >> 5);
			e1000_write(e, E1000_RCTL, receive_control(e));
		}
	}
	mutex_unlock(&e->conf_lock);
	return OK;
}
