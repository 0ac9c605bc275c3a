; The vDSO's image as the build made it (build/*/gen/vdso.so), for kernel/vdso/vdso.c.

default rel
bits 64

global vdso_image, vdso_image_end

section .rodata align=16
vdso_image:
	incbin "vdso.so"
vdso_image_end:
