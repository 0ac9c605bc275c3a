/*
 * Files of the volume the loader came from (UEFI 2.10, 13.4 and 13.5). Read whole, in
 * pieces that every firmware's drivers manage.
 */
#include "loader/efi/loader.h"

#include "lib/string.h"

enum { PIECE = 4 << 20, CONFIG_MAX = 1 << 20 };

#define FOLDER "\\EFI\\keel\\"

bool
volume_open(struct loader *l)
{
	EFI_FILE_IO_INTERFACE *fs;
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_STATUS status;

	status = l->bs->HandleProtocol(l->loaded->DeviceHandle, &guid, (void **)&fs);
	if (!EFI_ERROR(status))
		status = fs->OpenVolume(fs, &l->volume);
	if (EFI_ERROR(status))
		return fail("the volume I was started from: %s", status_text(status));
	return true;
}

/* One character of UTF-8; a broken sequence gives '?'. */
static CHAR16
next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned n = p[0] >> 5 == 6 ? 1 : p[0] >> 4 == 14 ? 2 : 0;
	unsigned c = n == 0 ? p[0] : n == 1 ? p[0] & 31 : p[0] & 15;

	for (unsigned i = 1; i <= n; i++) {
		if (p[i] >> 6 != 2) {
			++*s;
			return '?';
		}
		c = c << 6 | (p[i] & 63);
	}
	*s += n + 1;
	return n == 0 && c >= 0x80 ? '?' : (CHAR16)c;
}

/* The full path in the firmware's form. `out` has room for folder and path. */
static void
make_path(CHAR16 *out, const char *path)
{
	const char *folder = FOLDER;

	if (*path != '/' && *path != '\\') {
		while (*folder)
			*out++ = (CHAR16)*folder++;
	}
	while (*path) {
		CHAR16 c = next_char(&path);

		*out++ = c == '/' ? '\\' : c;
	}
	*out = 0;
}

static EFI_STATUS
file_size(EFI_FILE_HANDLE file, uint64_t *size)
{
	union {
		EFI_FILE_INFO info;
		char room[sizeof(EFI_FILE_INFO) + 2 * CONFIG_PATH_MAX + 64];
	} u;
	EFI_GUID guid = EFI_FILE_INFO_ID;
	UINTN n = sizeof(u);
	EFI_STATUS status = file->GetInfo(file, &guid, &n, &u);

	if (EFI_ERROR(status))
		return status;
	if (u.info.Attribute & EFI_FILE_DIRECTORY)
		return EFI_NOT_FOUND;
	*size = u.info.FileSize;
	return EFI_SUCCESS;
}

static EFI_STATUS
read_all(EFI_FILE_HANDLE file, paddr_t to, uint64_t size)
{
	while (size) {
		UINTN n = (UINTN)MIN(size, (uint64_t)PIECE);
		EFI_STATUS status = file->Read(file, &n, (void *)to);

		if (EFI_ERROR(status))
			return status;
		if (!n)
			return EFI_END_OF_FILE;
		to += n;
		size -= n;
	}
	return EFI_SUCCESS;
}

static bool
read_open_file(struct loader *l, EFI_FILE_HANDLE file, const char *path, uint32_t type,
    struct blob *b)
{
	EFI_STATUS status = file_size(file, &b->size);

	if (EFI_ERROR(status))
		return fail("%s: %s", path, status_text(status));
	if (!b->size)
		return fail("%s: the file is empty", path);
	b->base = pages_alloc(l, b->size, ANYWHERE, type);
	if (!b->base)
		return fail("%s: no memory for its %llu bytes", path, b->size);
	status = read_all(file, b->base, b->size);
	if (EFI_ERROR(status)) {
		pages_free(l, b->base, b->size);
		return status == EFI_END_OF_FILE
		           ? fail("%s: shorter than its folder says", path)
		           : fail("%s: %s", path, status_text(status));
	}
	return true;
}

static EFI_STATUS
file_open(struct loader *l, const char *path, EFI_FILE_HANDLE *file)
{
	CHAR16 wide[sizeof(FOLDER) + CONFIG_PATH_MAX];

	make_path(wide, path);
	return l->volume->Open(l->volume, file, wide, EFI_FILE_MODE_READ, 0);
}

bool
file_read(struct loader *l, const char *path, uint32_t type, struct blob *b)
{
	EFI_FILE_HANDLE file;
	EFI_STATUS status = file_open(l, path, &file);
	bool ok;

	if (EFI_ERROR(status))
		return fail("%s: %s", path, status_text(status));
	ok = read_open_file(l, file, path, type, b);
	file->Close(file);
	return ok;
}

static void
config_problem(void *ctx, unsigned line, const char *what, const char *name)
{
	say("keel.conf line %u: %s: %s", line, what, name);
}

void
config_read(struct loader *l)
{
	static const struct config_report report = {.problem = config_problem};
	EFI_FILE_HANDLE file;
	struct blob b;
	EFI_STATUS status;

	config_defaults(&l->config);
	status = file_open(l, "keel.conf", &file);
	if (EFI_ERROR(status)) {
		say("keel.conf: %s: the defaults are used", status_text(status));
		return;
	}
	status = file_size(file, &b.size);
	file->Close(file);
	if (EFI_ERROR(status) || b.size > CONFIG_MAX) {
		say("keel.conf: not a file of sensible size: the defaults are used");
		return;
	}
	if (!b.size || !file_read(l, "keel.conf", BOOT_MEM_LOADER, &b))
		return;
	config_parse(&l->config, (const char *)b.base, (size_t)b.size, &report);
	pages_free(l, b.base, b.size);
}
