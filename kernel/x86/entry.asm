; Doors into the kernel. _start from a loader; one stub for each of the 256 vectors, which all
; build a trap_frame and call trap_handle; and the way back, also taken by new user threads.
;
; GS. User mode has its own GS base; SWAPGS exchanges it with the kernel's on the way in and
; out. Ordinary vectors know by CS whether they came from user mode. Vectors with a stack of
; their own (#DB, NMI, #DF, #MC) may also come in the few instructions where CPL is 0 and GS
; still or already the user's, and user code may write any base (WRGSBASE), so a look at
; the base proves nothing. They find their struct cpu in the word above their stack's top, load
; it and put back whatever base there was.
;
; IRETQ to user mode faults in kernel mode, with the user's GS, if the frame is bad: the stub
; recognises the address and makes it a fault of the user's (trap_from_iret).

default rel
bits 64

%include "kernel/x86/entry.inc"

BOOT_PAGE_TABLE_ROOT equ 120		; in struct boot_info, asserted in kernel/boot.h

global _start, trap_stubs, trap_return, trap_return_ist, trap_exit_user, iret_to_user
global kernel_entry_tsc, boot_stack
extern kernel_main, trap_handle, trap_handle_ist, trap_from_iret, usercopy_smap

section .data
align 8
kernel_entry_tsc: dq 0

; KERNEL_STACK_SIZE (kernel/sched/thread.h), page-aligned, over a page that is unmapped later.
section .bss align=4096
	resb	4096
boot_stack:
	resb	16384
.top:

section .text.entry progbits alloc exec nowrite align=16

; The kernel's first instruction, whichever loader started it. rdi: struct boot_info; kernel/boot.h
; has the rest of the state. The loader may still run on page tables that have more than the
; contract's mappings (the page its last code lies in), so the contract's own are loaded.
_start:
	rdtsc
	mov	rcx, [rdi + BOOT_PAGE_TABLE_ROOT]
	mov	cr3, rcx
	shl	rdx, 32
	or	rax, rdx
	mov	[kernel_entry_tsc], rax
	lea	rsp, [boot_stack.top]
	xor	ebp, ebp
	cld
	call	kernel_main
	ud2

; 256 stubs of 16 bytes. Vectors 8, 10-14, 17, 21, 29 and 30 come with an error code (SDM vol. 3,
; table 6-1; APM vol. 2, 8.2); the others get 0 in its place.
%assign HAS_ERROR 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17
%assign HAS_ERROR HAS_ERROR | 1 << 21 | 1 << 29 | 1 << 30
%assign OWN_STACK 1 << 1 | 1 << 2 | 1 << 8 | 1 << 18

align 16
trap_stubs:
%assign vector 0
%rep 256
	align	16
    %if vector >= 32 || !(HAS_ERROR >> vector & 1)
	push	0
    %endif
	push	vector
    %if vector < 32 && (OWN_STACK >> vector & 1)
	jmp	trap_ist
    %else
	jmp	trap_common
    %endif
    %assign vector vector + 1
%endrep

section .text

%macro close_user_memory 0
	cmp	byte [usercopy_smap], 0
	je	%%none
	clac
%%none:
%endmacro

align 16
trap_common:
	push_registers
	cld
	test	byte [rsp + FRAME_CS], 3
	jz	.from_kernel
	swapgs
.have_gs:
	lfence				; no access by a wrong GS in speculation (CVE-2019-1125)
	close_user_memory
	mov	rdi, rsp
	call	trap_handle
trap_return:
	test	byte [rsp + FRAME_CS], 3
	jz	iret_to_user.to_kernel
trap_exit_user:				; rsp: a frame of user mode; interrupts off
	swapgs
	pop_registers
	add	rsp, 16
iret_to_user:
	iretq
.to_kernel:
	pop_registers
	add	rsp, 16
	iretq
trap_common.from_kernel:
	lea	rax, [iret_to_user]
	cmp	[rsp + FRAME_RIP], rax
	jne	trap_common.have_gs
	swapgs				; it was the user's
	mov	rdi, rsp
	call	trap_from_iret
	mov	rsp, rax
	jmp	trap_common.have_gs

align 16
trap_ist:
	push_registers
	cld
	close_user_memory
	test	byte [rsp + FRAME_CS], 3
	jz	.on_own_stack
	cmp	byte [rsp + FRAME_VECTOR], TRAP_NMI
	je	.on_own_stack
	; From user mode: go on as an ordinary trap, on the thread's stack.
	swapgs
	mov	rsi, rsp
	mov	rdi, [gs:CPU_STACK_TOP]
	sub	rdi, FRAME_SIZE
	mov	rsp, rdi
	mov	ecx, FRAME_SIZE / 8
	rep	movsq
	jmp	trap_common.have_gs
.on_own_stack:
	mov	ecx, MSR_GS_BASE
	rdmsr
	shl	rdx, 32
	lea	rbx, [rax + rdx]	; what GS base was; RBX survives the call
	mov	rax, [rsp + FRAME_SIZE]	; struct cpu of this stack
	mov	rdx, rax
	shr	rdx, 32
	wrmsr
	mov	rdi, rsp
	call	trap_handle_ist
trap_return_ist:
	mov	rax, rbx
	mov	rdx, rbx
	shr	rdx, 32
	mov	ecx, MSR_GS_BASE
	wrmsr
	pop_registers
	add	rsp, 16
	iretq
