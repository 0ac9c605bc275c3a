"""ARP, IPv4 and ICMP, section by section: what is sent, and what must come back (or must not).

An expectation is a predicate that one of the answers fulfils, SILENT or REFUSED."""
from scapy.all import (ARP, ICMP, IP, UDP, Ether, IPOption_LSRR, IPOption_Router_Alert, IPOption_RR,
                       IPOption_SSRR, Raw, fragment)

from peer import KEEL4, MAC, MAC2, V4

SILENT = None
REFUSED = object()  # an ICMP error at most
BROADCAST = "ff:ff:ff:ff:ff:ff"
CLOSED = 4   # no UDP socket there


def eth(dst=None, **kw):
    """Placeholders that the test fills in: the machine's own MAC."""
    return Ether(src=MAC, dst=dst or "00:00:00:00:00:00", **kw)


def ip(**kw):
    kw.setdefault("src", V4)
    kw.setdefault("dst", KEEL4)
    return IP(**kw)


def echo(data=b"0123456789", n=1):
    return ICMP(type=8, id=77, seq=n) / Raw(data)


def is_echo_reply(data=b"0123456789"):
    return lambda f: ICMP in f and f[ICMP].type == 0 and f[ICMP].id == 77 and bytes(f[ICMP].payload) == data


def is_icmp(kind, code=None):
    return lambda f: ICMP in f and f[ICMP].type == kind and (code is None or f[ICMP].code == code)


def both(*tests):
    return lambda f: all(t(f) for t in tests)


def bad_csum(layer):
    raw = bytearray(bytes(layer))
    raw[10] ^= 0x55
    return Raw(bytes(raw))


def ip4_raw(**kw):
    """An Ethernet frame of type IPv4 around bytes."""
    return Ether(src=MAC, dst="00:00:00:00:00:00", type=0x800) / kw["load"]


def arp(**kw):
    kw = {"op": 1, "hwsrc": MAC, "psrc": V4, "hwdst": "00:00:00:00:00:00", "pdst": KEEL4, **kw}
    return Ether(src=MAC, dst=BROADCAST) / ARP(**kw)


def pieces(payload, size, proto=1, order=None, ident=1):
    whole = ip(id=ident) / payload
    parts = fragment(whole, fragsize=size)
    return [eth() / p for p in (order(parts) if order else parts)]


