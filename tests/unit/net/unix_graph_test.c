/*
 * net/unix_graph.c: sockets that only circles of messages hold are found, others never.
 * LINK: net/unix_graph.c lib/string.c tests/fakes/panic.c
 */
#include "net/unix.h"

#include <stdlib.h>

#include "tests/unit/ktest.h"

enum { MAX_NODES = 64, MAX_EDGES = 256 };

/* A picture of sockets: who is in whose queue, and who is open in a process besides. */
static struct unix_node nodes[MAX_NODES];
static unsigned open_files[MAX_NODES]; /* descriptors, of the socket itself */
static struct {
	int from, to; /* from -1: in the queue of a socket that is not in flight */
} edges[MAX_EDGES];
static int num_nodes, num_edges;
static struct list all;

static void
begin(int n)
{
	list_init(&all);
	num_nodes = n;
	num_edges = 0;
	for (int i = 0; i < n; i++) {
		nodes[i] = (struct unix_node){.num_flights = 0};
		open_files[i] = 0;
	}
}

static void
edge(int from, int to)
{
	edges[num_edges].from = from;
	edges[num_edges++].to = to;
	if (nodes[to].num_flights++ == 0)
		list_push_back(&all, &nodes[to].link);
}

static bool
is_only_in_flight(struct unix_node *n)
{
	return !open_files[n - nodes];
}

static void
for_each_edge(struct unix_node *from, void (*fn)(struct unix_node *))
{
	for (int i = 0; i < num_edges; i++)
		if (edges[i].from == from - nodes)
			fn(&nodes[edges[i].to]);
}

static const struct unix_graph_ops ops = {
    .is_only_in_flight = is_only_in_flight, .for_each_edge = for_each_edge};

static bool
is_garbage(int i)
{
	return nodes[i].num_flights && nodes[i].is_candidate && !nodes[i].is_reached;
}

KTEST(unix_graph_finds_nothing_in_nothing)
{
	begin(0);
	CHECK_EQ(unix_graph_search(&all, &ops), 0);
}

KTEST(unix_graph_finds_a_socket_in_its_own_queue)
{
	begin(1);
	edge(0, 0);
	CHECK_EQ(unix_graph_search(&all, &ops), 1);
	CHECK(is_garbage(0));
	open_files[0] = 1;
	CHECK_EQ(unix_graph_search(&all, &ops), 0);
}

KTEST(unix_graph_keeps_what_an_open_socket_holds)
{
	begin(3);
	edge(-1, 0); /* somebody can receive 0, with it 1, with it 2 */
	edge(0, 1);
	edge(1, 2);
	edge(2, 1);
	CHECK_EQ(unix_graph_search(&all, &ops), 0);
}

KTEST(unix_graph_keeps_what_leads_from_an_open_file)
{
	begin(3);
	edge(0, 1);
	edge(1, 2);
	edge(2, 0);
	open_files[1] = 1;
	CHECK_EQ(unix_graph_search(&all, &ops), 0);
	open_files[1] = 0;
	CHECK_EQ(unix_graph_search(&all, &ops), 3);
}

KTEST(unix_graph_tells_two_circles_apart)
{
	begin(4);
	edge(0, 1);
	edge(1, 0);
	edge(2, 3);
	edge(3, 2);
	edge(1, 2); /* garbage leads to the other circle, which is in use */
	open_files[3] = 1;
	CHECK_EQ(unix_graph_search(&all, &ops), 2);
	CHECK(is_garbage(0) && is_garbage(1));
	CHECK(!is_garbage(2) && !is_garbage(3));
}

KTEST(unix_graph_counts_a_socket_that_is_sent_twice)
{
	begin(2);
	edge(0, 1);
	edge(0, 1);
	edge(1, 0);
	edge(-1, 1);
	CHECK_EQ(unix_graph_search(&all, &ops), 0);
	begin(2);
	edge(0, 1);
	edge(0, 1);
	edge(1, 0);
	CHECK_EQ(unix_graph_search(&all, &ops), 2);
}

/* What an honest search says: reachable from any open file or outer queue. */
static bool
is_reachable(int i)
{
	bool seen[MAX_NODES] = {false}, grows = true;

	for (int n = 0; n < num_nodes; n++)
		seen[n] = open_files[n];
	while (grows) {
		grows = false;
		for (int e = 0; e < num_edges; e++) {
			if ((edges[e].from < 0 || seen[edges[e].from]) &&
			    !seen[edges[e].to])
				grows = seen[edges[e].to] = true;
		}
	}
	return seen[i];
}

KTEST(unix_graph_agrees_with_a_plain_search_on_any_graph)
{
	srand(1);
	for (int round = 0; round < 2000; round++) {
		int n = 1 + rand() % 20, m = rand() % 40;

		begin(n);
		for (int i = 0; i < m; i++) {
			/* A node that is neither open nor in flight does not exist. */
			int from = rand() % (n + 1) - 1;

			edge(from, rand() % n);
		}
		for (int i = 0; i < n; i++)
			open_files[i] = !nodes[i].num_flights || rand() % 8 == 0;
		(void)unix_graph_search(&all, &ops);
		for (int i = 0; i < n; i++)
			CHECK_EQ(is_garbage(i), !is_reachable(i));
	}
}
