/*
 * libFuzzer: segments, timers and user calls in any order, at any time, against one TCP
 * core. Checked after each: what is in flight adds up, windows and ranges keep their
 * order, output ends, what is told to keep lies in the payload.
 * LINK: net/tcp_core.c net/tcp_input.c net/tcp_input_ack.c net/tcp_input_data.c
 * net/tcp_output.c net/tcp_mtu.c net/tcp_timer.c net/tcp_rtt.c net/tcp_tx.c net/tcp_sack.c net/tcp_rack.c
 * net/tcp_recover.c net/tcp_cc.c net/tcp_cc_cubic.c net/tcp_cc_reno.c
 * net/tcp_options.c lib/string.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/tcp_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEER_ISN = 0x7fffff00, SNDBUF = 1 << 20, MAX_OUTPUTS = 5000 };

static const uint8_t *in, *in_end;

static uint32_t
byte(void)
{
	return in < in_end ? *in++ : 0;
}

static uint32_t
word(void)
{
	uint32_t a = byte();

	return a << 8 | byte();
}

/* A macro, for the line that is printed. */
#define check(ok) \
	do { \
		if (!(ok)) { \
			fprintf( \
			    stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #ok); \
			abort(); \
		} \
	} while (0)

struct world {
	struct tcb t;
	nsec_t now;
	uint32_t buffered; /* in the send buffer */
	uint64_t unread;
	bool is_open;
};

static void
check_tcb(const struct world *w)
{
	const struct tcb *t = &w->t;

	if (t->state == TCP_CLOSE)
		return;
	check(seq_le(t->snd_una, t->snd_nxt) && seq_le(t->snd_nxt, t->snd_end + 1));
	if (t->tx_head != t->tx_tail)
		check(t->in_flight + t->lost + t->sacked == t->snd_nxt - t->snd_una);
	else
		check(!t->in_flight && !t->lost && !t->sacked);
	check(t->tx_tail - t->tx_head <= t->tx_cap && t->nranges <= t->ranges_cap);
	for (uint32_t i = 0; i < t->nranges; i++) {
		check(seq_lt(t->ranges[i].start, t->ranges[i].end));
		check(seq_lt(i ? t->ranges[i - 1].end : t->rcv_nxt, t->ranges[i].start));
	}
	check(t->cwnd && t->mss >= 88);
	if (t->tx_head != t->tx_tail && t->state != TCP_TIME_WAIT)
		check(tcp_core_deadline(t) != UINT64_MAX);
}

static void
apply(struct world *w, const struct tcp_seg *seg, const struct tcp_result *r)
{
	check(r->acked <= w->buffered);
	w->buffered -= r->acked;
	w->unread += r->readable;
	if (seg)
		check(r->keep_off + r->keep_len <= seg->len);
	else
		check(!r->keep_len);
	check(!(r->events & TCP_EV_CLOSED) || w->t.state == TCP_CLOSE);
}

static void
drive(struct world *w)
{
	struct tcp_out o;
	unsigned n = 0;

	for (int kind = 0; kind < TCP_MEM_COUNT; kind++) {
		size_t size = tcp_core_mem_wanted(&w->t, kind);

		check(size <= TCP_MEM_MAX);
		if (size && !(w->now & 0x10))
			free(tcp_core_mem_give(&w->t, kind, malloc(size), size));
	}
	while (tcp_core_output(&w->t, w->now, &o)) {
		check(o.off + o.len <= w->buffered);
		check(tcp_options_len(&o.opts) <= TCP_MAX_OPTIONS);
		check(++n < MAX_OUTPUTS);
	}
	check_tcb(w);
}

static void
segment(struct world *w)
{
	const struct tcb *t = &w->t;
	uint32_t how = byte();
	struct tcp_seg seg = {
	    .flags = (uint8_t)byte(), .wnd = (uint16_t)word(), .ecn = how & 3};
	struct tcp_result r;

	seg.seq =
	    (how & 4 ? t->rcv_adv : t->rcv_nxt) + (how & 8 ? word() - 32768 : byte() & 3);
	seg.ack = (how & 16 ? t->snd_una : t->snd_nxt) + (how & 32 ? word() - 32768 : 0);
	seg.len = how & 64 ? word() : 0;
	if (t->use_ts || how & 128) {
		seg.opts.has |= TCP_OPT_TS;
		seg.opts.tsval = t->ts_recent + byte() - 10;
		seg.opts.tsecr = t->ts_off + (uint32_t)(w->now / NSEC_PER_MSEC) - byte();
	}
	seg.opts.nsack = byte() % (TCP_MAX_SACK + 1);
	for (unsigned i = 0; i < seg.opts.nsack; i++) {
		seg.opts.sack[i].start = t->snd_una + word() - 2000;
		seg.opts.sack[i].end = seg.opts.sack[i].start + word();
	}
	if (seg.flags & TCP_SYN) {
		seg.opts.has |= (uint8_t)byte();
		seg.opts.mss = (uint16_t)word();
		seg.opts.wscale = byte() % 15;
	}
	if (!w->is_open) {
		return;
	}
	tcp_core_input(&w->t, &seg, w->now, &r);
	apply(w, &seg, &r);
}

static void
user(struct world *w)
{
	struct tcp_result r = {0};
	uint32_t n;

	switch (byte() % 12) {
	case 0:
		n = word() * 4;
		if (w->t.state == TCP_CLOSE || w->t.fin_wanted ||
		    w->buffered + n > SNDBUF)
			return;
		w->buffered += n;
		tcp_core_send(&w->t, n, n & 4, w->now);
		break;
	case 1:
		n = (uint32_t)MIN(w->unread, (uint64_t)word());
		w->unread -= n;
		tcp_core_read(&w->t, n, w->now);
		break;
	case 2: tcp_core_shutdown(&w->t, w->now, &r); break;
	case 3: tcp_core_orphan(&w->t, w->now); break;
	case 4: tcp_core_set_nodelay(&w->t, byte() & 1); break;
	case 5: tcp_core_set_cork(&w->t, byte() & 1); break;
	case 6:
		tcp_core_path_mss(&w->t, w->t.snd_una + byte(), (uint16_t)word(), w->now);
		break;
	case 7:
		tcp_core_icmp(&w->t, w->t.snd_una, ERR_TIMEDOUT, byte() & 1, w->now, &r);
		break;
	case 8: tcp_core_set_rcvbuf(&w->t, word() + 1, word() * 16); break;
	case 9:
		tcp_core_set_keeptimes(&w->t, byte(), byte(), 3, w->now);
		tcp_core_set_keepalive(&w->t, byte() & 1, w->now);
		break;
	case 10: tcp_core_set_user_timeout(&w->t, word()); break;
	case 11: tcp_core_send_urgent(&w->t); break;
	}
	apply(w, NULL, &r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.now = NSEC_PER_SEC};
	struct tcp_config cfg = {
	    .iss = 0xffffff00, .ts_off = 5, .rcvbuf = 20000, .rcvbuf_max = 400000};
	struct tcp_result r;
	uint32_t how;

	in = data;
	in_end = data + size;
	how = byte();
	cfg.use_ts = how & 1;
	cfg.use_sack = how & 2;
	cfg.use_wscale = how & 4;
	cfg.ecn = how >> 3 & 1 ? TCP_ECN_ASK : TCP_ECN_ACCEPT;
	cfg.tso_max = how & 16 ? 65535 : 0;
	cfg.cc = how & 32 ? tcp_cc_find("reno") : NULL;
	cfg.mss = how & 64 ? 8960 : 1460;
	if (how & 128) {
		struct tcp_seg syn = {.seq = PEER_ISN, .flags = TCP_SYN, .wnd = 5000};

		syn.opts.has = (uint8_t)byte();
		syn.opts.mss = (uint16_t)word();
		syn.opts.wscale = byte() % 15;
		tcp_core_accept(&w.t, &cfg, &syn, w.now);
	} else {
		tcp_core_connect(&w.t, &cfg, w.now);
	}
	w.is_open = true;
	drive(&w);
	while (in < in_end) {
		uint32_t what = byte();

		w.now += (uint64_t)word() << (what >> 3);
		if (what % 8 < 4) {
			segment(&w);
		} else if (what % 8 < 6) {
			user(&w);
		} else {
			if (tcp_core_deadline(&w.t) != UINT64_MAX && what & 8)
				w.now = MAX(w.now, tcp_core_deadline(&w.t));
			tcp_core_timer(&w.t, w.now, &r);
			apply(&w, NULL, &r);
		}
		drive(&w);
	}
	tcp_core_abort(&w.t, w.now);
	for (int kind = 0; kind < TCP_MEM_COUNT; kind++)
		free(tcp_core_mem_take(&w.t, kind));
	return 0;
}
