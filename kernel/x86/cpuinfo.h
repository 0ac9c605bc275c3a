/* /proc/cpuinfo in Linux's form: what programs parse to count processors and see
 * features. */
#pragma once

struct seq;

void cpuinfo_show(struct seq *s);
