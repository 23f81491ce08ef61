/* SPDX-License-Identifier: Apache-2.0
 * base/settings_file.h - a loaded file, inside base only. Ownership: as in settings.h. Threads: read-only after load.
 * libconfig's types go by their tags, so that its header stays in the .c files. */
#ifndef TAP_BASE_SETTINGS_FILE_H
#define TAP_BASE_SETTINGS_FILE_H

#include "base/settings_value.h"

struct config_t;
struct config_setting_t;

struct tap_settings {
	struct config_t *cfg;
	char *path; /* NULL = no file */
	char *dir;  /* of path: where libconfig seeks what is included by a relative name */
	struct config_setting_t *outputs; /* the list, or NULL */
	struct tap_owned *owned;
};

/* A file's full name from what libconfig calls it (NULL = the file itself); the caller frees it with g_free. */
char *tap_settings_file_name(const struct tap_settings *s, const char *file);
/* Puts "FILE:LINE: " in front of err's text; at NULL names the file alone. Returns TAP_E_CONFIG. */
enum tap_rc tap_settings_at(const struct tap_settings *s, const struct config_setting_t *at,
			    struct tap_err *err);
/* Fills out from group (NULL = defaults alone). label = what messages call it. A driver's group may hold type and name too. */
enum tap_rc tap_settings_fill(struct tap_settings *s, struct config_setting_t *group,
			      const struct tap_section *sec, const char *label, bool driver,
			      void *out, struct tap_err *err);

#endif
