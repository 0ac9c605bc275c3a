/*
 * IPv4 link-local addresses (RFC 3927): for an interface to which no server gives one. All under
 * rtnl.
 */
#pragma once

struct netdev;

void linklocal4_start(struct netdev *); /* again: nothing happens */
void linklocal4_stop(struct netdev *);  /* the address goes too */
void linklocal4_init(void);
