"""TCP segments by hand against Debian's busybox httpd on port 80, for IPv4 and IPv6, section by
section. RFC 9293 unless the name says another."""
import pytest
from scapy.all import ARP, ICMP, IP, TCP, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, Raw

from peer import KEEL4, KEEL6, MAC, NO_MAC, V4, V6

GET = b"GET / HTTP/1.0\r\n\r\n"
CLOSED = 4


def segments(frames, port):
    return [f[TCP] for f in frames if TCP in f and f[TCP].dport == port]


def flags(segment):
    return str(segment.flags)


def payload(segment, frame=None):
    """Without the padding of short Ethernet frames."""
    ip = segment.underlayer
    total = ip.len - ip.ihl * 4 if isinstance(ip, IP) else ip.plen
    return bytes(segment.payload)[:total - segment.dataofs * 4]


class Flow:
    """One four-tuple: where it stands, and segments on it."""

    def __init__(self, peer, family, dport=80):
        self.peer, self.family, self.dport = peer, family, dport
        self.host = V4 if family == 4 else V6
        self.sport = next(peer.ports)
        self.seq, self.ack = 1000, 0
        self.window = 65535

    def frame(self, fl, data=b"", seq=None, ack=None, options=(), **kw):
        ip = IP(src=self.host, dst=KEEL4) if self.family == 4 else IPv6(src=self.host, dst=KEEL6)
        kw.setdefault("window", self.window)
        t = TCP(sport=self.sport, dport=self.dport, flags=fl,
                seq=(self.seq if seq is None else seq) % 2**32,
                ack=(self.ack if ack is None else ack) % 2**32, options=list(options), **kw)
        return self.peer.to_machine(Ether(src=MAC, dst=NO_MAC) / ip / t / Raw(data))

    def ask(self, *frames):
        return segments(self.peer.ask(*frames) + self.peer.tcp_fence(), self.sport)

    def say(self, fl, data=b"", **kw):
        """One segment; the answers."""
        return self.ask(self.frame(fl, data, **kw))

    def wait(self, wanted, seconds=5):
        found = self.peer.wait(lambda f: TCP in f and f[TCP].dport == self.sport and wanted(f[TCP]), seconds)
        return found[0][TCP] if found else None

    def connect(self, options=(("MSS", 1460),)):
        got = self.say("S", options=options)
        assert [flags(g) for g in got] == ["SA"], got
        self.syn_ack = got[0]
        self.seq += 1
        self.ack = self.syn_ack.seq + 1
        assert self.say("A") == []
        return self

    def reset(self):
        self.say("R")


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def flow(request, peer):
    return Flow(peer, request.param)


@pytest.fixture
def conn(flow):
    flow.connect()
    yield flow
    flow.reset()


def only(got, want):
    assert [flags(g) for g in got] == [want], got
    return got[0]


# ---- CLOSED: 3.10.7.1

def closed(flow):
    flow.dport = CLOSED
    return flow


def test_3_10_7_1_syn_to_closed_port(flow):
    r = only(closed(flow).say("S"), "RA")
    assert (r.seq, r.ack) == (0, 1001)


def test_3_10_7_1_syn_with_data_to_closed_port(flow):
    r = only(closed(flow).say("S", b"12345"), "RA")
    assert (r.seq, r.ack) == (0, 1006)


def test_3_10_7_1_fin_to_closed_port(flow):
    r = only(closed(flow).say("F"), "RA")
    assert (r.seq, r.ack) == (0, 1001)


def test_3_10_7_1_ack_to_closed_port(flow):
    r = only(closed(flow).say("A", ack=777), "R")
    assert r.seq == 777


def test_3_10_7_1_rst_to_closed_port(flow):
    assert closed(flow).say("R") == []
    assert flow.say("RA", ack=9) == []


def test_3_10_7_1_data_without_ack_to_closed_port(flow):
    r = only(closed(flow).say("P", b"abc"), "RA")
    assert (r.seq, r.ack) == (0, 1003)


# ---- Malformed: 3.1

def test_3_1_bad_checksum(flow):
    assert flow.say("S", chksum=0x1234) == []


def test_3_1_data_offset_below_five(flow):
    assert flow.say("S", dataofs=4) == []


def test_3_1_data_offset_beyond_segment(flow):
    assert flow.say("S", dataofs=15) == []


