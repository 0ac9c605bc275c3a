/*
 * Segments for connections that are over: TIME-WAIT in little room (RFC 9293 3.10.7.4,
 * RFC 6191), and the reset for those that never were (3.10.7.1).
 */
#include "lib/string.h"
#include "net/tcp_core.h"
#include "net/tcp_priv.h"

void
tcp_tw_init(struct tcp_tw *tw, const struct tcb *t)
{
	*tw = (struct tcp_tw){
	    .snd_nxt = t->snd_nxt,
	    .rcv_nxt = t->rcv_nxt,
	    .rcv_wnd = MAX(tcp_rcv_wnd(t), 1u),
	    .ts_recent = t->ts_recent,
	    .ts_off = t->ts_off,
	    .use_ts = t->use_ts,
	    .rcv_wscale = t->rcv_wscale,
	    .expires = t->timer[TCP_T_STATE],
	};
}

static enum tcp_tw_answer
tw_ack(const struct tcp_tw *tw, nsec_t now, struct tcp_out *out)
{
	memset(out, 0, sizeof(*out));
	out->seq = tw->snd_nxt;
	out->ack = tw->rcv_nxt;
	out->flags = TCP_ACK;
	out->wnd = (uint16_t)(tw->rcv_wnd >> tw->rcv_wscale);
	if (tw->use_ts) {
		out->opts.has = TCP_OPT_TS;
		out->opts.tsval = tcp_ms(now) + tw->ts_off;
		out->opts.tsecr = tw->ts_recent;
	}
	return TCP_TW_ACK;
}

/*
 * A SYN may begin a new connection when it cannot be an old duplicate: its timestamp is
 * newer (RFC 6191 2), or, without timestamps, its number is beyond all that was seen (RFC
 * 1122 4.2.2.13).
 */
static bool
may_reuse(const struct tcp_tw *tw, const struct tcp_seg *seg)
{
	if (tw->use_ts && seg->opts.has & TCP_OPT_TS) {
		int32_t newer = (int32_t)(seg->opts.tsval - tw->ts_recent);

		if (newer)
			return newer > 0;
	}
	return seq_lt(tw->rcv_nxt, seg->seq);
}

enum tcp_tw_answer
tcp_tw_input(struct tcp_tw *tw, const struct tcp_seg *seg, nsec_t now,
    struct tcp_out *out, uint32_t *iss_min)
{
	bool has_ts = tw->use_ts && seg->opts.has & TCP_OPT_TS;
	bool is_old = has_ts && (int32_t)(seg->opts.tsval - tw->ts_recent) < 0;

	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
	    may_reuse(tw, seg)) {
		*iss_min = tw->snd_nxt + 65535 + 2;
		return TCP_TW_REUSE;
	}
	if (seg->flags & TCP_RST)
		return !is_old && seg->seq == tw->rcv_nxt ? TCP_TW_END : TCP_TW_DROP;
	if (seg->flags & TCP_FIN && seg->seq + seg->len + 1 == tw->rcv_nxt)
		tw->expires = now + TCP_TIME_WAIT_MS * NSEC_PER_MSEC; /* restart 2 MSL */
	if (is_old || seg->flags & (TCP_SYN | TCP_FIN) || seg->len ||
	    seg->seq != tw->rcv_nxt)
		return tw_ack(tw, now, out);
	return TCP_TW_DROP;
}

bool
tcp_reset_for(const struct tcp_seg *seg, struct tcp_out *out)
{
	if (seg->flags & TCP_RST)
		return false;
	memset(out, 0, sizeof(*out));
	out->flags = TCP_RST;
	if (seg->flags & TCP_ACK) {
		out->seq = seg->ack;
	} else {
		out->flags |= TCP_ACK;
		out->ack = seg->seq + seg->len + !!(seg->flags & TCP_SYN) +
		           !!(seg->flags & TCP_FIN);
	}
	return true;
}
