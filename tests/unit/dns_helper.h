/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/dns_helper.h - tests/servers/dnsserver.py as a child of a test, and a resolver that asks it alone. */
#ifndef DNS_HELPER_H
#define DNS_HELPER_H

#include "base_helper.h"

#include "base/arena.h"
#include "base/clock.h"
#include "enrich/resolver.h"

#include <fcntl.h>

#ifdef TAP_SANITIZED
enum { SLOW = 8 };
#else
enum { SLOW = 1 };
#endif
enum { DNS_OPTIONS = 8 };

struct dns_server {
	pid_t pid;
	int in; /* closing it ends the server */
	int port;
	char address[32];
};

static inline struct dns_server dns_start(const char *zone, const char *const *options)
{
	struct dns_server s = {0};
	const char *source = getenv("TAP_SOURCE");
	const char *path = in_dir("zone");
	char program[512];
	const char *argv[DNS_OPTIONS + 4] = {"python3", program, path};
	int in[2], out[2];
	char line[32] = "";

	put_file(path, zone);
	snprintf(program, sizeof program, "%s/tests/servers/dnsserver.py", source ? source : ".");
	for (size_t i = 0; options && options[i]; i++)
		argv[3 + i] = options[i];
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	s.pid = fork();
	if (s.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv("/usr/bin/python3", (char *const *)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s.in = in[1];
	for (size_t n = 0; n < sizeof line - 1 && !strchr(line, '\n'); n++)
		assert_int_equal(read(out[0], line + n, 1), 1);
	close(out[0]);
	s.port = atoi(line);
	assert_true(s.port > 0);
	snprintf(s.address, sizeof s.address, "127.0.0.1:%d", s.port);
	return s;
}

static inline void dns_stop(struct dns_server *s)
{
	close(s->in);
	waitpid(s->pid, NULL, 0);
}

static inline struct tap_resolver *dns_open(char *const *servers, size_t n, int64_t timeout_ms)
{
	struct tap_dns_settings set = {.nameservers = {(char **)servers, n},
				       .timeout_ms = timeout_ms,
				       .tries = 8,
				       .in_flight = 800,
				       .query_private = true};
	struct tap_resolver *r = NULL;
	struct tap_err err = {0};

	if (tap_resolver_open(&set, &r, &err))
		fail_msg("%s", err.msg);
	return r;
}

static inline struct tap_dns_answer dns_ask(struct tap_resolver *r, struct tap_arena *a,
					    const char *name, enum tap_dns_type type, bool confirm)
{
	struct tap_dns_question q = {name, type, confirm};
	struct tap_dns_answer answer;
	struct tap_err err = {0};

	if (tap_resolver_batch(r, &q, 1, 0, a, &answer, &err))
		fail_msg("%s", err.msg);
	return answer;
}

/* How many questions the server has seen; asked past the resolver's statistics. */
static inline int dns_count(const struct dns_server *s)
{
	char *one[] = {(char *)s->address};
	struct tap_resolver *r = dns_open(one, 1, 5000);
	struct tap_arena *a = tap_arena_new(1 << 16);
	struct tap_dns_answer answer = dns_ask(r, a, "count.control", TAP_DNS_TXT, false);
	int n;

	assert_int_equal(answer.state, TAP_DNS_ANSWER);
	n = atoi(answer.string[0]);
	tap_arena_free(&a);
	tap_resolver_free(&r);
	return n;
}

#endif
