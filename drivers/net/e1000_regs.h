/*
 * Registers and descriptors of Intel's 8254x and 82574 Ethernet controllers, by the names
 * of the manuals:
 *
 *   SDM    PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual
 *          (82540EP/EM, 82541, 82544GC/EI, 82545, 82546, 82547), revision 4.0, chapter 13
 *   82574  82574 GbE Controller Family Datasheet, revision 3.4, chapter 10
 *
 * Where only one is named the register is only there. Offsets are in bytes from BAR 0.
 */
#pragma once

#include "lib/types.h"

enum e1000_reg {
	/* General: SDM 13.4.1-13.4.13, 82574 10.2.2 */
	E1000_CTRL = 0x0000,
	E1000_STATUS = 0x0008,
	E1000_EECD = 0x0010,
	E1000_EERD = 0x0014,
	E1000_CTRL_EXT = 0x0018,
	E1000_MDIC = 0x0020,
	E1000_FCAL = 0x0028,
	E1000_FCAH = 0x002c,
	E1000_FCT = 0x0030,
	E1000_VET = 0x0038,
	E1000_FCTTV = 0x0170,
	E1000_EXTCNF_CTRL = 0x0f00, /* 82574 10.2.2.18 */
	E1000_PBA = 0x1000,
	E1000_GCR = 0x5b00,  /* 82574 10.2.3 */
	E1000_GCR2 = 0x5b64, /* 82574, errata */

	/* Interrupts: SDM 13.4.17-13.4.21, 82574 10.2.4 */
	E1000_ICR = 0x00c0,
	E1000_ITR = 0x00c4,
	E1000_ICS = 0x00c8,
	E1000_IMS = 0x00d0,
	E1000_IMC = 0x00d8,
	E1000_EIAC = 0x00dc, /* 82574 */
	E1000_IVAR = 0x00e4, /* 82574 */
	E1000_EITR = 0x00e8, /* 82574: one for each vector, 4 bytes apart */

	/* Receive: SDM 13.4.22-13.4.31, 82574 10.2.5. A second queue is 0x100 further. */
	E1000_RCTL = 0x0100,
	E1000_FCRTL = 0x2160,
	E1000_FCRTH = 0x2168,
	E1000_RDBAL = 0x2800,
	E1000_RDBAH = 0x2804,
	E1000_RDLEN = 0x2808,
	E1000_RDH = 0x2810,
	E1000_RDT = 0x2818,
	E1000_RDTR = 0x2820,
	E1000_RXDCTL = 0x2828,
	E1000_RADV = 0x282c,
	E1000_RXCSUM = 0x5000,
	E1000_RFCTL = 0x5008, /* 82574 */
	E1000_MTA = 0x5200,   /* 128 words */
	E1000_RAL = 0x5400,   /* 16 pairs */
	E1000_RAH = 0x5404,
	E1000_VFTA = 0x5600,  /* 128 words */
	E1000_MRQC = 0x5818,  /* 82574 */
	E1000_RETA = 0x5c00,  /* 82574: 32 words */
	E1000_RSSRK = 0x5c80, /* 82574: 10 words */

	/* Transmit: SDM 13.4.33-13.4.45, 82574 10.2.6. A second queue is 0x100 further. */
	E1000_TCTL = 0x0400,
	E1000_TIPG = 0x0410,
	E1000_TDBAL = 0x3800,
	E1000_TDBAH = 0x3804,
	E1000_TDLEN = 0x3808,
	E1000_TDH = 0x3810,
	E1000_TDT = 0x3818,
	E1000_TIDV = 0x3820,
	E1000_TXDCTL = 0x3828,
	E1000_TADV = 0x382c,
	E1000_TARC = 0x3840, /* 82574 */

