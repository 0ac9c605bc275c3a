; The two 32-bit doors of kernel.elf: Multiboot2 (GRUB) and PVH (QEMU -kernel, Xen).
;
; Both enter in 32-bit protected mode, paging off, flat segments, the image at its load
; address (Multiboot2 2.0, 3.3; Xen's docs/misc/pvh.pandoc). EBX holds the physical address of
; the boot loader's structure, EAX for Multiboot2 a magic number. The code here makes temporary
; page tables, identity over 4 GiB and the same first GiB at KERNEL_SPACE, goes to long mode
; and calls at the link address
;
;	door_main(uint32_t magic, paddr_t info)		loader/multiboot2/door.c
;
; which never returns: it ends in door_leave below.

bits 32

extern door_main
extern entry_tables_phys, entry_gdt_phys, entry_gdt_pointer_phys, entry_long_phys
extern multiboot2_entry_phys, pvh_entry_phys

MULTIBOOT2_MAGIC	equ 0xe85250d6
PVH_MAGIC		equ 0x336ec578	; in hvm_start_info; passed on as our own magic
NOTE_PHYS32_ENTRY	equ 18		; XEN_ELFNOTE_PHYS32_ENTRY

CR0_PE	equ 1 << 0
CR0_WP	equ 1 << 16
CR0_PG	equ 1 << 31
CR4_PAE	equ 1 << 5
CR4_PGE	equ 1 << 7
EFER	equ 0xc0000080
EFER_LME equ 1 << 8
EFER_NXE equ 1 << 11

KERNEL_SPACE_ADDRESS equ 0xffffffff80000000

PTE_PW	equ 3
PTE_PS	equ 1 << 7

; ---- Multiboot2 header: in the first 32 KiB of the file, 8-aligned --------------------

section .multiboot2 progbits alloc noexec nowrite align=8
header:
	dd MULTIBOOT2_MAGIC, 0, header_end - header
	dd -(MULTIBOOT2_MAGIC + 0 + (header_end - header)) & 0xffffffff
.request:				; information we want: all optional but the map
	dw 1, 1
	dd .request_end - .request
	dd 1, 3, 6, 8, 12, 14, 15, 17	; command line, modules, map, framebuffer, EFI, ACPI
.request_end:
	align 8, db 0
	dw 3, 0				; entry address
	dd 12, multiboot2_entry_phys
	align 8, db 0
	dw 5, 1				; framebuffer: any size, 32 bits a pixel, optional
	dd 20, 0, 0, 32
	align 8, db 0
	dw 6, 0				; modules on page boundaries
	dd 8
	dw 0, 0				; end
	dd 8
header_end:

; ---- PVH note -------------------------------------------------------------------------

section .note.pvh note alloc noexec nowrite align=4
	dd 4, 4, NOTE_PHYS32_ENTRY
	db "Xen", 0
	dd pvh_entry_phys

; ---- The way to long mode -------------------------------------------------------------

section .text.entry progbits alloc exec nowrite align=16

global multiboot2_entry, pvh_entry, entry_long, door_leave

pvh_entry:
	mov eax, PVH_MAGIC
multiboot2_entry:
	cli
	cld
	mov esi, eax
	mov ebp, ebx			; cpuid overwrites it
	mov eax, 0x80000001		; NX and long mode, or there is no way on
	cpuid
	and edx, 1 << 29 | 1 << 20
	cmp edx, 1 << 29 | 1 << 20
	jne no_long_mode

	; Tables: PML4, PDPT, 4 page directories. .bss is zero.
	mov edi, entry_tables_phys
	lea eax, [edi + 0x1000 + PTE_PW]
	mov [edi], eax			; identity
	mov [edi + 511 * 8], eax	; the top 512 GiB: the same PDPT
	lea eax, [edi + 0x2000 + PTE_PW]
	mov [edi + 0x1000 + 510 * 8], eax ; KERNEL_SPACE: the first GiB
	xor ecx, ecx
.directory:
	mov [edi + 0x1000 + ecx * 8], eax
	add eax, 0x1000
	inc ecx
	cmp ecx, 4
	jb .directory
	mov eax, PTE_PW | PTE_PS
	xor ecx, ecx
.page:
	mov [edi + 0x2000 + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 4 * 512
	jb .page

	mov cr3, edi
	mov eax, CR4_PAE | CR4_PGE
	mov cr4, eax
	mov ecx, EFER
	rdmsr
	or eax, EFER_LME | EFER_NXE
	wrmsr
	mov eax, CR0_PG | CR0_WP | CR0_PE
	mov cr0, eax
	lgdt [entry_gdt_pointer_phys]
	jmp 8:entry_long_phys

no_long_mode:
	mov edx, 0x3f8			; no stack, no tables: say one letter and stop
	mov al, '!'
	out dx, al
.halt:
	hlt
	jmp .halt

bits 64
default rel

entry_long:
	lea rcx, [.high]		; still at the physical address: go to the linked one
	mov rax, KERNEL_SPACE_ADDRESS
	add rax, rcx
	jmp rax
.high:
	lgdt [entry_gdt_pointer_high]
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	xor eax, eax
	mov fs, eax
	mov gs, eax
	lea rsp, [entry_stack_top]
	mov edi, esi
	mov esi, ebp
	xor ebp, ebp
	call door_main
.halt:
	cli
	hlt
	jmp .halt

; NORETURN void door_leave(const struct boot_info *boot, paddr_t root, vaddr_t entry)
; Switches to the final tables, which map this code at the same place, and enters the kernel.
door_leave:
	mov rax, cr4
	and al, ~CR4_PGE & 0xff		; drop global entries of the temporary tables, if any
	mov cr4, rax
	mov cr3, rsi
	or al, CR4_PGE
	mov cr4, rax
	lea rsp, [entry_stack_top]
	xor ebp, ebp
	push rbp
	jmp rdx

section .data

global entry_gdt, entry_gdt_pointer
align 8
entry_gdt:
	dq 0
	dq 0x00af9b000000ffff		; 64-bit code
	dq 0x00cf93000000ffff		; data
entry_gdt_pointer:			; for 32-bit code, where only the image's load address is known
	dw 23
	dd entry_gdt_phys
	dw 0
	align 8, db 0
	times 6 db 0
entry_gdt_pointer_high:
	dw 23
	dq entry_gdt

section .bss

global entry_tables
alignb 4096
entry_tables:
	resb 6 * 4096
alignb 16
	resb 16384
entry_stack_top:
