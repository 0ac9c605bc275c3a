/*
 * The framebuffer console. Text goes into the terminal emulator (vt.c) at once; a thread draws
 * it. The thread compares each dirty row with what the screen shows (`drawn`) and paints only the
 * cells that differ, so a burst of output costs one painting of its last screenful, and the
 * framebuffer, slow to read, is never read.
 *
 * screen.lock covers the emulator; it ranks with the log because log text arrives under the log's
 * lock. No one can be woken there: the thread also waits among the readers of the log. A panic
 * paints without thread or lock.
 */
#define LOG_PREFIX "fbcon: "

#include "drivers/char/fbcon.h"

#include "drivers/char/console.h"
#include "drivers/char/font.h"
#include "drivers/char/tty.h"
#include "drivers/char/vt.h"
#include "kernel/boot.h"
#include "kernel/device.h"
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/io.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/kva.h"

enum {
	MAX_COLS = 512,
	MAX_ROWS = 256,
	SCALE_FROM_WIDTH = 2560, /* pixels: from here on each font pixel is two by two */
	ROOM = 4096,
	REPLY_MAX = 64,
};

static struct {
	struct boot_framebuffer fb;
	volatile void *mem;
	unsigned scale;
	uint32_t palette[256]; /* as pixels */
	struct tty tty;
	struct console console;
	struct thread *thread;
	struct wait_queue wait;
	struct waiter log_waiter;

	struct spinlock lock;
	struct vt vt;            /* [lock] */
	struct vt_cell *cells;   /* [lock] */
	bool is_dirty[MAX_ROWS]; /* [lock] */
	bool has_changes;        /* [lock] */
	char reply[REPLY_MAX];   /* [lock] answers of the emulator, to be typed */
	size_t reply_len;        /* [lock] */

	struct vt_cell *drawn;        /* the drawing thread's: what the screen shows */
	struct vt_cell row[MAX_COLS]; /* the drawing thread's copy of one row */
} screen;

/* ---- Pixels --------------------------------------------------------------------------- */

static uint32_t
scale_to_mask(uint8_t v, uint32_t mask)
{
	unsigned shift, width;

	if (mask == 0)
		return 0;
	shift = bit_first(mask);
	width = bit_last(mask) - shift + 1;
	return (width >= 8 ? (uint32_t)v << (width - 8) : (uint32_t)v >> (8 - width))
	           << shift &
	       mask;
}

static uint32_t
pixel_of(const struct boot_framebuffer *fb, uint8_t r, uint8_t g, uint8_t b)
{
	return scale_to_mask(r, fb->red_mask) | scale_to_mask(g, fb->green_mask) |
	       scale_to_mask(b, fb->blue_mask);
}

/* The 16 colours of Linux's console, then xterm's cube and greys. */
static void
make_palette(void)
{
	static const uint8_t base[16][3] = {
	    {0, 0, 0},
	    {170, 0, 0},
	    {0, 170, 0},
	    {170, 85, 0},
	    {0, 0, 170},
	    {170, 0, 170},
	    {0, 170, 170},
	    {170, 170, 170},
	    {85, 85, 85},
	    {255, 85, 85},
	    {85, 255, 85},
	    {255, 255, 85},
	    {85, 85, 255},
	    {255, 85, 255},
	    {85, 255, 255},
	    {255, 255, 255},
	};
	const struct boot_framebuffer *fb = &screen.fb;

	for (unsigned i = 0; i < 16; i++)
		screen.palette[i] = pixel_of(fb, base[i][0], base[i][1], base[i][2]);
	for (unsigned i = 0; i < 216; i++)
		screen.palette[16 + i] = pixel_of(fb, (uint8_t)(i / 36 * 51),
		    (uint8_t)(i / 6 % 6 * 51), (uint8_t)(i % 6 * 51));
	for (unsigned i = 0; i < 24; i++)
		screen.palette[232 + i] = pixel_of(fb, (uint8_t)(8 + i * 10),
		    (uint8_t)(8 + i * 10), (uint8_t)(8 + i * 10));
}

static const uint8_t *
glyph_of(uint16_t code)
{
	unsigned low = 0, high = font_map_len;

	if (code == 0)
		code = ' ';
	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (font_map[mid].code < code)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < font_map_len && font_map[low].code == code)
		return font_glyphs[font_map[low].glyph];
	return glyph_of('?');
}

