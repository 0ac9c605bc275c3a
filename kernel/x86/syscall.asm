; SYSCALL (SDM vol. 2): RCX holds the user's RIP, R11 its RFLAGS, RSP is still the user's; FMASK
; has cleared IF, DF, TF, AC, NT. Builds the same trap_frame as a trap does, calls the handler
; from syscall_table (syscall_dispatch if there is none, or the thread has THREAD_WORK) and goes back
; by SYSRET when that gives exactly the state of the frame, else by IRETQ (trap_exit_user).
;
; SYSRET with a non-canonical RIP faults on Intel processors in kernel mode with the user's stack
; pointer, so RIP above the user half never takes that way. Between SYSCALL and the stack
; switch only vectors with stacks of their own can come; entry.asm says how they survive.

default rel
bits 64

%include "kernel/x86/entry.inc"

global syscall_entry, syscall_return
extern syscall_dispatch, syscall_table, trap_user_work, trap_exit_user

SYSCALL_COUNT	equ 451			; kernel/proc/syscall.h

section .text
align 16
syscall_entry:
	swapgs
	mov	[gs:CPU_USER_RSP], rsp
	mov	rsp, [gs:CPU_STACK_TOP]
	push	USER_SS
	push	qword [gs:CPU_USER_RSP]
	push	r11
	push	USER_CS
	push	rcx
	push	rax			; the call's number, in place of an error code
	push	TRAP_SYSCALL
	push_registers
	sti
	mov	rdi, rsp
	cmp	dword [gs:CPU_CALL_WORK], 0
	jne	.dispatch
	cmp	rax, SYSCALL_COUNT
	sbb	rcx, rcx		; all ones below, else 0 ...
	jnc	.dispatch
	and	rcx, rax		; ... so that no guessed branch reads beyond (Spectre 1)
	lea	r8, [syscall_table]
	mov	r8, [r8 + rcx * 8]
	test	r8, r8
	jz	.dispatch
.call:
	call	r8
syscall_return:
	mov	[rsp + FRAME_RAX], rax
	cli
	mov	rax, [gs:CPU_CURRENT]
	test	byte [rax + THREAD_FLAGS], THREAD_RETURN_WORK
	jnz	.work
	cmp	dword [gs:CPU_NEED_RESCHED], 0
	jne	.work
.leave:
	mov	rcx, [rsp + FRAME_RIP]
	mov	r11, [rsp + FRAME_RFLAGS]
	cmp	rcx, [rsp + FRAME_RCX]
	jne	.iret
	cmp	r11, [rsp + FRAME_R11]
	jne	.iret
	mov	rax, rcx
	shr	rax, 47
	jnz	.iret
	test	r11d, RFLAGS_TF_RF	; SYSRET clears RF, and would trap too early with TF
	jnz	.iret
	cmp	byte [rsp + FRAME_CS], USER_CS
	jne	.iret
	cmp	byte [rsp + FRAME_SS], USER_SS
	jne	.iret
	pop_callee_saved
	add	rsp, 8			; r11 is there
	pop	r10
	pop	r9
	pop	r8
	pop	rax
	add	rsp, 8			; rcx too
	pop	rdx
	pop	rsi
	pop	rdi
	mov	rsp, [rsp + FRAME_RSP - FRAME_VECTOR]
	swapgs
	o64 sysret
.work:
	mov	rdi, rsp
	call	trap_user_work
	jmp	.leave
.iret:
	jmp	trap_exit_user
syscall_entry.dispatch:
	lea	r8, [syscall_dispatch]
	jmp	syscall_entry.call