def test_3_2_option_longer_than_header_is_survived(flow):
    got = flow.say("S", options=[("MSS", 1000), (254, b"\x01" * 6)])
    only(got, "SA")
    flow.say("R", seq=1001)


def test_3_1_syn_and_rst(flow):
    assert flow.say("SR") == []


# ---- LISTEN: 3.10.7.2

def test_3_10_7_2_rst_to_listener(flow):
    assert flow.say("R") == []


def test_3_10_7_2_ack_to_listener(flow):
    assert only(flow.say("A", ack=4242), "R").seq == 4242


def test_3_10_7_2_syn_ack_to_listener(flow):
    assert only(flow.say("SA", ack=4242), "R").seq == 4242


def test_3_10_7_2_nothing_set_to_listener(flow):
    assert flow.say("") == []


def test_3_10_7_2_syn_is_answered(flow):
    r = only(flow.say("S"), "SA")
    assert r.ack == 1001 and r.window > 0
    flow.say("R", seq=1001)


def test_rfc6528_initial_sequence_numbers_differ(flow):
    first = only(flow.say("S"), "SA").seq
    flow.say("R", seq=1001)
    flow.sport = next(flow.peer.ports)
    second = only(flow.say("S"), "SA").seq
    flow.say("R", seq=1001)
    assert abs(first - second) > 10000


# ---- Options of the SYN

def option(segment, name):
    return dict((o[0], o[1]) for o in segment.options).get(name)


def test_3_7_1_mss_is_sent(flow):
    r = only(flow.say("S", options=[("MSS", 1460)]), "SA")
    assert option(r, "MSS") == (1460 if flow.family == 4 else 1440)
    flow.say("R", seq=1001)


def test_rfc7323_2_2_no_scaling_unless_asked(flow):
    r = only(flow.say("S", options=[("MSS", 1460)]), "SA")
    assert option(r, "WScale") is None and option(r, "Timestamp") is None and option(r, "SAckOK") is None
    flow.say("R", seq=1001)


def test_rfc7323_rfc2018_options_are_agreed(flow):
    r = only(flow.say("S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (12345, 0)), ("NOP", None),
                                    ("WScale", 7)]), "SA")
    assert option(r, "WScale") is not None and option(r, "SAckOK") is not None
    assert option(r, "Timestamp")[1] == 12345
    flow.say("R", seq=1001)


# ---- SYN-RECEIVED: 3.10.7.4

def test_3_10_7_4_syn_again_gets_the_same_syn_ack(flow):
    first = only(flow.say("S"), "SA")
    again = flow.say("S")
    assert all(g.seq == first.seq or flags(g) == "A" for g in again) and again
    flow.say("R", seq=1001)


def test_3_10_7_4_wrong_ack_in_syn_received(flow):
    r = only(flow.say("S"), "SA")
    flow.seq = 1001
    assert only(flow.say("A", ack=r.seq + 5000), "R").seq == (r.seq + 5000) % 2**32
    flow.say("R")


def test_3_8_1_syn_ack_is_retransmitted(flow):
    r = only(flow.say("S"), "SA")
    again = flow.wait(lambda t: flags(t) == "SA", 5)
    assert again is not None and again.seq == r.seq
    flow.say("R", seq=1001)


# ---- ESTABLISHED

def test_3_10_7_4_data_is_acknowledged_and_answered(conn):
    conn.peer.forget()
    conn.peer.send(conn.frame("PA", GET))
    first = conn.wait(lambda t: payload(t))
    assert first is not None and payload(first).startswith(b"HTTP/1.1 200")
    assert first.ack == conn.seq + len(GET)


def test_3_10_7_4_fin_after_the_answer(conn):
    conn.peer.forget()
    conn.peer.send(conn.frame("PA", GET))
    conn.seq += len(GET)
    fin = conn.wait(lambda t: "F" in flags(t))
    assert fin is not None
    conn.ack = fin.seq + len(payload(fin)) + 1
    r = conn.say("FA")
    assert only(r, "A").ack == conn.seq + 1


def test_3_10_7_4_segment_outside_the_window_is_acknowledged(conn):
    r = only(conn.say("PA", b"x" * 10, seq=conn.seq - 20000), "A")
    assert (r.seq, r.ack) == (conn.ack, conn.seq)


def test_3_10_7_4_ack_of_what_was_never_sent(conn):
    r = only(conn.say("A", ack=conn.ack + 100000), "A")
    assert r.ack == conn.seq