	/* Statistics, cleared by reading: SDM 13.7, 82574 10.2.7 */
	E1000_CRCERRS = 0x4000,
	E1000_RXERRC = 0x400c,
	E1000_MPC = 0x4010,
	E1000_ECOL = 0x4018,
	E1000_LATECOL = 0x4020,
	E1000_COLC = 0x4028,
	E1000_TNCRS = 0x4034,
	E1000_CEXTERR = 0x403c,
	E1000_RLEC = 0x4040,
	E1000_MPRC = 0x407c,
	E1000_RNBC = 0x40a0,
	E1000_RUC = 0x40a4,
	E1000_ROC = 0x40ac,

	/* Wake-up and management: SDM 13.6, 82574 10.2.8 */
	E1000_WUC = 0x5800,
	E1000_MANC = 0x5820,
};

enum {
	E1000_QUEUE_STRIDE = 0x100,
	E1000_NUM_RAR = 15, /* the 82574's sixteenth belongs to management */
	E1000_MTA_WORDS = 128,
	E1000_VFTA_WORDS = 128,
	E1000_RETA_WORDS = 32,
	E1000_RSSRK_WORDS = 10,
};
static const uint32_t E1000_GONE = 0xffffffff; /* what a removed device reads as */

enum e1000_ctrl { /* SDM 13.4.1 */
	CTRL_FD = 1 << 0,
	CTRL_GIO_MASTER_DISABLE = 1 << 2, /* 82574 */
	CTRL_LRST = 1 << 3,
	CTRL_ASDE = 1 << 5,
	CTRL_SLU = 1 << 6,
	CTRL_ILOS = 1 << 7,
	CTRL_FRCSPD = 1 << 11,
	CTRL_FRCDPLX = 1 << 12,
	CTRL_RST = 1 << 26,
	CTRL_RFCE = 1 << 27,
	CTRL_TFCE = 1 << 28,
	CTRL_VME = 1 << 30,
};
static const uint32_t CTRL_PHY_RST = 1u << 31;

enum e1000_status { /* SDM 13.4.2 */
	STATUS_FD = 1 << 0,
	STATUS_LU = 1 << 1,
	STATUS_FUNCTION = 3 << 2,
	STATUS_SPEED_SHIFT = 6, /* 0: 10, 1: 100, 2 and 3: 1000 Mb/s */
	STATUS_PCIX_MODE = 1 << 13,
	STATUS_GIO_MASTER = 1 << 19, /* 82574: requests are on their way */
};

enum e1000_ctrl_ext {
	CTRL_EXT_RO_DIS = 1 << 17,
	CTRL_EXT_DRV_LOAD = 1 << 28, /* 82574 10.2.2.5: firmware, hands off */
};
static const uint32_t CTRL_EXT_PBA_CLR = 1u << 31; /* 82574: MSI-X pending bits */

enum e1000_eecd { /* SDM 13.4.3 */
	EECD_SK = 1 << 0,
	EECD_CS = 1 << 1,
	EECD_DI = 1 << 2,
	EECD_DO = 1 << 3,
	EECD_REQ = 1 << 6,
	EECD_GNT = 1 << 7,
	EECD_AUTO_RD = 1 << 9, /* 82574: configuration was read from the NVM */
	EECD_SIZE = 1 << 9,    /* 8254x Microwire: 256 words, not 64 */
};

enum e1000_eerd { /* SDM 13.4.4; the 82574's differ, 10.2.2.3 */
	EERD_START = 1 << 0,
	EERD_DONE = 1 << 4,
	EERD_ADDR_SHIFT = 8,
	EERD_DONE_82574 = 1 << 1,
	EERD_ADDR_SHIFT_82574 = 2,
	EERD_DATA_SHIFT = 16,
};

enum { /* SDM 5.6: words of the EEPROM */
	NVM_MAC = 0,
	NVM_WORDS = 64,
	NVM_SUM = 0xbaba,
};

enum e1000_mdic { /* SDM 13.4.6 */
	MDIC_REG_SHIFT = 16,
	MDIC_PHY_ADDR = 1 << 21, /* the internal PHY's address is 1 */
	MDIC_OP_WRITE = 1 << 26,
	MDIC_OP_READ = 2 << 26,
	MDIC_READY = 1 << 28,
	MDIC_ERROR = 1 << 30,
};

