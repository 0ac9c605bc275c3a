/* RCU on the host: callbacks wait until the test, or rcu_synchronize, runs them. */
#include "kernel/sync/rcu.h"

#include "kernel/panic.h"
#include "tests/fakes/fakes.h"

static struct rcu_head *pending;
static unsigned depth;

void
rcu_read_lock(void)
{
	depth++;
}

void
rcu_read_unlock(void)
{
	ASSERT(depth > 0);
	depth--;
}

void
rcu_call(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = pending;
	pending = head;
}

void
fake_rcu_run(void)
{
	while (pending) {
		struct rcu_head *head = pending;

		pending = head->next;
		head->func(head);
	}
}

void
rcu_synchronize(void)
{
	ASSERT(depth == 0);
	fake_rcu_run();
}