def frag(off, data, more, ident, proto=1, **kw):
    return eth() / ip(id=ident, flags="MF" if more else 0, frag=off // 8, proto=proto, **kw) / Raw(data)


ECHO48 = bytes(ICMP(type=8, id=77, seq=1) / Raw(bytes(range(40))))

TABLE = {
    # ---- RFC 826, 5227
    "rfc826_request_is_answered": ([arp()], lambda f: ARP in f and f[ARP].op == 2 and f[ARP].pdst == V4),
    "rfc826_answer_goes_to_the_asker_alone": ([arp()], lambda f: ARP in f and f.dst == MAC),
    "rfc826_request_for_another_is_not_answered": ([arp(pdst="10.77.0.99")], SILENT),
    "rfc826_unknown_hardware_type": ([arp(hwtype=6)], SILENT),
    "rfc826_unknown_protocol": ([arp(ptype=0x86dd)], SILENT),
    "rfc826_wrong_address_lengths": ([arp(hwlen=8)], SILENT),
    "rfc826_unknown_operation": ([arp(op=9)], SILENT),
    "rfc826_cut_off": ([Ether(bytes(arp())[:30])], SILENT),
    "rfc5227_2_1_probe_is_answered": ([arp(psrc="0.0.0.0")], lambda f: ARP in f and f[ARP].op == 2),
    "rfc5227_2_4_conflict_is_defended": (
        [arp(op=2, hwsrc=MAC2, psrc=KEEL4, pdst=KEEL4)],
        lambda f: ARP in f and f[ARP].psrc == KEEL4 and f[ARP].pdst == KEEL4 and f.dst == BROADCAST),
    # ---- RFC 791, 1122 3.2.1
    "rfc1122_3_2_2_6_echo": ([eth() / ip() / echo()], is_echo_reply()),
    "rfc1122_3_2_2_6_echo_keeps_all_data": ([eth() / ip() / echo(bytes(range(256)) * 5)],
                                            is_echo_reply(bytes(range(256)) * 5)),
    "rfc1122_3_2_2_6_echo_of_no_data": ([eth() / ip() / echo(b"")], lambda f: ICMP in f and f[ICMP].type == 0),
    "rfc1122_3_2_2_6_reply_comes_from_the_asked_address": (
        [eth() / ip() / echo()], both(is_echo_reply(), lambda f: f[IP].src == KEEL4 and f[IP].dst == V4)),
    "rfc1122_3_2_1_1_wrong_version": ([eth(type=0x800) / ip(version=5) / echo()], SILENT),
    "rfc1122_3_2_1_2_bad_checksum": ([eth(type=0x800) / bad_csum(ip() / echo())], SILENT),
    "rfc1122_3_2_1_3_source_broadcast": ([eth() / ip(src="255.255.255.255") / echo()], SILENT),
    "rfc1122_3_2_1_3_source_multicast": ([eth() / ip(src="224.0.0.5") / echo()], SILENT),
    "rfc1122_3_2_1_3_source_loopback": ([eth() / ip(src="127.0.0.1") / echo()], SILENT),
    "rfc1122_3_2_1_3_destination_loopback": ([eth() / ip(dst="127.0.0.1") / echo()], SILENT),
    "rfc1122_3_2_1_3_source_is_our_own": ([eth() / ip(src=KEEL4) / echo()], SILENT),
    "rfc1122_3_2_1_3_source_subnet_broadcast": ([eth() / ip(src="10.77.0.255") / echo()], SILENT),
    "rfc1122_3_2_1_3_for_another_host": ([eth() / ip(dst="10.77.0.99") / echo()], SILENT),
    "rfc1122_3_2_1_3_other_mac": ([eth(dst=MAC2) / ip() / echo()], SILENT),
    "rfc1122_3_3_6_unicast_in_link_broadcast": ([eth(dst=BROADCAST) / ip() / UDP(dport=CLOSED)], SILENT),
    "rfc791_header_longer_than_packet": ([eth(type=0x800) / Raw(bytes(ip(ihl=15, len=24))[:24])], SILENT),
    "rfc791_header_length_under_five": ([eth() / ip(ihl=4) / echo()], SILENT),
    "rfc791_total_length_beyond_frame": ([eth() / ip(len=900) / echo()], SILENT),
    "rfc791_total_length_under_header": ([eth() / ip(len=12) / echo()], SILENT),
    "rfc791_padding_after_total_length_is_ignored": (
        [Ether(bytes(eth() / ip() / echo()) + b"\xee" * 40)], is_echo_reply()),
    "rfc791_reserved_flag_is_ignored": ([eth() / ip(flags="evil") / echo()], is_echo_reply()),
    "rfc1122_3_2_1_7_ttl_of_one_is_ours": ([eth() / ip(ttl=1) / echo()], is_echo_reply()),
    "rfc1122_3_2_1_7_ttl_sent_is_64": ([eth() / ip() / echo()], both(is_echo_reply(), lambda f: f[IP].ttl == 64)),
    "rfc1122_3_2_2_1_no_such_protocol": ([eth() / ip(proto=143) / Raw(b"x" * 20)], is_icmp(3, 2)),
    "rfc1122_3_2_2_1_no_such_port": ([eth() / ip() / UDP(sport=9, dport=CLOSED) / Raw(b"x" * 20)], is_icmp(3, 3)),
    "rfc1122_3_2_2_error_quotes_header_and_8_bytes": (
        [eth() / ip(id=4660) / UDP(sport=1234, dport=CLOSED) / Raw(b"y" * 20)],
        both(is_icmp(3, 3), lambda f: bytes(f[ICMP].payload)[4:6] == b"\x12\x34" and len(f[ICMP].payload) >= 28)),
    "rfc1812_4_3_2_3_error_quotes_as_much_as_576": (
        [eth() / ip() / UDP(dport=CLOSED) / Raw(b"z" * 900)],
        both(is_icmp(3, 3), lambda f: 400 <= f[IP].len <= 576)),
    # ---- Options: RFC 791, 1122 3.2.1.8, 2113
    "rfc1122_3_2_1_8_record_route_comes_back": (
        [eth() / ip(options=[IPOption_RR(length=15, pointer=4, routers=["0.0.0.0"] * 3)]) / echo()], is_echo_reply()),
    "rfc1122_3_2_1_8_timestamp_comes_back": (
        [eth() / ip(options=[Raw(b"\x44\x0c\x05\x00" + bytes(8))]) / echo()], is_echo_reply()),
    "rfc7126_4_3_loose_source_route_refused": (
        [eth() / ip(options=[IPOption_LSRR(routers=["10.77.0.99"])]) / echo()], REFUSED),
    "rfc7126_4_4_strict_source_route_refused": (
        [eth() / ip(options=[IPOption_SSRR(routers=["10.77.0.99"])]) / echo()], REFUSED),
    "rfc2113_router_alert_is_harmless": ([eth() / ip(options=[IPOption_Router_Alert()]) / echo()], is_echo_reply()),
    "rfc1122_3_2_1_8_unknown_option_is_ignored": (
        [eth() / ip(options=[Raw(b"\x5e\x04ab")]) / echo()], is_echo_reply()),
    "rfc791_3_1_option_longer_than_header": ([eth() / ip(options=[Raw(b"\x07\x20\x04\x00")]) / echo()],
                                             REFUSED),
    "rfc791_3_1_option_of_length_one": ([eth() / ip(options=[Raw(b"\x07\x01\x00\x00")]) / echo()],
                                        REFUSED),
    # ---- Fragments: RFC 791 3.2, 1122 3.3.2, 815, 1858
    "rfc791_3_2_two_fragments": (pieces(echo(bytes(400)), 208, ident=11), is_echo_reply(bytes(400))),
    "rfc791_3_2_many_fragments": (pieces(echo(bytes(1400)), 56, ident=12), is_echo_reply(bytes(1400))),
    "rfc791_3_2_last_fragment_first": (pieces(echo(bytes(400)), 104, order=lambda p: p[::-1], ident=13),
                                       is_echo_reply(bytes(400))),
    "rfc791_3_2_duplicate_fragment": (pieces(echo(bytes(400)), 208, order=lambda p: [p[0], p[0], p[1]], ident=14),
                                      is_echo_reply(bytes(400))),
    "rfc1122_3_3_2_missing_first_fragment_no_answer": ([frag(24, ECHO48[24:], False, 15)], SILENT),
    "rfc5722_style_overlap_is_refused": (
        [frag(0, ECHO48[:24], True, 16), frag(16, b"A" * 16, True, 16), frag(32, ECHO48[32:], False, 16)], SILENT),
    "rfc791_3_2_middle_length_not_of_eight": (
        [frag(0, ECHO48[:20], True, 17), frag(24, ECHO48[24:], False, 17)], SILENT),
    "rfc791_3_2_beyond_65535": ([frag(65528, b"B" * 100, False, 18)], SILENT),
    "rfc791_3_2_other_identification_is_another_packet": (
        [frag(0, ECHO48[:24], True, 19), frag(24, ECHO48[24:], False, 20)], SILENT),
    "rfc791_3_2_other_protocol_is_another_packet": (
        [frag(0, ECHO48[:24], True, 21), frag(24, ECHO48[24:], False, 21, proto=17)], SILENT),
    "rfc791_3_2_fragment_of_nothing": ([frag(0, b"", True, 22)], SILENT),
    "rfc791_3_2_end_moves_inwards": (
        [frag(0, ECHO48[:24], True, 23), frag(24, ECHO48[24:], False, 23), frag(8, b"", False, 23)],
        is_echo_reply(bytes(range(40)))),
    # ---- ICMP: RFC 792, 1122 3.2.2
    "rfc1122_3_2_2_8_timestamp": (
        [eth() / ip() / ICMP(type=13, id=5, seq=6, ts_ori=1000)],
        both(is_icmp(14), lambda f: f[ICMP].id == 5 and f[ICMP].seq == 6 and f[ICMP].ts_ori == 1000)),
    "rfc1122_3_2_2_7_no_information_reply": ([eth() / ip() / ICMP(type=15)], SILENT),
    "rfc1122_3_2_2_9_no_address_mask_reply": ([eth() / ip() / ICMP(type=17)], SILENT),
    "rfc1122_3_2_2_unknown_type_is_dropped": ([eth() / ip() / ICMP(type=99)], SILENT),
    "rfc792_bad_checksum": ([eth() / ip() / ICMP(type=8, id=77, chksum=0x1234)], SILENT),
    "rfc792_cut_off": ([eth() / ip(proto=1) / Raw(b"\x08\x00\x00")], SILENT),
    "rfc1122_3_2_2_6_echo_to_broadcast_is_ignored": ([eth(dst=BROADCAST) / ip(dst="10.77.0.255") / echo()], SILENT),
    "rfc1122_3_2_2_6_echo_to_limited_broadcast_is_ignored": (
        [eth(dst=BROADCAST) / ip(dst="255.255.255.255") / echo()], SILENT),
    "rfc1122_3_2_2_no_error_about_an_error": (
        [eth() / ip() / ICMP(type=3, code=3) / IP(src=KEEL4, dst=V4, proto=143) / Raw(b"12345678")], SILENT),
    "rfc1122_3_2_2_no_error_about_a_broadcast": (
        [eth(dst=BROADCAST) / ip(dst="10.77.0.255") / UDP(dport=CLOSED) / Raw(b"x")], SILENT),
    "rfc1122_3_2_2_no_error_about_a_multicast": (
        [eth(dst="01:00:5e:00:00:01") / ip(dst="224.0.0.1") / UDP(dport=CLOSED) / Raw(b"x")], SILENT),
    "rfc1122_3_2_2_no_error_about_a_later_fragment": ([frag(64, b"C" * 16, False, 30, proto=143)], SILENT),
    "rfc1122_3_2_2_no_error_to_source_zero": ([eth() / ip(src="0.0.0.0") / UDP(dport=CLOSED) / Raw(b"x")], SILENT),
    "rfc1122_3_2_2_2_redirect_from_a_stranger": (
        [eth() / ip(src="10.77.0.50") / ICMP(type=5, code=1, gw="10.77.0.99") /
         IP(src=KEEL4, dst="192.0.2.1", proto=17) / Raw(b"12345678"), eth() / ip() / echo()], is_echo_reply()),
    # ---- UDP: RFC 768, 1122 4.1
    "rfc768_bad_checksum": ([eth() / ip() / UDP(dport=CLOSED, chksum=0x1234) / Raw(b"x")], SILENT),
    "rfc768_length_beyond_packet": ([eth() / ip() / UDP(dport=CLOSED, len=99) / Raw(b"x")], SILENT),
    "rfc768_length_under_header": ([eth() / ip() / UDP(dport=CLOSED, len=7) / Raw(b"x")], SILENT),
    "rfc768_no_checksum_is_accepted": ([eth() / ip() / UDP(dport=CLOSED, chksum=0) / Raw(b"x")], is_icmp(3, 3)),
    "rfc1122_4_1_3_1_port_unreachable": ([eth() / ip() / UDP(dport=CLOSED) / Raw(b"x")], is_icmp(3, 3)),
    # ---- IGMP: RFC 3376
    "rfc3376_6_query_bad_checksum": ([eth(dst="01:00:5e:00:00:01") / ip(dst="224.0.0.1", ttl=1, proto=2) /
                                      Raw(b"\x11\x00\x12\x34\0\0\0\0\0\0\0\0")], SILENT),
    "rfc3376_cut_off": ([eth(dst="01:00:5e:00:00:01") / ip(dst="224.0.0.1", ttl=1, proto=2) / Raw(b"\x11")], SILENT),
    # ---- Frames
    "ether_unknown_type": ([eth(type=0x88b5) / Raw(b"x" * 60)], SILENT),
    "ether_llc_length": ([Ether(bytes(eth(type=40) / Raw(b"\x42\x42\x03" + b"x" * 37)))], SILENT),
    "ether_header_only": ([eth(type=0x800)], SILENT),
}


def test_answer(peer, case):
    frames, wanted = case
    answers = peer.ask(*[peer.to_machine(f) for f in frames])
    if wanted is SILENT:
        assert not answers, [a.summary() for a in answers]
    elif wanted is REFUSED:
        assert not any(is_echo_reply()(a) for a in answers), [a.summary() for a in answers]
    else:
        assert any(wanted(a) for a in answers), [a.summary() for a in answers]


def test_rfc1191_3_path_mtu_is_learnt(peer):
    source = "10.77.0.51"
    peer.answers_for.add(source)
    ping = eth(dst=peer.mac) / ip(src=source) / echo(bytes(1400))
    peer.ask(ping)  # resolves the address
    whole = next(f for f in peer.ask(ping) if is_echo_reply(bytes(1400))(f))
    answers = peer.ask(eth(dst=peer.mac) / ip() / ICMP(type=3, code=4, nexthopmtu=800) / Raw(bytes(whole[IP])[:28]),
                       ping)
    parts = [f for f in answers if IP in f and f[IP].dst == source]
    assert len(parts) == 2 and all(f[IP].len <= 800 for f in parts)


def test_rfc6864_4_3_identifications_are_no_counter_of_all(peer):
    """Of two hosts that are answered in turn: neither sees how much the other gets."""
    hosts = ("10.77.0.52", "10.77.0.53")
    peer.answers_for.update(hosts)
    seen = {h: [] for h in hosts}
    for _ in range(6):
        for h in hosts:
            answers = []
            while not answers:
                got = peer.ask(*[peer.to_machine(eth() / p) for p in fragment(ip(src=h) / echo(bytes(2000)), 1400)])
                answers = [f for f in got if IP in f and f[IP].dst == h and f[IP].frag == 0]
            seen[h].append(answers[0][IP].id)
    a, b = seen.values()
    assert len(set(a)) == len(set(b)) == 6
    assert len({(y - x) & 0xffff for x, y in zip(a, b)}) > 1 or abs(a[0] - b[0]) > 16