enum e1000_extcnf { EXTCNF_MDIO_SW = 1 << 5 }; /* 82574: software has the PHY and NVM */

enum e1000_phy { /* IEEE 802.3 clause 22.2.4 and 40.5 */
	PHY_CONTROL = 0,
	PHY_STATUS = 1,
	PHY_ADVERTISE = 4,
	PHY_PARTNER = 5,
	PHY_1000_CONTROL = 9,
	PHY_CONTROL_POWER_DOWN = 1 << 11,
	PHY_CONTROL_RESTART = 1 << 9,
	PHY_CONTROL_AUTONEG = 1 << 12,
	PHY_ADVERTISE_ALL = 0x01e1, /* 10 and 100, half and full duplex; 802.3 */
	PHY_PAUSE = 1 << 10,
	PHY_PAUSE_ASYM = 1 << 11,
	PHY_1000_FULL = 1 << 9,
};

enum e1000_icr { /* SDM 13.4.17; from 20 on: 82574 10.2.4.1 */
	ICR_TXDW = 1 << 0,
	ICR_TXQE = 1 << 1,
	ICR_LSC = 1 << 2,
	ICR_RXDMT0 = 1 << 4,
	ICR_RXO = 1 << 6,
	ICR_RXT0 = 1 << 7,
	ICR_RXQ0 = 1 << 20,
	ICR_RXQ1 = 1 << 21,
	ICR_TXQ0 = 1 << 22,
	ICR_TXQ1 = 1 << 23,
	ICR_OTHER = 1 << 24,
};

enum e1000_ivar { /* 82574 10.2.4.9: three bits of vector and one of validity */
	IVAR_VALID = 1 << 3,
	IVAR_RXQ_SHIFT = 0, /* 4 for each queue */
	IVAR_TXQ_SHIFT = 8,
	IVAR_OTHER_SHIFT = 16,
};

enum e1000_rctl { /* SDM 13.4.22 */
	RCTL_EN = 1 << 1,
	RCTL_UPE = 1 << 3,
	RCTL_MPE = 1 << 4,
	RCTL_LPE = 1 << 5,
	RCTL_BAM = 1 << 15,
	RCTL_BSIZE_2048 = 0,
	RCTL_VFE = 1 << 18,
	RCTL_SECRC = 1 << 26,
};

enum e1000_tctl { /* SDM 13.4.33 */
	TCTL_EN = 1 << 1,
	TCTL_PSP = 1 << 3,
	TCTL_CT = 15 << 4,
	TCTL_COLD = 63 << 12,
	TCTL_RTLC = 1 << 24,
};

enum { /* SDM 13.4.34, for copper */
	TIPG_COPPER = 8 | 8 << 10 | 6 << 20,
};

enum e1000_xdctl { /* SDM 13.4.31, 13.4.43; 82574 10.2.6.7 */
	XDCTL_WTHRESH_1 = 1 << 16,
	XDCTL_COUNT_DESC = 1 << 22, /* 82574: must be set */
	XDCTL_GRAN = 1 << 24,       /* thresholds count descriptors */
	TXDCTL_PTHRESH = 31,
};

enum e1000_rxcsum { /* SDM 13.4.30 */
	RXCSUM_IPOFL = 1 << 8,
	RXCSUM_TUOFL = 1 << 9,
	RXCSUM_PCSD = 1 << 13, /* 82574: the descriptor has the RSS hash instead */
};

enum e1000_rfctl {              /* 82574 10.2.5.13 */
	RFCTL_ACKDIS = 1 << 12, /* no interrupt at once for a TCP ACK */
	RFCTL_ACKD_DIS = 1 << 13,
	RFCTL_EXSTEN = 1 << 15,
};

enum e1000_mrqc { /* 82574 10.2.5.11 */
	MRQC_RSS = 1 << 0,
	MRQC_TCP4 = 1 << 16,
	MRQC_IP4 = 1 << 17,
	MRQC_TCP6 = 1 << 18,
	MRQC_IP6 = 1 << 20,
};

