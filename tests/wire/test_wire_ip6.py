"""IPv6, ICMPv6 and neighbour discovery, section by section."""
from scapy.all import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLQuery, ICMPv6MLReport2,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
                       ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6Unknown, IPv6, UDP, Ether,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Pad1, PadN,
                       HBHOptUnknown, Raw, RouterAlert, TCP, raw)

from peer import KEEL6, LL6, MAC, MAC2, V6

SILENT = None
REFUSED = object()  # an ICMPv6 error at most
CLOSED = 4


def eth(dst="00:00:00:00:00:00", **kw):
    return Ether(src=MAC, dst=dst, **kw)


def ip(**kw):
    kw.setdefault("src", V6)
    kw.setdefault("dst", KEEL6)
    return IPv6(**kw)


def echo(data=b"0123456789"):
    return ICMPv6EchoRequest(id=77, seq=1, data=data)


def is_echo_reply(data=b"0123456789"):
    return lambda f: ICMPv6EchoReply in f and f[ICMPv6EchoReply].id == 77 and f[ICMPv6EchoReply].data == data


def is_problem(code, pointer=None):
    return lambda f: (ICMPv6ParamProblem in f and f[ICMPv6ParamProblem].code == code and
                      (pointer is None or f[ICMPv6ParamProblem].ptr == pointer))


def is_unreach(code):
    return lambda f: ICMPv6DestUnreach in f and f[ICMPv6DestUnreach].code == code


def opt(kind, n=4):
    return HBHOptUnknown(otype=kind, optlen=n, optdata=b"\0" * n)


def ns(tgt=KEEL6, dst="ff02::1:ff00:2", src=V6, hlim=255, lladdr=MAC, mac="33:33:ff:00:00:02", **kw):
    p = Ether(src=MAC, dst=mac) / IPv6(src=src, dst=dst, hlim=hlim) / ICMPv6ND_NS(tgt=tgt, **kw)
    return p / ICMPv6NDOptSrcLLAddr(lladdr=lladdr) if lladdr else p


def is_na(**want):
    return lambda f: ICMPv6ND_NA in f and all(getattr(f[ICMPv6ND_NA], k) == v for k, v in want.items())


def frags(payload, cuts, ident, order=None, nh=58):
    """The whole transport packet (checksum made over it) cut at `cuts`."""
    whole = raw(ip() / payload)[40:]
    edges = [0, *cuts, len(whole)]
    parts = [eth() / ip(nh=44) / IPv6ExtHdrFragment(nh=nh, offset=a // 8, m=int(b != edges[-1]), id=ident) /
             Raw(whole[a:b]) for a, b in zip(edges, edges[1:])]
    return order(parts) if order else parts


def frag(off, data, more, ident, nh=58):
    return eth() / ip(nh=44) / IPv6ExtHdrFragment(nh=nh, offset=off // 8, m=more, id=ident) / Raw(data)


WHOLE = raw(ip() / echo(bytes(range(64))))[40:]

TABLE = {
    # ---- RFC 8200 3, RFC 4443 4
    "rfc4443_4_2_echo": ([eth() / ip() / echo()], is_echo_reply()),
    "rfc4443_4_2_echo_keeps_all_data": ([eth() / ip() / echo(bytes(1200))], is_echo_reply(bytes(1200))),
    "rfc4443_4_2_echo_of_no_data": ([eth() / ip() / echo(b"")], is_echo_reply(b"")),
    "rfc4443_4_2_reply_comes_from_the_asked_address": (
        [eth() / ip() / echo()], lambda f: is_echo_reply()(f) and f[IPv6].src == KEEL6 and f[IPv6].dst == V6),
    "rfc4443_4_2_echo_to_all_nodes_is_answered_from_unicast": (
        [eth(dst="33:33:00:00:00:01") / ip(src=LL6, dst="ff02::1") / echo()],
        lambda f: is_echo_reply()(f) and f[IPv6].src.startswith("fe80")),
    "rfc8200_3_wrong_version": ([eth(type=0x86dd) / ip(version=5) / echo()], SILENT),
    "rfc8200_3_payload_length_beyond_frame": ([eth() / ip(plen=900) / echo()], SILENT),
    "rfc8200_3_padding_is_ignored": ([Ether(bytes(eth() / ip() / echo()) + b"\xee" * 30)], is_echo_reply()),
    "rfc8200_3_cut_off_header": ([eth(type=0x86dd) / Raw(raw(ip() / echo())[:30])], SILENT),
    "rfc8200_3_hop_limit_of_one_is_ours": ([eth() / ip(hlim=1) / echo()], is_echo_reply()),
    "rfc8200_3_hop_limit_sent_is_64": ([eth() / ip() / echo()], lambda f: is_echo_reply()(f) and f[IPv6].hlim == 64),
    "rfc4291_2_7_source_multicast": ([eth() / ip(src="ff02::5") / echo()], SILENT),
    "rfc4291_2_5_3_source_loopback": ([eth() / ip(src="::1") / echo()], SILENT),
    "rfc4291_2_5_3_destination_loopback": ([eth() / ip(dst="::1") / echo()], SILENT),
    "rfc4291_2_7_destination_multicast_scope_0": ([eth(dst="33:33:00:00:00:01") / ip(dst="ff00::1") / echo()], SILENT),
    "rfc4291_2_7_destination_interface_local": ([eth(dst="33:33:00:00:00:01") / ip(dst="ff01::1") / echo()], SILENT),
    "rfc8200_for_another_host": ([eth() / ip(dst="fd77::99") / echo()], SILENT),
    "rfc8200_other_mac": ([eth(dst=MAC2) / ip() / echo()], SILENT),
    "rfc4443_2_4_bad_checksum": ([eth() / ip() / ICMPv6EchoRequest(id=77, cksum=0x1234)], SILENT),
    "rfc4443_cut_off": ([eth() / ip(nh=58) / Raw(b"\x80\x00")], SILENT),
    "rfc4443_2_1_unknown_informational": ([eth() / ip() / ICMPv6Unknown(type=201, msgbody=b"1234")], SILENT),
    "rfc4443_2_1_unknown_error_goes_up_silently": ([eth() / ip() / ICMPv6Unknown(type=99, msgbody=b"1234" + raw(
        IPv6(src=KEEL6, dst=V6) / UDP()))], SILENT),
    "rfc8200_4_unknown_next_header": ([eth() / ip(nh=143) / Raw(b"x" * 16)], is_problem(1, 6)),
    "rfc8200_4_7_no_next_header": ([eth() / ip(nh=59) / Raw(b"x" * 16)], SILENT),
    "rfc4443_3_1_no_such_port": ([eth() / ip() / UDP(dport=CLOSED) / Raw(b"x")], is_unreach(4)),
    "rfc4443_3_1_error_quotes_the_packet": (
        [eth() / ip() / UDP(sport=0x1234, dport=CLOSED) / Raw(b"abcdef")],
        lambda f: is_unreach(4)(f) and raw(f[ICMPv6DestUnreach].payload)[40:42] == b"\x12\x34"),
    "rfc4443_2_4_c_error_fits_1280": (
        [eth() / ip() / UDP(dport=CLOSED) / Raw(bytes(1400))],
        lambda f: is_unreach(4)(f) and f[IPv6].plen + 40 == 1280),
    "rfc4443_2_4_e1_no_error_about_an_error": (
        [eth() / ip() / ICMPv6DestUnreach(code=4) / IPv6(src=KEEL6, dst=V6, nh=143) / Raw(b"12345678")], SILENT),
    "rfc4443_2_4_e3_no_error_about_a_multicast": (
        [eth(dst="33:33:00:00:00:01") / ip(dst="ff02::1") / UDP(dport=CLOSED) / Raw(b"x")], SILENT),
    "rfc4443_2_4_e6_no_error_to_unspecified": ([eth() / ip(src="::") / UDP(dport=CLOSED) / Raw(b"x")], SILENT),
    # ---- Extension headers: RFC 8200 4
    "rfc8200_4_3_hop_by_hop_padding": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")]) / echo()],
                                       is_echo_reply()),
    "rfc2711_router_alert_is_harmless": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / echo()],
                                         is_echo_reply()),
    "rfc8200_4_2_option_00_is_skipped": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[opt(0x1e)]) / echo()],
                                         is_echo_reply()),
    "rfc8200_4_2_option_01_is_dropped": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[opt(0x5e)]) / echo()], SILENT),
    "rfc8200_4_2_option_10_is_reported": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[opt(0x9e)]) / echo()],
                                          is_problem(2, 42)),
    "rfc8200_4_2_option_11_is_reported": ([eth() / ip() / IPv6ExtHdrHopByHop(options=[opt(0xde)]) / echo()],
                                          is_problem(2, 42)),
    "rfc8200_4_2_option_11_not_for_multicast": (
        [eth(dst="33:33:00:00:00:01") / ip(dst="ff02::1") / IPv6ExtHdrHopByHop(options=[opt(0xde)]) / echo()], SILENT),
    "rfc8200_4_2_option_10_also_for_multicast": (
        [eth(dst="33:33:00:00:00:01") / ip(dst="ff02::1") / IPv6ExtHdrHopByHop(options=[opt(0x9e)]) / echo()],
        is_problem(2, 42)),
    "rfc8200_4_2_destination_option_10": ([eth() / ip() / IPv6ExtHdrDestOpt(options=[opt(0x9e)]) / echo()],
                                          is_problem(2, 42)),
    "rfc8200_4_6_destination_option_padding": (
        [eth() / ip() / IPv6ExtHdrDestOpt(options=[Pad1(), PadN(optdata=b"\0\0\0")]) / echo()], is_echo_reply()),
    "rfc8200_4_1_hop_by_hop_must_be_first": (
        [eth() / ip() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")]) /
         IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")]) / echo()], is_problem(1)),
    "rfc8200_4_2_option_beyond_header": (
        [eth() / ip(nh=0) / Raw(b"\x3a\x00\x1e\x40\0\0\0\0" + raw(ip() / echo())[40:])],
        REFUSED),
    "rfc8200_4_3_header_beyond_packet": ([eth() / ip(nh=0) / Raw(b"\x3a\xff\x01\x04\0\0\0\0")],
                                         REFUSED),
    "rfc5095_3_routing_type_0_is_refused": (
        [eth() / ip() / IPv6ExtHdrRouting(type=0, addresses=["fd77::99"], segleft=1) / echo()], is_problem(0, 42)),
    "rfc8200_4_4_unknown_routing_with_segments": (
        [eth() / ip(nh=43) / Raw(b"\x3a\x00\xfd\x01\0\0\0\0" + raw(ip() / echo())[40:])], is_problem(0, 42)),
    "rfc8200_4_4_unknown_routing_without_segments": (
        [eth() / ip(nh=43) / Raw(b"\x3a\x00\xfd\x00\0\0\0\0" + raw(ip() / echo())[40:])], is_echo_reply()),
    # ---- Fragments: RFC 8200 4.5, 5722, 6946, 7112, 8021
    "rfc8200_4_5_two_fragments": (frags(echo(bytes(400)), [208], 101), is_echo_reply(bytes(400))),
    "rfc8200_4_5_reversed": (frags(echo(bytes(400)), [104, 208, 312], 102, lambda p: p[::-1]), is_echo_reply(bytes(400))),
    "rfc6946_atomic_fragment": ([eth() / ip() / IPv6ExtHdrFragment(id=103) / echo()], is_echo_reply()),
    "rfc6946_atomic_fragment_is_apart_from_others": (
        [frag(0, WHOLE[:32], 1, 104), eth() / ip() / IPv6ExtHdrFragment(id=104) / echo()], is_echo_reply()),
    "rfc5722_4_overlap_drops_all": (
        [frag(0, WHOLE[:32], 1, 105), frag(24, b"A" * 16, 1, 105), frag(40, WHOLE[40:], 0, 105)], SILENT),
    "rfc5722_4_later_pieces_of_an_overlap_too": (
        [frag(0, WHOLE[:32], 1, 106), frag(24, b"A" * 16, 1, 106), frag(32, WHOLE[32:], 0, 106)], SILENT),
    "rfc8200_4_5_exact_duplicate_is_ignored": (
        [frag(0, WHOLE[:32], 1, 107), frag(0, WHOLE[:32], 1, 107), frag(32, WHOLE[32:], 0, 107)],
        is_echo_reply(bytes(range(64)))),
    "rfc8200_4_5_middle_length_not_of_eight": ([frag(0, WHOLE[:30], 1, 108)], is_problem(0, 4)),
    "rfc8200_4_5_beyond_65535": ([frag(65528, b"B" * 100, 0, 109, nh=17)], is_problem(0, 42)),
    "rfc8200_4_5_missing_piece_no_answer": ([frag(0, WHOLE[:32], 1, 110)], SILENT),
    "rfc7112_5_first_fragment_without_whole_chain": (
        [eth() / ip(nh=44) / IPv6ExtHdrFragment(nh=60, offset=0, m=1, id=111) / Raw(b"\x3a\x03\x01\x04\0\0\0\0")],
        is_problem(3, 0)),
    "rfc8200_4_5_cut_off_fragment_header": ([eth() / ip(nh=44) / Raw(b"\x3a\x00\x00")],
                                            REFUSED),
    # ---- RFC 4861
    "rfc4861_7_2_4_solicitation_is_answered": ([ns()], is_na(tgt=KEEL6, S=1, O=1, R=0)),
    "rfc4861_7_2_4_answer_carries_the_address": (
        [ns()], lambda f: ICMPv6NDOptDstLLAddr in f and f[ICMPv6NDOptDstLLAddr].lladdr == f.src),
    "rfc4861_7_2_4_answer_has_hop_limit_255": ([ns()], lambda f: ICMPv6ND_NA in f and f[IPv6].hlim == 255),
    "rfc4861_7_2_4_unicast_solicitation": ([ns(dst=KEEL6, mac="00:00:00:00:00:00")], is_na(tgt=KEEL6, S=1)),
    "rfc4861_7_2_4_from_unspecified_goes_to_all_nodes": (
        [ns(src="::", lladdr=None)], lambda f: is_na(tgt=KEEL6, S=0)(f) and f[IPv6].dst == "ff02::1"),
    "rfc4861_7_1_1_hop_limit_below_255": ([ns(hlim=254)], SILENT),
    "rfc4861_7_1_1_code_not_0": ([ns(code=1)], SILENT),
    "rfc4861_7_1_1_bad_checksum": ([ns(cksum=0x1234)], SILENT),
    "rfc4861_7_1_1_target_multicast": ([ns(tgt="ff02::1")], SILENT),
    "rfc4861_7_1_1_option_of_length_0": (
        [Ether(src=MAC, dst="33:33:ff:00:00:02") / IPv6(src=V6, dst="ff02::1:ff00:2", hlim=255) /
         ICMPv6ND_NS(tgt=KEEL6) / Raw(b"\x01\x00" + b"\0" * 6)], SILENT),
    "rfc4861_7_1_1_option_beyond_packet": (
        [Ether(src=MAC, dst="33:33:ff:00:00:02") / IPv6(src=V6, dst="ff02::1:ff00:2", hlim=255) /
         ICMPv6ND_NS(tgt=KEEL6) / Raw(b"\x01\x04" + b"\0" * 6)], SILENT),
    "rfc4861_7_1_1_cut_off": (
        [Ether(src=MAC, dst="33:33:ff:00:00:02") / IPv6(src=V6, dst="ff02::1:ff00:2", hlim=255, nh=58) /
         Raw(b"\x87\0\0\0\0\0\0\0\xfd\x77")], SILENT),
    "rfc4861_7_1_1_unspecified_source_to_unicast": ([ns(src="::", lladdr=None, dst=KEEL6)], SILENT),
    "rfc4861_7_1_1_unspecified_source_with_link_option": ([ns(src="::")], SILENT),
    "rfc4861_7_2_for_another_target": ([ns(tgt="fd77::99")], SILENT),
    "rfc4861_7_1_2_unsolicited_advertisement_is_taken_silently": (
        [eth(dst="33:33:00:00:00:01") / IPv6(src=V6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=V6, S=0, O=1) /
         ICMPv6NDOptDstLLAddr(lladdr=MAC)], SILENT),
    "rfc4861_6_1_2_advertisement_not_from_link_local": (
        [eth(dst="33:33:00:00:00:01") / IPv6(src=V6, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)], SILENT),
    # ---- MLD: RFC 3810
    "rfc3810_5_1_query_from_global_address": (
        [eth(dst="33:33:00:00:00:01") / IPv6(src=V6, dst="ff02::1", hlim=1) /
         IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLQuery(mrd=1)], SILENT),
    "rfc3810_cut_off_query": (
        [eth(dst="33:33:00:00:00:01") / IPv6(src=LL6, dst="ff02::1", hlim=1) /
         IPv6ExtHdrHopByHop(options=[RouterAlert()]) / Raw(b"\x82\0\0\0")], SILENT),
    # ---- UDP: RFC 8200 8.1
    "rfc8200_8_1_udp_zero_checksum_is_refused": ([eth() / ip() / UDP(dport=CLOSED, chksum=0) / Raw(b"x")], SILENT),
    "rfc8200_8_1_udp_bad_checksum": ([eth() / ip() / UDP(dport=CLOSED, chksum=0x1234) / Raw(b"x")], SILENT),
    # ---- PMTU: RFC 8201
    "rfc8201_4_too_big_about_nothing_of_ours": (
        [eth() / ip() / ICMPv6PacketTooBig(mtu=1280) / IPv6(src="fd77::99", dst=V6) / UDP()], SILENT),
}


def test_answer(peer, case):
    frames, wanted = case
    answers = peer.ask(*[peer.to_machine(f) for f in frames])
    if wanted is SILENT:
        assert not answers, [a.summary() for a in answers]
    elif wanted is REFUSED:
        assert not any(ICMPv6EchoReply in a for a in answers), [a.summary() for a in answers]
    else:
        assert any(wanted(a) for a in answers), [a.summary() for a in answers]


def test_rfc3810_6_2_query_is_reported(peer):
    """The answer comes within the asked time, not at once."""
    peer.forget()
    peer.send(eth(dst="33:33:00:00:00:01") / IPv6(src=LL6, dst="ff02::1", hlim=1) /
              IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLQuery(type=130, mrd=500) / Raw(b"\x02\x7d\0\0"))
    found = peer.wait(lambda f: ICMPv6MLReport2 in f, 10)
    assert found and found[0][IPv6].dst == "ff02::16" and found[0][IPv6].hlim == 1


def answer_after_too_big(peer, source, mtu):
    """The frames of an answer of 1448 bytes, after somebody on the way said that it is too long."""
    peer.answers_for.add(source)
    ping = eth(dst=peer.mac) / ip(src=source) / echo(bytes(1400))
    peer.ask(ping)  # resolves the address
    whole = next(f for f in peer.ask(ping) if is_echo_reply(bytes(1400))(f))
    assert IPv6ExtHdrFragment not in whole
    return peer.ask(eth(dst=peer.mac) / ip() / ICMPv6PacketTooBig(mtu=mtu) / Raw(raw(whole[IPv6])[:1200]), ping)


def test_rfc8201_4_path_mtu_is_learnt(peer):
    parts = [f for f in answer_after_too_big(peer, "fd77::51", 1300) if IPv6ExtHdrFragment in f]
    assert len(parts) == 2 and all(f[IPv6].plen + 40 <= 1300 for f in parts)


def test_rfc8201_4_less_than_1280_is_not_believed_rfc8021_3_no_atomic_fragments(peer):
    answers = answer_after_too_big(peer, "fd77::52", 600)
    assert any(is_echo_reply(bytes(1400))(f) for f in answers)
    assert not any(IPv6ExtHdrFragment in f for f in answers)


def test_rfc6437_3_flow_labels_are_of_the_flow(peer):
    """Each flow has its own, the same for all its packets, and no rule from one to the next."""
    def label(port):
        answers = peer.ask(eth(dst=peer.mac) / ip() / TCP(sport=port, dport=CLOSED, flags="S", seq=1))
        return next(f[IPv6].fl for f in answers if TCP in f)
    labels = [label(p) for p in range(30001, 30009)]
    assert len(set(labels)) == 8 and 0 not in labels
    assert len({b - a for a, b in zip(labels, labels[1:])}) > 1
    assert label(30003) == labels[2]
