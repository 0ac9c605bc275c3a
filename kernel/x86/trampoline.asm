; Where another CPU begins. A startup IPI sets it going in real mode at a page below 1 MiB, with
; CS:IP = page:0 and no stack. Everything from trampoline_start to trampoline_end is copied there by
; smp.c, which also fills in the four fields. All CPUs run it at the same time, so it writes
; nothing; at ap_entry each finds its own slot by its APIC ID.
;
; Real mode goes to long mode in one step: with EFER.LME and CR4.PAE set, one write to CR0 turns on
; protection and paging together (APM vol. 2, 14.6.1 allows it; so do Intel's processors).

default rel

global trampoline_start, trampoline_end, trampoline_cr3, trampoline_gdt_base, trampoline_gdt
global trampoline_far_offset, trampoline_long, trampoline_entry, ap_entry
extern ap_slots, ap_num_slots, ap_main, kernel_page_table

%define CR4_PAE		1 << 5
%define CR0_ON		0x80010031	; PG, WP, NE, ET, PE; caches on
%define MSR_EFER	0xc0000080
%define EFER_LME_NXE	1 << 8 | 1 << 11
%define CODE_SELECTOR	8

; struct ap_slot, smp_priv.h
%define SLOT_APIC_ID	0
%define SLOT_STATE	4
%define SLOT_STACK	8
%define SLOT_SIZE	24
%define AP_WAITING	0
%define AP_ARRIVED	1

%define IN_PAGE(x)	((x) - trampoline_start)

section .rodata align=16

bits 16
trampoline_start:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [IN_PAGE(gdt_pointer)]
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, [IN_PAGE(trampoline_cr3)]
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME_NXE
	wrmsr
	mov	eax, CR0_ON
	mov	cr0, eax
	jmp	dword far [IN_PAGE(trampoline_far_offset)]

bits 64
trampoline_long:
	mov	rax, [trampoline_entry]
	jmp	rax

align 8
trampoline_entry:	dq	0
trampoline_gdt:		dq	0
			dq	0x00af9a000000ffff	; 64-bit code, CPL 0
gdt_pointer:		dw	15
trampoline_gdt_base:	dd	0
trampoline_cr3:		dd	0
trampoline_far_offset:	dd	0
			dw	CODE_SELECTOR
trampoline_end:

section .text
bits 64

; Long mode, the trampoline's page table, no stack. The APIC ID comes from CPUID leaf 0xB, which has
; all 32 bits of it, or, where there is none, from leaf 1.
ap_entry:
	xor	eax, eax
	cpuid
	cmp	eax, 0xb
	jb	.short_id
	mov	eax, 0xb
	xor	ecx, ecx
	cpuid
	test	ebx, ebx
	jz	.short_id
	mov	edi, edx
	jmp	.search
.short_id:
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	edi, ebx
.search:
	lea	rsi, [ap_slots]
	mov	ecx, [ap_num_slots]
.next:
	test	ecx, ecx
	jz	.unwanted
	cmp	[rsi + SLOT_APIC_ID], edi
	je	.found
	add	rsi, SLOT_SIZE
	dec	ecx
	jmp	.next
.found:
	mov	eax, AP_WAITING
	mov	edx, AP_ARRIVED
	lock cmpxchg [rsi + SLOT_STATE], edx
	jne	.unwanted
	mov	rax, [kernel_page_table]
	mov	cr3, rax
	mov	rsp, [rsi + SLOT_STACK]
	mov	rdi, rsi
	xor	ebp, ebp
	call	ap_main
	ud2
.unwanted:				; given up on, or not in the tables
	cli
	hlt
	jmp	.unwanted
