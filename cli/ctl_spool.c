/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_spool.c - `dmarctapctl spool list`, `quarantine list`, `quarantine show`: reads the files, changes nothing. */
#include "base/clock.h"
#include "base/io.h"
#include "cli/ctl.h"
#include "daemon/sidecar.h"
#include "intake/fates.h"
#include "intake/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDECAR_MAX = 64 << 10, PIECE = 64 << 10, HEADERS_SHOWN = 64 << 10 };

typedef void show_fn(int dirfd, const char *name);

static enum tap_rc spool_root(struct ctl *c, int *root_r, struct tap_err *err)
{
	struct tap_spool_settings spool;
	enum tap_rc rc = ctl_section(c, &tap_spool_section, &spool, err);

	return rc == TAP_OK ? tap_spool_root(&spool, root_r, err) : rc;
}

struct listing {
	char **name;
	size_t n, cap;
	const char *strangers; /* where foreign files are told; NULL = they are not */
};

static enum tap_rc collect(void *ctx, const char *name, enum tap_spool_entry what,
			   struct tap_err *err)
{
	struct listing *l = ctx;

	if (what == TAP_SPOOL_FOREIGN && l->strangers != NULL) {
		(void)fputs("not a message, left alone: ", stdout);
		ctl_print_text(l->strangers);
		(void)putchar('/');
		ctl_print_text(name);
		(void)putchar('\n');
	}
	if (what != TAP_SPOOL_MESSAGE)
		return TAP_OK;
	if (l->n == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		char **more = realloc(l->name, cap * sizeof(*more));

		if (more == NULL)
			return tap_err_set(err, TAP_E_TEMP, "out of memory");
		l->name = more;
		l->cap = cap;
	}
	l->name[l->n] = strdup(name);
	if (l->name[l->n] == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	l->n++;
	return TAP_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_waiting(int dirfd, const char *name);

/* Shows every message of one directory, the oldest first. One that is not there holds none. */
static enum tap_rc walk(int root, const char *dir, show_fn *show, size_t *shown,
			struct tap_err *err)
{
	struct listing l = {.strangers = show == show_waiting ? dir : NULL};
	int fd = -1;
	enum tap_rc rc = tap_io_opendir(root, dir, 0, &fd, err);

	if (rc == TAP_E_NOTFOUND)
		return TAP_OK;
	if (rc == TAP_OK)
		rc = tap_spool_scan(fd, collect, &l, err);
	if (l.n > 0)
		qsort(l.name, l.n, sizeof(*l.name), by_name);
	for (size_t i = 0; i < l.n; i++) {
		if (rc == TAP_OK)
			show(fd, l.name[i]);
		free(l.name[i]);
	}
	*shown += l.n;
	free(l.name);
	tap_io_close(&fd);
	return rc;
}

static void show_waiting(int dirfd, const char *name)
{
	struct tap_spool_file f;
	struct tap_err err = {0};
	char when[32];
	enum tap_rc rc = tap_spool_file_open(dirfd, name, &f, &err);

	if (rc == TAP_E_NOTFOUND) /* the worker was faster */
		return;
	(void)printf("%.*s  ", TAP_SPOOL_ID, name);
	if (rc != TAP_OK) {
		ctl_print_text(err.msg);
		(void)putchar('\n');
		return;
	}
	tap_time_rfc3339(f.envelope.arrival, when, sizeof(when));
	(void)printf("%s  %-6s  %9llu bytes  %s  from <", when, tap_door_name[f.envelope.door],
		     (unsigned long long)f.message_len, tap_fate_name[f.envelope.fate]);
	ctl_print_text(f.envelope.sender != NULL ? f.envelope.sender : "");
	(void)puts(">");
	tap_spool_file_close(&f);
}

static int spool_list(struct ctl *c)
{
	struct tap_err err = {0};
	size_t shown = 0;
	int root = -1;
	enum tap_rc rc = spool_root(c, &root, &err);

	for (size_t d = 0; rc == TAP_OK && d < TAP_DOOR_N; d++)
		rc = walk(root, tap_spool_incoming[d], show_waiting, &shown, &err);
	tap_io_close(&root);
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

static enum tap_rc read_sidecar(int dirfd, const char *id, struct tap_sidecar *s,
				struct tap_err *err)
{
	char name[TAP_SPOOL_ID + 8];
	struct tap_buf b;
	enum tap_rc rc;

	(void)snprintf(name, sizeof(name), "%.*s.json", TAP_SPOOL_ID, id);
	tap_buf_init(&b, SIDECAR_MAX);
	rc = tap_io_read_file(dirfd, name, &b, err);
	if (rc == TAP_OK)
		rc = tap_sidecar_read(b.p, b.len, s, err);
	tap_buf_free(&b);
	return rc;
}

static void show_kept(int dirfd, const char *name)
{
	struct tap_sidecar s;
	struct tap_err err = {0};
	char when[32];

	(void)printf("%.*s  ", TAP_SPOOL_ID, name);
	if (read_sidecar(dirfd, name, &s, &err) != TAP_OK) {
		ctl_print_text(err.msg);
		(void)putchar('\n');
		return;
	}
	tap_time_rfc3339(s.when, when, sizeof(when));
	(void)printf("%s  ", when);
	ctl_print_text(s.verdict);
	(void)fputs("  from <", stdout);
	ctl_print_text(s.sender);
	(void)fputs(">: ", stdout);
	ctl_print_text(s.reason);
	(void)putchar('\n');
}

static int quarantine_list(struct ctl *c)
{
	struct tap_err err = {0};
	size_t shown = 0;
	int root = -1;
	enum tap_rc rc = spool_root(c, &root, &err);

	if (rc == TAP_OK)
		rc = walk(root, tap_spool_quarantine, show_kept, &shown, &err);
	tap_io_close(&root);
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

static void field(const char *what, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	(void)printf("%-12s ", what);
	ctl_print_text(value);
	(void)putchar('\n');
}

static void show_sidecar(const struct tap_sidecar *s)
{
	char when[32];

	field("id", s->id);
	field("verdict", s->verdict);
	field("reason", s->reason);
	tap_time_rfc3339(s->when, when, sizeof(when));
	field("since", when);
	field("door", s->door);
	field("sender", s->sender);
	for (const char *p = s->recipients; *p != '\0';) {
		size_t n = strcspn(p, "\n");

		(void)printf("%-12s ", "recipient");
		ctl_print_safe(p, n, false);
		(void)putchar('\n');
		p += n + (p[n] == '\n');
	}
	field("client", s->client);
	field("queue id", s->queue_id);
}

/* The message itself: all of it as it is (raw), or its header block made safe. On a terminal even raw is made safe. */
static enum tap_rc show_message(const struct tap_spool_file *f, bool raw, bool terminal,
				struct tap_err *err)
{
	static char piece[PIECE];
	uint64_t len = raw || f->message_len < HEADERS_SHOWN ? f->message_len : HEADERS_SHOWN;

	for (uint64_t off = 0; off < len;) {
		size_t want = len - off < sizeof(piece) ? (size_t)(len - off) : sizeof(piece),
		       got = 0, n;
		enum tap_rc rc =
		    tap_spool_file_read(f, f->message_off + off, piece, want, &got, err);
		const char *end;

		if (rc != TAP_OK || got == 0)
			return rc;
		n = got;
		end = raw ? NULL : memmem(piece, got, "\r\n\r\n", 4);
		if (!raw && end == NULL)
			end = memmem(piece, got, "\n\n", 2);
		if (end != NULL)
			n = (size_t)(end - piece) + 1;
		if (raw && !terminal)
			(void)fwrite(piece, 1, n, stdout);
		else
			ctl_print_safe(piece, n, true);
		off += got;
		if (end != NULL)
			break;
	}
	return TAP_OK;
}

static enum tap_rc show_one(struct ctl *c, int dirfd, const char *name, bool terminal,
			    struct tap_err *err)
{
	struct tap_sidecar s;
	struct tap_spool_file f;
	enum tap_rc rc;

	if (!ctl_has(c, "raw")) {
		rc = read_sidecar(dirfd, name, &s, err);
		if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
			return rc;
		if (rc == TAP_OK)
			show_sidecar(&s);
	}
	rc = tap_spool_file_open(dirfd, name, &f, err);
	if (rc != TAP_OK)
		return rc;
	if (!ctl_has(c, "raw"))
		(void)printf("%-12s %llu bytes; its header:\n", "message",
			     (unsigned long long)f.message_len);
	rc = show_message(&f, ctl_has(c, "raw"), terminal, err);
	tap_spool_file_close(&f);
	return rc;
}

static int quarantine_show(struct ctl *c)
{
	struct tap_err err = {0};
	char name[TAP_SPOOL_NAME], id[TAP_SPOOL_ID + 1];
	int root = -1, dir = -1;
	enum tap_rc rc;

	(void)snprintf(name, sizeof(name), "%.32s.tap", c->arg[0]);
	if (strlen(c->arg[0]) != TAP_SPOOL_ID || !tap_spool_id_of(name, id)) {
		(void)fputs(
		    "dmarctapctl: an id has 32 hexadecimal digits; `quarantine list` shows them\n",
		    stderr);
		return CTL_USAGE;
	}
	rc = spool_root(c, &root, &err);
	if (rc == TAP_OK)
		rc = tap_io_opendir(root, tap_spool_quarantine, 0, &dir, &err);
	if (rc == TAP_OK)
		rc = show_one(c, dir, name, isatty(1) != 0, &err);
	tap_io_close(&dir);
	tap_io_close(&root);
	if (rc == TAP_E_NOTFOUND)
		(void)tap_err_prefix(&err, "there is no such message in quarantine: ");
	return rc == TAP_OK ? CTL_OK : ctl_fail(&err);
}

static const struct ctl_option show_options[] = {{"raw", NULL, "the message itself, as it came"},
						 {NULL, NULL, NULL}};
const struct ctl_command ctl_spool_commands[] = {
    {"spool list", "spool list", "messages that wait for the worker", 0, 0, NULL, spool_list},
    {0},
};
const struct ctl_command ctl_quarantine_commands[] = {
    {"quarantine list", "quarantine list", "messages that could not be read, and why", 0, 0, NULL,
     quarantine_list},
    {"quarantine show", "quarantine show ID [--raw]",
     "one of them; --raw prints the message itself", 1, 1, show_options, quarantine_show},
    {0},
};
