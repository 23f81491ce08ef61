/* SPDX-License-Identifier: Apache-2.0
 * confine/trust_args.c - the rules of trust as arguments of dmarctap-parse: NAME=VALUE, one for each entry. Only strings that the
 * administrator wrote travel so; the parser process reads them as strictly as anything. */
#include "confine/trust_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum which { AUTHSERV, OWN, DOMAIN, LISTS };
static const char *const names[LISTS] = {"authserv-id=", "own-host=", "domain="};
static const char any[] = "position=any";

static char *joined(const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 1;
	char *s = malloc(n);

	if (s != NULL)
		(void)snprintf(s, n, "%s%s", name, value);
	return s;
}

void tap_trust_args_free(char ***args)
{
	if (args == NULL || *args == NULL)
		return;
	for (char **a = *args; *a != NULL; a++)
		free(*a);
	free(*args);
	*args = NULL;
}

char **tap_trust_args_new(const struct tap_trust_settings *set)
{
	static const struct tap_trust_settings none;
	const struct tap_trust_settings *s = set != NULL ? set : &none;
	const struct tap_list *lists[LISTS] = {&s->authserv_ids, &s->own_hosts, &s->domains};
	char **args = calloc(s->authserv_ids.n + s->own_hosts.n + s->domains.n + 2, sizeof *args);
	size_t n = 0;
	bool ok = args != NULL;

	for (size_t l = 0; l < LISTS; l++) {
		for (size_t i = 0; ok && i < lists[l]->n; i++) {
			args[n] = joined(names[l], lists[l]->item[i]);
			ok = args[n++] != NULL;
		}
	}
	if (ok && s->position != 0) {
		args[n] = joined(any, "");
		ok = args[n++] != NULL;
	}
	if (!ok)
		tap_trust_args_free(&args);
	return args;
}

/* The value of an argument of this name, NULL when it is none. */
static const char *value_of(const char *arg, const char *name)
{
	size_t n = strlen(name);
	const char *v = arg + n;

	if (strncmp(arg, name, n) != 0 || *v == '\0' || strlen(v) > TAP_TRUST_TEXT)
		return NULL;
	for (const char *p = v; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return NULL;
	}
	return v;
}

bool tap_trust_args_parse(int argc, char **argv, struct tap_trust_rules *rules)
{
	const char **list[LISTS];
	size_t n[LISTS] = {0};
	/* Each list could hold them all. */
	const char **room;

	memset(rules, 0, sizeof *rules);
	if (argc < 0 || argc > LISTS * TAP_TRUST_LIST + 1)
		return false;
	room = calloc((size_t)argc * LISTS + 1, sizeof *room);
	if (room == NULL)
		return false;
	for (size_t l = 0; l < LISTS; l++)
		list[l] = room + l * (size_t)argc;
	for (int i = 0; i < argc; i++) {
		const char *v = NULL;
		size_t l = 0;

		if (strcmp(argv[i], any) == 0 && !rules->any_position) {
			rules->any_position = true;
			continue;
		}
		while (l < LISTS && (v = value_of(argv[i], names[l])) == NULL)
			l++;
		if (v == NULL || n[l] == TAP_TRUST_LIST) {
			free(room);
			return false;
		}
		list[l][n[l]++] = v;
	}
	rules->authserv_ids = list[AUTHSERV];
	rules->n_authserv_ids = n[AUTHSERV];
	rules->own_hosts = list[OWN];
	rules->n_own_hosts = n[OWN];
	rules->domains = list[DOMAIN];
	rules->n_domains = n[DOMAIN];
	return true;
}
