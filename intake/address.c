/* SPDX-License-Identifier: Apache-2.0
 * intake/address.c - a sorted array of canonical addresses, searched up to three times for each recipient. */
#include "intake/address.h"

#include <stdlib.h>
#include <string.h>

struct tap_addresses {
	char **item; /* canonical, sorted */
	size_t n;
	char *delimiter;
};

/* The part of the path between the brackets and behind a source route ("@a,@b:user@domain"). */
static const char *inner(const char *path, size_t *len_r)
{
	size_t n;

	while (*path == ' ' || *path == '\t')
		path++;
	n = strlen(path);
	while (n > 0 && (path[n - 1] == ' ' || path[n - 1] == '\t'))
		n--;
	if (n >= 2 && path[0] == '<' && path[n - 1] == '>') {
		path++;
		n -= 2;
	}
	if (n > 0 && path[0] == '@') {
		const char *colon = memchr(path, ':', n);

		if (colon && colon + 1 < path + n) {
			n -= (size_t)(colon + 1 - path);
			path = colon + 1;
		}
	}
	*len_r = n;
	return path;
}

void tap_address_strip(const char *path, char *out, size_t n)
{
	size_t len;
	const char *s = inner(path, &len);

	if (n == 0)
		return;
	if (len > n - 1)
		len = n - 1;
	memcpy(out, s, len);
	out[len] = '\0';
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The local part without quotes: "dmarc"@x and dmarc@x are one address (RFC 5321 4.1.2). Returns its length in out, and in *used_r
 * how much of s it took; 0 used: a quote is never closed. */
static size_t copy_local(const char *s, size_t n, char *out, size_t *used_r)
{
	size_t k = 0, i = 0;
	bool quoted = n > 0 && s[0] == '"';

	*used_r = 0;
	for (i = quoted; i < n; i++) {
		if (quoted && s[i] == '"')
			break;
		if (quoted && s[i] == '\\' && i + 1 < n)
			i++;
		out[k++] = fold(s[i]);
	}
	if (quoted && i == n)
		return 0;
	*used_r = quoted ? i + 1 : i;
	return k;
}

bool tap_address_canonical(const char *path, bool domain_only, char *out)
{
	size_t len, local, used, domain;
	const char *s = inner(path, &len), *at;

	if (len == 0 || len > TAP_ADDRESS_MAX || !(at = memrchr(s, '@', len)))
		return false;
	local = copy_local(s, (size_t)(at - s), out, &used);
	if (s + used != at || (local == 0 && !domain_only))
		return false;
	domain = len - (size_t)(at + 1 - s);
	if (domain > 1 && at[domain] == '.')
		domain--;
	if (domain == 0)
		return false;
	out[local] = '@';
	for (size_t i = 0; i < domain; i++)
		out[local + 1 + i] = fold(at[1 + i]);
	out[local + 1 + domain] = '\0';
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has(const struct tap_addresses *a, const char *key)
{
	return a->n > 0 && bsearch(&key, a->item, a->n, sizeof(*a->item), compare) != NULL;
}

enum tap_address_match tap_addresses_match(const struct tap_addresses *a, const char *path)
{
	char key[TAP_ADDRESS_MAX + 1], *at;
	size_t local;

	if (!tap_address_canonical(path, false, key))
		return TAP_ADDRESS_OTHER;
	if (has(a, key))
		return TAP_ADDRESS_EXACT;
	at = strrchr(key, '@');
	/* A delimiter in front is part of the name: "+x@" has no address to be an extension of. */
	local = 1 + strcspn(key + 1, a->delimiter);
	if (local < (size_t)(at - key)) {
		char plain[TAP_ADDRESS_MAX + 1];

		memcpy(plain, key, local);
		memcpy(plain + local, at, strlen(at) + 1);
		if (has(a, plain))
			return TAP_ADDRESS_EXTENSION;
	}
	return has(a, at) ? TAP_ADDRESS_DOMAIN : TAP_ADDRESS_OTHER;
}

enum tap_rc tap_addresses_new(const struct tap_list *list, const char *delimiter,
			      struct tap_addresses **a_r, struct tap_err *err)
{
	struct tap_addresses *a = calloc(1, sizeof(*a));
	char key[TAP_ADDRESS_MAX + 1];

	*a_r = NULL;
	if (!a || !(a->delimiter = strdup(delimiter ? delimiter : "")) ||
	    !(a->item = calloc(list->n + 1, sizeof(*a->item)))) {
		tap_addresses_free(&a);
		return tap_err_set(err, TAP_E_TEMP, "no memory for the addresses");
	}
	for (size_t i = 0; i < list->n; i++) {
		const char *s = list->item[i];

		if (strpbrk(s, "<> \t:,") || !tap_address_canonical(s, true, key)) {
			tap_addresses_free(&a);
			return tap_err_set(err, TAP_E_CONFIG,
					   "addresses: \"%s\" is neither local@domain nor @domain",
					   s);
		}
		a->item[a->n] = strdup(key);
		if (!a->item[a->n++]) {
			tap_addresses_free(&a);
			return tap_err_set(err, TAP_E_TEMP, "no memory for the addresses");
		}
	}
	qsort(a->item, a->n, sizeof(*a->item), compare);
	*a_r = a;
	return TAP_OK;
}

void tap_addresses_free(struct tap_addresses **a)
{
	if (!a || !*a)
		return;
	for (size_t i = 0; i < (*a)->n; i++)
		free((*a)->item[i]);
	free((*a)->item);
	free((*a)->delimiter);
	free(*a);
	*a = NULL;
}
