/* SPDX-License-Identifier: Apache-2.0
 * base/log.c - see log.h: who may speak, how often, and where it goes. The text itself is made in
 * log_text.c. */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_text.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SLOTS = 64, PER_SECOND = 5, WINDOW_MS = 1000 };

/* One kind of line that was said lately. */
struct slot {
	uint64_t key; /* 0 = free */
	int64_t since_ms;
	unsigned said, held;
	enum tap_log_level level;
	const char *component; /* literals of the caller, as formats are */
	char text[96];	       /* how the line began, for the count that follows */
};

static struct {
	pthread_mutex_t lock;
	char ident[48];
	atomic_int least;
	int journal; /* datagram socket or -1 */
	struct sockaddr_un journal_at;
	struct slot slots[SLOTS];
} lg = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .ident = "dmarctap",
    .least = TAP_LOG_INFO,
    .journal = -1,
};

static const char *const level_names[] = {"debug", "info", "warning", "error", NULL};
static const int priorities[] = {7, 6, 4, 3}; /* of syslog */

static const struct tap_setting log_table[] = {
    TAP_ROW_ENUM("level", tap_log_settings, level, 0, "info", level_names,
		 "The least important lines that are logged: debug, info, warning or error."),
    {0},
};
const struct tap_section tap_log_section = {
    .name = "log",
    .doc = "The log, to standard error or, under systemd, to the journal.",
    .table = log_table,
    .struct_size = sizeof(struct tap_log_settings),
};

/* systemd names the device and inode of the stderr that it made; anything else was redirected since. */
static bool stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	struct stat st;
	char *end;

	if (!s || fstat(STDERR_FILENO, &st) != 0)
		return false;
	unsigned long long dev = strtoull(s, &end, 10);
	if (end == s || *end != ':')
		return false;
	s = end + 1;
	unsigned long long ino = strtoull(s, &end, 10);
	return end != s && *end == '\0' && dev == st.st_dev && ino == st.st_ino;
}

