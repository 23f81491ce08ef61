/* SPDX-License-Identifier: Apache-2.0
 * cli/ctl_print.c - texts of strangers on a terminal. */
#include "cli/ctl.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Code point and length of the UTF-8 character at p; 0 = it is none. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *c_r)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80   ? 1
		     : p[0] < 0xc2 ? 0
		     : p[0] < 0xe0 ? 2
		     : p[0] < 0xf0 ? 3
		     : p[0] < 0xf5 ? 4
				   : 0;
	uint32_t c = len < 2 ? p[0] : p[0] & (0x7fu >> len);

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	*c_r = c;
	return c < least[len] || c > 0x10ffff ? 0 : len;
}

/* Controls, surrogates, and marks that change the direction of the text around them. */
static const struct {
	uint32_t from, to;
} unsafe[] = {{0, 0x1f},	{0x7f, 0x9f},	  {0x200e, 0x200f}, {0x2028, 0x202e},
	      {0x2066, 0x2069}, {0xd800, 0xdfff}, {0xfeff, 0xfeff}};

/* Length of the character at p when it is safe to print, else 0. */
static size_t printable(const unsigned char *p, size_t n, bool keep_lines)
{
	uint32_t c = 0;
	size_t len = decode(p, n, &c);

	if (keep_lines && (c == '\n' || c == '\t'))
		return len;
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		if (c >= unsafe[i].from && c <= unsafe[i].to)
			return 0;
	return len;
}

void ctl_print_safe(const char *s, size_t n, bool keep_lines)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < n;) {
		size_t len = printable(p + i, n - i, keep_lines);

		if (keep_lines && len == 0 && p[i] == '\r' && i + 1 < n && p[i + 1] == '\n') {
			i++;
			continue;
		}
		if (len > 0)
			(void)fwrite(p + i, 1, len, stdout);
		else
			(void)printf("\\x%02x", p[i]);
		i += len > 0 ? len : 1;
	}
}

void ctl_print_text(const char *s)
{
	ctl_print_safe(s, strlen(s), false);
}
