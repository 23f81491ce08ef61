/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/lmtp_command.h - arguments of LMTP commands, taken apart. Pure. Threads: no state. */
#ifndef TAP_PIPEFILTER_LMTP_COMMAND_H
#define TAP_PIPEFILTER_LMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tap_lmtp_syntax {
	TAP_LMTP_GOOD,
	TAP_LMTP_WRONG,	     /* 501 */
	TAP_LMTP_PARAMETER,  /* 555: a parameter that is not offered */
	TAP_LMTP_NEEDS_UTF8, /* 553: bytes over 127 without SMTPUTF8 */
};
struct tap_lmtp_path {
	char path[1024 + 1]; /* without <> */
	uint64_t size;	     /* MAIL SIZE=; 0 = not said */
	bool utf8;	     /* MAIL SMTPUTF8 */
};
/* text: what stands behind "MAIL " or "RCPT ". utf8: as MAIL said (for RCPT). The path is checked for its form only: brackets, quotes,
 * no blanks outside of quotes, at most 1024 bytes, valid UTF-8. */
enum tap_lmtp_syntax tap_lmtp_read_mail(const char *text, struct tap_lmtp_path *out);
enum tap_lmtp_syntax tap_lmtp_read_rcpt(const char *text, bool utf8, struct tap_lmtp_path *out);
/* Behind "BDAT ": a size, and perhaps LAST. */
enum tap_lmtp_syntax tap_lmtp_read_bdat(const char *text, uint64_t *size_r, bool *last_r);
bool tap_lmtp_valid_utf8(const char *s);

#endif