def test_3_10_7_4_old_ack_is_ignored(conn):
    assert conn.say("A", ack=conn.ack - 1) == []


def test_rfc5961_5_ack_far_in_the_past(conn):
    r = only(conn.say("A", ack=(conn.ack - 2**30) % 2**32), "A")
    assert r.ack == conn.seq


def test_rfc5961_4_syn_in_established_gets_a_challenge_ack(conn):
    r = only(conn.say("S"), "A")
    assert (r.seq, r.ack) == (conn.ack, conn.seq)


def test_rfc5961_3_rst_in_window_gets_a_challenge_ack(conn):
    r = only(conn.say("R", seq=conn.seq + 100), "A")
    assert (r.seq, r.ack) == (conn.ack, conn.seq)


def test_rfc5961_3_rst_outside_the_window_is_dropped(conn):
    assert conn.say("R", seq=conn.seq - 1000) == []
    assert only(conn.say("PA", b"x", seq=conn.seq - 1000), "A").ack == conn.seq


def test_rfc5961_3_exact_rst_ends_the_connection(flow):
    flow.connect()
    assert flow.say("R") == []
    assert only(flow.say("A"), "R").seq == flow.ack


def test_3_10_7_4_segment_without_ack_is_dropped(conn):
    assert conn.say("P", b"abc") == []


def test_3_8_4_keep_alive_probe_is_answered(conn):
    assert only(conn.say("A", seq=conn.seq - 1), "A").ack == conn.seq


def test_3_10_7_4_out_of_order_data_is_acknowledged_at_once(conn):
    r = only(conn.say("PA", b"later", seq=conn.seq + 5), "A")
    assert r.ack == conn.seq


def test_3_10_7_4_gap_filled_acknowledges_all(conn):
    conn.say("PA", b"56789", seq=conn.seq + 5)
    assert only(conn.say("PA", b"01234"), "A").ack == conn.seq + 10


def test_3_10_7_4_data_in_overlapping_pieces(conn):
    conn.peer.forget()
    conn.say("PA", GET[:10])
    conn.peer.send(conn.frame("PA", GET[5:], seq=conn.seq + 5))
    first = conn.wait(lambda t: payload(t))
    assert first is not None and payload(first).startswith(b"HTTP/1.1 200")


def test_rfc5681_4_2_second_full_segment_is_acknowledged_at_once(conn):
    full = 1460 if conn.family == 4 else 1440
    conn.say("A", b"x" * full)
    conn.seq += full
    assert any(g.ack == conn.seq + full for g in conn.say("A", b"x" * full))


def test_rfc1122_4_2_3_2_ack_is_delayed_at_most_half_a_second(conn):
    conn.peer.forget()
    conn.peer.send(conn.frame("PA", b"G"))
    r = conn.wait(lambda t: t.ack == conn.seq + 1, 1)
    assert r is not None


def test_rfc2018_3_out_of_order_data_is_named(flow):
    flow.connect(options=[("MSS", 1460), ("SAckOK", b"")])
    r = only(flow.say("PA", b"later", seq=flow.seq + 50), "A")
    assert option(r, "SAck") == (flow.seq + 50, flow.seq + 55)
    flow.reset()


def test_rfc2883_4_duplicate_is_named(flow):
    flow.connect(options=[("MSS", 1460), ("SAckOK", b"")])
    flow.say("A", b"0123456789")
    got = flow.say("A", b"0123456789")
    assert any(option(r, "SAck") == (flow.seq, flow.seq + 10) for r in got)
    flow.reset()


def test_rfc7323_5_3_paws_drops_an_old_timestamp(flow):
    stamps = lambda v: [("NOP", None), ("NOP", None), ("Timestamp", (v, 0))]  # noqa: E731
    got = flow.say("S", options=[("MSS", 1460), ("Timestamp", (100000, 0))])
    r = only(got, "SA")
    flow.seq, flow.ack = 1001, r.seq + 1
    echo = option(r, "Timestamp")[0]
    flow.say("A", options=[("NOP", None), ("NOP", None), ("Timestamp", (100001, echo))])
    r = only(flow.say("PA", b"old", options=stamps(50000)), "A")
    assert r.ack == flow.seq
    flow.say("R", options=stamps(100002))