static const uint32_t FCRTL_XONE = 1u << 31; /* tell when there is room again */
static const uint32_t RAH_AV = 1u << 31;

enum e1000_manc { MANC_ARP_EN = 1 << 13 };

/* ---- Receive descriptors ---------------------------------------------------------- */

/*
 * Software writes the buffer's address and zero; the device fills in `info`, and with the
 * extended format overwrites `addr` too.
 *
 *	             0-15   16-31  32-39   40-47   48-63
 *	legacy       len    csum   status  errors  VLAN tag      SDM 3.2.3
 *
 *	             0-19          20-31   32-47   48-63
 *	extended     status        errors  len     VLAN tag      82574 7.1.6.2
 *	  addr       0-3: type of RSS hash; 32-63: RSS hash
 */
struct e1000_rx_desc {
	uint64_t addr, info;
};

enum e1000_rx_shift {
	RXD_STATUS_SHIFT = 32,
	RXD_ERRORS_SHIFT = 40,
	RXD_EXT_ERRORS_SHIFT = 24,
	RXD_EXT_LEN_SHIFT = 32,
	RXD_VLAN_SHIFT = 48,
	RXD_EXT_HASH_SHIFT = 32,
	RXD_EXT_HASH_TYPE = 15,
};

enum e1000_rx_status { /* both formats */
	RXS_DD = 1 << 0,
	RXS_EOP = 1 << 1,
	RXS_IXSM = 1 << 2,
	RXS_VP = 1 << 3,
	RXS_UDPCS = 1 << 4, /* extended */
	RXS_TCPCS = 1 << 5,
	RXS_IPCS = 1 << 6,
	RXS_PIF = 1 << 7,
};

enum e1000_rx_error { /* both formats; only the last descriptor of a frame has them */
	RXE_CE = 1 << 0,
	RXE_SE = 1 << 1,
	RXE_SEQ = 1 << 2,
	RXE_CXE = 1 << 4,
	RXE_TCPE = 1 << 5,
	RXE_IPE = 1 << 6,
	RXE_RXE = 1 << 7,
	RXE_FRAME = RXE_CE | RXE_SE | RXE_SEQ | RXE_CXE | RXE_RXE,
};

/* ---- Transmit descriptors --------------------------------------------------------- */

/* SDM 3.3.6 (TCP/IP context) and 3.3.7 (TCP/IP data). */
union e1000_tx_desc {
	struct {
		uint64_t addr;
		uint32_t cmd_len; /* len 0-19, DTYP 20-23, DCMD 24-31 */
		uint8_t status, popts;
		uint16_t special;
	} data;
	struct {
		uint8_t ipcss, ipcso;
		uint16_t ipcse;
		uint8_t tucss, tucso;
		uint16_t tucse;
		uint32_t cmd_len; /* PAYLEN 0-19, DTYP 20-23, TUCMD 24-31 */
		uint8_t status, hdrlen;
		uint16_t mss;
	} ctx;
};

static_assert(sizeof(union e1000_tx_desc) == 16, "SDM 3.3.7");

enum e1000_tx_cmd {
	TXD_DTYP_DATA = 1 << 20,
	TXD_EOP = 1 << 24,
	TXD_IFCS = 1 << 25,
	TXD_TSE = 1 << 26,
	TXD_RS = 1 << 27,
	TXD_DEXT = 1 << 29,
	TXD_VLE = 1 << 30,
	/* context */
	TXC_TCP = 1 << 24,
	TXC_IP4 = 1 << 25,
	TXC_TSE = 1 << 26,
	TXD_MAX_LEN = (1 << 20) - 1,
};
static const uint32_t TXD_IDE = 1u << 31; /* interrupt only after TIDV */

enum e1000_tx_status { TXD_DD = 1 << 0 };

enum e1000_tx_popts { TXP_IXSM = 1 << 0, TXP_TXSM = 1 << 1 };
