/*
 * SIOCETHTOOL: what drivers say of themselves, for ethtool, mii tools and libraries that ask for
 * the link. Reading only, but for the checks of the structures' sizes, which are Linux's.
 */
#include "lib/string.h"
#include "mm/usercopy.h"
#include "net/ifconf.h"
#include "net/netdev.h"

enum {
	ETHTOOL_GSET = 0x1,
	ETHTOOL_GDRVINFO = 0x3,
	ETHTOOL_GLINK = 0xa,
	ETHTOOL_GRXCSUM = 0x14,
	ETHTOOL_GTXCSUM = 0x16,
	ETHTOOL_GSG = 0x18,
	ETHTOOL_GTSO = 0x1e,
	ETHTOOL_GPERMADDR = 0x20,
	ETHTOOL_GGSO = 0x23,
	ETHTOOL_GGRO = 0x2b,

	SPEED_UNKNOWN = 0xffff,
	DUPLEX_HALF = 0,
	DUPLEX_FULL = 1,
	DUPLEX_UNKNOWN = 0xff,
};

struct ethtool_value {
	uint32_t cmd, data;
};

struct ethtool_cmd {
	uint32_t cmd, supported, advertising;
	uint16_t speed;
	uint8_t duplex, port, phy_address, transceiver, autoneg, mdio_support;
	uint32_t maxtxpkt, maxrxpkt;
	uint16_t speed_hi;
	uint8_t eth_tp_mdix, eth_tp_mdix_ctrl;
	uint32_t lp_advertising, reserved[2];
};
static_assert(sizeof(struct ethtool_cmd) == 44, "Linux's struct ethtool_cmd");

struct ethtool_drvinfo {
	uint32_t cmd;
	char driver[32], version[32], fw_version[32], bus_info[32], erom_version[32];
	char reserved2[12];
	uint32_t n_priv_flags, n_stats, testinfo_len, eedump_len, regdump_len;
};
static_assert(sizeof(struct ethtool_drvinfo) == 196, "Linux's struct ethtool_drvinfo");

static enum err
get_settings(const struct netdev *dev, uint64_t data)
{
	bool is_known = dev->speed_mbps && dev->has_link;
	uint32_t speed = is_known ? dev->speed_mbps : UINT32_MAX;
	struct ethtool_cmd c = {.cmd = ETHTOOL_GSET,
	    .speed = (uint16_t)speed,
	    .speed_hi = (uint16_t)(speed >> 16),
	    .duplex = !is_known             ? DUPLEX_UNKNOWN
	              : dev->is_full_duplex ? DUPLEX_FULL
	                                    : DUPLEX_HALF,
	    .autoneg = 1};

	return put_user(c, (struct ethtool_cmd USER *)data);
}

static enum err
get_driver(const struct netdev *dev, uint64_t data)
{
	struct ethtool_drvinfo d = {.cmd = ETHTOOL_GDRVINFO};

	strlcpy(d.driver, dev->driver_name ? dev->driver_name : "", sizeof(d.driver));
	return put_user(d, (struct ethtool_drvinfo USER *)data);
}

/* struct ethtool_perm_addr: command, room, then the bytes. */
static enum err
get_permanent(const struct netdev *dev, uint64_t data)
{
	struct ethtool_value v;
	enum err err = get_user(v, (const struct ethtool_value USER *)data);

	if (err != OK)
		return err;
	if (v.data < ETH_ALEN)
		return ERR_INVAL;
	v.data = ETH_ALEN;
	err = put_user(v, (struct ethtool_value USER *)data);
	return err != OK ? err
	                 : copy_to_user((void USER *)(data + sizeof(v)),
	                       dev->permanent_mac, ETH_ALEN);
}

enum err
ifconf_ethtool(struct netdev *dev, uint64_t user_data)
{
	struct ethtool_value v = {0};
	enum err err = get_user(v.cmd, (const uint32_t USER *)user_data);

	if (err != OK)
		return err;
	switch (v.cmd) {
	case ETHTOOL_GSET: return get_settings(dev, user_data);
	case ETHTOOL_GDRVINFO: return get_driver(dev, user_data);
	case ETHTOOL_GPERMADDR: return get_permanent(dev, user_data);
	case ETHTOOL_GLINK: v.data = dev->has_link; break;
	case ETHTOOL_GRXCSUM: v.data = !!(dev->features & NETDEV_RXCSUM); break;
	case ETHTOOL_GTXCSUM:
		v.data =
		    !!(dev->features & (NETDEV_CSUM4 | NETDEV_CSUM6 | NETDEV_CSUM_ANY));
		break;
	case ETHTOOL_GSG: v.data = !!(dev->features & NETDEV_SG); break;
	case ETHTOOL_GTSO:
		v.data = !!(dev->features & (NETDEV_TSO4 | NETDEV_TSO6));
		break;
	case ETHTOOL_GGSO: v.data = 1; break;
	case ETHTOOL_GGRO: v.data = !!(dev->features & NETDEV_GRO); break;
	default: return ERR_OPNOTSUPP;
	}
	return put_user(v, (struct ethtool_value USER *)user_data);
}
