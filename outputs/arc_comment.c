/* SPDX-License-Identifier: Apache-2.0
 * outputs/arc_comment.c - see arc_comment.h. */
#include "outputs/arc_comment.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t\n;,()";

static const char *result_of(const char *p, size_t n)
{
	static const char *const words[] = {"pass", "fail", "none"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == n && !strncasecmp(words[i], p, n))
			return words[i];
	return NULL;
}

/* The seal of an instance, made when it is not there yet; NULL when there is no room for it. */
static struct tap_arc_seal *seal_of(struct tap_arc_comment *out, unsigned instance)
{
	size_t at = 0;

	while (at < out->n_seals && out->seals[at].instance < instance)
		at++;
	if (at < out->n_seals && out->seals[at].instance == instance)
		return &out->seals[at];
	if (instance == 0 || instance > TAP_ARC_SEALS || out->n_seals == TAP_ARC_SEALS)
		return NULL;
	memmove(&out->seals[at + 1], &out->seals[at], (out->n_seals - at) * sizeof(out->seals[0]));
	out->n_seals++;
	out->seals[at] = (struct tap_arc_seal){.instance = instance};
	return &out->seals[at];
}

static void put(char *to, size_t size, const char *p, size_t n)
{
	if (n < size && !*to)
		snprintf(to, size, "%.*s", (int)n, p);
}

static void put_ip(struct tap_arc_seal *seal, const char *p, size_t n)
{
	static const int families[] = {AF_INET, AF_INET6};
	unsigned char ip[16];
	char text[TAP_ARC_IP];

	if (n >= sizeof(text) || seal->remote_ip[0])
		return;
	memcpy(text, p, n);
	text[n] = '\0';
	for (int i = 0; i < 2; i++)
		if (inet_pton(families[i], text, ip) == 1 &&
		    !inet_ntop(families[i], ip, seal->remote_ip, sizeof(seal->remote_ip)))
			seal->remote_ip[0] = '\0';
}

/* One token of n bytes: as[2].d=… as[2].s=… remote-ip[2]=… */
static void token(struct tap_arc_comment *out, const char *p, size_t n)
{
	static const struct {
		const char *before, *behind;
	} kinds[] = {{"as[", "].d="}, {"as[", "].s="}, {"remote-ip[", "]="}};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		size_t at = strlen(kinds[k].before), behind = strlen(kinds[k].behind), digits = 0;
		unsigned instance = 0;
		struct tap_arc_seal *seal;

		if (n < at || strncasecmp(p, kinds[k].before, at) != 0)
			continue;
		for (; at < n && p[at] >= '0' && p[at] <= '9' && digits < 3; at++, digits++)
			instance = instance * 10 + (unsigned)(p[at] - '0');
		if (n - at <= behind || strncasecmp(p + at, kinds[k].behind, behind) != 0)
			continue;
		at += behind;
		seal = seal_of(out, instance);
		if (!seal)
			return;
		if (k == 0)
			put(seal->domain, sizeof(seal->domain), p + at, n - at);
		else if (k == 1)
			put(seal->selector, sizeof(seal->selector), p + at, n - at);
		else
			put_ip(seal, p + at, n - at);
		return;
	}
}

bool tap_arc_comment_read(const char *comment, struct tap_arc_comment *out)
{
	const char *p = comment;
	size_t n;

	out->result = NULL;
	out->n_seals = 0;
	if (!p)
		return false;
	p += strspn(p, blanks);
	n = strcspn(p, blanks);
	if (n < 4 || strncasecmp(p, "arc=", 4) != 0 || !(out->result = result_of(p + 4, n - 4)))
		return false;
	for (p += n; *(p += strspn(p, blanks)); p += n) {
		n = strcspn(p, blanks);
		token(out, p, n);
	}
	for (size_t i = 0; i < out->n_seals; i++)
		for (char *c = out->seals[i].domain; *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c | 0x20);
	return true;
}
