/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/io.h"
#include "base/net.h"
#include "base/sandbox.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void unix_sockets(void **state)
{
	struct tap_err e;
	struct stat st;
	uid_t uid = 1;
	gid_t gid = 1;
	int l, c, second;
	mode_t old = umask(077);

	(void)state;
	const char *path = in_dir("sock");
	assert_int_equal(tap_net_connect_unix(path, &c, &e), TAP_E_NOTFOUND);
	assert_int_equal(tap_net_listen_unix(path, 0660, &l, &e), TAP_OK);
	umask(old);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_true(fcntl(l, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(tap_net_connect_unix(path, &c, &e), TAP_OK);
	int a = accept(l, NULL, NULL);
	assert_true(a >= 0);
	assert_int_equal(tap_net_peer(a, &uid, &gid, &e), TAP_OK);
	assert_int_equal(uid, geteuid());
	assert_int_equal(gid, getegid());
	tap_io_close(&a);
	tap_io_close(&c);
	/* Somebody listens: hands off. */
	assert_int_equal(tap_net_listen_unix(path, 0660, &second, &e), TAP_E_CONFIG);
	assert_has(e.msg, "another process has it");
	assert_int_equal(second, -1);
	tap_io_close(&l);
	/* Nobody does any more: replaced. */
	char prefixed[200];
	snprintf(prefixed, sizeof prefixed, "unix:%s", path);
	assert_int_equal(tap_net_listen_unix(prefixed, 0600, &l, &e), TAP_OK);
	assert_int_equal(tap_net_connect_unix(prefixed, &c, &e), TAP_OK);
	tap_io_close(&c);
	tap_io_close(&l);
}

static void refused(void **state)
{
	struct tap_err e;
	char path[200];
	int fd;

	(void)state;
	put_file(in_dir("file"), "precious");
	assert_int_equal(tap_net_listen_unix(in_dir("file"), 0600, &fd, &e), TAP_E_CONFIG);
	assert_has(e.msg, "not a socket");
	assert_int_equal(access(in_dir("file"), F_OK), 0);
	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	assert_int_equal(tap_net_listen_unix(path, 0600, &fd, &e), TAP_E_CONFIG);
	assert_int_equal(tap_net_connect_unix("", &fd, &e), TAP_E_CONFIG);
	assert_int_equal(tap_net_listen_unix(in_dir("no/sock"), 0600, &fd, &e), TAP_E_CONFIG);
	assert_has(e.msg, "No such file");
}

static void tcp(void **state)
{
	static const char *const forms[] = {"127.0.0.1:0", "inet:0@127.0.0.1", "localhost:0",
					    "*:0"};
	struct tap_err e;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		unsigned port = 0;
		int l;
		assert_int_equal(tap_net_listen_tcp(forms[i], &l, &port, &e), TAP_OK);
		assert_true(port > 0 && port < 65536);
		struct sockaddr_storage a;
		socklen_t n = sizeof a;
		assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
		int c = socket(a.ss_family, SOCK_STREAM, 0);
		assert_int_equal(connect(c, (struct sockaddr *)&a, n), 0);
		close(c);
		/* The port is taken now. */
		char again[64];
		int second;
		snprintf(again, sizeof again, "127.0.0.1:%u", port);
		assert_int_equal(tap_net_listen_tcp(again, &second, NULL, &e), TAP_E_CONFIG);
		assert_has(e.msg, again);
		tap_io_close(&l);
	}
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = {"",
					  "80",
					  ":80",
					  "127.0.0.1:",
					  "::1:80",
					  "inet:@h",
					  "inet:80@",
					  "127.0.0.1:99999999999999999999999999999999",
					  "127.0.0.1:http!"};
	struct tap_err e;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (tap_net_listen_tcp(bad[i], &fd, NULL, &e) != TAP_E_CONFIG)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(fd, -1);
	}
}

static int hardened(void)
{
	struct rlimit r;

	MUST(tap_sandbox_harden(NULL) == TAP_OK);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_max == 0);
#ifndef TAP_SANITIZED
	MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
	return 0;
}

static int becomes_nobody(void)
{
	struct tap_err e;
	struct passwd *pw = getpwnam("nobody");
	gid_t groups[64];

	MUST(pw);
	uid_t uid = pw->pw_uid;
	gid_t gid = pw->pw_gid;
	if (geteuid() != 0) { /* then nothing happens */
		uid = geteuid();
		gid = getegid();
	}
	MUST(tap_sandbox_become("nobody", &e) == TAP_OK);
	MUST(getuid() == uid && geteuid() == uid && getegid() == gid);
	int n = getgroups(64, groups);
	for (int i = 0; i < n && uid == pw->pw_uid; i++)
		MUST(groups[i] != 0);
	/* No longer root: asking for more is no error and does nothing. */
	MUST(tap_sandbox_become("root", &e) == TAP_OK);
	MUST(geteuid() == uid);
	return 0;
}

static int unknown_user(void)
{
	struct tap_err e = {0};
	enum tap_rc rc = tap_sandbox_become("no-such-user-here", &e);

	MUST(rc == (geteuid() == 0 ? TAP_E_CONFIG : TAP_OK));
	MUST(geteuid() != 0 || strstr(e.msg, "no-such-user-here"));
	MUST(tap_sandbox_become(NULL, &e) == TAP_OK);
	return 0;
}

static void sandbox(void **state)
{
	(void)state;
	assert_int_equal(in_child(NULL, hardened), 0);
	assert_int_equal(in_child(NULL, becomes_nobody), 0);
	assert_int_equal(in_child(NULL, unknown_user), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unix_sockets),  cmocka_unit_test(refused), cmocka_unit_test(tcp),
	    cmocka_unit_test(bad_addresses), cmocka_unit_test(sandbox),
	};
	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
