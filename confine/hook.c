/* SPDX-License-Identifier: Apache-2.0
 * confine/hook.c - misbehaviour on request; see hook.h. An attempt that the jail should have stopped and did not is answered with
 * nonsense, so that a test sees it. */
#include "confine/hook.h"
#include "base/io.h"
#include "confine/frames.h"
#include "confine/frames_wire.h"
#include "confine/wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK = 64 << 10, BLOCK = 1 << 20 };

static bool awake;
static uint64_t memory_limit;

void tap_hook_init(uint64_t memory)
{
	const char *v = getenv("TAP_PARSE_HOOK");

	awake = v != NULL && strcmp(v, "1") == 0;
	memory_limit = memory;
}

static void say(const void *p, size_t n)
{
	(void)send(TAP_WIRE_FD, p, n, MSG_NOSIGNAL);
}

static bool do_garbage(void)
{
	unsigned char nonsense[4096];

	memset(nonsense, 0xa5, sizeof nonsense);
	say(nonsense, sizeof nonsense);
	return true;
}

static bool do_abort(void)
{
	abort();
}

static bool do_stall(void)
{
	volatile unsigned spin = 0;

	while (awake)
		spin++;
	return true;
}

/* The pages are touched. With sanitizers there is no limit to run into, so the end is played. */
static bool do_exhaust(void)
{
	for (uint64_t got = 0; got <= memory_limit; got += BLOCK) {
		volatile char *p = malloc(BLOCK);

		if (p == NULL)
			break;
		for (size_t i = 0; i < BLOCK; i += 4096)
			p[i] = 1;
	}
	abort();
}

/* The head of a result frame, and then nothing more: the caller must not wait for ever. */
static bool do_trickle(void)
{
	static const unsigned char head[] = {20, 0, 0, 0, TAP_FRAME_RESULT, 0};

	say(head, sizeof head);
	return true;
}

/* The result of a parser that ran out of memory and could still say so. */
static bool do_starve(void)
{
	static const char text[] = "out of memory";
	enum { WHY = 13 }; /* where the reason stands in the body */
	unsigned char frame[TAP_FRAME_HEAD + WHY + 4 + sizeof text - 1] = {0};

	tap_frame_put_u32(frame, sizeof frame - TAP_FRAME_HEAD);
	frame[4] = TAP_FRAME_RESULT;
	frame[5] = TAP_E_TEMP;
	tap_frame_put_u32(frame + TAP_FRAME_HEAD + WHY, sizeof text - 1);
	memcpy(frame + TAP_FRAME_HEAD + WHY + 4, text, sizeof text - 1);
	say(frame, sizeof frame);
	return true;
}

/* Refused like any path: the message is then read as usual. */
static bool do_open(void)
{
	struct tap_err err;
	int fd;

	if (tap_io_open(AT_FDCWD, "/etc/passwd", O_RDONLY, 0, &fd, NULL, &err) == TAP_OK)
		return do_garbage();
	return false;
}

/* The next three do not come back in a shut jail; where only an error is returned, that is taken for death. */
static bool do_socket(void)
{
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0)
		return do_garbage();
	abort();
}

static bool do_fork(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child > 0)
		return do_garbage();
	abort();
}

static bool do_exec(void)
{
	char *const argv[] = {(char[]){"true"}, NULL};

	(void)execv("/bin/true", argv);
	abort();
}

/* The message's own descriptor is the next one after the socket: no way of writing into it may be open. */
static bool do_map(void)
{
	volatile char *p = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, TAP_WIRE_FD + 1, 0);

	if (p == MAP_FAILED)
		abort();
	p[0] = '!';
	return do_garbage();
}

static bool do_write(void)
{
	struct tap_err err;

	if (tap_io_pwrite(TAP_WIRE_FD + 1, "!", 1, 0, NULL, &err) == TAP_OK)
		return do_garbage();
	abort();
}

static const struct {
	const char *word;
	bool (*run)(void);
} hooks[] = {
    {"abort", do_abort},     {"stall", do_stall},     {"exhaust", do_exhaust},
    {"garbage", do_garbage}, {"trickle", do_trickle}, {"open", do_open},
    {"socket", do_socket},   {"fork", do_fork},	      {"exec", do_exec},
    {"starve", do_starve},   {"map", do_map},	      {"write", do_write},
};

bool tap_hook_run(int fd, uint64_t off, uint64_t len)
{
	static const char name[] = "\nX-Dmarctap-Test: ";
	static char text[LOOK + 1];
	struct tap_err err;
	const char *at;
	size_t got = 0;

	if (!awake ||
	    tap_io_pread(fd, text + 1, len < LOOK ? (size_t)len : LOOK, off, &got, &err) != TAP_OK)
		return false;
	text[0] = '\n';
	at = memmem(text, got + 1, name, sizeof name - 1);
	if (at == NULL)
		return false;
	at += sizeof name - 1;
	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
		size_t n = strlen(hooks[i].word);

		if ((size_t)(text + got + 1 - at) > n && memcmp(at, hooks[i].word, n) == 0 &&
		    (at[n] == '\r' || at[n] == '\n'))
			return hooks[i].run();
	}
	return false;
}
