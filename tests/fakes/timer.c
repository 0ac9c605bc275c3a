/* Timers on the host: fired in order of expiry by fake_timers_run, never by themselves.
 */
#include "kernel/time/timer.h"

#include "kernel/panic.h"
#include "tests/fakes/fakes.h"
#include "kernel/x86/percpu.h"

enum { MAX_ARMED = 64 };

static struct timer *armed[MAX_ARMED];

static struct timer **
slot_of(const struct timer *t)
{
	for (unsigned i = 0; i < MAX_ARMED; i++)
		if (armed[i] == t)
			return &armed[i];
	return NULL;
}

void
timer_init(struct timer *t, void (*fn)(struct timer *))
{
	*t = (struct timer){.fn = fn};
}

void
timer_arm(struct timer *t, nsec_t expires_ns)
{
	struct timer **slot = slot_of(t->cpu ? t : NULL);

	ASSERT(slot);
	*slot = t;
	t->expires_ns = expires_ns;
	t->cpu = this_cpu();
}

bool
timer_cancel(struct timer *t)
{
	struct timer **slot = slot_of(t);

	if (!slot)
		return false;
	*slot = NULL;
	t->cpu = NULL;
	return true;
}

void
fake_timers_run(nsec_t until)
{
	for (;;) {
		struct timer **first = NULL;

		for (unsigned i = 0; i < MAX_ARMED; i++)
			if (armed[i] &&
			    (!first || armed[i]->expires_ns < (*first)->expires_ns))
				first = &armed[i];
		if (!first || (*first)->expires_ns > until)
			break;

		struct timer *t = *first;

		*first = NULL;
		t->cpu = NULL;
		fake_now_ns = fake_now_ns < t->expires_ns ? t->expires_ns : fake_now_ns;
		t->fn(t);
	}
	fake_now_ns = fake_now_ns < until ? until : fake_now_ns;
}
