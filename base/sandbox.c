/* SPDX-License-Identifier: Apache-2.0
 * base/sandbox.c - see sandbox.h. */
#include "base/sandbox_priv.h"

#include "base/log.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static enum tap_rc look_up(const char *user, uid_t *uid_r, gid_t *gid_r, struct tap_err *err)
{
	size_t n = 16384;

	for (;;) {
		char *text = malloc(n);
		if (!text)
			abort();
		struct passwd pw, *found = NULL;
		int e = getpwnam_r(user, &pw, text, n, &found);
		if (e == 0 && found) {
			*uid_r = pw.pw_uid;
			*gid_r = pw.pw_gid;
		}
		free(text);
		if (e == ERANGE && n < 1 << 20) {
			n *= 2;
			continue;
		}
		if (e != 0 && e != ENOENT)
			return tap_err_sys(err, TAP_E_CONFIG, e, "cannot look up the user %s",
					   user);
		if (!found)
			return tap_err_set(err, TAP_E_CONFIG, "there is no user %s", user);
		return TAP_OK;
	}
}

/* Every one of the three ids, and no way back. */
static int holds(uid_t uid, gid_t gid)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) != 0 || getresgid(&rg, &eg, &sg) != 0)
		return 0;
	if (ru != uid || eu != uid || su != uid || rg != gid || eg != gid || sg != gid)
		return 0;
	return uid == 0 || (setuid(0) != 0 && seteuid(0) != 0);
}

enum tap_rc tap_sandbox_become(const char *user, struct tap_err *err)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (!user || geteuid() != 0)
		return TAP_OK;
	enum tap_rc rc = look_up(user, &uid, &gid, err);
	if (rc)
		return rc;
	if (initgroups(user, gid) != 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "cannot take the groups of %s", user);
	if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "cannot become %s", user);
	if (!holds(uid, gid))
		return tap_err_set(err, TAP_E_CONFIG, "could not become %s for good", user);
	return TAP_OK;
}

static enum tap_rc harden(bool new_privileges, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;
	struct rlimit none = {0, 0};

	if (!new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "cannot give up new privileges");
	if (prctl(PR_SET_DUMPABLE, TAP_SANDBOX_SANITIZED, 0, 0, 0) != 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "cannot refuse tracing");
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		rc = tap_err_sys(err, TAP_E_TEMP, errno, "cannot refuse core dumps");
	return rc;
}

enum tap_rc tap_sandbox_harden(struct tap_err *err)
{
	return harden(false, err);
}

/* ---- the profile ---- */

static const struct tap_setting rows[] = {
    TAP_ROW_BOOL("enabled", tap_sandbox_settings, enabled, 0, "yes",
		 "Whether the programs shut themselves in: a filter of system calls, and Landlock "
		 "where the kernel has it, for doors, worker, page and parser processes. no is for "
		 "kernels that misbehave; every start then says so."),
    TAP_ROW_LIST(
	"read", tap_sandbox_settings, read, 0, NULL,
	"Files and directories that the programs may read besides /etc, /usr, the spool and "
	"the store; for secrets and included files that lie elsewhere."),
    TAP_ROW_LIST(
	"write", tap_sandbox_settings, write, 0, NULL,
	"Files and directories that the programs may write besides those of the spool, the "
	"store and the outputs."),
    {.name = NULL},
};

static enum tap_rc absolute(const struct tap_list *l, const char *name, struct tap_err *err)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->item[i][0] != '/')
			return tap_err_set(err, TAP_E_CONFIG, "%s: \"%s\" is no absolute path",
					   name, l->item[i]);
	}
	return TAP_OK;
}

static enum tap_rc check(const void *set, struct tap_err *err)
{
	const struct tap_sandbox_settings *s = set;
	enum tap_rc rc = absolute(&s->read, "read", err);

	return rc ? rc : absolute(&s->write, "write", err);
}

const struct tap_section tap_sandbox_section = {
    .name = "sandbox",
    .doc = "What the programs may not do, whatever their users may.",
    .table = rows,
    .struct_size = sizeof(struct tap_sandbox_settings),
    .check = check,
};

/* One for the process, like the level of the log. */
static bool wanted = true;

bool tap_sandbox_enabled(void)
{
	return wanted;
}

