/*
 * Which sockets in flight are garbage. A socket that is sent over another one is held by the
 * message. When all that holds it are messages in the queues of sockets which are held in this way
 * too, round in a circle, nobody can ever receive it.
 *
 * A candidate is a node which nothing but messages holds. Of its flights, those in queues of
 * candidates are subtracted; what is left is in the hands of sockets that are in use, so it can be
 * reached, and all that its own queue holds. Candidates that are not reached are garbage: O(nodes
 * + edges), and no memory but the nodes'.
 */
#include "net/unix.h"

static struct list *reached; /* [flight lock] */

static void
count_inside(struct unix_node *to)
{
	if (to->is_candidate)
		to->num_outside--;
}

static void
reach(struct unix_node *n)
{
	if (!n->is_candidate || n->is_reached)
		return;
	n->is_reached = true;
	list_push_back(reached, &n->work_link);
}

size_t
unix_graph_search(struct list *all, const struct unix_graph_ops *ops)
{
	struct list work = LIST_INIT(work), *link;
	struct unix_node *n;
	size_t garbage = 0;

	reached = &work;
	list_for_each(n, all, link) {
		n->is_candidate = ops->is_only_in_flight(n);
		n->is_reached = false;
		n->num_outside = n->num_flights;
	}
	list_for_each(n, all, link)
		if (n->is_candidate)
			ops->for_each_edge(n, count_inside);
	list_for_each(n, all, link)
		if (n->num_outside)
			reach(n);
	while ((link = list_pop_front(&work)))
		ops->for_each_edge(list_entry(link, struct unix_node, work_link), reach);
	list_for_each(n, all, link)
		garbage += n->is_candidate && !n->is_reached;
	reached = NULL;
	return garbage;
}
