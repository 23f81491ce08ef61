/* SPDX-License-Identifier: Apache-2.0
 * daemon/claims.c - a mapped table of ids under one mutex. */
#include "daemon/claims.h"

#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char file_name[] = "worker.claims";

enum state { FREE, IN_HAND, ALONE, SUSPECT };

struct slot {
	char id[TAP_SPOOL_ID];
	uint32_t state, deaths;
};
enum { BYTES = TAP_CLAIM_MOST * (int)sizeof(struct slot) };

struct tap_claims {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct slot *slot; /* mapped */
	bool alone, stop;
};

/* What was in hand is suspect; what was in hand alone has one more death to answer for. */
static void inherit(struct tap_claims *c)
{
	unsigned suspects = 0;

	for (size_t i = 0; i < TAP_CLAIM_MOST; i++) {
		struct slot *s = &c->slot[i];

		if (s->state == FREE || s->state > SUSPECT)
			memset(s, 0, sizeof(*s));
		else if (s->state == ALONE)
			s->deaths++;
		if (s->state == FREE)
			continue;
		s->state = SUSPECT;
		suspects++;
	}
	if (suspects > 0)
		tap_warn("worker",
			 "the last worker ended without warning, with %u messages in hand: each of "
			 "them is taken up alone",
			 suspects);
}

static enum tap_rc map(struct tap_claims *c, int fd, struct tap_err *err)
{
	static const char zero[BYTES];
	char old[BYTES];
	size_t got = 0;
	enum tap_rc rc = tap_io_pread(fd, old, sizeof(old), 0, &got, err);

	/* Written, not left sparse: memory that is mapped must have its blocks, or a full disk would be a signal. */
	if (rc == TAP_OK && got != sizeof(old))
		rc = tap_io_pwrite(fd, zero, sizeof(zero), 0, NULL, err);
	if (rc != TAP_OK)
		return rc;
	c->slot = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->slot != MAP_FAILED)
		return TAP_OK;
	c->slot = NULL;
	return tap_err_sys(err, TAP_E_TEMP, errno, "%s", file_name);
}

enum tap_rc tap_claims_open(int spool_fd, struct tap_claims **c_r, struct tap_err *err)
{
	struct tap_claims *c = calloc(1, sizeof(*c));
	int fd = -1;
	enum tap_rc rc;

	*c_r = NULL;
	if (c == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_cond_init(&c->freed, NULL);
	rc = tap_io_open(spool_fd, file_name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, NULL, err);
	if (rc == TAP_OK)
		rc = map(c, fd, err);
	tap_io_close(&fd);
	if (rc != TAP_OK) {
		tap_claims_close(&c);
		return rc;
	}
	inherit(c);
	*c_r = c;
	return TAP_OK;
}

void tap_claims_close(struct tap_claims **cp)
{
	struct tap_claims *c = *cp;

	if (c == NULL)
		return;
	if (c->slot != NULL)
		(void)munmap(c->slot, BYTES);
	(void)pthread_cond_destroy(&c->freed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
	*cp = NULL;
}

static struct slot *find(struct tap_claims *c, const char *id)
{
	for (size_t i = 0; i < TAP_CLAIM_MOST; i++)
		if (c->slot[i].state != FREE && memcmp(c->slot[i].id, id, TAP_SPOOL_ID) == 0)
			return &c->slot[i];
	return NULL;
}

/* A free slot; when there is none, that of a suspect whose turn has not come. */
static struct slot *find_free(struct tap_claims *c)
{
	for (size_t i = 0; i < TAP_CLAIM_MOST; i++)
		if (c->slot[i].state == FREE)
			return &c->slot[i];
	for (size_t i = 0; i < TAP_CLAIM_MOST; i++)
		if (c->slot[i].state == SUSPECT && c->slot[i].deaths == 0)
			return &c->slot[i];
	return NULL;
}

static enum tap_claim take_suspect(struct tap_claims *c, const char *id)
{
	struct slot *s;

	while (c->alone && !c->stop)
		(void)pthread_cond_wait(&c->freed, &c->lock);
	if (c->stop)
		return TAP_CLAIM_STOPPED;
	s = find(c, id);
	if (s ==
	    NULL) /* its slot went to a new message while it waited: it is not noted any more */
		return TAP_CLAIM_TAKEN;
	c->alone = true;
	s->state = ALONE;
	return s->deaths >= TAP_CLAIM_DEATHS ? TAP_CLAIM_POISON : TAP_CLAIM_TAKEN;
}

enum tap_claim tap_claims_take(struct tap_claims *c, const char *id)
{
	enum tap_claim result = TAP_CLAIM_TAKEN;
	struct slot *s;

	if (c == NULL)
		return TAP_CLAIM_TAKEN;
	(void)pthread_mutex_lock(&c->lock);
	s = find(c, id);
	if (c->stop) {
		result = TAP_CLAIM_STOPPED;
	} else if (s != NULL) {
		result = take_suspect(c, id);
	} else if ((s = find_free(c)) != NULL) {
		memcpy(s->id, id, TAP_SPOOL_ID);
		s->deaths = 0;
		s->state = IN_HAND;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return result;
}

void tap_claims_done(struct tap_claims *c, const char *id)
{
	struct slot *s;

	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	s = find(c, id);
	if (s != NULL && s->state == ALONE) {
		c->alone = false;
		(void)pthread_cond_broadcast(&c->freed);
	}
	if (s != NULL && s->state != SUSPECT)
		memset(s, 0, sizeof(*s));
	(void)pthread_mutex_unlock(&c->lock);
}

void tap_claims_stop(struct tap_claims *c)
{
	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->freed);
	(void)pthread_mutex_unlock(&c->lock);
}