static void allow_n(struct tap_sandbox *box, const char *path, size_t n, unsigned use)
{
	struct tap_landlock_rule *rule = &box->rule[box->n];

	if (box->n == TAP_SANDBOX_PATHS) {
		tap_warn(box->program, "too many paths: %.*s stays closed", (int)n, path);
		return;
	}
	rule->path = strndup(path, n);
	if (!rule->path)
		abort();
	rule->use = use;
	box->n++;
}

void tap_sandbox_allow(struct tap_sandbox *box, const char *path, unsigned use)
{
	if (path)
		allow_n(box, path, strlen(path), use);
}

void tap_sandbox_allow_parent(struct tap_sandbox *box, const char *path, unsigned use)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (path && !slash)
		allow_n(box, ".", 1, use);
	else if (slash)
		allow_n(box, path, slash == path ? 1 : (size_t)(slash - path), use);
}

/* Libraries, names of users and hosts, certificates, the zone of the time, the null device. /run: what the resolver's files point to. */
static const struct tap_landlock_rule common[] = {
    {"/usr", TAP_USE_READ},	    {"/lib", TAP_USE_READ},
    {"/lib64", TAP_USE_READ},	    {"/etc", TAP_USE_READ},
    {"/run/systemd", TAP_USE_READ}, {"/run/resolvconf", TAP_USE_READ},
    {"/run/nscd", TAP_USE_READ},    {"/sys/devices/system/cpu", TAP_USE_READ},
    {"/dev/null", TAP_USE_WRITE},   {"/dev/urandom", TAP_USE_READ},
    {"/dev/random", TAP_USE_READ},
};

void tap_sandbox_begin(struct tap_sandbox *box, const struct tap_sandbox_settings *set)
{
	struct tap_err err;

	wanted = set->enabled;
	box->enabled = set->enabled && !box->starts_privileged;
	if (harden(box->starts_privileged, &err) != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, box->program, &err);
	if (!set->enabled)
		tap_warn(
		    box->program,
		    "SANDBOX IS SWITCHED OFF (sandbox.enabled = no): this program and its parser "
		    "processes may do whatever their user may");
	else if (box->starts_privileged)
		tap_info(
		    box->program,
		    "mail is forwarded, so this program keeps the right to start a sendmail that "
		    "has privileges, and has no sandbox; its parser processes have theirs");
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		tap_sandbox_allow(box, common[i].path, common[i].use);
	/* The reports of a sanitizer read there, its tests write there. */
	tap_sandbox_allow(box, TAP_SANDBOX_SANITIZED ? "/proc" : NULL, TAP_USE_READ);
	tap_sandbox_allow(box, TAP_SANDBOX_SANITIZED ? "/tmp" : NULL, TAP_USE_WRITE);
	for (size_t i = 0; i < set->read.n; i++)
		tap_sandbox_allow(box, set->read.item[i], TAP_USE_READ);
	for (size_t i = 0; i < set->write.n; i++)
		tap_sandbox_allow(box, set->write.item[i], TAP_USE_WRITE);
}

static enum tap_rc shut(const struct tap_sandbox *box, struct tap_err *err)
{
	int version = tap_landlock_version();
	enum tap_rc rc =
	    tap_landlock_enter(box->rule, box->n, box->net == TAP_NET_CONNECT, false, err);

	if (!rc)
		rc = tap_sandbox_filter(box->net, err);
	if (rc) {
		tap_err_prefix(err, "sandbox (sandbox.enabled = no goes on without): ");
		return rc;
	}
	if (version == 0)
		tap_warn(box->program, "this kernel has no Landlock that is of use: files are kept "
				       "from this program by its user's rights only");
	if (!tap_sandbox_can_filter())
		tap_warn(box->program, "no filter of system calls is known for this processor");
	tap_info(box->program, "sandbox: system calls %s, Landlock %d",
		 tap_sandbox_can_filter() ? "filtered" : "not filtered", version);
	return TAP_OK;
}

void tap_sandbox_drop(struct tap_sandbox *box)
{
	for (size_t i = 0; i < box->n; i++)
		free((char *)(uintptr_t)box->rule[i].path);
	box->n = 0;
}

enum tap_rc tap_sandbox_enter(struct tap_sandbox *box, struct tap_err *err)
{
	enum tap_rc rc = box->enabled ? shut(box, err) : TAP_OK;

	tap_sandbox_drop(box);
	if (!rc)
		tap_sandbox_probe(box->program);
	return rc;
}
