/* SPDX-License-Identifier: Apache-2.0
 * dashboard/assets.h - the files of the page, embedded into the program when it is built (embed.py writes the table).
 * Threads: constant data. */
#ifndef TAP_DASHBOARD_ASSETS_H
#define TAP_DASHBOARD_ASSETS_H

#include <stddef.h>

struct tap_asset {
	const char *path; /* "/assets/app.js"; NULL ends the table */
	const char *type; /* Content-Type */
	const char *etag; /* with its quotes, from the SHA-256 of the bytes */
	const unsigned char *bytes;
	size_t len;
};
extern const struct tap_asset tap_assets[];

#endif
