/* SPDX-License-Identifier: Apache-2.0
 * base/fault.c - see fault.h. A list that cannot be read aborts: a crash test whose fault never
 * happens would pass for the wrong reason. */
#include "base/fault.h"

#ifdef TAP_FAULT_POINTS
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RULES = 32, POINT_LEN = 64, KILL = -1 };

struct rule {
	char point[POINT_LEN];
	unsigned long nth; /* 0 = every passage */
	int errnum;	   /* or KILL */
	atomic_ulong seen;
};

static struct rule rules[RULES];
static size_t n_rules;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
	const char *name;
	int errnum;
} names[] = {
    {"kill", KILL},
    {"EACCES", EACCES},
    {"EAGAIN", EAGAIN},
    {"EBADF", EBADF},
    {"EBUSY", EBUSY},
    {"ECONNREFUSED", ECONNREFUSED},
    {"ECONNRESET", ECONNRESET},
    {"EDQUOT", EDQUOT},
    {"EEXIST", EEXIST},
    {"EFBIG", EFBIG},
    {"EINTR", EINTR},
    {"EINVAL", EINVAL},
    {"EIO", EIO},
    {"EISDIR", EISDIR},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"ENOENT", ENOENT},
    {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC},
    {"ENOTDIR", ENOTDIR},
    {"EPERM", EPERM},
    {"EPIPE", EPIPE},
    {"EROFS", EROFS},
    {"ETIMEDOUT", ETIMEDOUT},
};

static bool read_number(const char *s, unsigned long *v_r)
{
	char *end;

	errno = 0;
	*v_r = strtoul(s, &end, 10);
	return *s >= '0' && *s <= '9' && *end == '\0' && errno == 0;
}

static bool read_action(const char *s, int *errnum_r)
{
	unsigned long v;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(s, names[i].name) == 0) {
			*errnum_r = names[i].errnum;
			return true;
		}
	}
	if (!read_number(s, &v) || v == 0 || v > 4095)
		return false;
	*errnum_r = (int)v;
	return true;
}

/* "point:nth:action" in item, which is taken apart. */
static bool read_rule(char *item, struct rule *r)
{
	char *nth = strchr(item, ':');
	if (!nth)
		return false;
	*nth++ = '\0';
	char *action = strchr(nth, ':');
	if (!action)
		return false;
	*action++ = '\0';
	if (item[0] == '\0' || strlen(item) >= POINT_LEN)
		return false;
	memcpy(r->point, item, strlen(item) + 1);
	return read_number(nth, &r->nth) && read_action(action, &r->errnum);
}

static void read_rules(void)
{
	const char *text = getenv("TAP_FAULT");

	while (text && *text) {
		char item[POINT_LEN + 64];
		size_t n = strcspn(text, ",");
		if (n < sizeof item && n_rules < RULES) {
			memcpy(item, text, n);
			item[n] = '\0';
		}
		if (n >= sizeof item || n_rules >= RULES || !read_rule(item, &rules[n_rules])) {
			fprintf(stderr, "TAP_FAULT: cannot read \"%s\"\n", text);
			abort();
		}
		n_rules++;
		text += n + (text[n] == ',');
	}
}

/* A test can see in the program's log that what it asked for has happened. */
static void tell(const char *point)
{
	int saved = errno;

	dprintf(STDERR_FILENO, "TAP_FAULT: %s happens\n", point);
	errno = saved;
}

int tap_fault(const char *point)
{
	int hit = 0;

	pthread_once(&once, read_rules);
	for (size_t i = 0; i < n_rules; i++) {
		struct rule *r = &rules[i];
		if (strcmp(r->point, point) != 0)
			continue;
		unsigned long passage = atomic_fetch_add(&r->seen, 1) + 1;
		if (hit == 0 && (r->nth == 0 || passage == r->nth))
			hit = r->errnum;
	}
	if (hit != 0)
		tell(point);
	if (hit == KILL) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	if (hit != 0)
		errno = hit;
	return hit;
}
#endif
