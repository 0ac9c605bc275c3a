/* Network settings on the command line: net/autoconf_args.h. */
#include "net/autoconf_args.h"

#include "lib/string.h"

enum { MAX_FIELD = 64 };
enum field { CLIENT, SERVER, GATEWAY, NETMASK, HOST, DEVICE, AUTOCONF, DNS0, DNS1, NTP0 };

/* The nth field of `text`, parted by `sep`; "" past the end. False: longer than a field may be. */
static bool
field_of(const char *text, char sep, unsigned n, char out[MAX_FIELD])
{
	const char *end;
	size_t len;

	out[0] = '\0';
	for (; n; n--) {
		text = strchr(text, sep);
		if (!text)
			return true;
		text++;
	}
	end = strchr(text, sep);
	len = end ? (size_t)(end - text) : strlen(text);
	if (len >= MAX_FIELD)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static bool
mode_of(const char *text, enum ip_auto *mode)
{
	static const struct {
		const char *name;
		enum ip_auto mode;
	} modes[] = {{"off", IP_AUTO_OFF}, {"none", IP_AUTO_OFF}, {"static", IP_AUTO_OFF},
	    {"on", IP_AUTO_DHCP}, {"any", IP_AUTO_DHCP}, {"dhcp", IP_AUTO_DHCP},
	    {"both", IP_AUTO_DHCP}};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!strcmp(text, modes[i].name)) {
			*mode = modes[i].mode;
			return true;
		}
	}
	return false;
}

static bool
number_of(const char *text, unsigned max, uint8_t *out)
{
	const char *end;
	uint64_t v;

	if (!parse_u64(text, &end, 10, &v) || *end || v > max)
		return false;
	*out = (uint8_t)v;
	return true;
}

/* "255.255.255.0" or "24". */
static bool
mask_of(const char *text, uint8_t *plen)
{
	struct ip_addr a;
	uint32_t m;

	if (!strchr(text, '.'))
		return number_of(text, 32, plen);
	if (!ip_parse(text, &a) || !ip_is_v4(&a))
		return false;
	m = be32_get(a.v4);
	*plen = m == UINT32_MAX ? 32 : (uint8_t)__builtin_clz(~m);
	return *plen == 32 || !(m << *plen);
}

/* A v4 address, or nothing. */
static bool
addr_of(const char *text, char sep, unsigned n, struct ip_addr *out)
{
	char f[MAX_FIELD];

	return field_of(text, sep, n, f) &&
	       (!f[0] || (ip_parse(f, out) && ip_is_v4(out)));
}

/* CLIENT and NETMASK; the mask by class when it is missing, as Linux does. */
static bool
client_of(const char *text, struct ip_arg *a)
{
	char f[MAX_FIELD], *slash;

	if (!field_of(text, ':', CLIENT, f))
		return false;
	if (!f[0])
		return true;
	slash = strchr(f, '/');
	if (slash)
		*slash = '\0';
	if (!ip_parse(f, &a->addr) || !ip_is_v4(&a->addr))
		return false;
	a->plen = a->addr.v4.b[0] < 128 ? 8 : a->addr.v4.b[0] < 192 ? 16 : 24;
	if (slash && !number_of(slash + 1, 32, &a->plen))
		return false;
	return field_of(text, ':', NETMASK, f) && (!f[0] || mask_of(f, &a->plen));
}

bool
ip_arg_parse(const char *text, struct ip_arg *a)
{
	char f[MAX_FIELD];

	*a = (struct ip_arg){.addr = ip4_any,
	    .gateway = ip4_any,
	    .dns = {ip4_any, ip4_any},
	    .ntp = ip4_any};
	if (!strchr(text, ':') && mode_of(text, &a->mode))
		return true;
	if (!client_of(text, a))
		return false;
	a->mode = ip_is_unspecified(&a->addr) ? IP_AUTO_DHCP : IP_AUTO_OFF;
	if (!field_of(text, ':', HOST, a->host) || !field_of(text, ':', DEVICE, f) ||
	    strlcpy(a->device, f, sizeof(a->device)) >= sizeof(a->device))
		return false;
	if (!field_of(text, ':', AUTOCONF, f) || (f[0] && !mode_of(f, &a->mode)))
		return false;
	return addr_of(text, ':', GATEWAY, &a->gateway) &&
	       addr_of(text, ':', DNS0, &a->dns[0]) &&
	       addr_of(text, ':', DNS1, &a->dns[1]) && addr_of(text, ':', NTP0, &a->ntp);
}

bool
ip6_arg_parse(const char *text, struct ip6_arg *a)
{
	char f[MAX_FIELD], *slash;

	*a = (struct ip6_arg){.plen = 64};
	if (!strcmp(text, "off")) {
		a->is_off = true;
		return true;
	}
	if (!field_of(text, ',', 0, f))
		return false;
	slash = strchr(f, '/');
	if (slash)
		*slash = '\0';
	if (!ip_parse(f, &a->addr) || ip_is_v4(&a->addr) ||
	    (slash && !number_of(slash + 1, 128, &a->plen)))
		return false;
	if (!field_of(text, ',', 1, f) ||
	    (f[0] && (!ip_parse(f, &a->gateway) || ip_is_v4(&a->gateway))))
		return false;
	return field_of(text, ',', 2, f) &&
	       strlcpy(a->device, f, sizeof(a->device)) < sizeof(a->device);
}

unsigned
addr_list_parse(const char *text, struct ip_addr *out, unsigned max)
{
	char f[MAX_FIELD];
	unsigned n = 0;

	while (n < max && field_of(text, ',', n, f) && f[0]) {
		if (!ip_parse(f, &out[n]))
			return 0;
		n++;
	}
	return n;
}
