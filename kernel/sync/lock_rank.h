/*
 * The lock order. A lock may be taken only when its rank is above that of every lock the
 * CPU (spinlock) or thread (mutex) holds; debug builds check each acquisition. Ranks are
 * spaced so that a new lock finds its place; two locks of one rank are taken only
 * together by spin_lock_pair(), which orders them by address.
 */
#pragma once

enum lock_rank {
	/* Mutexes and reader-writer semaphores: taken while sleeping is allowed. */
	RANK_FILE_POS =
	    50,           /* struct file: position; held around whole reads and writes */
	RANK_SETUP = 100, /* bring-up and configuration: mounts, driver tables */
	RANK_TTY_CONF = 200,    /* one write to a terminal at a time */
	RANK_VFS_RENAME = 300,  /* renames across directories, one a file system */
	RANK_EPOLL_FILES = 305, /* links between files and epoll instances */
	RANK_EPOLL = 307,  /* ..312: an epoll instance; what it watches comes after it */
	RANK_INODE = 340,  /* inode contents, parent directory before child */
	RANK_DEVPTS = 350, /* a devpts instance's table of terminals */
	RANK_PIPE = 360,
	RANK_SYSV = 365,      /* the table of one kind of System V IPC */
	RANK_SOCK_RECV = 370, /* a socket's readers, one at a time */
	RANK_SOCK_SEND = 375,
	RANK_UNIX_FLIGHT = 380, /* files in messages of AF_UNIX sockets */
	RANK_RTNL = 400,        /* network configuration: interfaces, addresses, routes */
	RANK_NETDEV = 420,      /* a driver's own configuration lock */
	RANK_RECLAIM = 480,     /* what gives memory back */
	RANK_OOM = 490,         /* who chooses a victim when memory has run out */
	RANK_MMAP = 500,      /* address space: shared by faults, exclusive by changes */
	RANK_HUGE_PAGE = 550, /* who makes a page of 2 MiB, one at a time */
	RANK_PAGE_CACHE = 600,
	RANK_NOTIFY = 650, /* watches of files and what they tell */

	/* Spinlocks: interrupts off, no sleeping, no allocation inside. */
	RANK_PROC_TREE = 1000, /* parents, children, groups, sessions */
	RANK_PROC = 1050,      /* one process: threads, state */
	RANK_SIGNAL = 1100,
	RANK_FD_TABLE = 1150,
	RANK_DENTRY = 1200,
	RANK_MOUNT = 1220,
	RANK_OBJECT = 1300,      /* small objects of drivers, file systems, ipc */
	RANK_SOCK_LISTEN = 1350, /* a listener, before the connections it makes */
	RANK_SOCK = 1360,        /* one socket's state and queues */
	RANK_PORT_TABLE = 1365,  /* a port's users; asks the protocol's tables */
	RANK_NET_TABLE = 1370,   /* tables: ports, sockets, reassembly, multicast */
	RANK_NEIGH = 1380,
	RANK_SOCK_TAP = 1385,  /* a packet socket: it watches what others send, locked */
	RANK_NET_QUEUE = 1390, /* a device's transmit queue; a net thread's lists */
	RANK_NET_WHEEL = 1395, /* net timers: drivers arm them under their queue's lock */
	RANK_TTY = 1400,
	RANK_PAGE_TABLE = 1500, /* one page-table page */
	RANK_PAGE_TREE = 1550,  /* page cache tree */
	RANK_EVICT = 1560,      /* a ring of pages that can be read again */
	RANK_KVA = 1600,
	RANK_SLAB_LIST = 1690,
	RANK_SLAB = 1700,
	RANK_FRAMES = 1800,
	RANK_WAIT_QUEUE = 2000,
	RANK_EPOLL_READY = 2010, /* ..2021: ready lists; the watcher's comes after */
	RANK_INHERIT = 2090,     /* who waits for whose locks: kernel/sched/inherit.c */
	RANK_RUN_QUEUE = 2100,
	RANK_TIMER = 2150,      /* timers are armed under any lock above */
	RANK_IRQ = 2200,        /* interrupt controllers */
	RANK_PCI_CONFIG = 2250, /* ports CF8h and CFCh: masking a message takes them */
	RANK_IPI = 2300,
	RANK_RANDOM = 2350, /* random numbers are wanted under any lock */
	RANK_LOG = 2400,    /* last: logging works under every other lock */
	RANK_CONSOLE = 2500,
};
