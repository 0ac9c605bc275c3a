/*
 * SRAT: which NUMA node (proximity domain) each processor and memory range belongs to
 * (ACPI 6.4 section 5.2.16). Domain numbers may be any 32-bit value; the core wants nodes
 * numbered from 0 without gaps, so they are renumbered in the order of appearance.
 */
#define LOG_PREFIX "acpi: "
#include "acpi/acpi.h"

#include "acpi/tables.h"
#include "kernel/log.h"
#include "kernel/platform.h"

enum {
	SRAT_ENTRIES = 48,
	SRAT_FLAG_ENABLED = 1 << 0,
	SRAT_MAX_NODES = 64,
};

enum srat_type { SRAT_LAPIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };

struct node_names {
	uint32_t domain[SRAT_MAX_NODES];
	uint32_t count;
};

/* The node number of a domain; domains beyond the limit fall to node 0. */
static uint32_t
node_of(struct node_names *names, uint32_t domain)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (names->domain[i] == domain)
			return i;
	if (names->count == SRAT_MAX_NODES)
		return 0;
	names->domain[names->count] = domain;
	return names->count++;
}

static void
set_cpu_node(struct platform_info *out, uint32_t apic_id, uint32_t node)
{
	for (uint32_t i = 0; i < out->num_cpus; i++)
		if (out->cpus[i].apic_id == apic_id)
			out->cpus[i].node = node;
}

static void
add_memory(
    struct platform_info *out, const struct acpi_entry *e, struct node_names *names)
{
	paddr_t base = acpi_entry_get(e, 8, 8);
	uint64_t size = acpi_entry_get(e, 16, 8);

	if (e->len < 40 || !(acpi_entry_get(e, 28, 4) & SRAT_FLAG_ENABLED) || !size)
		return;
	if (base + size < base || out->num_mem_nodes == PLATFORM_MAX_MEM_NODES) {
		log_warn("SRAT: memory range at %#llx ignored", (unsigned long long)base);
		return;
	}
	out->mem_nodes[out->num_mem_nodes++] = (struct platform_mem_node){
	    .base = base,
	    .size = size,
	    .node = node_of(names, (uint32_t)acpi_entry_get(e, 2, 4)),
	};
}

static void
parse_entry(
    struct platform_info *out, const struct acpi_entry *e, struct node_names *names)
{
	uint32_t domain;

	switch ((enum srat_type)e->type) {
	case SRAT_LAPIC:
		if (e->len < 16 || !(acpi_entry_get(e, 4, 4) & SRAT_FLAG_ENABLED))
			return;
		/*
		 * The domain's upper three bytes were added later, elsewhere in the
		 * entry.
		 */
		domain =
		    (uint32_t)(acpi_entry_get(e, 2, 1) | acpi_entry_get(e, 9, 3) << 8);
		set_cpu_node(
		    out, (uint32_t)acpi_entry_get(e, 3, 1), node_of(names, domain));
		break;
	case SRAT_X2APIC:
		if (e->len < 24 || !(acpi_entry_get(e, 12, 4) & SRAT_FLAG_ENABLED))
			return;
		domain = (uint32_t)acpi_entry_get(e, 4, 4);
		set_cpu_node(
		    out, (uint32_t)acpi_entry_get(e, 8, 4), node_of(names, domain));
		break;
	case SRAT_MEMORY: add_memory(out, e, names); break;
	}
}

void
srat_parse(const struct acpi_table *t, struct platform_info *out)
{
	struct node_names names = {.count = 0};
	uint32_t off = SRAT_ENTRIES;
	struct acpi_entry e;

	while (acpi_next_entry(t, &off, &e))
		parse_entry(out, &e, &names);
	out->num_nodes = names.count ? names.count : 1;
}
