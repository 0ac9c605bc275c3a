/* The screen: a terminal on the framebuffer that the loader handed over. */
#pragma once

struct boot_framebuffer;
struct tty;

/*
 * Makes /dev/tty0 and /dev/tty1 of the framebuffer and offers it as the console "tty0". Without a usable
 * framebuffer says so and does nothing. Thread context.
 */
void fbcon_init(const struct boot_framebuffer *fb);

/* The screen's terminal, to which the keyboard types, or NULL. */
struct tty *fbcon_tty(void);
