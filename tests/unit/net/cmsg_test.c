/*
 * net/cmsg.c: control data walks and appends, as CMSG_NXTHDR and recvmsg(2) have it.
 * LINK: net/cmsg.c lib/string.c
 */
#include "lib/string.h"
#include "net/sock.h"
#include "tests/unit/ktest.h"

static uint64_t words[16];

static struct cmsg *
at(size_t off)
{
	return (struct cmsg *)((uint8_t *)words + off);
}

static struct sock_msg
message(size_t len)
{
	return (struct sock_msg){.control = (uint8_t *)words, .control_len = len};
}

KTEST(cmsg_next_walks_aligned_headers)
{
	struct sock_msg m = message(24 + 20);
	enum err err;

	*at(0) = (struct cmsg){.len = 17, .level = 0, .type = 1};
	*at(24) = (struct cmsg){.len = 20, .level = 0, .type = 2};
	CHECK(cmsg_next(&m, NULL, &err) == at(0));
	CHECK(cmsg_next(&m, at(0), &err) == at(24));
	CHECK(cmsg_next(&m, at(24), &err) == NULL);
	CHECK_EQ(err, OK);
}

KTEST(cmsg_next_refuses_lengths_that_lie)
{
	static const uint64_t lengths[] = {0, 15, 33, UINT64_MAX, INT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct sock_msg m = message(32);
		enum err err;

		*at(0) = (struct cmsg){.len = lengths[i]};
		CHECK(cmsg_next(&m, NULL, &err) == NULL);
		CHECK_EQ(err, ERR_INVAL);
	}
}

KTEST(cmsg_next_ignores_a_tail_shorter_than_a_header)
{
	struct sock_msg m = message(16 + 15);
	enum err err;

	*at(0) = (struct cmsg){.len = 16};
	CHECK(cmsg_next(&m, at(0), &err) == NULL);
	CHECK_EQ(err, OK);
}

KTEST(put_cmsg_fills_what_there_is_room_for)
{
	struct sock_msg m = message(60);
	uint32_t value = 7;

	put_cmsg(&m, 1, 2, &value, sizeof(value));
	CHECK_EQ(m.control_used, 24);
	CHECK_EQ(at(0)->len, 20);
	CHECK_EQ(*(uint32_t *)(at(0) + 1), 7);
	put_cmsg(&m, 1, 3, &value, sizeof(value));
	CHECK_EQ(m.control_used, 48);
	CHECK_EQ(m.out_flags, 0);
	put_cmsg(&m, 1, 4, &value, sizeof(value)); /* 12 bytes left: not even a header */
	CHECK_EQ(m.control_used, 48);
	CHECK_EQ(m.out_flags, MSG_CTRUNC);
}

KTEST(put_cmsg_cuts_data_and_says_so)
{
	struct sock_msg m = message(20);
	uint64_t value = 0x1122334455667788;

	put_cmsg(&m, 1, 2, &value, sizeof(value));
	CHECK_EQ(m.control_used, 20);
	CHECK_EQ(at(0)->len, 20);
	CHECK_EQ(m.out_flags, MSG_CTRUNC);
}

KTEST(put_cmsg_without_a_buffer_says_so)
{
	struct sock_msg m = {.control = NULL};

	put_cmsg(&m, 1, 2, &m, 4);
	CHECK_EQ(m.out_flags, MSG_CTRUNC);
}
