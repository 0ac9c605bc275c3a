; User memory access: see usercopy_asm.h for the contract. SysV calling convention; every
; instruction that may fault has an entry in .ex_table (ex_table.h).

default rel
bits 64

global usercopy_copy, usercopy_zero, usercopy_string, usercopy_cmpxchg32, usercopy_load32
global usercopy_xsave, usercopy_xrstor
global usercopy_smap

; on_fault insn, fixup: one table entry, distances from its start
%macro on_fault 2
	section .ex_table progbits alloc noexec nowrite align=4
%%entry:
	dd	%1 - $
	dd	%2 - $ + 4
	section .text
%endmacro

%macro user_open 0
	cmp	byte [usercopy_smap], 0
	je	%%none
	stac
%%none:
%endmacro

%macro user_close 0
	cmp	byte [usercopy_smap], 0
	je	%%none
	clac
%%none:
%endmacro

section .data
usercopy_smap:	db 0

section .text

; size_t usercopy_copy(rdi dst, rsi src, rdx n): words first, then the rest. A fault among the
; words goes on bytewise, so the count is exact.
usercopy_copy:
	mov	rcx, rdx
	shr	rcx, 3
	and	edx, 7
	user_open
.words:	rep movsq
	mov	ecx, edx
.bytes:	rep movsb
.done:	user_close
	mov	rax, rcx
	ret
.slow:	lea	rcx, [rdx + rcx * 8]
	jmp	.bytes
	on_fault .words, .slow
	on_fault .bytes, .done

; size_t usercopy_zero(rdi dst, rsi n)
usercopy_zero:
	mov	rcx, rsi
	shr	rcx, 3
	and	esi, 7
	xor	eax, eax
	user_open
.words:	rep stosq
	mov	ecx, esi
.bytes:	rep stosb
.done:	user_close
	mov	rax, rcx
	ret
.slow:	lea	rcx, [rsi + rcx * 8]
	jmp	.bytes
	on_fault .words, .slow
	on_fault .bytes, .done

; long usercopy_string(rdi dst, rsi src, rdx size): eight bytes at a time while no NUL is among
; them ((x - 0x01..) & ~x & 0x80.. finds one); a fault there falls back to single bytes.
usercopy_string:
	xor	eax, eax
	mov	r8, 0x0101010101010101
	mov	r9, r8
	shl	r9, 7
	user_open
	jmp	.test
.word:	mov	rcx, [rsi + rax]
	mov	r10, rcx
	mov	r11, rcx
	sub	r10, r8
	not	r11
	and	r10, r11
	test	r10, r9
	jnz	.byte
	mov	[rdi + rax], rcx
	add	rax, 8
.test:	lea	rcx, [rax + 8]
	cmp	rcx, rdx
	jbe	.word
.byte:	cmp	rax, rdx
	jae	.done
.load:	mov	cl, [rsi + rax]
	mov	[rdi + rax], cl
	test	cl, cl
	jz	.done
	inc	rax
	jmp	.byte
.fault:	mov	rax, -1
.done:	user_close
	ret
	on_fault .word, .byte
	on_fault .load, .fault

; int usercopy_cmpxchg32(rdi p, esi expected, edx desired, rcx old)
usercopy_cmpxchg32:
	mov	eax, esi
	user_open
.swap:	lock cmpxchg [rdi], edx
	user_close
	mov	[rcx], eax
	xor	eax, eax
	ret
.fault:	user_close
	mov	eax, -1
	ret
	on_fault .swap, .fault

; int usercopy_load32(rdi p, rsi value)
usercopy_load32:
	user_open
.load:	mov	eax, [rdi]
	user_close
	mov	[rsi], eax
	xor	eax, eax
	ret
.fault:	user_close
	mov	eax, -1
	ret
	on_fault .load, .fault

; int usercopy_xsave(rdi area, rsi mask). The header's first byte has x87 and SSE.
usercopy_xsave:
	mov	rax, rsi
	mov	rdx, rsi
	shr	rdx, 32
	user_open
.save:	xsave64	[rdi]
.mark:	or	byte [rdi + 512], 3
	user_close
	xor	eax, eax
	ret
.fault:	user_close
	mov	eax, -1
	ret
	on_fault .save, .fault
	on_fault .mark, .fault

; int usercopy_xrstor(rdi area, rsi mask)
usercopy_xrstor:
	mov	rax, rsi
	mov	rdx, rsi
	shr	rdx, 32
	user_open
.load:	xrstor64 [rdi]
	user_close
	xor	eax, eax
	ret
.fault:	user_close
	mov	eax, -1
	ret
	on_fault .load, .fault
