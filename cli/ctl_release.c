/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_release.c - `dmarctapctl quarantine release`: a message goes to a mailbox through the mail server's sendmail program. The
 * operator's process starts that, never the worker; the message is not changed. Only when sendmail has taken it is it removed:
 * a crash between the two leaves it in both places. */
#include "base/fault.h"
#include "base/io.h"
#include "cli/ctl_kept.h"
#include "intake/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

const struct ctl_option ctl_release_options[] = {
    {"to", "ADDRESS", "the mailbox; default reports.not_report_address"},
    {"keep", NULL, "leave it in quarantine all the same"},
    {"offline", NULL, "while the worker is stopped: remove it here, as the worker's user"},
    {NULL, NULL, NULL}};

/* An address that is passed as an argument: no option, no control character, no blank. */
static bool fit(const char *address)
{
	for (const char *p = address; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return address[0] != '\0' && address[0] != '-';
}

static enum tap_rc copy_out(const struct tap_spool_file *f, int to, struct tap_err *err)
{
	static char piece[PIECE];
	enum tap_rc rc = TAP_OK;

	for (uint64_t off = 0; rc == TAP_OK && off < f->message_len;) {
		uint64_t left = f->message_len - off;
		size_t got = 0;

		rc = tap_spool_file_read(f, f->message_off + off, piece,
					 left < sizeof(piece) ? (size_t)left : sizeof(piece), &got,
					 err);
		if (rc == TAP_OK && got == 0)
			rc = tap_err_set(err, TAP_E_DATA, "the file is cut");
		if (rc == TAP_OK)
			rc = tap_io_pwrite(to, piece, got, off, NULL, err);
		off += got;
	}
	return rc;
}

static enum tap_rc run(const char *program, const char *sender, const char *address, int message,
		       struct tap_err *err)
{
	char *const argv[] = {(char *)(uintptr_t)program,
			      (char *)(uintptr_t) "-i",
			      (char *)(uintptr_t) "-f",
			      (char *)(uintptr_t)sender,
			      (char *)(uintptr_t) "--",
			      (char *)(uintptr_t)address,
			      NULL};
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LC_ALL=C";
	char *const env[] = {path, lang, NULL};
	posix_spawn_file_actions_t files;
	int e, status = 0;
	pid_t pid;

	(void)posix_spawn_file_actions_init(&files);
	e = posix_spawn_file_actions_adddup2(&files, message, 0);
	if (e == 0)
		e = posix_spawn(&pid, program, &files, NULL, argv, env);
	(void)posix_spawn_file_actions_destroy(&files);
	if (e != 0)
		return tap_err_sys(err, TAP_E_TEMP, e, "reports.sendmail %s", program);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return tap_err_sys(err, TAP_E_TEMP, errno, "%s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TAP_OK;
	return tap_err_set(err, TAP_E_TEMP, "%s did not take the message (%s %d): it stays",
			   program, WIFEXITED(status) ? "exit status" : "signal",
			   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static enum tap_rc send_message(const struct tap_reports_settings *reports, int dir, const char *id,
				const char *address, struct tap_err *err)
{
	char name[TAP_SPOOL_NAME];
	struct tap_spool_file f;
	int copy = -1;
	enum tap_rc rc;

	(void)snprintf(name, sizeof(name), "%.32s.tap", id);
	rc = tap_spool_file_open(dir, name, &f, err);
	if (rc == TAP_E_NOTFOUND)
		return tap_err_set(err, rc, "there is no message %s in quarantine", id);
	if (rc != TAP_OK)
		return rc;
	rc = tap_io_tmpfile(NULL, &copy, err);
	if (rc == TAP_OK)
		rc = copy_out(&f, copy, err);
	if (rc == TAP_OK) {
		const char *sender = f.envelope.sender;

		if (lseek(copy, 0, SEEK_SET) != 0)
			rc = tap_err_sys(err, TAP_E_TEMP, errno, "release");
		else
			rc = run(reports->sendmail, sender != NULL && fit(sender) ? sender : "<>",
				 address, copy, err);
	}
	tap_io_close(&copy);
	tap_spool_file_close(&f);
	return rc;
}

int ctl_quarantine_release(struct ctl *c)
{
	const char *address = ctl_get(c, "to"), *id = c->arg[0];
	struct tap_reports_settings reports;
	struct tap_spool_settings spool;
	struct tap_err err = {0};
	int root = -1, dir = -1;
	enum tap_rc rc = ctl_section(c, &tap_reports_section, &reports, &err);

	if (rc == TAP_OK)
		rc = ctl_section(c, &tap_spool_section, &spool, &err);
	if (rc == TAP_OK && address == NULL)
		address = reports.not_report_address;
	if (rc == TAP_OK && (strlen(id) != TAP_SPOOL_ID || address == NULL || !fit(address))) {
		(void)fputs("dmarctapctl: an id of 32 hexadecimal digits and an address (--to, or "
			    "reports.not_report_address) are needed\n",
			    stderr);
		return CTL_USAGE;
	}
	if (rc == TAP_OK)
		rc = tap_spool_root(&spool, &root, &err);
	if (rc == TAP_OK)
		rc = tap_io_opendir(root, tap_spool_quarantine, 0, &dir, &err);
	if (rc == TAP_OK)
		rc = send_message(&reports, dir, id, address, &err);
	tap_io_close(&dir);
	tap_io_close(&root);
	if (rc != TAP_OK)
		return ctl_fail(&err);
	(void)tap_fault("release.sent");
	(void)fputs("sent to ", stdout);
	ctl_print_text(address);
	(void)putchar('\n');
	return ctl_has(c, "keep") ? CTL_OK : ctl_kept_drop(c, id);
}
