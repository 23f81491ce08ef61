/* SPDX-License-Identifier: Apache-2.0
 * intake/spool_usage.c - is there room? The limits of the spool, and the counting that they need.
 * Counting reads all of incoming/: where 100,000 messages wait it takes the better part of a second. So a door counts now and then; and a
 * process that lives for one message leaves what it has counted in a file beside the messages, for those that come after it. That file is
 * a cache: nothing is lost with it, and what is in it can at worst make mail wait or let in as much as spool.min_free leaves. */
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "intake/spool.h"
#include "intake/spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	COUNT_EVERY_MS = 1000,
	COUNT_SHARE = 20,   /* counting may take a twentieth of the time */
	LEAVE_FILES = 1000, /* fewer are counted anew as fast */
	STALE_MS = 60000,   /* the age of a count that is taken while somebody counts anew */
	LEAST_INODES = 16,  /* a file system without inodes is full too  */
};

/* ---- limits ---- */

enum tap_rc tap_spool_full(struct tap_err *err, const char *what, int64_t limit)
{
	tap_err_set(err, TAP_E_TEMP, "spool full: %s %" PRId64, what, limit);
	if (err)
		err->sys_errno = ENOSPC;
	return TAP_E_TEMP;
}

/* TAP_OK while the file system has more than min_free and room for `more` bytes. */
static enum tap_rc check_free(struct tap_spool *s, uint64_t more, struct tap_err *err)
{
	uint64_t bytes, inodes;
	enum tap_rc rc = tap_io_free_space(s->dir, &bytes, &inodes, err);

	if (rc)
		return rc;
	if (bytes < more || bytes - more < (uint64_t)s->min_free)
		return tap_spool_full(err, "free space would fall under spool.min_free",
				      s->min_free);
	/* File systems without an inode table say 0 or UINT64_MAX of nothing; those that count say how many are left. */
	if (inodes > 0 && inodes < LEAST_INODES)
		return tap_spool_full(err, "inodes left are under", LEAST_INODES);
	return TAP_OK;
}

struct usage {
	int dirfd;
	int64_t bytes, files,
	    most; /* counting ends at most files: there is no room then, whatever comes after them */
};

static enum tap_rc count_entry(void *ctx, const char *name, struct tap_err *err)
{
	struct usage *u = ctx;
	struct stat st;

	if (fstatat(u->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		u->bytes += st.st_size;
		u->files++;
	}
	return u->files < u->most ? TAP_OK : tap_err_set(err, TAP_E_LIMIT, "enough");
}

/* ---- what one process leaves to the next ---- */

static const char left_name[] = ".usage";

struct left {
	int64_t at, until; /* monotonic ms: when it was counted, and until when it holds */
	int64_t bytes, files, check;
};

static int64_t check_word(const struct left *l)
{
	return l->at ^ l->until ^ l->bytes ^ l->files ^
	       0x4c454654; /* half of a new one is none, as is one of zeros */
}

/* False: there is none, it is none, or it is of before a restart of the machine. */
static bool read_left(const struct tap_spool *s, int64_t now, struct left *l)
{
	size_t got = 0;
	int fd = -1;
	bool good = tap_io_open(s->dir, left_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, NULL,
				NULL) == TAP_OK &&
		    tap_io_pread(fd, l, sizeof(*l), 0, &got, NULL) == TAP_OK && got == sizeof(*l) &&
		    l->check == check_word(l) && l->at <= now && l->bytes >= 0 && l->files >= 0;

	tap_io_close(&fd);
	return good;
}

/* Opens it for whoever counts now. False: somebody else does. Where it cannot be opened nobody can tell. */
static bool begin_left(const struct tap_spool *s, bool make, int *fd_r)
{
	if (tap_io_open(s->dir, left_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | (make ? O_CREAT : 0),
			0660, fd_r, NULL, NULL) != TAP_OK)
		return true;
	return flock(*fd_r, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static void leave(const struct tap_spool *s, int64_t at, int *fd)
{
	struct left l = {at, s->count_at_ms, s->bytes, s->files, 0};

	if (s->files < LEAVE_FILES)
		return;
	l.check = check_word(&l);
	/* Others of the group are to write it, too, whatever our umask. */
	if (*fd < 0 && (!begin_left(s, true, fd) || *fd < 0 || fchmod(*fd, 0660) != 0))
		return;
	if (tap_io_pwrite(*fd, &l, sizeof(l), 0, NULL, NULL) != TAP_OK)
		tap_debug("spool", "cannot leave what was counted");
}

static void take(struct tap_spool *s, int64_t bytes, int64_t files, int64_t until)
{
	pthread_mutex_lock(&s->lock);
	s->bytes = bytes;
	s->files = files;
	s->count_at_ms = until;
	s->counting = false;
	pthread_mutex_unlock(&s->lock);
}

/* ---- counting ---- */

/* Counts what waits in incoming/. A door that we may not look into counts for nothing. */
static void count(struct tap_spool *s)
{
	struct usage u = {.dirfd = -1, .most = s->max_files};
	int64_t begin = tap_clock_mono_ms(), took;

	for (size_t i = 0; i < TAP_DOOR_N && u.files < u.most; i++) {
		if (tap_io_open(s->root, tap_spool_incoming[i], O_RDONLY | O_DIRECTORY, 0, &u.dirfd,
				NULL, NULL) != TAP_OK)
			continue;
		if (tap_spool_each(u.dirfd, count_entry, &u, NULL) != TAP_OK)
			tap_debug("spool", "did not count all of %s", tap_spool_incoming[i]);
		tap_io_close(&u.dirfd);
	}
	took = tap_clock_mono_ms() - begin;
	take(s, u.bytes, u.files,
	     begin + took +
		 (took * COUNT_SHARE > COUNT_EVERY_MS ? took * COUNT_SHARE : COUNT_EVERY_MS));
}

static void count_shared(struct tap_spool *s)
{
	int64_t now = tap_clock_mono_ms();
	struct left l;
	bool there = read_left(s, now, &l);
	int fd = -1;

	if (there && now < l.until) {
		take(s, l.bytes, l.files, l.until);
	} else if (!begin_left(s, false, &fd) && there && now - l.at < STALE_MS) {
		take(s, l.bytes, l.files, now + COUNT_EVERY_MS);
	} else {
		count(s);
		leave(s, now, &fd);
	}
	tap_io_close(&fd);
}

/* What waits in incoming/, as counted last; counts again when that was long ago and nobody else is at it. */
static void usage_now(struct tap_spool *s, int64_t *bytes_r, int64_t *files_r)
{
	int64_t now = tap_clock_mono_ms();
	bool mine;

	pthread_mutex_lock(&s->lock);
	mine = !s->counting && now >= s->count_at_ms;
	s->counting |= mine;
	pthread_mutex_unlock(&s->lock);
	if (mine)
		(s->shared ? count_shared : count)(s);
	pthread_mutex_lock(&s->lock);
	*bytes_r = s->bytes;
	*files_r = s->files;
	pthread_mutex_unlock(&s->lock);
}

enum tap_rc tap_spool_room(struct tap_spool *s, struct tap_err *err)
{
	int64_t bytes, files;
	enum tap_rc rc = check_free(s, 0, err);

	if (rc)
		return rc;
	if (faccessat(s->root, tap_spool_stop, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return tap_spool_full(err, "quarantine.max_bytes reached; room for reports", 0);
	usage_now(s, &bytes, &files);
	if (files >= s->max_files)
		return tap_spool_full(err, "spool.max_files reached,", s->max_files);
	if (bytes >= s->max_bytes)
		return tap_spool_full(err, "spool.max_bytes reached,", s->max_bytes);
	return TAP_OK;
}

enum tap_rc tap_spool_more(struct tap_spool *s, uint64_t own, uint64_t more, struct tap_err *err)
{
	int64_t bytes, files;

	usage_now(s, &bytes, &files);
	if (bytes - (int64_t)own >= s->max_bytes)
		return tap_spool_full(err, "spool.max_bytes reached,", s->max_bytes);
	return check_free(s, more, err);
}

void tap_spool_added(struct tap_spool *s, uint64_t bytes)
{
	pthread_mutex_lock(&s->lock);
	s->bytes += (int64_t)bytes;
	s->files++;
	pthread_mutex_unlock(&s->lock);
}
