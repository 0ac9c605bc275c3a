/*
 * Terminal attributes with Linux's numbers and layout (asm-generic/termbits.h), and the ioctl
 * requests of terminals (asm-generic/ioctls.h). POSIX XBD chapter 11 tells what they mean.
 */
#pragma once

#include "lib/types.h"

enum { NCCS = 19 };

/* struct termios as TCGETS gives it; struct termios2 (TCGETS2) adds the two speeds. */
struct termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line;
	uint8_t cc[NCCS];
	uint32_t ispeed, ospeed; /* termios2 only */
};

enum { TERMIOS_SIZE = 36, TERMIOS2_SIZE = 44 };
static_assert(sizeof(struct termios) == TERMIOS2_SIZE, "termios2 layout");

/* The old System V's struct termio (TCGETA): the low halves of the flags. */
enum { NCC = 8 };

struct termio {
	uint16_t iflag, oflag, cflag, lflag;
	uint8_t line;
	uint8_t cc[NCC];
};

struct winsize {
	uint16_t rows, cols, xpixels, ypixels;
};

enum cc_index {
	VINTR,
	VQUIT,
	VERASE,
	VKILL,
	VEOF,
	VTIME,
	VMIN,
	VSWTC,
	VSTART,
	VSTOP,
	VSUSP,
	VEOL,
	VREPRINT,
	VDISCARD,
	VWERASE,
	VLNEXT,
	VEOL2,
};

enum iflag {
	IGNBRK = 0001,
	BRKINT = 0002,
	IGNPAR = 0004,
	PARMRK = 0010,
	INPCK = 0020,
	ISTRIP = 0040,
	INLCR = 0100,
	IGNCR = 0200,
	ICRNL = 0400,
	IUCLC = 01000,
	IXON = 02000,
	IXANY = 04000,
	IXOFF = 010000,
	IMAXBEL = 020000,
	IUTF8 = 040000,
};

enum oflag {
	OPOST = 0001,
	OLCUC = 0002,
	ONLCR = 0004,
	OCRNL = 0010,
	ONOCR = 0020,
	ONLRET = 0040,
	TABDLY = 014000,
	XTABS = 014000,
};

enum cflag {
	B9600 = 0000015,
	B38400 = 0000017,
	B115200 = 0010002,
	CS8 = 0000060,
	CREAD = 0000200,
	HUPCL = 0002000,
	CLOCAL = 0004000,
};

enum lflag {
	ISIG = 0001,
	ICANON = 0002,
	ECHO = 0010,
	ECHOE = 0020,
	ECHOK = 0040,
	ECHONL = 0100,
	NOFLSH = 0200,
	TOSTOP = 0400,
	ECHOCTL = 01000,
	ECHOPRT = 02000,
	ECHOKE = 04000,
	IEXTEN = 0100000,
};

enum tty_ioctl {
	TCGETS = 0x5401,
	TCSETS = 0x5402,
	TCSETSW = 0x5403,
	TCSETSF = 0x5404,
	TCGETA = 0x5405,
	TCSETA = 0x5406,
	TCSETAW = 0x5407,
	TCSETAF = 0x5408,
	TCSBRK = 0x5409,
	TCXONC = 0x540a,
	TCFLSH = 0x540b,
	TIOCEXCL = 0x540c,
	TIOCNXCL = 0x540d,
	TIOCSCTTY = 0x540e,
	TIOCGPGRP = 0x540f,
	TIOCSPGRP = 0x5410,
	TIOCOUTQ = 0x5411,
	TIOCSTI = 0x5412,
	TIOCGWINSZ = 0x5413,
	TIOCSWINSZ = 0x5414,
	TIOCGSOFTCAR = 0x5419,
	TIOCSSOFTCAR = 0x541a,
	FIONREAD = 0x541b,
	TIOCPKT = 0x5420,
	TIOCNOTTY = 0x5422,
	TIOCSETD = 0x5423,
	TIOCGETD = 0x5424,
	TCSBRKP = 0x5425,
	TIOCGSID = 0x5429,
	TCGETS2 = (int)0x802c542a,
	TCSETS2 = 0x402c542b,
	TCSETSW2 = 0x402c542c,
	TCSETSF2 = 0x402c542d,
	TIOCGPTN = (int)0x80045430,
	TIOCSPTLCK = 0x40045431,
	TIOCGDEV = (int)0x80045432,
	TIOCSIG = 0x40045436,
	TIOCGEXCL = (int)0x80045440,
	TIOCGLCKTRMIOS = 0x5456,
	TIOCSLCKTRMIOS = 0x5457,
	TIOCGPKT = (int)0x80045438,
	TIOCGPTLCK = (int)0x80045439,
	TIOCGPTPEER = 0x5441,
};

enum { TCIFLUSH, TCOFLUSH, TCIOFLUSH }; /* TCFLSH */
enum { TCOOFF, TCOON, TCIOFF, TCION };  /* TCXONC */

/* The first byte of a read from a pty's master in packet mode; ioctl_tty(2). */
enum tty_packet {
	TIOCPKT_DATA = 0,
	TIOCPKT_FLUSHREAD = 1,
	TIOCPKT_FLUSHWRITE = 2,
	TIOCPKT_STOP = 4,
	TIOCPKT_START = 8,
	TIOCPKT_NOSTOP = 16,
	TIOCPKT_DOSTOP = 32,
};
