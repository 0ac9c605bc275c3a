/* The table of switches that each interface has, as /proc/sys/net/{ipv4,ipv6}/conf shows them. */
#pragma once

#include "lib/types.h"

struct netdev;

enum { CONF_MAX_ROWS = 32 };

struct conf_row {
	const char *name; /* NULL ends the table */
	bool is_v6;
	int32_t min, max;
	int32_t initial; /* of "all" and "default" */
	/* [rtnl] An interface that lacks the protocol reads 0 and ignores what is set. */
	int32_t (*get)(const struct netdev *);
	void (*set)(struct netdev *, int32_t);
};

extern const struct conf_row conf_rows[]; /* the first is IPv4's forwarding */
