/*
 * Socket options of level TCP (tcp(7)). What they set stands in ts->user, so that options given
 * before connect(), and those a listener hands to its children, have a place; tcp_apply_options
 * brings a control block in line with them.
 */
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip.h"
#include "net/tcp_conn.h"

enum tcp_option { /* Linux's numbers */
	OPT_NODELAY = 1,
	OPT_MAXSEG,
	OPT_CORK,
	OPT_KEEPIDLE,
	OPT_KEEPINTVL,
	OPT_KEEPCNT,
	OPT_SYNCNT,
	OPT_LINGER2,
	OPT_DEFER_ACCEPT,
	OPT_WINDOW_CLAMP,
	OPT_INFO,
	OPT_QUICKACK,
	OPT_CONGESTION,
	OPT_THIN_LINEAR_TIMEOUTS = 16,
	OPT_THIN_DUPACK,
	OPT_USER_TIMEOUT,
	OPT_TIMESTAMP = 24,
	OPT_NOTSENT_LOWAT,
	OPT_SAVE_SYN = 27,
	OPT_SAVED_SYN,
	OPT_INQ = 36,
};

enum {
	MAX_KEEPIDLE = 32767,
	MAX_KEEPINTVL = 32767,
	MAX_KEEPCNT = 127,
	MAX_SYNCNT = 127,
	MIN_MAXSEG = 88,
	MAX_MAXSEG = 32767,
	MAX_LINGER2 = 120,
	MIN_WINDOW_CLAMP = 1152,
	CC_NAME_LEN = 16,
};

void
tcp_apply_options(struct tcp_sock *ts, nsec_t now)
{
	struct tcp_user *u = &ts->user;
	const struct sock *s = &ts->inet.sock;
	struct tcb *tcb = &ts->tcb;

	tcp_core_set_nodelay(tcb, u->nodelay);
	tcp_core_set_cork(tcb, u->is_corked);
	if (u->maxseg)
		tcp_core_set_maxseg(tcb, u->maxseg);
	tcp_core_set_keeptimes(tcb, u->keep_idle_s ? u->keep_idle_s : tcp_set.keep_idle_s,
	    u->keep_intvl_s ? u->keep_intvl_s : tcp_set.keep_intvl_s,
	    u->keep_cnt ? u->keep_cnt : (uint8_t)tcp_set.keep_cnt, now);
	if (s->is_keepalive != ts->is_keepalive_on) {
		ts->is_keepalive_on = s->is_keepalive;
		tcp_core_set_keepalive(tcb, s->is_keepalive, now);
	}
	tcp_core_set_user_timeout(tcb, u->user_timeout_ms);
	if (u->cc && tcb->cc != u->cc)
		tcp_core_set_cc(tcb, u->cc, now);
	tcp_core_set_max_pacing(
	    tcb, s->max_pacing_rate == UINT64_MAX ? 0 : s->max_pacing_rate);
}

/* ---- Setting ----------------------------------------------------------------------------------- */

static enum err
set_ranged(uint32_t *field, int32_t val, int32_t min, int32_t max)
{
	if (val < min || val > max)
		return ERR_INVAL;
	*field = (uint32_t)val;
	return OK;
}

static enum err
set_byte(uint8_t *field, int32_t val, int32_t min, int32_t max)
{
	if (val < min || val > max)
		return ERR_INVAL;
	*field = (uint8_t)val;
	return OK;
}

static enum err
set_bool(bool *field, int32_t val)
{
	if (val < 0 || val > 1)
		return ERR_INVAL;
	*field = val;
	return OK;
}

static enum err
set_maxseg(struct tcp_user *u, int32_t val)
{
	if (val && (val < MIN_MAXSEG || val > MAX_MAXSEG))
		return ERR_INVAL;
	u->maxseg = (uint16_t)val;
	return OK;
}

static enum err
set_window_clamp(struct tcp_sock *ts, int32_t val)
{
	if (!val && tcp_state(ts) != TCP_CLOSE)
		return ERR_INVAL;
	ts->user.window_clamp = val ? (uint32_t)MAX(val, MIN_WINDOW_CLAMP) : 0;
	if (ts->is_live && val)
		tcp_core_set_rcvbuf(&ts->tcb, MIN(ts->tcb.rcvbuf, ts->user.window_clamp),
		    ts->user.window_clamp);
	return OK;
}

static void
set_linger2(struct tcp_user *u, int32_t val)
{
	u->linger2_s = val < 0 ? -1 : val > MAX_LINGER2 ? MAX_LINGER2 : val;
}

static enum err
set_quickack(struct tcp_sock *ts, int32_t val)
{
	ts->user.no_quickack = !(val & 1);
	if (ts->is_live)
		tcp_core_set_quickack(&ts->tcb, val & 1);
	return OK;
}

/* [lock] */
static enum err
set_int(struct tcp_sock *ts, int opt, int32_t val)
{
	struct tcp_user *u = &ts->user;

	switch (opt) {
	case OPT_NODELAY: u->nodelay = val; return OK;
	case OPT_CORK: u->is_corked = val; return OK;
	case OPT_MAXSEG: return set_maxseg(u, val);
	case OPT_KEEPIDLE: return set_ranged(&u->keep_idle_s, val, 1, MAX_KEEPIDLE);
	case OPT_KEEPINTVL: return set_ranged(&u->keep_intvl_s, val, 1, MAX_KEEPINTVL);
	case OPT_KEEPCNT: return set_byte(&u->keep_cnt, val, 1, MAX_KEEPCNT);
	case OPT_SYNCNT: return set_byte(&u->syncnt, val, 1, MAX_SYNCNT);
	case OPT_LINGER2: set_linger2(u, val); return OK;
	case OPT_DEFER_ACCEPT:
		u->defer_accept_s = (uint8_t)MIN(MAX(val, 0), 255);
		return OK;
	case OPT_WINDOW_CLAMP: return set_window_clamp(ts, val);
	case OPT_QUICKACK: return set_quickack(ts, val);
	case OPT_THIN_LINEAR_TIMEOUTS: return set_bool(&u->is_thin_linear, val);
	case OPT_THIN_DUPACK: return val < 0 || val > 1 ? ERR_INVAL : OK;
	case OPT_SAVE_SYN: return set_byte(&u->save_syn, val, 0, 2);
	case OPT_INQ: return set_bool(&u->has_inq, val);
	case OPT_USER_TIMEOUT: return set_ranged(&u->user_timeout_ms, val, 0, INT32_MAX);
	case OPT_NOTSENT_LOWAT: u->notsent_lowat = (uint32_t)val; return OK;
	default: return ERR_NOPROTOOPT;
	}
}

static enum err
set_congestion(struct tcp_sock *ts, const char *val, unsigned len)
{
	char name[CC_NAME_LEN] = "";
	const struct tcp_cc_ops *cc;

	if (len < 1)
		return ERR_INVAL;
	memcpy(name, val, MIN(len, CC_NAME_LEN - 1));
	cc = tcp_cc_find(name);
	if (!cc)
		return ERR_NOENT;
	ts->user.cc = cc;
	return OK;
}

enum err
tcp_setsockopt(struct sock *s, int level, int opt, const void *val, unsigned len)
{
	struct tcp_sock *ts = tcp_of(s);
	int32_t number;
	enum err err;
	nsec_t now;

	if (level != IPPROTO_TCP_LEVEL)
		return inet_setsockopt(&ts->inet, level, opt, val, len);
	if (opt != OPT_CONGESTION && len < sizeof(number))
		return ERR_INVAL;
	spin_lock(&s->lock);
	if (opt == OPT_CONGESTION) {
		err = set_congestion(ts, val, len);
	} else {
		memcpy(&number, val, sizeof(number));
		err = set_int(ts, opt, number);
	}
	if (err == OK && ts->is_live) {
		now = clock_now_ns();
		tcp_apply_options(ts, now);
		tcp_conn_push(ts, now);
	}
	spin_unlock(&s->lock);
	return err;
}

/* ---- Getting ------------------------------------------------------------------------------------ */

