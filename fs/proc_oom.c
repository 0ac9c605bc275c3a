/*
 * /proc/PID/oom_score, oom_score_adj and the older oom_adj (proc(5)): how likely a process is
 * chosen when memory runs out (mm/oom.h). oom_adj is the same correction in 17ths.
 */
#include "fs/procfs.h"

#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/oom.h"

enum { OLD_MIN = -17, OLD_MAX = 15 };

void
proc_show_oom_score(struct seq *s, const struct proc_id *id)
{
	struct process *p = proc_process(id);

	if (!p)
		return;
	seq_printf(s, "%u\n", oom_score(p));
	process_put(p);
}

/* False: there is no such process. */
static bool
correction_of(const struct proc_id *id, int *adj)
{
	struct process *p = proc_process(id);

	if (!p)
		return false;
	*adj = p->oom_score_adj;
	process_put(p);
	return true;
}

void
proc_show_oom_score_adj(struct seq *s, const struct proc_id *id)
{
	int adj;

	if (correction_of(id, &adj))
		seq_printf(s, "%d\n", adj);
}

void
proc_show_oom_adj(struct seq *s, const struct proc_id *id)
{
	int adj;

	if (correction_of(id, &adj))
		seq_printf(s, "%d\n",
		    adj == OOM_SCORE_ADJ_MAX ? OLD_MAX
		                             : adj * -OLD_MIN / OOM_SCORE_ADJ_MAX);
}

static const char *
skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == '\n')
		s++;
	return s;
}

/* One number, blanks around it allowed. */
static bool
parse(const char *text, int min, int max, int *value)
{
	bool is_negative;
	uint64_t n;

	text = skip_blanks(text);
	is_negative = *text == '-';
	if (!parse_u64(text + is_negative, &text, 10, &n) || n > OOM_SCORE_ADJ_MAX)
		return false;
	*value = is_negative ? -(int)n : (int)n;
	return !*skip_blanks(text) && *value >= min && *value <= max;
}

static enum err
store(const struct proc_id *id, int adj, bool may_not_lower)
{
	struct process *p = proc_process(id);
	enum err err;

	if (!p)
		return ERR_SRCH;
	if (may_not_lower && adj < p->oom_score_adj && !capable(CAP_SYS_RESOURCE))
		err = ERR_ACCES;
	else
		err = oom_score_adj_set(p, adj);
	process_put(p);
	return err;
}

enum err
proc_store_oom_score_adj(const struct proc_id *id, const char *text)
{
	int adj;

	if (!parse(text, OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX, &adj))
		return ERR_INVAL;
	return store(id, adj, false);
}

enum err
proc_store_oom_adj(const struct proc_id *id, const char *text)
{
	int old;

	if (!parse(text, OLD_MIN, OLD_MAX, &old))
		return ERR_INVAL;
	return store(id,
	    old == OLD_MAX ? OOM_SCORE_ADJ_MAX : old * OOM_SCORE_ADJ_MAX / -OLD_MIN,
	    true);
}
