/*
 * A QEMU TCG plugin that counts how often each instruction of the kernel image ran. Nothing in the
 * guest is instrumented: the counters are added where QEMU translates. Options: out=FILE,
 * base=ADDRESS. At the end it writes "address count" lines, in hexadecimal and decimal.
 *
 * Debian's QEMU packages ship no header for plugins, so the few calls used are declared here as the
 * plugin API version 1 has them (QEMU's documentation, "QEMU TCG Plugins").
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

struct plugin_tb;
struct plugin_insn;
struct plugin_info;

enum { INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(
    uint64_t id, void (*fn)(uint64_t id, struct plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_inline(
    struct plugin_insn *insn, int op, void *counter, uint64_t value);
void qemu_plugin_register_atexit_cb(
    uint64_t id, void (*fn)(uint64_t id, void *), void *arg);
size_t qemu_plugin_tb_n_insns(const struct plugin_tb *tb);
struct plugin_insn *qemu_plugin_tb_get_insn(const struct plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct plugin_insn *insn);

EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(
    uint64_t id, const struct plugin_info *info, int argc, char **argv);

enum { IMAGE_SIZE = 16 << 20 };

static uint64_t base = 0xffffffff80000000;
static uint64_t *counts; /* by byte of the image */
static char out[4096] = "cover.txt";

static void
on_translate(uint64_t id, struct plugin_tb *tb)
{
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t offset = qemu_plugin_insn_vaddr(insn) - base;

		if (offset < IMAGE_SIZE)
			qemu_plugin_register_vcpu_insn_exec_inline(
			    insn, INLINE_ADD_U64, &counts[offset], 1);
	}
}

static void
on_exit_write(uint64_t id, void *arg)
{
	FILE *f = fopen(out, "w");

	if (!f)
		return;
	for (uint64_t i = 0; i < IMAGE_SIZE; i++)
		if (counts[i])
			fprintf(f, "%llx %llu\n", (unsigned long long)(base + i),
			    (unsigned long long)counts[i]);
	fclose(f);
}

int
qemu_plugin_install(uint64_t id, const struct plugin_info *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			snprintf(out, sizeof(out), "%s", argv[i] + 4);
		if (!strncmp(argv[i], "base=", 5))
			base = strtoull(argv[i] + 5, NULL, 0);
	}
	counts = calloc(IMAGE_SIZE, sizeof(*counts));
	if (!counts)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_write, NULL);
	return 0;
}
