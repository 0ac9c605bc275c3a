; _start: the kernel's first instruction, whichever loader started it (kernel/boot.h).
;
; In: 64-bit mode, interrupts off, RDI = struct boot_info. The loader may still run on page
; tables that have more than the contract's mappings (the page its last code lies in), so the
; contract's own are loaded first.
; Out: kernel_main(RDI) on the boot stack; kernel_entry_tsc holds the time stamp.

bits 64
default rel

extern kernel_main
global _start, kernel_entry_tsc, boot_stack, boot_stack_top

BOOT_PAGE_TABLE_ROOT equ 120		; in struct boot_info, asserted in kernel/boot.h

section .text.entry progbits alloc exec nowrite align=16

_start:
	rdtsc
	mov rcx, [rdi + BOOT_PAGE_TABLE_ROOT]
	mov cr3, rcx
	lea rsp, [boot_stack_top]
	shl rdx, 32
	or rax, rdx
	mov [kernel_entry_tsc], rax

	mov ecx, 0xc0000101		; GS base: a zeroed struct cpu, so that locks work until
	lea rax, [early_cpu]		; cpu_init_boot gives the boot CPU its own
	mov [rax], rax
	mov rdx, rax
	shr rdx, 32
	wrmsr
	cld
	xor ebp, ebp			; ends the chain of frames
	call kernel_main
	ud2

section .bss

alignb 16
boot_stack:
	resb 16384
boot_stack_top:
kernel_entry_tsc:
	resq 1
alignb 64
early_cpu:
	resb 256