static void
put_pixel(size_t offset, uint32_t pixel)
{
	switch (screen.fb.bits_per_pixel) {
	case 32: mmio_write32(screen.mem, offset, pixel); break;
	case 24:
		mmio_write16(screen.mem, offset, (uint16_t)pixel);
		mmio_write8(screen.mem, offset + 2, (uint8_t)(pixel >> 16));
		break;
	default: mmio_write16(screen.mem, offset, (uint16_t)pixel);
	}
}

static void
draw_cell(unsigned row, unsigned col, struct vt_cell cell)
{
	const uint8_t *glyph = glyph_of(cell.code);
	uint32_t fg = screen.palette[cell.fg], bg = screen.palette[cell.bg];
	unsigned scale = screen.scale, bytes = screen.fb.bits_per_pixel / 8;
	size_t left = (size_t)col * FONT_WIDTH * scale * bytes;
	size_t top = (size_t)row * FONT_HEIGHT * scale * screen.fb.pitch;

	for (unsigned y = 0; y < FONT_HEIGHT * scale; y++) {
		size_t offset = top + (size_t)y * screen.fb.pitch + left;
		unsigned bits = glyph[y / scale];

		for (unsigned x = 0; x < FONT_WIDTH * scale; x++, offset += bytes)
			put_pixel(offset, bits << x / scale & 0x80 ? fg : bg);
	}
}

/* ---- Drawing -------------------------------------------------------------------------- */

static bool
is_same_cell(struct vt_cell a, struct vt_cell b)
{
	return a.code == b.code && a.fg == b.fg && a.bg == b.bg;
}

/* Copies row `r` with the cursor in it; false when it has not changed. Lock held, or panic. */
static bool
take_row(unsigned r)
{
	const struct vt_cursor *c = &screen.vt.cursor;

	if (!screen.is_dirty[r])
		return false;
	screen.is_dirty[r] = false;
	memcpy(
	    screen.row, vt_row(&screen.vt, r), screen.vt.cols * sizeof(struct vt_cell));
	if (c->row == r && screen.vt.is_cursor_visible) {
		struct vt_cell *cell = &screen.row[c->col];
		uint8_t fg = cell->fg;

		cell->fg = cell->bg;
		cell->bg = fg;
	}
	return true;
}

static void
draw_row(unsigned r)
{
	struct vt_cell *drawn = screen.drawn + (size_t)r * screen.vt.cols;

	for (unsigned c = 0; c < screen.vt.cols; c++) {
		if (is_same_cell(drawn[c], screen.row[c]))
			continue;
		drawn[c] = screen.row[c];
		draw_cell(r, c, drawn[c]);
	}
}

static void
draw_changes(void)
{
	for (unsigned r = 0; r < screen.vt.rows; r++) {
		bool has_changed;

		spin_lock(&screen.lock);
		has_changed = take_row(r);
		spin_unlock(&screen.lock);
		if (has_changed)
			draw_row(r);
	}
}

/* Answers to the program's queries are typed on its behalf: outside the locks of its write. */
static void
type_reply(void)
{
	uint8_t text[REPLY_MAX];
	size_t n;

	spin_lock(&screen.lock);
	n = screen.reply_len;
	memcpy(text, screen.reply, n);
	screen.reply_len = 0;
	spin_unlock(&screen.lock);
	if (n > 0)
		tty_input(&screen.tty, text, n);
}

static bool
take_changes(void)
{
	bool yes;

	spin_lock(&screen.lock);
	yes = screen.has_changes;
	screen.has_changes = false;
	spin_unlock(&screen.lock);
	return yes;
}

static void
draw_thread(void *arg)
{
	screen.log_waiter.thread = current_thread();
	wait_queue_add(&log_readers, &screen.log_waiter);
	for (;;) {
		(void)wait_event(
		    &screen.wait, take_changes(), WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);
		type_reply();
		draw_changes();
	}
}

/* ---- Text in -------------------------------------------------------------------------- */

static void
take_text(const char *text, size_t n)
{
	spin_lock(&screen.lock);
	vt_write(&screen.vt, text, n);
	screen.has_changes = true;
	spin_unlock(&screen.lock);
}

static void
take_line_ends(const char *text, size_t n, void (*put)(const char *, size_t))
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			put("\r", 1);
		put(text + i, 1);
	}
}

