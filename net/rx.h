/*
 * The net threads, as the files of the stack's floor see them (net/rx.c, net_timer.c, ether.c).
 * What protocols use is in net_timer.h (timers, works) and netdev.h (netdev_schedule).
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct netdev;
struct netdev_queue;
struct pkt;

/* Starts a net thread on every CPU, and the configuration thread. */
void net_threads_init(void);

/* The CPU's net thread has something to do. Any context. */
void net_kick(unsigned cpu);

/* The CPU that is to poll the n-th queue of a device. */
unsigned net_queue_cpu(unsigned n);

/*
 * From poll, a packet that is ready for net_input: handled now, or set aside for the CPU of
 * its flow, which gets it when this poll is over.
 */
void net_input_steered(struct pkt *);

/* Throws away what waits in the backlogs from this device, and waits for what is on its way. */
void net_backlog_purge(const struct netdev *);

/* ---- Timers: net/net_timer.c ------------------------------------------------------------ */

void net_timer_init_wheels(void);

/* Runs what is due on this CPU's wheel; true: there is more. Net thread only. */
bool net_timers_run(unsigned cpu);
