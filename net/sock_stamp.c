/*
 * When a datagram arrived, for those who asked: SO_TIMESTAMP (microseconds), SO_TIMESTAMPNS
 * (nanoseconds), SO_TIMESTAMPING (here the time the software saw it; no device has a clock).
 */
#include "kernel/time/timespec.h"
#include "net/sock.h"

enum {
	SOL_SOCKET = 1,
	SCM_TIMESTAMP = 29,
	SCM_TIMESTAMPNS = 35,
	SCM_TIMESTAMPING = 37,
	SCM_TIMESTAMP_NEW = 63,
	SCM_TIMESTAMPNS_NEW = 64,
	SO_RXQ_OVFL = 40,
};

void
sock_put_stamps(struct sock *sk, struct sock_msg *msg, nsec_t stamp_ns)
{
	if ((sk->is_timestamp || sk->is_timestampns) && stamp_ns) {
		struct timeval tv = timeval_from_ns(stamp_ns);
		struct timespec ts = timespec_from_ns(stamp_ns);

		if (sk->is_timestamp)
			put_cmsg(msg, SOL_SOCKET,
			    sk->is_stamping_new ? SCM_TIMESTAMP_NEW : SCM_TIMESTAMP, &tv,
			    sizeof(tv));
		else
			put_cmsg(msg, SOL_SOCKET,
			    sk->is_stamping_new ? SCM_TIMESTAMPNS_NEW : SCM_TIMESTAMPNS,
			    &ts, sizeof(ts));
	}
	if ((sk->stamping & STAMP_SOFTWARE) && stamp_ns) {
		/* Software, then two for hardware. */
		struct timespec ts[3] = {timespec_from_ns(stamp_ns)};

		put_cmsg(msg, SOL_SOCKET, SCM_TIMESTAMPING, ts, sizeof(ts));
	}
	if (sk->is_rxq_ovfl && sk->drops) {
		uint32_t drops = (uint32_t)sk->drops;

		put_cmsg(msg, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
	}
}