struct tcp_info { /* Linux's include/uapi/linux/tcp.h */
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscales, flags;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss,
	    reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
	uint16_t total_rto, total_rto_recoveries;
	uint32_t total_rto_time;
};

static_assert(offsetof(struct tcp_info, pacing_rate) == 104, "Linux's layout");
static_assert(offsetof(struct tcp_info, delivery_rate) == 160, "Linux's layout");
static_assert(offsetof(struct tcp_info, rcv_wnd) == 232, "Linux's layout");

static void
info_state(const struct tcp_core_info *c, struct tcp_info *t)
{
	t->ca_state = c->ca_state;
	t->retransmits = c->retransmits;
	t->probes = c->probes;
	t->backoff = c->backoff;
	t->options = c->options;
	t->wscales = (uint8_t)(c->snd_wscale | c->rcv_wscale << 4);
	t->flags = c->delivery_rate_app_limited;
	t->rto = c->rto_us;
	t->ato = c->ato_us;
	t->snd_mss = c->snd_mss;
	t->rcv_mss = c->rcv_mss;
	t->unacked = c->unacked;
	t->sacked = c->sacked;
	t->lost = c->lost;
	t->retrans = c->retrans;
	t->last_data_sent = c->last_data_sent_ms;
	t->last_data_recv = c->last_data_recv_ms;
	t->last_ack_recv = c->last_ack_recv_ms;
	t->rcv_ssthresh = c->rcv_ssthresh;
	t->rtt = c->rtt_us;
	t->rttvar = c->rttvar_us;
	t->snd_ssthresh = c->snd_ssthresh;
	t->snd_cwnd = c->snd_cwnd;
	t->advmss = c->advmss;
	t->reordering = c->reordering;
}

static void
info_counters(const struct tcp_core_info *c, struct tcp_info *t)
{
	t->rcv_rtt = c->rcv_rtt_us;
	t->rcv_space = c->rcv_space;
	t->total_retrans = c->total_retrans;
	t->pacing_rate = c->pacing_rate;
	t->max_pacing_rate = c->max_pacing_rate;
	t->bytes_acked = c->bytes_acked;
	t->bytes_received = c->bytes_received;
	t->segs_out = c->segs_out;
	t->segs_in = c->segs_in;
	t->notsent_bytes = c->notsent_bytes;
	t->min_rtt = c->min_rtt_us;
	t->data_segs_in = c->data_segs_in;
	t->data_segs_out = c->data_segs_out;
	t->delivered = (uint32_t)c->delivered;
	t->bytes_sent = c->bytes_sent;
	t->bytes_retrans = c->bytes_retrans;
	t->dsack_dups = c->dsack_dups;
	t->reord_seen = c->reord_seen;
	t->snd_wnd = c->snd_wnd;
	t->rcv_wnd = c->rcv_wnd;
}

static void
get_info(struct tcp_sock *ts, struct tcp_info *t)
{
	struct tcp_core_info c = {.state = 0};

	memset(t, 0, sizeof(*t));
	spin_lock(&ts->inet.sock.lock);
	t->state = tcp_state(ts);
	t->reordering = 3; /* what a connection begins with */
	t->snd_cwnd = 10;
	if (ts->is_live) {
		tcp_core_info(&ts->tcb, clock_now_ns(), &c);
		info_state(&c, t);
		info_counters(&c, t);
		t->pmtu = ts->mtu_seen;
	} else if (ts->is_listening) {
		t->unacked = ts->listener->num_accepted;
		t->sacked = ts->listener->backlog;
	}
	spin_unlock(&ts->inet.sock.lock);
}

unsigned
tcp_get_info(struct tcp_sock *ts, void *buf, unsigned room)
{
	struct tcp_info info;

	get_info(ts, &info);
	room = MIN(room, (unsigned)sizeof(info));
	memcpy(buf, &info, room);
	return room;
}

static int32_t
get_maxseg(const struct tcp_sock *ts)
{
	if (ts->is_live && ts->tcb.mss)
		return ts->tcb.mss;
	return ts->user.maxseg ? ts->user.maxseg : 536;
}

