/* The simulator's machinery: events, links, and the shell around each core. See sim.h. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/string.h"

enum { IP_HEADER = 20, TCP_HEADER = 20, WIRE_OVERHEAD = 38, MAX_STEPS = 40000000 };

struct packet {
	uint32_t seq, ack;
	uint16_t wnd, urg, len;
	uint8_t flags, ecn, optlen;
	uint8_t opts[TCP_MAX_OPTIONS];
	uint8_t bytes[];
};

enum kind { EV_PACKET, EV_TIMER, EV_APP, EV_ICMP };

struct sim_event {
	nsec_t at;
	uint64_t order;
	enum kind kind;
	int host;
	struct packet *p;
	uint32_t seq;
	uint16_t mss;
};

static void
broken(struct sim *s, const char *why)
{
	if (!s->broken)
		s->broken = why;
}

uint64_t
sim_random(struct sim *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool
chance(struct sim *s, uint32_t ppm)
{
	return ppm && sim_random(s) % PPM < ppm;
}

/* ---- Events: a binary heap, first by time, then by order of posting ------------ */

static bool
before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void
post(struct sim *s, struct sim_event e)
{
	uint32_t i;

	if (s->nevents == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 1024;
		s->heap = realloc(s->heap, s->cap * sizeof(*s->heap));
	}
	e.order = s->order++;
	for (i = s->nevents++; i && before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
}

static struct sim_event
take(struct sim *s)
{
	struct sim_event first = s->heap[0], last = s->heap[--s->nevents];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < s->nevents) {
		if (child + 1 < s->nevents &&
		    before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!before(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

/* ---- Links --------------------------------------------------------------------- */

static bool
is_lost(struct sim *s, struct sim_link *l, const struct packet *p)
{
	if (p->len && ++l->data_segs >= l->drop_first &&
	    l->data_segs < l->drop_first + l->drop_count)
		return true;
	if (chance(s, l->burst))
		l->burst_until = s->now + sim_random(s) % (2 * l->burst_len);
	if (s->now < l->burst_until)
		return true;
	return chance(s, l->loss) || chance(s, l->corrupt);
}

static void
deliver(struct sim *s, int to, struct packet *p, nsec_t at)
{
	post(s, (struct sim_event){.at = at, .kind = EV_PACKET, .host = to, .p = p});
}

static void
transmit(struct sim *s, int from, struct packet *p)
{
	struct sim_link *l = &s->host[from].link;
	uint32_t ip_len = IP_HEADER + TCP_HEADER + p->optlen + p->len;
	nsec_t start = MAX(s->now, l->busy_until), wire = 0;
	uint64_t waiting = l->rate ? (start - s->now) * l->rate / 8 / NSEC_PER_SEC : 0;

	l->packets++;
	if (l->mtu && ip_len > l->mtu) {
		if (l->tells_mtu)
			post(s, (struct sim_event){.at = s->now + l->delay,
			            .kind = EV_ICMP,
			            .host = from,
			            .seq = p->seq,
			            .mss = l->mtu - IP_HEADER - TCP_HEADER});
		l->lost++;
		free(p);
		return;
	}
	if (is_lost(s, l, p) || (l->queue && waiting + ip_len > l->queue)) {
		l->lost++;
		free(p);
		return;
	}
	if (l->mark && waiting > l->mark && p->ecn)
		p->ecn = TCP_ECN_CE;
	if (l->rate)
		wire = (ip_len + WIRE_OVERHEAD) * 8ull * NSEC_PER_SEC / l->rate;
	l->busy_until = start + wire;
	start += wire + (chance(s, l->jump) ? 0 : l->delay);
	if (chance(s, l->reorder))
		start += l->reorder_delay;
	if (chance(s, l->dup)) {
		struct packet *copy = malloc(sizeof(*p) + p->len);

		__builtin_memcpy(copy, p, sizeof(*p) + p->len);
		deliver(s, !from, copy, start + 1000);
	}
	deliver(s, !from, p, start);
}

/* ---- The shell: what goes out -------------------------------------------------- */

static void
trace(struct sim *s, int from, const struct packet *p)
{
	struct sim_host *h = &s->host[from];

	printf("# %12.6f %c %c%c%c%c%c%c seq %u len %u ack %u wnd %u | cwnd %u ssth %u "
	       "pipe %u lost %u "
	       "sacked %u ca %u rtx %u rto %u\n",
	    (double)s->now / 1e9, from ? '<' : '>', p->flags & TCP_SYN ? 'S' : '.',
	    p->flags & TCP_FIN ? 'F' : '.', p->flags & TCP_RST ? 'R' : '.',
	    p->flags & TCP_PSH ? 'P' : '.', p->flags & TCP_ECE ? 'E' : '.',
	    p->flags & TCP_CWR ? 'W' : '.', p->seq - h->t.iss, p->len, p->ack - h->t.irs,
	    p->wnd, h->t.cwnd, h->t.ssthresh, h->t.in_flight, h->t.lost, h->t.sacked,
	    h->t.ca_state, h->t.rtx_mode, h->t.rto_us);
}

/* Cuts as TSO does: FIN and PSH on the last piece, CWR on the first. */
static void
send_out(struct sim *s, int me, const struct tcp_out *o)
{
	struct sim_host *h = &s->host[me];
	uint32_t done = 0, mss = o->mss ? o->mss : 536;

	do {
		uint32_t n = MIN(o->len - done, mss);
		struct packet *p = calloc(1, sizeof(*p) + n);
		bool is_last = done + n == o->len;

		p->seq = o->seq + done;
		p->ack = o->ack;
		p->wnd = o->wnd;
		p->len = (uint16_t)n;
		p->ecn = o->ecn;
		p->flags = o->flags;
		if (!is_last)
			p->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (done)
			p->flags &= (uint8_t)~TCP_CWR;
		p->urg = o->flags & TCP_URG ? (uint16_t)(o->urg - done) : 0;
		p->optlen = (uint8_t)tcp_write_options(&o->opts, p->opts);
		if (p->optlen != tcp_options_len(&o->opts) || p->optlen > TCP_MAX_OPTIONS)
			broken(s, "options are longer than they say");
		for (uint32_t i = 0; i < n; i++)
			p->bytes[i] = sim_byte(me, h->acked + o->off + done + i);
		if (h->acked + o->off + done + n > h->given)
			broken(s, "sends more than the user gave");
		h->segs++;
		h->retrans += o->is_retransmit;
		if (s->trace)
			trace(s, me, p);
		transmit(s, me, p);
		done += n;
	} while (done < o->len);
}

static void
give_memory(struct sim_host *h)
{
	for (int kind = 0; kind < TCP_MEM_COUNT; kind++) {
		size_t size = tcp_core_mem_wanted(&h->t, kind);

		if (size > TCP_MEM_MAX)
			abort();
		if (size && !h->app.no_memory)
			free(tcp_core_mem_give(&h->t, kind, malloc(size), size));
	}
}

static void
check_invariants(struct sim *s, const struct tcb *t)
{
	uint64_t sum = (uint64_t)t->in_flight + t->lost + t->sacked;

	if (t->state != TCP_CLOSE && sum != (uint32_t)(t->snd_nxt - t->snd_una) &&
	    t->tx_head != t->tx_tail)
		broken(s, "records do not add up to what is outstanding");
	if (seq_lt(t->snd_end + 1, t->snd_nxt))
		broken(s, "sent beyond the end");
	for (uint32_t i = 1; i < t->nranges; i++) {
		if (seq_le(t->ranges[i].start, t->ranges[i - 1].end))
			broken(s, "ranges touch");
	}
	if (t->cwnd < t->mss && t->state == TCP_ESTABLISHED)
		broken(s, "window below one segment");
}

/* After every event: memory, output, timer. */
static void
drive(struct sim *s, int me)
{
	struct sim_host *h = &s->host[me];
	struct tcp_out out;
	nsec_t at;
	unsigned n = 0;

	give_memory(h);
	while (tcp_core_output(&h->t, s->now, &out)) {
		send_out(s, me, &out);
		give_memory(h);
		if (++n > 100000) {
			broken(s, "output never ends");
			break;
		}
	}
	check_invariants(s, &h->t);
	at = tcp_core_deadline(&h->t);
	if (at != UINT64_MAX && (at < h->timer_at || h->timer_at < s->now)) {
		h->timer_at = MAX(at, s->now + 1);
		post(s,
		    (struct sim_event){.at = h->timer_at, .kind = EV_TIMER, .host = me});
	}
}

/* ---- The shell: what comes in -------------------------------------------------- */

static void
check_bytes(struct sim *s, int me, uint64_t off, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (p[i] != sim_byte(!me, off + i)) {
			broken(s, "wrong byte");
			return;
		}
	}
}

/* Pieces are disjoint; a new one may cover old ones wholly. */
static void
keep_piece(struct sim *s, struct sim_host *h, uint64_t off, const uint8_t *p, uint32_t n)
{
	struct sim_piece **at = &h->pieces, *piece;

	while (*at && (*at)->off < off)
		at = &(*at)->next;
	while (*at && (*at)->off + (*at)->len <= off + n) {
		piece = *at;
		*at = piece->next;
		h->held -= piece->len;
		free(piece);
	}
	if (*at && (*at)->off < off + n)
		broken(s, "pieces overlap");
	piece = malloc(sizeof(*piece) + n);
	*piece = (struct sim_piece){.next = *at, .off = off, .len = n};
	__builtin_memcpy(piece->bytes, p, n);
	*at = piece;
	h->held += n;
	h->max_held = MAX(h->max_held, h->held);
}

static void
take_pieces(struct sim *s, int me, uint64_t upto)
{
	struct sim_host *h = &s->host[me];

	while (h->pieces && h->pieces->off < upto) {
		struct sim_piece *p = h->pieces;

		if (p->off > h->received)
			broken(s, "hole in what is said to be readable");
		check_bytes(s, me, p->off, p->bytes, p->len);
		h->received = MAX(h->received, p->off + p->len);
		h->pieces = p->next;
		h->held -= p->len;
		free(p);
	}
	if (h->received != upto)
		broken(s, "readable bytes are not there");
}

static void
apply(struct sim *s, int me, const struct tcp_result *r, const uint8_t *payload)
{
	struct sim_host *h = &s->host[me];
	uint64_t readable_to = h->received + r->readable;

	h->acked += r->acked;
	if (h->acked > h->given)
		broken(s, "acknowledged more than was given");
	if (r->keep_len && r->keep_in_order) {
		check_bytes(s, me, h->received, payload + r->keep_off, r->keep_len);
		h->received += r->keep_len;
		while (h->pieces && h->pieces->off + h->pieces->len <= h->received) {
			struct sim_piece *p = h->pieces;

			h->pieces = p->next;
			h->held -= p->len;
			free(p);
		}
	} else if (r->keep_len) {
		uint32_t ahead = r->keep_seq - h->t.rcv_nxt;

		keep_piece(s, h, h->received + ahead, payload + r->keep_off, r->keep_len);
	}
	if (r->readable)
		take_pieces(s, me, readable_to);
	if (h->received - h->read + h->held >
	    MAX(h->t.rcvbuf_max, h->t.rcvbuf) + 65536ull)
		broken(s, "more is held than the window ever offered");
	h->events_seen |= r->events;
	if (r->events & TCP_EV_CONNECTED)
		h->is_connected = true;
	if (r->events & TCP_EV_FIN)
		h->saw_fin = true;
	if (r->events & TCP_EV_CLOSED)
		h->is_closed = true;
	if (r->error && !(r->events & TCP_EV_SOFT))
		h->error = r->error;
}

/* The user: writes as there is room, reads as he likes, closes at the end. */
static void
run_app(struct sim *s, int me)
{
	struct sim_host *h = &s->host[me];
	uint32_t room = h->app.sndbuf
	                    ? h->app.sndbuf
	                    : MIN(tcp_core_sndbuf_hint(&h->t), (uint32_t)MIB(16));
	struct tcp_result r;

	if (!h->is_open)
		return;
	while (!h->is_closed && h->given < h->app.to_send && h->given - h->acked < room &&
	       s->now >= h->next_chunk) {
		uint64_t n = MIN(h->app.to_send - h->given, room - (h->given - h->acked));

		if (h->app.chunk) {
			n = MIN(n, (uint64_t)h->app.chunk);
			h->next_chunk = s->now + h->app.chunk_gap;
			if (h->app.chunk_gap)
				post(s,
				    (struct sim_event){
				        .at = h->next_chunk, .kind = EV_APP, .host = me});
		}
		h->given += n;
		tcp_core_send(&h->t, (uint32_t)n, false, s->now);
	}
	if (!h->is_closed && h->given == h->app.to_send && !h->is_shut &&
	    !h->app.no_close && h->t.state != TCP_SYN_SENT) {
		h->is_shut = true;
		tcp_core_shutdown(&h->t, s->now, &r);
		apply(s, me, &r, NULL);
	}
	if (h->received > h->read && s->now >= h->app.read_from &&
	    s->now >= h->next_read) {
		uint64_t n = h->received - h->read;

		if (h->app.read_rate) {
			n = MIN(n, 4096ull);
			h->next_read = s->now + n * NSEC_PER_SEC / h->app.read_rate;
			post(s, (struct sim_event){
			            .at = h->next_read, .kind = EV_APP, .host = me});
		}
		h->read += n;
		tcp_core_read(&h->t, (uint32_t)n, s->now);
	}
	if (!h->done_at && h->saw_fin && h->read == h->received)
		h->done_at = s->now;
}

static void
input(struct sim *s, int me, struct packet *p)
{
	struct sim_host *h = &s->host[me];
	struct tcp_result r;
	struct tcp_seg seg = {.seq = p->seq,
	    .ack = p->ack,
	    .len = p->len,
	    .wnd = p->wnd,
	    .urg = p->urg,
	    .flags = p->flags,
	    .ecn = p->ecn};

	if (!tcp_parse_options(p->opts, p->optlen, &seg.opts))
		broken(s, "options do not parse");
	if (!h->is_open) {
		if (p->flags != TCP_SYN && p->flags != (TCP_SYN | TCP_ECE | TCP_CWR))
			return;
		h->is_open = true;
		tcp_core_accept(&h->t, &h->cfg, &seg, s->now);
		return;
	}
	tcp_core_input(&h->t, &seg, s->now, &r);
	apply(s, me, &r, p->bytes);
}

/* ---- Running ------------------------------------------------------------------- */

void
sim_init(struct sim *s, uint64_t seed)
{
	__builtin_memset(s, 0, sizeof(*s));
	s->seed = s->random = seed;
	s->now = NSEC_PER_SEC;
	s->trace = getenv("SIM_TRACE") != NULL;
	for (int i = 0; i < 2; i++) {
		s->host[i].cfg = (struct tcp_config){
		    .iss = (uint32_t)sim_random(s),
		    .ts_off = (uint32_t)sim_random(s),
		    .mss = 1460,
		    .use_ts = true,
		    .use_sack = true,
		    .use_wscale = true,
		    .ecn = TCP_ECN_ACCEPT,
		    .rcvbuf = 131072,
		    .rcvbuf_max = 6 << 20,
		    .cc = tcp_cc_find("cubic"),
		    .mtu = {.mode = 1,
		        .base_mss = 1024,
		        .floor_mss = 48,
		        .threshold = 8,
		        .interval_s = 600},
		};
		s->host[i].link = (struct sim_link){.delay = NSEC_PER_MSEC};
		s->host[i].timer_at = UINT64_MAX;
	}
}

static bool
is_done(const struct sim *s)
{
	for (int i = 0; i < 2; i++) {
		const struct sim_host *h = &s->host[i];

		if (!h->is_closed && h->t.state != TCP_TIME_WAIT)
			return false;
		if (!h->error && (h->acked != h->app.to_send || !h->done_at))
			return false;
	}
	return true;
}

static void
step(struct sim *s)
{
	struct sim_event e = take(s);
	struct sim_host *h = &s->host[e.host];
	struct tcp_result r;

	s->now = e.at;
	switch (e.kind) {
	case EV_PACKET:
		input(s, e.host, e.p);
		free(e.p);
		break;
	case EV_TIMER:
		if (h->timer_at != e.at)
			return;
		h->timer_at = UINT64_MAX;
		tcp_core_timer(&h->t, s->now, &r);
		apply(s, e.host, &r, NULL);
		break;
	case EV_ICMP: tcp_core_path_mss(&h->t, e.seq, e.mss, s->now); break;
	case EV_APP: break;
	}
	run_app(s, e.host);
	if (h->is_open)
		drive(s, e.host);
}

void
sim_run(struct sim *s, bool simultaneous, nsec_t limit)
{
	for (int i = 0; i < (simultaneous ? 2 : 1); i++) {
		s->host[i].is_open = true;
		tcp_core_connect(&s->host[i].t, &s->host[i].cfg, s->now);
		run_app(s, i);
		drive(s, i);
	}
	for (int i = 0; i < 2; i++) {
		if (s->host[i].app.read_from)
			post(s, (struct sim_event){.at = s->host[i].app.read_from,
			            .kind = EV_APP,
			            .host = i});
	}
	limit += s->now;
	while (s->nevents && !is_done(s) && !s->broken) {
		if (s->heap[0].at > limit || ++s->steps > MAX_STEPS) {
			broken(s, "not done in time");
			break;
		}
		step(s);
	}
	if (!s->broken && !is_done(s))
		broken(s, "stuck: no event left");
}

void
sim_fini(struct sim *s)
{
	while (s->nevents) {
		struct sim_event e = take(s);

		if (e.kind == EV_PACKET)
			free(e.p);
	}
	free(s->heap);
	for (int i = 0; i < 2; i++) {
		struct sim_host *h = &s->host[i];
		struct tcp_result r;

		while (h->pieces) {
			struct sim_piece *p = h->pieces;

			h->pieces = p->next;
			free(p);
		}
		if (!h->is_open)
			continue;
		(void)r;
		tcp_core_abort(&h->t, s->now);
		for (int kind = 0; kind < TCP_MEM_COUNT; kind++)
			free(tcp_core_mem_take(&h->t, kind));
	}
}

double
sim_goodput(const struct sim *s, int host)
{
	nsec_t t = s->host[host].done_at - NSEC_PER_SEC;

	return t ? (double)s->host[host].received * 8e9 / (double)t : 0;
}
