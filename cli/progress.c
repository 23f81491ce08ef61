/* SPDX-License-Identifier: Apache-2.0
 * cli/progress.c - see progress.h. */
#include "cli/progress.h"

#include "base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DRAW_MS = 200, FIRST_MS = 500, LINE = 256, BAR = 20 };

void tap_progress_start(struct tap_progress *p, bool on, uint64_t total)
{
	*p = (struct tap_progress){.on = on, .total = total, .began_ms = tap_clock_mono_ms()};
	p->next_ms = p->began_ms + FIRST_MS; /* what is quick needs no bar */
}

/* "12.3 MB" */
static void amount(double bytes, char out[24])
{
	static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
	size_t i = 0;

	while (bytes >= 999.5 && i + 1 < sizeof unit / sizeof *unit) {
		bytes /= 1000;
		i++;
	}
	(void)snprintf(out, 24, i > 0 && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes, unit[i]);
}

/* "0:07", "12:34", "1:02:03" */
static void duration(uint64_t s, char out[32])
{
	if (s >= 3600)
		(void)snprintf(out, 32, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
			       (unsigned)(s % 60));
	else
		(void)snprintf(out, 32, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static void bar(double part, char out[BAR + 3])
{
	size_t full = (size_t)(part * BAR);

	out[0] = '[';
	memset(out + 1, ' ', BAR);
	memset(out + 1, '#', full < BAR ? full : BAR);
	memcpy(out + 1 + BAR, "]", 2);
}

size_t tap_progress_line(const struct tap_progress *p, int64_t now_ms, size_t width, char *out,
			 size_t n)
{
	double seconds = (double)(now_ms - p->began_ms) / 1000;
	double rate = seconds > 0 ? (double)p->done / seconds : 0;
	char done[24], total[24], speed[24], left[32] = "", graph[BAR + 3];
	int len;

	amount((double)p->done, done);
	amount(rate, speed);
	if (p->total > 0) {
		double part = p->done < p->total ? (double)p->done / (double)p->total : 1;

		amount((double)p->total, total);
		bar(part, graph);
		if (rate > 0 && p->done < p->total)
			duration((uint64_t)((double)(p->total - p->done) / rate) + 1, left);
		else
			duration(0, left);
		len = snprintf(out, n, "%s %3.0f%%  %s of %s  %s/s  %s left  %" PRIu64 " reports",
			       graph, part * 100, done, total, speed, left, p->reports);
	} else {
		len = snprintf(out, n, "%s  %s/s  %" PRIu64 " reports", done, speed, p->reports);
	}
	if (len < 0)
		len = 0;
	if ((size_t)len >= n)
		len = (int)n - 1;
	/* The last column stays free: some terminals begin a new line after it. */
	if ((size_t)len >= width)
		len = width > 1 ? (int)width - 1 : 0;
	out[len] = '\0';
	return (size_t)len;
}

static void draw(struct tap_progress *p, int64_t now_ms)
{
	struct winsize size = {0};
	char line[LINE];

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		size.ws_col = 80;
	(void)tap_progress_line(p, now_ms, size.ws_col, line, sizeof line);
	(void)fprintf(stderr, "\r%s\033[K", line);
	(void)fflush(stderr);
	p->drawn = true;
}

void tap_progress_add(struct tap_progress *p, uint64_t bytes, uint64_t reports)
{
	int64_t now;

	p->done += bytes;
	p->reports += reports;
	if (!p->on)
		return;
	now = tap_clock_mono_ms();
	if (now < p->next_ms)
		return;
	p->next_ms = now + DRAW_MS;
	draw(p, now);
}

void tap_progress_clear(struct tap_progress *p)
{
	if (!p->drawn)
		return;
	(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	p->drawn = false;
}
