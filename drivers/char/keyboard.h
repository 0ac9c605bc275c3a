/* The PS/2 keyboard, typing to one terminal. */
#pragma once

struct tty;

/*
 * Finds the keyboard behind the 8042 controller and lets it type to `tty`. Without controller, keyboard
 * or tty it says so in a line. Thread context.
 */
void keyboard_init(struct tty *tty);