def test_3_8_6_zero_window_stops_the_sender(flow):
    flow.window = 0
    flow.connect()
    flow.peer.forget()
    flow.peer.send(flow.frame("PA", GET))
    flow.seq += len(GET)
    probe = flow.wait(lambda t: payload(t) or t.seq == flow.ack - 1, 5)
    assert probe is not None and len(payload(probe)) <= 1
    flow.window = 65535
    flow.peer.send(flow.frame("A"))
    assert flow.wait(lambda t: payload(t)[:4] == b"HTTP", 5) is not None
    flow.reset()


def test_3_7_5_sender_keeps_to_the_window(flow):
    flow.window = 100
    flow.connect()
    flow.peer.forget()
    flow.peer.send(flow.frame("PA", GET))
    first = flow.wait(lambda t: payload(t), 5)
    assert first is not None and len(payload(first)) <= 100
    flow.seq += len(GET)
    flow.reset()


def test_3_7_1_sender_keeps_to_the_mss(flow):
    flow.connect(options=[("MSS", 536)])
    flow.peer.forget()
    flow.peer.send(flow.frame("PA", GET))
    flow.seq += len(GET)
    end = flow.wait(lambda t: payload(t), 5)
    assert end is not None and len(payload(end)) <= 536
    flow.reset()


def test_rfc6298_2_4_answer_is_retransmitted(conn):
    timeouts = counter(conn.peer, "TCPTimeouts")
    conn.peer.forget()
    conn.peer.send(conn.frame("PA", GET))
    first = conn.wait(lambda t: payload(t))
    again = conn.wait(lambda t: t.seq == first.seq and payload(t), 5)
    assert again is not None and payload(again)[:8] == payload(first)[:8]
    assert conn.wait(lambda t: t.seq == first.seq and payload(t), 5) is not None  # the first may be a tail probe
    assert counter(conn.peer, "TCPTimeouts") > timeouts


def test_rfc5927_6_1_forged_unreachable_does_not_end_a_connection(conn):
    if conn.family == 4:
        quoted = IP(src=KEEL4, dst=V4, proto=6) / TCP(sport=80, dport=conn.sport, seq=conn.ack + 99999)
        error = Ether(src=MAC, dst=conn.peer.mac) / IP(src=V4, dst=KEEL4) / ICMP(type=3, code=3) / quoted
    else:
        quoted = IPv6(src=KEEL6, dst=V6) / TCP(sport=80, dport=conn.sport, seq=conn.ack + 99999)
        error = Ether(src=MAC, dst=conn.peer.mac) / IPv6(src=V6, dst=KEEL6) / ICMPv6DestUnreach(code=4) / quoted
    conn.ask(error)
    assert only(conn.say("A", seq=conn.seq - 1), "A").ack == conn.seq


def too_big(flow, seq, mtu):
    """A router's report about a full segment to the flow's host, with this number."""
    if flow.family == 4:
        quoted = IP(src=KEEL4, dst=flow.host, proto=6, len=1500) / TCP(sport=80, dport=flow.sport, seq=seq)
        return (Ether(src=MAC, dst=flow.peer.mac) / IP(src=V4, dst=KEEL4) /
                ICMP(type=3, code=4, nexthopmtu=mtu) / quoted)
    quoted = IPv6(src=KEEL6, dst=flow.host, plen=1460) / TCP(sport=80, dport=flow.sport, seq=seq)
    return Ether(src=MAC, dst=flow.peer.mac) / IPv6(src=V6, dst=KEEL6) / ICMPv6PacketTooBig(mtu=mtu) / quoted


def pieces_of_big_echo(flow):
    """In how many the host gets the answer to an echo request of 1400 bytes."""
    eth = Ether(src=MAC, dst=flow.peer.mac)
    if flow.family == 4:
        got = flow.peer.ask(eth / IP(src=flow.host, dst=KEEL4) / ICMP(type=8) / Raw(bytes(1400)))
    else:
        got = flow.peer.ask(eth / IPv6(src=flow.host, dst=KEEL6) / ICMPv6EchoRequest(id=1) / Raw(bytes(1400)))
    return len([f for f in got if not isinstance(f.payload, ARP) and f.payload.dst == flow.host and TCP not in f])


