/* SPDX-License-Identifier: Apache-2.0
 * base/landlock.c - see landlock.h. The numbers are the kernel's (include/uapi/linux/landlock.h); the system's header may be older than
 * the kernel, so they stand here. */
#include "base/landlock.h"

#include "base/io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every processor. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { ASK_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_VERSION_2 = (1 << 14) - 1,
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,	/* version 3 */
	FS_IOCTL_DEV = 1 << 15, /* version 5 */
	/* What can be allowed for a path that is no directory. */
	FS_OF_FILE = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};
enum { NET_CONNECT_TCP = 2 };		/* version 4 */
enum { SCOPE_ABSTRACT_AND_SIGNAL = 3 }; /* version 6 */

struct ruleset {
	uint64_t fs, net, scoped;
};
struct path_rule {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

static const struct {
	unsigned use;
	unsigned access;
} meanings[] = {
    {TAP_USE_LIST, FS_READ_DIR},
    {TAP_USE_READ, FS_READ_DIR | FS_READ_FILE},
    {TAP_USE_RUN, FS_READ_FILE | FS_EXECUTE},
    {TAP_USE_WRITE, FS_READ_DIR | FS_READ_FILE | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
			FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE},
    {TAP_USE_SOCKET, FS_MAKE_SOCK | FS_REMOVE_FILE},
};

int tap_landlock_version(void)
{
	long v = syscall(CREATE_RULESET, NULL, (size_t)0, ASK_VERSION);

	return v < TAP_LANDLOCK_LEAST ? 0 : v > 100 ? 100 : (int)v;
}

static unsigned handled(int version)
{
	return FS_VERSION_2 | (version >= 3 ? FS_TRUNCATE : 0U) |
	       (version >= 5 ? FS_IOCTL_DEV : 0U);
}

static enum tap_rc add(int set, const struct tap_landlock_rule *r, unsigned known,
		       struct tap_err *err)
{
	struct path_rule rule = {.access = 0, .fd = -1};
	struct stat st;
	unsigned access = 0;
	int fd = -1;

	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		access |= (r->use & meanings[i].use) != 0 ? meanings[i].access : 0U;
	if (tap_io_open(AT_FDCWD, r->path, O_PATH, 0, &fd, NULL, NULL) != TAP_OK)
		return TAP_OK;
	if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
		access &= FS_OF_FILE;
	rule.access = access & known;
	rule.fd = fd;
	long rc = rule.access == 0 ? 0 : syscall(ADD_RULE, set, RULE_PATH_BENEATH, &rule, 0);
	int e = errno;
	tap_io_close(&fd);
	return rc == 0 ? TAP_OK
		       : tap_err_sys(err, TAP_E_CONFIG, e, "landlock_add_rule %s", r->path);
}

enum tap_rc tap_landlock_enter(const struct tap_landlock_rule *rules, size_t n, bool connect,
			       bool alone, struct tap_err *err)
{
	int version = tap_landlock_version();
	struct ruleset r = {.fs = handled(version)};
	enum tap_rc rc = TAP_OK;

	if (version == 0)
		return TAP_OK;
	if (version >= 4 && !connect)
		r.net = NET_CONNECT_TCP;
	if (version >= 6 && alone)
		r.scoped = SCOPE_ABSTRACT_AND_SIGNAL;
	/* An older kernel takes the longer struct as long as what it does not know is zero. */
	int set = (int)syscall(CREATE_RULESET, &r, sizeof r, 0);
	if (set < 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "landlock_create_ruleset");
	for (size_t i = 0; i < n && rc == TAP_OK; i++)
		rc = add(set, &rules[i], (unsigned)r.fs, err);
	if (rc == TAP_OK && syscall(RESTRICT_SELF, set, 0) != 0)
		rc = tap_err_sys(err, TAP_E_CONFIG, errno, "landlock_restrict_self");
	tap_io_close(&set);
	return rc;
}
