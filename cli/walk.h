/* SPDX-License-Identifier: Apache-2.0
 * cli/walk.h - from an argument of the command line to the files that it means: a name, a pattern, a Maildir, a directory. Reads
 * directories and looks at files; opens none of them.
 * Order: arguments as given, what a pattern matches and what a directory holds by name (bytes). Of a Maildir new comes before cur, and
 * tmp never. In a walk names that begin with a dot (but for sub-folders of a Maildir), symbolic links to directories, and what is no
 * regular file are left out. Memory grows with the names of one directory and those above it.
 * Threads: one user at a time. Errors: what the visitor returns. */
#ifndef TAP_CLI_WALK_H
#define TAP_CLI_WALK_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum tap_walk_kind {
	TAP_WALK_NAMED,	  /* the user named it: anything that can be opened */
	TAP_WALK_FOUND,	  /* found in a directory: a regular file           */
	TAP_WALK_MAILDIR, /* in new or cur of a Maildir                     */
};
struct tap_walk_visitor {
	enum tap_rc (*file)(void *ctx, const char *path, enum tap_walk_kind kind,
			    struct tap_err *err);
	/* What cannot be looked into, and why. */
	enum tap_rc (*refuse)(void *ctx, const char *path, const struct tap_err *why,
			      struct tap_err *err);
	void *ctx;
	bool recursive;
};
enum tap_rc tap_walk(const char *argument, const struct tap_walk_visitor *v,
		     struct tap_err *err) TAP_MUST_CHECK;
/* Where a mail of a Maildir went that is no longer called path: its flags were changed, or it was moved from new to cur. The new path
 * (the caller frees it), or NULL: it is gone. */
char *tap_walk_maildir_find(const char *path);

#endif
