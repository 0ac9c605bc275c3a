/* The script runner: parses lines, plays the peer, compares what goes out. See script.h. */
#include "tests/sim/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/string.h"
#include "net/tcp_core.h"

enum { MAX_WORDS = 40, MAX_OUT = 4096, PEER_ISN = 500000 };

struct sent {
	nsec_t at;
	struct tcp_out o;
};

static struct {
	struct tcb t;
	struct tcp_config cfg;
	nsec_t now, start;
	struct sent out[MAX_OUT];
	unsigned nout, taken;
	uint32_t events, verdict;
	int error;
	uint64_t acked, got;
	bool no_read, is_open, use_ts;
	uint32_t last_tsval;
	char why[200];
	int line;
} s;

static bool
fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	__builtin_vsnprintf(s.why, sizeof(s.why), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- Names --------------------------------------------------------------------- */

struct name {
	const char *name;
	int value;
};

static const struct name states[] = {{"ESTABLISHED", TCP_ESTABLISHED},
    {"SYN_SENT", TCP_SYN_SENT}, {"SYN_RECV", TCP_SYN_RECV}, {"FIN_WAIT1", TCP_FIN_WAIT1},
    {"FIN_WAIT2", TCP_FIN_WAIT2}, {"TIME_WAIT", TCP_TIME_WAIT}, {"CLOSE", TCP_CLOSE},
    {"CLOSE_WAIT", TCP_CLOSE_WAIT}, {"LAST_ACK", TCP_LAST_ACK}, {"CLOSING", TCP_CLOSING},
    {NULL, 0}};

static const struct name events[] = {{"CONNECTED", TCP_EV_CONNECTED},
    {"READABLE", TCP_EV_READABLE}, {"ACKED", TCP_EV_ACKED}, {"FIN", TCP_EV_FIN},
    {"RESET", TCP_EV_RESET}, {"TIMEDOUT", TCP_EV_TIMEDOUT}, {"CLOSED", TCP_EV_CLOSED},
    {"URGENT", TCP_EV_URGENT}, {"TIME_WAIT", TCP_EV_TIME_WAIT}, {"SOFT", TCP_EV_SOFT},
    {"MTU_PROBE", TCP_EV_MTU_PROBE}, {NULL, 0}};

static const struct name verdicts[] = {{"TAKEN", TCP_TAKEN}, {"BAD_SEQ", TCP_BAD_SEQ},
    {"BAD_ACK", TCP_BAD_ACK}, {"BAD_PAWS", TCP_BAD_PAWS}, {"BAD_SYN", TCP_BAD_SYN},
    {"BAD_RST", TCP_BAD_RST}, {"BAD_FLAGS", TCP_BAD_FLAGS}, {"DUPLICATE", TCP_DUPLICATE},
    {"NO_WINDOW", TCP_NO_WINDOW}, {"NO_USER", TCP_NO_USER}, {NULL, 0}};

static const struct name errors[] = {{"0", 0}, {"ECONNREFUSED", ERR_CONNREFUSED},
    {"ECONNRESET", ERR_CONNRESET}, {"EPIPE", ERR_PIPE}, {"ETIMEDOUT", ERR_TIMEDOUT},
    {"EHOSTUNREACH", -113}, {"ENETUNREACH", ERR_NETUNREACH}, {NULL, 0}};

static const struct name ca_states[] = {
    {"OPEN", 0}, {"DISORDER", 1}, {"CWR", 2}, {"RECOVERY", 3}, {"LOSS", 4}, {NULL, 0}};

static int
value_of(const struct name *n, const char *word)
{
	for (; n->name; n++) {
		if (!strcmp(n->name, word))
			return n->value;
	}
	printf("# %s: no such name\n", word);
	abort();
}

static const char *
name_of(const struct name *n, int value)
{
	while (n->name && n->value != value)
		n++;
	return n->name ? n->name : "?";
}

/* ---- The core and its shell ---------------------------------------------------- */

static void
apply(const struct tcp_result *r)
{
	s.events |= r->events;
	s.verdict = r->verdict;
	if (r->error)
		s.error = r->error;
	s.acked += r->acked;
	s.got += r->readable;
	if (r->readable && !s.no_read)
		tcp_core_read(&s.t, r->readable, s.now);
}

static void
push_out(const struct tcp_out *o)
{
	uint32_t done = 0;

	do { /* cut as the shell does */
		struct tcp_out piece = *o;

		piece.seq += done;
		piece.len = MIN(o->len - done, MAX(o->mss, (uint16_t)1));
		if (done + piece.len != o->len)
			piece.flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (s.nout < MAX_OUT)
			s.out[s.nout++] = (struct sent){s.now, piece};
		done += piece.len;
	} while (done < o->len);
	if (o->opts.has & TCP_OPT_TS)
		s.last_tsval = o->opts.tsval;
}

static void
drive(void)
{
	struct tcp_out o;

	for (int again = 0; again < 2; again++) {
		for (int kind = 0; kind < TCP_MEM_COUNT; kind++) {
			size_t size = tcp_core_mem_wanted(&s.t, kind);

			if (size)
				free(tcp_core_mem_give(&s.t, kind, malloc(size), size));
		}
		while (tcp_core_output(&s.t, s.now, &o))
			push_out(&o);
	}
}

/*
 * Lets time pass, with the core's timers. Stops early when `until_out` and something goes
 * out.
 */
static void
pass(nsec_t until, bool until_out)
{
	struct tcp_result r;

	while (s.is_open && !(until_out && s.taken < s.nout)) {
		nsec_t at = tcp_core_deadline(&s.t);

		if (at > until)
			break;
		s.now = MAX(at, s.now);
		tcp_core_timer(&s.t, s.now, &r);
		apply(&r);
		drive();
	}
	if (!(until_out && s.taken < s.nout))
		s.now = until;
}

/* ---- Words --------------------------------------------------------------------- */

static double
number(const char *word)
{
	return strtod(word, NULL);
}

/* A sequence number: a symbol with offset, or counted from `base`. */
static uint32_t
seq_of(const char *word, uint32_t base)
{
	switch (word[0]) {
	case 'N': return s.t.snd_nxt + (uint32_t)atoi(word + 1);
	case 'U': return s.t.snd_una + (uint32_t)atoi(word + 1);
	case 'R': return s.t.rcv_nxt + (uint32_t)atoi(word + 1);
	case 'W': return s.t.rcv_adv + (uint32_t)atoi(word + 1);
	}
	return base + (uint32_t)atoi(word);
}

static uint8_t
flags_of(const char *word)
{
	static const char letters[] = "FSRPAUEW";
	uint8_t flags = 0;

	for (; *word; word++) {
		const char *at = strchr(letters, *word);

		if (at && *at)
			flags |= (uint8_t)(1 << (at - letters));
	}
	return flags;
}

static const char *
flags_text(uint8_t flags)
{
	static char text[10];
	unsigned n = 0;

	for (int i = 0; i < 8; i++) {
		if (flags & 1 << i)
			text[n++] = "FSRPAUEW"[i];
	}
	text[n] = 0;
	return text;
}

/* ---- Lines that do something --------------------------------------------------- */

static bool
is_word(char **w, const char *what)
{
	return *w && !strcmp(*w, what);
}

static bool
segment_in(char **w)
{
	struct tcp_seg seg = {.wnd = 65535};
	struct tcp_result r;
	bool has_ts = s.use_ts;

	seg.flags = flags_of(*w++);
	seg.seq = seq_of(*w++, PEER_ISN);
	seg.ack = seg.flags & TCP_ACK ? s.t.snd_nxt : 0;
	seg.opts.tsval = 1000 + (uint32_t)((s.now - s.start) / NSEC_PER_MSEC);
	seg.opts.tsecr = s.last_tsval;
	for (; *w; w++) {
		if (is_word(w, "len"))
			seg.len = (uint32_t)atoi(*++w);
		else if (is_word(w, "ack"))
			seg.ack = seq_of(*++w, s.t.iss);
		else if (is_word(w, "win"))
			seg.wnd = (uint16_t)atoi(*++w);
		else if (is_word(w, "urg"))
			seg.urg = (uint16_t)atoi(*++w);
		else if (is_word(w, "ce"))
			seg.ecn = TCP_ECN_CE;
		else if (is_word(w, "mss")) {
			seg.opts.has |= TCP_OPT_MSS;
			seg.opts.mss = (uint16_t)atoi(*++w);
		} else if (is_word(w, "wscale")) {
			seg.opts.has |= TCP_OPT_WSCALE;
			seg.opts.wscale = (uint8_t)atoi(*++w);
		} else if (is_word(w, "sackok"))
			seg.opts.has |= TCP_OPT_SACK_OK;
		else if (is_word(w, "nots"))
			has_ts = false;
		else if (is_word(w, "ts")) {
			has_ts = true;
			if (w[1] && w[1][0] >= '0' && w[1][0] <= '9')
				seg.opts.tsval = (uint32_t)atoi(*++w);
			if (w[1] && w[1][0] >= '0' && w[1][0] <= '9')
				seg.opts.tsecr = (uint32_t)atoi(*++w);
		} else if (is_word(w, "sack")) {
			while (w[1] && strchr(w[1], '-')) {
				char *dash = strchr(*++w, '-');
				struct tcp_range *b = &seg.opts.sack[seg.opts.nsack++];

				b->start = s.t.iss + (uint32_t)atoi(*w);
				b->end = s.t.iss + (uint32_t)atoi(dash + 1);
			}
		} else
			return fail("< %s: no such word", *w);
	}
	if (has_ts)
		seg.opts.has |= TCP_OPT_TS;
	if (seg.flags & TCP_SYN)
		s.use_ts = has_ts && s.cfg.use_ts;
	if (!s.is_open) {
		s.is_open = true;
		tcp_core_accept(&s.t, &s.cfg, &seg, s.now);
	} else {
		tcp_core_input(&s.t, &seg, s.now, &r);
		apply(&r);
	}
	drive();
	return true;
}

static bool
compare_sack(const struct tcp_out *o, char ***w)
{
	unsigned n = 0;

	while (
	    (*w)[1] && strchr((*w)[1], '-') && (*w)[1][0] >= '0' && (*w)[1][0] <= '9') {
		char *word = *++*w;
		uint32_t start = PEER_ISN + (uint32_t)atoi(word);
		uint32_t end = PEER_ISN + (uint32_t)atoi(strchr(word, '-') + 1);

		if (n >= o->opts.nsack || o->opts.sack[n].start != start ||
		    o->opts.sack[n].end != end)
			return fail("SACK block %u: %u-%u", n,
			    o->opts.sack[n].start - PEER_ISN,
			    o->opts.sack[n].end - PEER_ISN);
		n++;
	}
	return n == o->opts.nsack || fail("%u SACK blocks", o->opts.nsack);
}

/* One word of an expectation and its value. */
static bool
compare_word(const struct tcp_out *o, char ***wp)
{
	char **w = *wp;
	uint32_t v;

	if (is_word(w, "sack"))
		return compare_sack(o, wp);
	if (is_word(w, "nosack"))
		return !o->opts.nsack || fail("has SACK blocks");
	if (is_word(w, "ect"))
		return o->ecn == TCP_ECN_ECT0 || fail("not ECT");
	if (is_word(w, "noect"))
		return o->ecn == TCP_ECN_NOT_ECT || fail("ECT");
	if (is_word(w, "sackok"))
		return o->opts.has & TCP_OPT_SACK_OK || fail("no SACK permitted");
	if (is_word(w, "ts"))
		return o->opts.has & TCP_OPT_TS || fail("no timestamps");
	if (is_word(w, "nots"))
		return !(o->opts.has & TCP_OPT_TS) || fail("timestamps");
	if (is_word(w, "noack"))
		return true;
	if (!w[1])
		return fail("> %s: no such word", *w);
	v = (uint32_t)atoi(w[1]);
	*wp = w + 1;
	if (is_word(w, "ack"))
		return o->ack == seq_of(w[1], PEER_ISN) ||
		       fail("ack %u", o->ack - PEER_ISN);
	if (is_word(w, "win"))
		return o->wnd == v || fail("win %u", o->wnd);
	if (is_word(w, "urg"))
		return o->urg == v || fail("urg %u", o->urg);
	if (is_word(w, "ecr"))
		return o->opts.tsecr == v || fail("ecr %u", o->opts.tsecr);
	if (is_word(w, "mss"))
		return (o->opts.has & TCP_OPT_MSS && o->opts.mss == v) ||
		       fail("mss %u", o->opts.mss);
	if (is_word(w, "wscale"))
		return (o->opts.has & TCP_OPT_WSCALE && o->opts.wscale == v) ||
		       fail("wscale %u", o->opts.wscale);
	return fail("> %s: no such word", *w);
}

static bool
segment_out(char **w, double after)
{
	nsec_t want = s.now + (nsec_t)(after * 1e9), tolerance = 2 * NSEC_PER_MSEC;
	uint8_t flags = flags_of(w[0]), got;
	uint32_t len = 0;
	char **word;
	const struct sent *x;

	for (word = w + 2; *word; word++) {
		if (is_word(word, "tol"))
			tolerance = (nsec_t)(number(word[1]) * 1e9);
		if (is_word(word, "len"))
			len = (uint32_t)atoi(word[1]);
	}
	if (s.taken == s.nout)
		pass(want + tolerance, true);
	if (s.taken == s.nout)
		return fail("nothing goes out (state %s, snd_nxt %u)",
		    name_of(states, s.t.state), s.t.snd_nxt - s.t.iss);
	x = &s.out[s.taken++];
	if (x->at + tolerance < want || x->at > want + tolerance)
		return fail("it goes out %.6f s after the line before",
		    (double)x->at / 1e9 - (double)(want - (nsec_t)(after * 1e9)) / 1e9);
	got = x->o.flags;
	if (!(flags & TCP_PSH))
		got &= (uint8_t)~TCP_PSH;
	if (got != flags || x->o.seq != seq_of(w[1], s.t.iss) || x->o.len != len)
		return fail("%s %u len %u ack %u goes out", flags_text(x->o.flags),
		    x->o.seq - s.t.iss, x->o.len, x->o.ack - PEER_ISN);
	for (word = w + 2; *word; word++) {
		if (is_word(word, "tol") || is_word(word, "len"))
			word++;
		else if (!compare_word(&x->o, &word))
			return false;
	}
	return true;
}

static bool
set_option(char **w)
{
	unsigned v = w[1] ? (unsigned)atoi(w[1]) : 0;

	if (is_word(w, "nodelay"))
		tcp_core_set_nodelay(&s.t, v);
	else if (is_word(w, "cork"))
		tcp_core_set_cork(&s.t, v);
	else if (is_word(w, "quickack"))
		tcp_core_set_quickack(&s.t, v);
	else if (is_word(w, "maxseg"))
		tcp_core_set_maxseg(&s.t, (uint16_t)v);
	else if (is_word(w, "utimeout"))
		tcp_core_set_user_timeout(&s.t, v);
	else if (is_word(w, "rcvbuf"))
		tcp_core_set_rcvbuf(&s.t, v, v);
	else if (is_word(w, "pacing"))
		tcp_core_set_max_pacing(&s.t, v);
	else if (is_word(w, "keepalive")) {
		tcp_core_set_keeptimes(
		    &s.t, v, (uint32_t)atoi(w[2]), (uint8_t)atoi(w[3]), s.now);
		tcp_core_set_keepalive(&s.t, true, s.now);
	} else
		return fail("set %s: no such option", *w);
	return true;
}

static bool
act(char **w)
{
	uint32_t n = w[1] ? (uint32_t)atoi(w[1]) : 0;
	struct tcp_result r = {0};

	if (is_word(w, "connect")) {
		s.is_open = true;
		tcp_core_connect(&s.t, &s.cfg, s.now);
	} else if (is_word(w, "send"))
		tcp_core_send(&s.t, n, false, s.now);
	else if (is_word(w, "more"))
		tcp_core_send(&s.t, n, true, s.now);
	else if (is_word(w, "oob"))
		tcp_core_send_urgent(&s.t);
	else if (is_word(w, "read"))
		tcp_core_read(&s.t, n, s.now);
	else if (is_word(w, "forget"))
		tcp_core_forget(&s.t, seq_of(w[1], s.t.irs));
	else if (is_word(w, "noread"))
		s.no_read = true;
	else if (is_word(w, "shutdown"))
		tcp_core_shutdown(&s.t, s.now, &r);
	else if (is_word(w, "orphan"))
		tcp_core_orphan(&s.t, s.now);
	else if (is_word(w, "abort"))
		tcp_core_abort(&s.t, s.now);
	else if (is_word(w, "icmp"))
		tcp_core_icmp(&s.t, seq_of(w[1], s.t.iss),
		    (enum err)value_of(errors, w[2]), !strcmp(w[3], "hard"), s.now, &r);
	else if (is_word(w, "toobig"))
		tcp_core_path_mss(
		    &s.t, seq_of(w[1], s.t.iss), (uint16_t)atoi(w[2]), s.now);
	else if (is_word(w, "set")) {
		if (!set_option(w + 1))
			return false;
	} else if (!is_word(w, "wait") && !is_word(w, "listen"))
		return fail("%s: no such word", *w);
	apply(&r);
	if (s.is_open)
		drive();
	return true;
}

/* ---- Lines that check ---------------------------------------------------------- */

static bool
check_number(const char *what, uint64_t is, const char *word)
{
	return is == (uint64_t)strtoull(word, NULL, 10) ||
	       fail("%s is %llu", what, (unsigned long long)is);
}

static bool
check(char **w)
{
	if (is_word(w, "state"))
		return s.t.state == value_of(states, w[1]) ||
		       fail("state is %s", name_of(states, s.t.state));
	if (is_word(w, "event") || is_word(w, "noevent")) {
		bool want = is_word(w, "event");

		for (w++; *w; w++) {
			if (!!(s.events & (uint32_t)value_of(events, *w)) != want)
				return fail("event %s", *w);
		}
		return true;
	}
	if (is_word(w, "error"))
		return s.error == value_of(errors, w[1]) || fail("error %d", s.error);
	if (is_word(w, "verdict"))
		return s.verdict == (uint32_t)value_of(verdicts, w[1]) ||
		       fail("verdict %s", name_of(verdicts, (int)s.verdict));
	if (is_word(w, "ca"))
		return s.t.ca_state == value_of(ca_states, w[1]) ||
		       fail("%s", name_of(ca_states, s.t.ca_state));
	if (is_word(w, "quiet")) {
		pass(s.now + (nsec_t)(number(w[1]) * 1e9), true);
		return s.taken == s.nout ||
		       fail("%s %u len %u goes out", flags_text(s.out[s.taken].o.flags),
		           s.out[s.taken].o.seq - s.t.iss, s.out[s.taken].o.len);
	}
	if (is_word(w, "skip")) {
		pass(s.now + (nsec_t)(number(w[1]) * 1e9), false);
		s.taken = s.nout;
		return true;
	}
	if (is_word(w, "sent")) {
		unsigned n = (unsigned)atoi(w[1]);

		if (s.nout - s.taken < n)
			return fail("%u segments went out", s.nout - s.taken);
		s.taken += n;
		return true;
	}
	if (is_word(w, "cwnd"))
		return check_number("cwnd", s.t.cwnd, w[1]);
	if (is_word(w, "ssthresh"))
		return check_number("ssthresh", s.t.ssthresh, w[1]);
	if (is_word(w, "mss"))
		return check_number("mss", s.t.mss, w[1]);
	if (is_word(w, "acked"))
		return check_number("acked", s.acked, w[1]);
	if (is_word(w, "got"))
		return check_number("got", s.got, w[1]);
	if (is_word(w, "rcvbuf"))
		return check_number("rcvbuf", s.t.rcvbuf, w[1]);
	if (is_word(w, "srtt"))
		return check_number("srtt", s.t.srtt8_us / 8, w[1]);
	if (is_word(w, "rto"))
		return check_number("rto", s.t.rto_us, w[1]);
	if (is_word(w, "ecn"))
		return check_number("ecn", s.t.use_ecn, w[1]);
	return fail("%s: no such word", *w);
}

/* ---- Cases --------------------------------------------------------------------- */

static bool
set_config(char **w)
{
	for (; *w; w++) {
		char *eq = strchr(*w, '=');
		unsigned v;

		if (!eq)
			return fail("config %s", *w);
		*eq = 0;
		v = (unsigned)atoi(eq + 1);
		if (is_word(w, "ts"))
			s.cfg.use_ts = v;
		else if (is_word(w, "sack"))
			s.cfg.use_sack = v;
		else if (is_word(w, "wscale"))
			s.cfg.use_wscale = v;
		else if (is_word(w, "ecn"))
			s.cfg.ecn = v;
		else if (is_word(w, "mss"))
			s.cfg.mss = (uint16_t)v;
		else if (is_word(w, "path"))
			s.cfg.path_mss = (uint16_t)v;
		else if (is_word(w, "user"))
			s.cfg.user_mss = (uint16_t)v;
		else if (is_word(w, "probing"))
			s.cfg.mtu.mode = (uint8_t)v;
		else if (is_word(w, "interval"))
			s.cfg.mtu.interval_s = (uint16_t)v;
		else if (is_word(w, "rcvbuf"))
			s.cfg.rcvbuf = s.cfg.rcvbuf_max = v;
		else if (is_word(w, "rcvmax"))
			s.cfg.rcvbuf_max = v;
		else if (is_word(w, "iss"))
			s.cfg.iss = (uint32_t)strtoul(eq + 1, NULL, 10);
		else if (is_word(w, "v6"))
			s.cfg.is_ipv6 = v;
		else if (is_word(w, "tso"))
			s.cfg.tso_max = v;
		else if (is_word(w, "retries"))
			s.cfg.retries = s.cfg.syn_retries = s.cfg.synack_retries =
			    (uint8_t)v;
		else if (is_word(w, "orphan"))
			s.cfg.orphan_retries = (uint8_t)v;
		else if (is_word(w, "nodelack"))
			s.cfg.no_delack = v;
		else if (is_word(w, "pace"))
			s.cfg.no_pacing = !v;
		else if (is_word(w, "cc"))
			s.cfg.cc = tcp_cc_find(eq + 1);
		else
			return fail("config %s: no such word", *w);
	}
	return true;
}

static bool run_line(char *line);

static bool
run_text(const char *text)
{
	char line[400];

	while (*text) {
		const char *end = strchr(text, '\n');
		size_t n = end ? (size_t)(end - text) : strlen(text);

		strlcpy(line, text, MIN(n + 1, sizeof(line)));
		text += n + (end != NULL);
		s.line++;
		if (!run_line(line))
			return false;
	}
	return true;
}

/* What brings the core from nothing into a state, with the peer's usual options. */
static const char *
way_to(const char *state)
{
	static char text[600];
	const char *opts =
	    s.cfg.use_ts ? "mss 1460 sackok wscale 0 ts" : "mss 1460 sackok wscale 0";
	const char *est = "+0 connect\n+0 > S 0\n", *syn = s.cfg.ecn == 1 ? "SAE" : "SA";
	const char *rest = "";

	if (!strcmp(state, "SYN_SENT"))
		return s.cfg.ecn == 1 ? "+0 connect\n+0 > SEW 0\n" : est;
	if (!strcmp(state, "SYN_RECV")) {
		snprintf(text, sizeof(text), "+0 < S 0 %s\n+0 > SA 0 ack 1\n", opts);
		return text;
	}
	if (!strcmp(state, "FIN_WAIT1"))
		rest = "+0 shutdown\n+0 > FA 1\n";
	else if (!strcmp(state, "FIN_WAIT2"))
		rest = "+0 shutdown\n+0 > FA 1\n+0.01 < A 1\n";
	else if (!strcmp(state, "CLOSE_WAIT"))
		rest = "+0 < FA 1\n+0 > A 1 ack 2\n";
	else if (!strcmp(state, "LAST_ACK"))
		rest = "+0 < FA 1\n+0 > A 1 ack 2\n+0 shutdown\n+0 > FA 1\n";
	else if (!strcmp(state, "CLOSING"))
		rest = "+0 shutdown\n+0 > FA 1\n+0.01 < FA 1 ack 1\n+0 > A 2 ack 2\n";
	else if (!strcmp(state, "TIME_WAIT"))
		rest = "+0 shutdown\n+0 > FA 1\n+0.01 < A 1\n+0 < FA 1\n+0 > A 2 ack 2\n";
	if (s.cfg.ecn == 1)
		est = "+0 connect\n+0 > SEW 0\n";
	snprintf(text, sizeof(text), "%s+0.01 < %s 0 %s\n+0 > A 1 ack 1\n%sstate %s\n",
	    est, syn, opts, rest, state);
	return text;
}

static bool
run_line(char *line)
{
	char *w[MAX_WORDS + 1];
	unsigned n = 0;
	double after = 0;
	bool is_timed;

	for (char *p = line; n < MAX_WORDS;) {
		while (*p == ' ' || *p == '\t')
			*p++ = 0;
		if (!*p || *p == '#')
			break;
		w[n++] = p;
		while (*p && *p != ' ' && *p != '\t')
			p++;
	}
	w[n] = NULL;
	if (!n || is_word(w, "in"))
		return true;
	if (is_word(w, "config"))
		return set_config(w + 1);
	if (is_word(w, "from")) {
		int at = s.line;
		bool ok = run_text(way_to(w[1]));

		s.line = ok ? at : s.line;
		return ok;
	}
	is_timed = w[0][0] == '+';
	if (!is_timed)
		return check(w);
	after = number(w[0] + 1);
	if (is_word(w + 1, ">"))
		return segment_out(w + 2, after);
	pass(s.now + (nsec_t)(after * 1e9), false);
	if (s.taken != s.nout)
		return fail("%s %u len %u ack %u went out",
		    flags_text(s.out[s.taken].o.flags), s.out[s.taken].o.seq - s.t.iss,
		    s.out[s.taken].o.len, s.out[s.taken].o.ack - PEER_ISN);
	return is_word(w + 1, "<") ? segment_in(w + 2) : act(w + 1);
}

static bool
run_case(const struct script_case *c)
{
	const char *text = c->text;

	/* The configuration holds for the way to the state too. */
	if (c->state[0]) {
		char line[200];
		const char *config = strstr(text, "config "),
		           *end = config ? strchr(config, '\n') : NULL;

		if (config && end) {
			strlcpy(
			    line, config, MIN((size_t)(end - config) + 1, sizeof(line)));
			if (!run_line(line))
				return false;
		}
		if (!run_text(way_to(c->state)))
			return fail("on the way to %s", c->state);
		s.line = 0;
		s.events = 0;
	}
	if (!run_text(text))
		return false;
	return s.taken == s.nout ||
	       fail("at the end %s %u len %u ack %u went out",
	           flags_text(s.out[s.taken].o.flags), s.out[s.taken].o.seq - s.t.iss,
	           s.out[s.taken].o.len, s.out[s.taken].o.ack - PEER_ISN);
}

bool
script_run(const struct script_case *c)
{
	struct tcp_result r;
	bool ok;

	__builtin_memset(&s, 0, sizeof(s));
	s.start = s.now = 100 * NSEC_PER_SEC;
	s.cfg = (struct tcp_config){.iss = 1000000,
	    .mss = 1460,
	    .use_sack = true,
	    .rcvbuf = 65535,
	    .rcvbuf_max = 65535,
	    .no_pacing = true,
	    .mtu = {.mode = 1,
	        .base_mss = 1024,
	        .floor_mss = 48,
	        .threshold = 8,
	        .interval_s = 600},
	    .cc = tcp_cc_find("reno")};
	ok = run_case(c);
	if (!ok)
		printf("# %s:%d: %s\n", c->file, c->line + s.line, s.why);
	(void)r;
	if (s.is_open) {
		tcp_core_abort(&s.t, s.now);
		for (int kind = 0; kind < TCP_MEM_COUNT; kind++)
			free(tcp_core_mem_take(&s.t, kind));
	}
	return ok;
}

/* ---- Files --------------------------------------------------------------------- */

/* One case for each state that the "in" line names, or one. */
static unsigned
add_cases(struct script_case *base, struct script_case *out, unsigned max)
{
	const char *in = strstr(base->text, "\nin ");
	unsigned n = 0;

	if (!strncmp(base->text, "in ", 3))
		in = base->text - 1;
	if (!in) {
		if (max)
			out[n++] = *base;
		return n;
	}
	in += 4;
	while (*in && *in != '\n' && n < max) {
		size_t len = 0;

		while (in[len] && in[len] != ' ' && in[len] != '\n')
			len++;
		out[n] = *base;
		strlcpy(out[n].state, in, MIN(len + 1, sizeof(out[n].state)));
		snprintf(out[n].name, sizeof(out[n].name), "%s [%s]", base->name,
		    out[n].state);
		n++;
		in += len;
		while (*in == ' ')
			in++;
	}
	return n;
}

unsigned
script_load(const char *dir, const char *file, struct script_case *out, unsigned max)
{
	struct script_case c = {.line = 0};
	char path[200], *text = calloc(1, 1 << 20), *p;
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	if (!f || fread(text, 1, (1 << 20) - 1, f) == 0)
		abort();
	fclose(f);
	strlcpy(c.file, path, sizeof(c.file));
	for (p = text; (p = strstr(p, "case "));) {
		char *end = strchr(p, '\n'), *next;

		if (p != text && p[-1] != '\n' && p[-1]) {
			p++;
			continue;
		}
		*end = 0;
		strlcpy(c.name, p + 5, sizeof(c.name));
		c.text = end + 1;
		c.line = 1;
		for (const char *q = text; q < p; q++)
			c.line += *q == '\n' || *q == 0;
		next = strstr(end + 1, "\ncase ");
		if (next)
			*next = 0;
		n += add_cases(&c, out + n, max - n);
		p = next ? next + 1 : end + 1 + strlen(end + 1);
	}
	return n;
}