def test_rfc5927_7_2_path_mtu_is_learnt_only_of_what_is_in_flight(flow):
    flow.host = "10.77.0.59" if flow.family == 4 else "fd77::59"  # what is learnt of it hinders no other test
    flow.peer.answers_for.add(flow.host)
    flow.connect()
    flow.ask(too_big(flow, flow.ack, 1280))  # nothing is under way
    assert pieces_of_big_echo(flow) == 1
    flow.peer.forget()
    flow.peer.send(flow.frame("PA", GET))
    first = flow.wait(lambda t: payload(t))
    for seq in (flow.ack - 1, first.seq - 100000, first.seq + 1000000):
        flow.ask(too_big(flow, seq, 1280))
        assert pieces_of_big_echo(flow) == 1
    flow.ask(too_big(flow, first.seq, 1280))
    assert pieces_of_big_echo(flow) == 2
    flow.seq += len(GET)
    flow.reset()


def test_rfc3168_6_1_1_ecn_is_agreed_or_left(flow):
    r = flow.say("SEC")
    assert flags(only(r, flags(r[0]))) in ("SA", "SAE")
    flow.say("R", seq=1001)


def test_3_9_2_half_open_connection_is_found(flow):
    """A SYN from a peer that restarted: challenge, its RST, then a new connection."""
    flow.connect()
    ack = only(flow.say("S", seq=flow.seq + 500000), "A")
    flow.say("R", seq=ack.ack)
    flow.seq = 600000
    only(flow.say("S"), "SA")
    flow.say("R", seq=600001)


# ---- SYN cookies: RFC 4987

@pytest.fixture
def settings(peer):
    """Sets files of /proc/sys/net/ipv4, and puts them back."""
    kept = {}

    def put(name, value):
        path = f"/proc/sys/net/ipv4/{name}"
        kept.setdefault(path, peer.vm.run(f"cat {path}").strip())
        peer.vm.run(f"echo {value} >{path}")

    yield put
    for path, value in kept.items():
        peer.vm.run(f"echo {value} >{path}")


def counter(peer, name):
    lines = peer.vm.run("grep TcpExt: /proc/net/netstat").strip().split("\n")
    return int(lines[1].split()[lines[0].split().index(name)])


def is_served(flow):
    flow.peer.forget()
    flow.peer.send(flow.frame("PA", GET))
    return flow.wait(lambda t: payload(t)[:4] == b"HTTP", 5) is not None


def test_rfc2018_8_what_waits_out_of_order_yields_to_what_lies_before_it(flow):
    """Segments of one byte hold more memory than the window counts, the last first: those far behind go."""
    request = GET[:-4] + b"\r\nA: " + b"b" * 1800 + b"\r\n\r\n"
    flow.connect(options=[("MSS", 1460), ("SAckOK", b"")])
    pruned = counter(flow.peer, "OfoPruned")
    places = range(len(request) - 1, 0, -2)
    for first in range(0, len(places), 200):
        got = flow.ask(*[flow.frame("A", request[at:at + 1], seq=flow.seq + at) for at in places[first:first + 200]])
    assert option(got[-1], "SAck")[0] == flow.seq + places[-1]
    assert counter(flow.peer, "OfoPruned") > pruned
    flow.peer.forget()
    for at in range(0, len(request), 1000):
        flow.peer.send(flow.frame("PA", request[at:at + 1000], seq=flow.seq + at))
    assert flow.wait(lambda t: payload(t)[:4] == b"HTTP", 5) is not None
    flow.reset()


def test_rfc4987_3_6_cookie_of_the_first_syn_when_a_second_made_a_request(flow, settings):
    """Its SYN-ACK was late: the SYN came again, and by then there was room in the queue."""
    settings("tcp_syncookies", 2)
    cookie = only(flow.say("S"), "SA").seq
    settings("tcp_syncookies", 1)
    assert only(flow.say("S"), "SA").seq != cookie
    flow.seq, flow.ack = flow.seq + 1, cookie + 1
    assert flow.say("A") == []
    assert is_served(flow)
    flow.reset()


def test_rfc4987_3_6_no_cookie_while_the_backlog_has_room(flow, settings):
    settings("tcp_max_syn_backlog", 1)
    names = [next(flow.peer.ports) for _ in range(3)]
    sent = counter(flow.peer, "SyncookiesSent")
    for flow.sport in names:
        only(flow.say("S"), "SA")
    assert counter(flow.peer, "SyncookiesSent") == sent
    for flow.sport in names:
        flow.say("R", seq=1001)