/* Under the lock. */
static void set_journal(const char *path)
{
	size_t n = path ? strlen(path) : 0;

	if (lg.journal >= 0)
		close(lg.journal);
	lg.journal = -1;
	if (n == 0 || n >= sizeof lg.journal_at.sun_path)
		return;
	lg.journal_at = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(lg.journal_at.sun_path, path, n + 1);
	lg.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool to_journal(const struct tap_log_line *l)
{
	char text[TAP_LOG_JOURNAL_MAX];

	if (lg.journal < 0)
		return false;
	size_t n = tap_log_text_journal(l, lg.ident, priorities[l->level], text, sizeof text);
	ssize_t sent;
	do {
		sent = sendto(lg.journal, text, n, MSG_NOSIGNAL,
			      (const struct sockaddr *)&lg.journal_at, sizeof lg.journal_at);
	} while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

/* Under the lock. */
static void emit(const struct tap_log_line *l)
{
	char text[TAP_LOG_LINE_MAX], stamp[32], head[128];

	if (to_journal(l))
		return;
	tap_time_rfc3339(tap_clock_now(), stamp, sizeof stamp);
	snprintf(head, sizeof head, "%s %s[%ld] ", stamp, lg.ident, (long)getpid());
	size_t n = tap_log_text_line(l, head, level_names[l->level], text, sizeof text);
	ssize_t put;
	do {
		put = write(STDERR_FILENO, text, n);
	} while (put < 0 && errno == EINTR);
}

/* Says how many lines of this kind were held back, and forgets it. */
static void settle(struct slot *s)
{
	if (s->held > 0) {
		char text[160];
		snprintf(text, sizeof text, "%u more like: %s", s->held, s->text);
		emit(&(struct tap_log_line){
		    .level = s->level, .component = s->component, .text = text});
	}
	s->key = 0;
	s->held = 0;
}

static struct slot *slot_for(uint64_t key, int64_t now_ms)
{
	struct slot *mine = NULL, *spare = &lg.slots[0];

	for (struct slot *s = lg.slots; s < lg.slots + SLOTS; s++) {
		if (s->key != 0 && now_ms - s->since_ms >= WINDOW_MS)
			settle(s);
		if (s->key == key)
			mine = s;
		else if (s->key == 0 || (spare->key != 0 && s->since_ms < spare->since_ms))
			spare = s;
	}
	if (mine)
		return mine;
	settle(spare);
	spare->key = key;
	spare->since_ms = now_ms;
	spare->said = 0;
	return spare;
}

static void say(const struct tap_log_line *l, uint64_t key)
{
	pthread_mutex_lock(&lg.lock);
	struct slot *s = l->level == TAP_LOG_DEBUG ? NULL : slot_for(key, tap_clock_mono_ms());
	if (s && s->said == 0) {
		s->level = l->level;
		s->component = l->component;
		snprintf(s->text, sizeof s->text, "%s", l->text);
	}
	if (!s || s->said++ < PER_SECOND)
		emit(l);
	else
		s->held++;
	pthread_mutex_unlock(&lg.lock);
}

static void settle_all(void)
{
	pthread_mutex_lock(&lg.lock);
	for (size_t i = 0; i < SLOTS; i++)
		settle(&lg.slots[i]);
	pthread_mutex_unlock(&lg.lock);
}

void tap_log_init(const char *ident, enum tap_log_level least)
{
	static bool at_exit;

	pthread_mutex_lock(&lg.lock);
	snprintf(lg.ident, sizeof lg.ident, "%s", ident);
	atomic_store(&lg.least, (int)least);
	set_journal(stderr_is_journal() ? "/run/systemd/journal/socket" : NULL);
	if (!at_exit)
		at_exit = atexit(settle_all) == 0;
	pthread_mutex_unlock(&lg.lock);
}

void tap_log_set_level(enum tap_log_level least)
{
	atomic_store(&lg.least, (int)least);
}

void tap_log_set_journal_for_test(const char *path)
{
	pthread_mutex_lock(&lg.lock);
	if (!path && stderr_is_journal())
		path = "/run/systemd/journal/socket";
	set_journal(path);
	pthread_mutex_unlock(&lg.lock);
}

static uint64_t hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	while (n--)
		h = (h ^ *b++) * UINT64_C(0x100000001b3);
	return h;
}

/* What counts as the same line: the format, or, where that says nothing, the text without its numbers. */
static uint64_t key_of(enum tap_log_level level, const char *component, const char *fmt,
		       const char *text)
{
	uint64_t h = hash(UINT64_C(0xcbf29ce484222325) ^ level, component, strlen(component));

	if (strcmp(fmt, "%s") != 0)
		return hash(h, fmt, strlen(fmt)) | 1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			h = hash(h, text, 1);
	}
	return h | 1;
}

static void log_v(enum tap_log_level level, const char *component,
		  const struct tap_log_field *fields, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
static void log_v(enum tap_log_level level, const char *component,
		  const struct tap_log_field *fields, const char *fmt, va_list ap)
{
	char text[TAP_LOG_TEXT_MAX];
	int saved = errno;

	if (level < TAP_LOG_DEBUG || level > TAP_LOG_ERROR || (int)level < atomic_load(&lg.least))
		return;
	errno = saved; /* for %m */
	int n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0)
		text[0] = '\0';
	else if (n >= TAP_LOG_TEXT_MAX)
		memcpy(text + sizeof text - 4, "...", 4);
	say(
	    &(struct tap_log_line){
		.level = level, .component = component, .text = text, .fields = fields},
	    key_of(level, component, fmt, text));
	errno = saved;
}

void tap_log(enum tap_log_level level, const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(level, component, NULL, fmt, ap);
	va_end(ap);
}

void tap_log_fields(enum tap_log_level level, const char *component,
		    const struct tap_log_field *fields, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(level, component, fields, fmt, ap);
	va_end(ap);
}

void tap_log_err(enum tap_log_level level, const char *component, const struct tap_err *err)
{
	const struct tap_log_field fields[] = {{"class", tap_rc_name(err->rc)}, {NULL, NULL}};

	tap_log_fields(level, component, fields, "%s", err->msg);
}
