; The last code of the EFI loader: from the firmware's page tables to the kernel's. It is copied
; to a page below 4 GiB that both map one to one and does not care where it lies.
;
; jump_start(args in RCX), Microsoft calling convention, interrupts off, never returns.
; args, in the same page behind the code:
;	+0  page tables to enter with, below 4 GiB: the kernel's and this page one to one
;	+8  the kernel's entry		+16 its RDI		+24 its stack
;
; With 5-level paging on, CR4.LA57 cannot change in long mode (Intel SDM 3, 4.1.2): the way
; leads through 32-bit code with paging off.

bits 64
default rel

ARG_TABLES	equ 0
ARG_ENTRY	equ 8
ARG_BOOT	equ 16
ARG_STACK	equ 24

CR0_VALUE	equ 0x80010033		; PG WP NE ET MP PE
CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
CR4_PGE		equ 1 << 7
CR4_LA57	equ 1 << 12
EFER		equ 0xc0000080
EFER_LME	equ 1 << 8
EFER_NXE	equ 1 << 11
PAT		equ 0x277

SEL_CODE64	equ 8
SEL_DATA	equ 16
SEL_CODE32	equ 24

section .text

global jump_start, jump_end

jump_start:
	cli
	cld
	mov rbx, rcx
	lea rsp, [rcx + 0x800]		; this page's upper half
	lea rax, [gdt]
	lea rdx, [gdt_pointer]
	mov [rdx + 2], rax
	lgdt [rdx]
	mov eax, SEL_DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	xor eax, eax
	mov fs, eax
	mov gs, eax

	mov ecx, EFER
	rdmsr
	or eax, EFER_NXE
	wrmsr
	mov ecx, PAT			; WB, WC, UC-, UC, twice
	mov eax, 0x00070106
	mov edx, eax
	wrmsr

	mov rax, cr4
	test eax, CR4_LA57
	jnz .five_levels

	mov eax, CR4_PAE		; first without PGE: forgets the firmware's global pages
	mov cr4, rax
	mov rax, [rbx + ARG_TABLES]
	mov cr3, rax
	mov eax, CR0_VALUE
	mov cr0, rax
	push SEL_CODE64
	lea rax, [long_mode]
	push rax
	retfq

.five_levels:
	push SEL_CODE32
	lea rax, [protected_mode]
	push rax
	retfq

bits 32
protected_mode:
	mov eax, cr0
	and eax, ~CR0_PG & 0xffffffff
	mov cr0, eax
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, [ebx + ARG_TABLES]
	mov cr3, eax
	mov ecx, EFER			; some CPUs and emulators drop LME with paging: set it again
	rdmsr
	or eax, EFER_LME | EFER_NXE
	wrmsr
	mov eax, CR0_VALUE
	mov cr0, eax
	push SEL_CODE64
	call .here
.here:
	add dword [esp], long_mode - .here
	retf

bits 64
long_mode:
	mov eax, CR4_PAE | CR4_PGE
	mov cr4, rax
	mov rdi, [rbx + ARG_BOOT]
	mov rsp, [rbx + ARG_STACK]
	mov rax, [rbx + ARG_ENTRY]
	xor ebx, ebx
	xor ebp, ebp
	push rbp			; no return address
	jmp rax

align 8
gdt:
	dq 0
	dq 0x00af9b000000ffff		; 64-bit code
	dq 0x00cf93000000ffff		; data
	dq 0x00cf9b000000ffff		; 32-bit code
gdt_end:
gdt_pointer:
	dw gdt_end - gdt - 1
	dq 0

jump_end:
