/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: a spool file, as bytes. With the first byte odd the hashes are made right, as an attacker who can write into the spool
 * would, so that the fuzzer is not stopped by them. What opens must be within every limit and text clean. */
#include "base/sha256.h"
#include "intake/spool_file.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int ok)
{
	if (!ok)
		abort();
}

static void clean(const char *s)
{
	if (!s)
		return;
	need(strlen(s) <= TAP_SPOOL_TEXT);
	for (; *s; s++)
		need((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void check(const struct tap_spool_file *f)
{
	const struct tap_envelope *e = &f->envelope;

	need((unsigned)e->door < TAP_DOOR_N && (unsigned)e->fate < TAP_FATE_N);
	need(e->n_recipients <= TAP_SPOOL_RECIPIENTS);
	need(f->message_off + f->message_len <= f->size);
	for (size_t i = 0; i < e->n_recipients; i++) {
		need(e->recipients[i] != NULL);
		clean(e->recipients[i]);
	}
	clean(e->sender);
	clean(e->client);
	clean(e->client_name);
	clean(e->helo);
	clean(e->queue_id);
	clean(e->auth);
	clean(e->reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct tap_spool_file f;
	struct tap_err err;
	unsigned char *p;
	int mend;

	if (size < 1 || size > 1 << 20)
		return 0;
	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	mend = data[0] & 1;
	size--;
	p = malloc(size + 1);
	need(p && fd >= 0);
	memcpy(p, data + 1, size);
	if (mend && size >= TAP_SPOOL_HEADER) {
		struct tap_sha256 h;

		tap_sha256_init(&h);
		tap_sha256_update(&h, p + TAP_SPOOL_HEADER, size - TAP_SPOOL_HEADER);
		tap_sha256_update(&h, p, TAP_SPOOL_HASHED);
		tap_sha256_final(&h, p + TAP_SPOOL_HASHED);
	}
	need(ftruncate(fd, 0) == 0 && pwrite(fd, p, size, 0) == (ssize_t)size);
	free(p);
	if (tap_spool_file_fdopen(fd, &f, &err) == TAP_OK) {
		check(&f);
		if (tap_spool_file_verify(&f, &err) != TAP_OK)
			need(err.rc == TAP_E_DATA);
		f.fd = -1; /* ours */
		tap_spool_file_close(&f);
	}
	return 0;
}
