; Switching stacks. A thread that is not running has on its stack, from kernel_sp up: r15, r14,
; r13, r12, rbx, rbp and the address to go on at. context.c lays the same out for a new one.

default rel
bits 64

%include "kernel/x86/entry.inc"

global context_switch, thread_begin_kernel, thread_begin_user
extern thread_run_kernel, thread_run_user, trap_exit_user

section .text

; struct thread *context_switch(rdi prev, rsi next): returns prev, on next's stack.
align 16
context_switch:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[rdi + THREAD_KERNEL_SP], rsp
	mov	rsp, [rsi + THREAD_KERNEL_SP]
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	mov	rax, rdi
	ret

; First instructions of a new thread; rax is the thread that ran before.
thread_begin_kernel:
	mov	rdi, rax
	call	thread_run_kernel
	ud2

; The trap_frame to leave with lies at rsp.
thread_begin_user:
	mov	rdi, rax
	mov	rsi, rsp
	call	thread_run_user
	jmp	trap_exit_user
