/* SPDX-License-Identifier: Apache-2.0
 * base/settings_value.h - one value of a settings table, text to value, value to text: for base alone. tap_nearest is for whoever
 * refuses a name (daemon/sink_config.c: the type of an output).
 * Ownership: strings that a value points to are added to `owned` and live as long as that does. Knows nothing of libconfig.
 * Threads: no shared state. */
#ifndef TAP_BASE_SETTINGS_VALUE_H
#define TAP_BASE_SETTINGS_VALUE_H

#include "base/settings.h"

struct tap_owned; /* what a loaded file's strings hang on */
struct tap_owned *tap_owned_new(void);
void tap_owned_free(struct tap_owned **o); /* wipes, as secrets are among them */
char *tap_owned_strndup(struct tap_owned *o, const char *s, size_t n);

/* Reads text as the row's type into the member at `at`. The error's text starts with what is wrong, without place or name. */
enum tap_rc tap_value_read(struct tap_owned *o, const struct tap_setting *row, const char *text,
			   void *at, struct tap_err *err) TAP_MUST_CHECK;
/* The row's default, zero when it has none. */
enum tap_rc tap_value_default(struct tap_owned *o, const struct tap_setting *row, void *at,
			      struct tap_err *err) TAP_MUST_CHECK;
/* A list given as n texts. */
enum tap_rc tap_value_read_list(struct tap_owned *o, const struct tap_setting *row,
				const char *const *text, size_t n, void *at,
				struct tap_err *err) TAP_MUST_CHECK;
/* In file syntax. */
void tap_value_print(const struct tap_setting *row, const void *at, struct tap_buf *out);
/* Nothing was given and there is no default. */
bool tap_value_unset(const struct tap_setting *row, const void *at);
/* The one of n names that is closest to name by edit distance; NULL when n = 0. */
const char *tap_nearest(const char *name, const char *const *names, size_t n);
/* A top-level name of the file, as opposed to a driver's type. */
bool tap_settings_known(const char *name);

#endif