static enum err
get_int(struct tcp_sock *ts, int opt, int32_t *val)
{
	const struct tcp_user *u = &ts->user;

	switch (opt) {
	case OPT_NODELAY: *val = u->nodelay; break;
	case OPT_CORK: *val = u->is_corked; break;
	case OPT_MAXSEG: *val = get_maxseg(ts); break;
	case OPT_KEEPIDLE:
		*val = (int32_t)(u->keep_idle_s ? u->keep_idle_s : tcp_set.keep_idle_s);
		break;
	case OPT_KEEPINTVL:
		*val =
		    (int32_t)(u->keep_intvl_s ? u->keep_intvl_s : tcp_set.keep_intvl_s);
		break;
	case OPT_KEEPCNT:
		*val = (int32_t)(u->keep_cnt ? u->keep_cnt : tcp_set.keep_cnt);
		break;
	case OPT_SYNCNT:
		*val = (int32_t)(u->syncnt ? u->syncnt : tcp_set.syn_retries);
		break;
	case OPT_LINGER2:
		*val = u->linger2_s ? u->linger2_s : (int32_t)tcp_set.fin_timeout_s;
		break;
	case OPT_DEFER_ACCEPT: *val = u->defer_accept_s; break;
	case OPT_WINDOW_CLAMP:
		*val = (int32_t)(u->window_clamp ? u->window_clamp : ts->tcb.rcvbuf_max);
		break;
	case OPT_QUICKACK: *val = !u->no_quickack && !ts->tcb.pingpong; break;
	case OPT_THIN_LINEAR_TIMEOUTS: *val = u->is_thin_linear; break;
	case OPT_THIN_DUPACK: *val = 0; break;
	case OPT_SAVE_SYN: *val = u->save_syn; break;
	case OPT_INQ: *val = u->has_inq; break;
	case OPT_USER_TIMEOUT: *val = (int32_t)u->user_timeout_ms; break;
	case OPT_NOTSENT_LOWAT: *val = (int32_t)u->notsent_lowat; break;
	case OPT_TIMESTAMP:
		*val = (int32_t)((uint32_t)(clock_now_ns() / NSEC_PER_MSEC) +
		                 ts->tcb.ts_off);
		break;
	default: return ERR_NOPROTOOPT;
	}
	return OK;
}

/* Given once, and whole: with too little room only its length is told. */
static enum err
get_saved_syn(struct tcp_sock *ts, void *val, unsigned *len)
{
	struct tcp_saved_syn *syn;
	unsigned room = *len;

	spin_lock(&ts->inet.sock.lock);
	syn = ts->saved_syn;
	*len = syn ? syn->len : 0;
	if (*len <= room)
		ts->saved_syn = NULL;
	spin_unlock(&ts->inet.sock.lock);
	if (*len > room)
		return ERR_INVAL;
	if (syn)
		memcpy(val, syn->bytes, syn->len);
	kfree(syn);
	return OK;
}

enum err
tcp_getsockopt(struct sock *s, int level, int opt, void *val, unsigned *len)
{
	struct tcp_sock *ts = tcp_of(s);
	const struct tcp_cc_ops *cc;
	char name[CC_NAME_LEN] = "";
	int32_t number;
	enum err err;

	if (level != IPPROTO_TCP_LEVEL)
		return inet_getsockopt(&ts->inet, level, opt, val, len);
	switch (opt) {
	case OPT_INFO: *len = tcp_get_info(ts, val, *len); return OK;
	case OPT_SAVED_SYN: return get_saved_syn(ts, val, len);
	case OPT_CONGESTION:
		cc = ts->user.cc ? ts->user.cc : tcp_set.cc;
		memcpy(name, tcp_cc_name(cc), strlen(tcp_cc_name(cc)));
		*len = MIN(*len, (unsigned)sizeof(name));
		memcpy(val, name, *len);
		return OK;
	default:
		err = get_int(ts, opt, &number);
		if (err != OK)
			return err;
		*len = MIN(*len, (unsigned)sizeof(number));
		memcpy(val, &number, *len);
		return OK;
	}
}