static void
put_in_panic(const char *text, size_t n)
{
	vt_write(&screen.vt, text, n);
}

static void
console_write(struct console *c, const char *text, size_t n)
{
	if (!log_is_panicking()) {
		take_line_ends(text, n, take_text);
		return;
	}
	take_line_ends(text, n, put_in_panic);
	if (n > 0 && text[n - 1] == '\n')
		for (unsigned r = 0; r < screen.vt.rows; r++)
			if (take_row(r))
				draw_row(r);
}

static void
screen_write(struct tty *tty, const char *text, size_t n)
{
	take_text(text, n);
	wait_queue_wake_all(&screen.wait);
}

static size_t
screen_room(struct tty *tty)
{
	return ROOM;
}

static void
vt_reply(struct vt *vt, const char *text, size_t n)
{
	if (screen.reply_len + n > REPLY_MAX)
		return;
	memcpy(screen.reply + screen.reply_len, text, n);
	screen.reply_len += n;
}

/* ---- Bring-up ------------------------------------------------------------------------- */

static const struct tty_ops screen_ops = {.room = screen_room, .write = screen_write};

static bool
is_usable(const struct boot_framebuffer *fb)
{
	unsigned bytes = fb->bits_per_pixel / 8;

	return fb->format == BOOT_FB_RGB && fb->width >= 20 * FONT_WIDTH &&
	       fb->height >= 4 * FONT_HEIGHT &&
	       (bytes == 2 || bytes == 3 || bytes == 4) &&
	       fb->pitch >= fb->width * bytes &&
	       fb->size >= (uint64_t)fb->pitch * fb->height;
}

static bool
get_memory(unsigned rows, unsigned cols)
{
	size_t cells = (size_t)rows * cols;

	screen.mem = ioremap(screen.fb.base, screen.fb.size, CACHE_WC);
	screen.cells = vmalloc(2 * cells * sizeof(struct vt_cell));
	if (!screen.mem || !screen.cells)
		return false;
	screen.drawn = screen.cells + cells;
	/* Nothing is known of the screen: no cell compares equal, all are drawn. */
	for (size_t i = 0; i < cells; i++)
		screen.drawn[i] = (struct vt_cell){.code = 0xffff};
	return true;
}

static enum err
make_tty(void)
{
	struct winsize size = {.rows = (uint16_t)screen.vt.rows,
	    .cols = (uint16_t)screen.vt.cols,
	    .xpixels = (uint16_t)screen.fb.width,
	    .ypixels = (uint16_t)screen.fb.height};
	enum err err;

	screen.tty.name = "tty1";
	screen.tty.ops = &screen_ops;
	err = tty_register(&screen.tty, DEV_MAJOR_TTY, 1);
	if (err == OK)
		err = tty_register_alias(&screen.tty, "tty0", DEV_MAJOR_TTY, 0);
	tty_set_winsize(&screen.tty, &size);
	return err;
}

void
fbcon_init(const struct boot_framebuffer *fb)
{
	unsigned rows, cols;

	if (!is_usable(fb)) {
		log_notice("no framebuffer to write to: no screen console");
		return;
	}
	screen.fb = *fb;
	screen.scale = fb->width >= SCALE_FROM_WIDTH ? 2 : 1;
	rows = MIN(fb->height / (FONT_HEIGHT * screen.scale), (unsigned)MAX_ROWS);
	cols = MIN(fb->width / (FONT_WIDTH * screen.scale), (unsigned)MAX_COLS);
	spin_init(&screen.lock, "screen", RANK_CONSOLE);
	wait_queue_init(&screen.wait);
	screen.thread = thread_create_kernel("fbcon", draw_thread, NULL);
	if (!screen.thread || !get_memory(rows, cols)) {
		log_err("no memory for the screen console");
		return;
	}
	make_palette();
	vt_init(&screen.vt, rows, cols, screen.cells, screen.is_dirty);
	screen.vt.reply = vt_reply;
	if (make_tty() != OK)
		log_err("no /dev/tty1");
	screen.console = (struct console){.name = "tty0", .write = console_write};
	log_info("%ux%u, %u bits, %u columns of %u lines", fb->width, fb->height,
	    fb->bits_per_pixel, cols, rows);
	console_offer(&screen.console, &screen.tty);
	thread_start(screen.thread);
}

struct tty *
fbcon_tty(void)
{
	return screen.console.write ? &screen.tty : NULL;
}
