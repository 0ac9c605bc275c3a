; la57_switch(pml5 in RCX): turns on 5-level paging and returns. Microsoft calling convention, interrupts
; off. The code and the PML5 must lie below 4 GiB, mapped one to one: paging is off on the way.

bits 64
default rel

section .text

global la57_switch, la57_switch_end

la57_switch:
	push rbx
	push rbp
	sgdt [old_gdt]
	mov [old_rsp], rsp
	mov eax, cs
	mov [old_cs], rax
	mov ebx, ecx
	lea rbp, [la57_switch]		; base of the copy, for the 32-bit part
	lea rax, [gdt]
	mov [gdt_pointer + 2], rax
	lgdt [gdt_pointer]
	push 8
	lea rax, [protected_mode]
	push rax
	retfq

bits 32
protected_mode:
	mov eax, 16
	mov ss, eax
	lea esp, [ebp + stack_top - la57_switch]
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	mov eax, cr4
	or eax, 1 << 12
	mov cr4, eax
	mov cr3, ebx
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	push 24
	lea eax, [ebp + long_mode - la57_switch]
	push eax
	retf

bits 64
long_mode:
	lgdt [old_gdt]
	mov rsp, [old_rsp]
	push qword [old_cs]
	lea rax, [.back]
	push rax
	retfq
.back:
	mov eax, 0x30			; OVMF's data segment; any flat one does
	mov ss, eax
	pop rbp
	pop rbx
	ret

align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff		; 32-bit code
	dq 0x00cf93000000ffff		; data
	dq 0x00af9b000000ffff		; 64-bit code
gdt_pointer:
	dw 31
	dq 0
	align 8
old_gdt:
	times 16 db 0
old_rsp: dq 0
old_cs:	dq 0
	times 128 db 0
stack_top:
la57_switch_end:
