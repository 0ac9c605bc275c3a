/*
 * Stateless address autoconfiguration (RFC 4862): link-local addresses, and addresses from the
 * prefixes that routers advertise; interface identifiers by RFC 7217 (the same on the same link,
 * different on others, telling nothing), temporary addresses by RFC 8981.
 *
 * d->prefixes remembers what was made of each prefix: the stable address, how often it collided,
 * and the newest temporary one. Everything here runs with rtnl held; a timer or a failed duplicate
 * detection only leaves word for the configuration thread.
 *
 * The secret of RFC 7217 comes from the command line (ip6_secret=, 32 hex digits) when it shall
 * outlive a restart, else it is drawn at boot.
 */
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/random.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ifaddr.h"
#include "net/nd.h"

enum {
	IID_BITS = 64,
	MAX_RETRIES = 3, /* RFC 7217 7: IDGEN_RETRIES */
	TWO_HOURS_S = 7200,
	TEMP_VALID_S = 2 * 86400, /* RFC 8981 3.8 */
	TEMP_PREFERRED_S = 86400,
	SCOPE_LINK = 253,
};
#define REGEN_ADVANCE_NS (10 * NSEC_PER_SEC)

struct slaac_prefix { /* [rtnl] */
	struct list link;
	struct ip6_dev *d;
	struct ip_addr prefix;
	uint8_t plen;
	struct ip_addr addr; /* the stable one; unspecified: none */
	uint8_t counter;     /* collisions of it */
	bool is_collided;    /* to be made anew */
	nsec_t valid_until_ns, preferred_until_ns;
	struct ip_addr temp; /* the newest temporary one; unspecified: none */
	uint8_t temp_failures;
	nsec_t desync_ns;
	struct net_timer timer; /* time for the next temporary address */
};

static uint8_t secret[16];
static void run(struct net_work *);
static struct net_work work = {.fn = run};

/* ---- Identifiers, pure ----------------------------------------------------------------- */

uint32_t
slaac_valid_lifetime(uint32_t advertised, uint32_t remaining)
{
	if (advertised > TWO_HOURS_S || advertised > remaining)
		return advertised;
	return remaining <= TWO_HOURS_S ? remaining : TWO_HOURS_S;
}

void
slaac_eui64(struct ip_addr *a, const uint8_t mac[ETH_ALEN])
{
	const uint8_t iid[8] = {
	    mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

	memcpy(a->b + 8, iid, sizeof(iid));
}

void
slaac_stable(struct ip_addr *a, unsigned plen, const struct netdev *dev, uint8_t counter,
    const uint8_t key[16])
{
	struct {
		struct ip_addr prefix;
		uint8_t mac[ETH_ALEN], plen, counter;
	} in = {.prefix = ip_mask(a, plen), .plen = (uint8_t)plen, .counter = counter};
	struct siphash_key k;
	uint64_t iid;

	memcpy(in.mac, dev->permanent_mac, ETH_ALEN);
	memcpy(&k, key, sizeof(k));
	iid = siphash24(&k, &in, sizeof(in));
	memcpy(a->b + 8, &iid, sizeof(iid));
}

bool
slaac_is_reserved_iid(const struct ip_addr *a)
{
	static const uint8_t anycast[7] = {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t proxy[5] = {0x02, 0x00, 0x5e, 0xff, 0xfe};
	static const uint8_t zero[8];

	return memcmp(a->b + 8, zero, sizeof(zero)) == 0 ||
	       memcmp(a->b + 8, proxy, sizeof(proxy)) == 0 ||
	       (memcmp(a->b + 8, anycast, sizeof(anycast)) == 0 && a->b[15] >= 0x80);
}

/* The low half of `a` for the interface; *counter goes on past reserved ones. */
static void
set_identifier(struct ip6_dev *d, struct ip_addr *a, unsigned plen, uint8_t *counter)
{
	if (d->conf.is_eui64) {
		slaac_eui64(a, d->dev->mac);
		return;
	}
	slaac_stable(a, plen, d->dev, *counter, secret);
	while (slaac_is_reserved_iid(a))
		slaac_stable(a, plen, d->dev, ++*counter, secret);
}

/* ---- Adding ---------------------------------------------------------------------------- */

static nsec_t
ns_of(uint32_t s)
{
	return s == UINT32_MAX ? IFA_FOREVER : s * NSEC_PER_SEC;
}

static enum err
add_address(struct ip6_dev *d, const struct ip_addr *a, uint32_t flags, uint32_t valid_s,
    uint32_t preferred_s)
{
	/* On-link is what the prefix's L flag says, not what an address implies: RFC 5942. */
	struct ifaddr_config c = {.addr = *a,
	    .plen = IID_BITS,
	    .origin = IFA_SLAAC,
	    .flags = flags | IFA_NOPREFIXROUTE,
	    .valid_ns = ns_of(valid_s),
	    .preferred_ns = ns_of(preferred_s)};

	return ifaddr_add(d->dev, &c, false);
}

static uint32_t
stable_flags(const struct ip6_dev *d)
{
	return d->conf.is_eui64 ? 0 : IFA_STABLE_PRIVACY;
}

void
slaac_link_local(struct ip6_dev *d)
{
	struct ifaddr_config c = {.addr = {.b = {0xfe, 0x80}},
	    .plen = IID_BITS,
	    .scope = SCOPE_LINK,
	    .origin = IFA_LINKLOCAL,
	    .flags = stable_flags(d),
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};
	const struct ifaddr *ifa;

	if (d->conf.is_disabled || d->dev->flags & NETDEV_LOOPBACK)
		return;
	list_for_each(ifa, ifaddr_list(d->dev, AF_INET6), dev_link)
		if (ip_is_link_local(&ifa->addr) && !(ifa->flags & IFA_DADFAILED))
			return;
	set_identifier(d, &c.addr, IID_BITS, &d->dad_counter);
	if (ifaddr_add(d->dev, &c, false) != OK)
		log_warn("%s: no memory for the link-local address\n", d->dev->name);
}

/* ---- Prefixes -------------------------------------------------------------------------- */

static void
on_timer(struct net_timer *t)
{
	struct slaac_prefix *s = container_of(t, struct slaac_prefix, timer);

	__atomic_store_n(&s->d->is_slaac_due, true, __ATOMIC_RELEASE);
	net_config_queue(&work);
}

static struct slaac_prefix *
find_prefix(struct ip6_dev *d, const struct nd_prefix *p)
{
	struct slaac_prefix *s;

	list_for_each(s, &d->prefixes, link)
		if (s->plen == p->plen && ip_equal(&s->prefix, &p->prefix))
			return s;
	return NULL;
}

static void
free_prefix(struct slaac_prefix *s)
{
	net_timer_cancel_sync(&s->timer);
	list_remove(&s->link);
	s->d->num_prefixes--;
	kfree(s);
}

static struct slaac_prefix *
add_prefix(struct ip6_dev *d, const struct nd_prefix *p)
{
	struct slaac_prefix *s, *tmp;
	nsec_t now = clock_now_ns();

	list_for_each_safe(s, tmp, &d->prefixes, link)
		if (s->valid_until_ns <= now)
			free_prefix(s);
	if (d->num_prefixes >= ND_MAX_PREFIXES)
		return NULL;
	s = kzalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->d = d;
	s->prefix = p->prefix;
	s->plen = p->plen;
	s->desync_ns = random_below(TEMP_PREFERRED_S * 4 / 10 * NSEC_PER_SEC);
	net_timer_init(&s->timer, on_timer);
	list_push_back(&d->prefixes, &s->link);
	d->num_prefixes++;
	return s;
}

static nsec_t
until(uint32_t s)
{
	return s == UINT32_MAX ? IFA_FOREVER : clock_now_ns() + s * NSEC_PER_SEC;
}

static uint32_t
seconds_left(nsec_t until_ns)
{
	nsec_t now = clock_now_ns();

	if (until_ns == IFA_FOREVER)
		return UINT32_MAX;
	return until_ns <= now ? 0 : (uint32_t)((until_ns - now) / NSEC_PER_SEC);
}

/* ---- Temporary addresses (RFC 8981) ----------------------------------------------------- */

static void
make_temporary(struct slaac_prefix *s)
{
	uint32_t valid = MIN(seconds_left(s->valid_until_ns), (uint32_t)TEMP_VALID_S);
	uint32_t desync = (uint32_t)(s->desync_ns / NSEC_PER_SEC);
	uint32_t preferred =
	    MIN(seconds_left(s->preferred_until_ns), TEMP_PREFERRED_S - desync);
	struct ip_addr a = s->prefix;

	/* RFC 8981 3.4: not if it would be deprecated before the next could be made. */
	if (preferred * NSEC_PER_SEC <= REGEN_ADVANCE_NS ||
	    s->temp_failures >= MAX_RETRIES)
		return;
	do
		random_bytes(a.b + 8, 8);
	while (slaac_is_reserved_iid(&a));
	if (add_address(s->d, &a, IFA_TEMPORARY, valid, preferred) != OK)
		return; /* the next advertisement tries again */
	s->temp = a;
	net_timer_arm(
	    &s->timer, clock_now_ns() + preferred * NSEC_PER_SEC - REGEN_ADVANCE_NS);
}

/* Lifetimes of a temporary address never grow beyond its own limits (RFC 8981 3.4). */
static void
renew_temporary(struct slaac_prefix *s)
{
	const struct ifaddr *ifa =
	    ip_is_unspecified(&s->temp) ? NULL : ifaddr_find(s->d->dev, &s->temp);
	uint32_t age, valid, preferred, desync = (uint32_t)(s->desync_ns / NSEC_PER_SEC);

	if (!ifa || ifa->flags & (IFA_DADFAILED | IFA_DEPRECATED)) {
		make_temporary(s);
		return;
	}
	age = (uint32_t)((clock_now_ns() - ifa->created_ns) / NSEC_PER_SEC);
	valid = age < TEMP_VALID_S ? TEMP_VALID_S - age : 0;
	preferred = age + desync < TEMP_PREFERRED_S ? TEMP_PREFERRED_S - desync - age : 0;
	if (preferred * NSEC_PER_SEC <= REGEN_ADVANCE_NS)
		make_temporary(s); /* the old one ends by itself */
	else if (valid)
		(void)add_address(s->d, &s->temp, IFA_TEMPORARY,
		    MIN(valid, seconds_left(s->valid_until_ns)),
		    MIN(preferred, seconds_left(s->preferred_until_ns)));
}

/* ---- Advertised ------------------------------------------------------------------------ */

/* RFC 4862 5.5.3 d), e). */
static void
make_stable(struct slaac_prefix *s)
{
	struct ip_addr a = s->prefix;

	set_identifier(s->d, &a, s->plen, &s->counter);
	if (add_address(s->d, &a, stable_flags(s->d), seconds_left(s->valid_until_ns),
	        seconds_left(s->preferred_until_ns)) != OK)
		return; /* the next advertisement tries again */
	s->addr = a;
}

static void
renew_stable(struct slaac_prefix *s)
{
	const struct ifaddr *ifa = ifaddr_find(s->d->dev, &s->addr);

	if (!ifa) { /* its user removed it */
		make_stable(s);
		return;
	}
	if (ifa->flags & (IFA_TENTATIVE | IFA_DADFAILED))
		return;
	(void)add_address(s->d, &s->addr, stable_flags(s->d),
	    seconds_left(s->valid_until_ns), seconds_left(s->preferred_until_ns));
}

void
slaac_prefix(struct ip6_dev *d, const struct nd_prefix *p)
{
	struct slaac_prefix *s = find_prefix(d, p);
	uint32_t valid = p->valid_s;

	if (p->plen != 128 - IID_BITS || p->preferred_s > p->valid_s)
		return;
	if (!s) {
		s = valid ? add_prefix(d, p) : NULL;
		if (!s)
			return;
	} else {
		valid = slaac_valid_lifetime(valid, seconds_left(s->valid_until_ns));
	}
	s->valid_until_ns = until(valid);
	s->preferred_until_ns = until(p->preferred_s);
	if (ip_is_unspecified(&s->addr))
		make_stable(s);
	else
		renew_stable(s);
	if (d->conf.use_tempaddr)
		renew_temporary(s);
}

/* ---- Collisions ------------------------------------------------------------------------ */

/* RFC 7217 6: another identifier, some times. */
static void
retry_stable(struct slaac_prefix *s)
{
	struct ip_addr old = s->addr;

	s->is_collided = false;
	s->addr = ip_any;
	(void)ifaddr_del(s->d->dev, &old, IID_BITS); /* it may be gone already */
	if (s->d->conf.is_eui64 || ++s->counter >= MAX_RETRIES)
		return;
	make_stable(s);
}

static void
retry_link_local(struct ip6_dev *d)
{
	struct ifaddr *ifa, *tmp;
	bool has_failed = false;

	list_for_each_safe(ifa, tmp, ifaddr_list(d->dev, AF_INET6), dev_link) {
		struct ip_addr a = ifa->addr;

		if (ifa->origin != IFA_LINKLOCAL || !(ifa->flags & IFA_DADFAILED))
			continue;
		has_failed = true;
		if (!d->conf.is_eui64 && d->dad_counter + 1 < MAX_RETRIES)
			(void)ifaddr_del(d->dev, &a, IID_BITS); /* it is there */
	}
	if (!has_failed || d->conf.is_eui64 || ++d->dad_counter >= MAX_RETRIES)
		return;
	slaac_link_local(d);
}

static void
look_after(struct ip6_dev *d)
{
	struct slaac_prefix *s;

	retry_link_local(d);
	list_for_each(s, &d->prefixes, link) {
		if (s->is_collided)
			retry_stable(s);
		if (d->conf.use_tempaddr)
			renew_temporary(s);
	}
}

static void
run(struct net_work *w)
{
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	list_for_each(dev, &netdev_list, link) {
		struct ip6_dev *d = ip6_dev_of(dev);

		if (d && __atomic_exchange_n(&d->is_slaac_due, false, __ATOMIC_ACQ_REL))
			look_after(d);
	}
	mutex_unlock(&rtnl_mutex);
}

/* An address failed duplicate detection: another one is made when this change is over. */
static void
on_address(struct ifaddr *ifa, bool is_added)
{
	struct ip6_dev *d = ip6_dev_of(ifa->dev);
	struct slaac_prefix *s;

	if (is_added || ip_is_v4(&ifa->addr) || !d || !(ifa->flags & IFA_DADFAILED))
		return;
	list_for_each(s, &d->prefixes, link) {
		s->is_collided |= ip_equal(&s->addr, &ifa->addr);
		s->temp_failures += ip_equal(&s->temp, &ifa->addr);
	}
	__atomic_store_n(&d->is_slaac_due, true, __ATOMIC_RELEASE);
	net_config_queue(&work);
}

/* ---- Wiring ---------------------------------------------------------------------------- */

void
slaac_dev_down(struct ip6_dev *d)
{
	struct slaac_prefix *s, *tmp;

	list_for_each_safe(s, tmp, &d->prefixes, link)
		free_prefix(s);
	d->dad_counter = 0;
}

static bool
parse_secret(const char *hex)
{
	for (unsigned i = 0; i < 32; i++) {
		char c = hex[i], low = (char)(c | 0x20);
		bool is_digit = c >= '0' && c <= '9';

		if (!is_digit && (low < 'a' || low > 'f'))
			return false;
		secret[i / 2] =
		    (uint8_t)(secret[i / 2] << 4 | (is_digit ? c - '0' : low - 'a' + 10));
	}
	return hex[32] == '\0';
}

void
slaac_init(void)
{
	static struct ifaddr_notifier notifier = {.event = on_address};
	const char *given = cmdline_get("ip6_secret", 0);

	if (!given || strlen(given) != 32 || !parse_secret(given))
		random_bytes(secret, sizeof(secret));
	ifaddr_notify_add(&notifier);
}
