/* SPDX-License-Identifier: Apache-2.0
 * confine/warm.c - loads what would otherwise be opened lazily, which the jail forbids. */
#include "confine/warm.h"
#include "base/source.h"
#include "parser/parser.h"

#include <iconv.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* Character sets that mail programs write. A set that is not here is read as if it were unknown. */
static const char *const charsets[] = {
    "US-ASCII",	    "ISO-8859-1",   "ISO-8859-2",   "ISO-8859-3",   "ISO-8859-4",   "ISO-8859-5",
    "ISO-8859-6",   "ISO-8859-7",   "ISO-8859-8",   "ISO-8859-9",   "ISO-8859-10",  "ISO-8859-11",
    "ISO-8859-13",  "ISO-8859-14",  "ISO-8859-15",  "ISO-8859-16",  "WINDOWS-1250", "WINDOWS-1251",
    "WINDOWS-1252", "WINDOWS-1253", "WINDOWS-1254", "WINDOWS-1255", "WINDOWS-1256", "WINDOWS-1257",
    "WINDOWS-1258", "WINDOWS-874",  "UTF-16",	    "UTF-16LE",	    "UTF-16BE",	    "UTF-32",
    "UTF-7",	    "KOI8-R",	    "KOI8-U",	    "GB2312",	    "GBK",	    "GB18030",
    "BIG5",	    "BIG5-HKSCS",   "SHIFT_JIS",    "CP932",	    "ISO-2022-JP",  "EUC-JP",
    "EUC-KR",	    "UHC",	    "ISO-2022-KR",  "EUC-TW",	    "TIS-620",	    "MACINTOSH",
    "IBM437",	    "IBM850",	    "IBM852",	    "IBM866",
};

/* One report in a zip and one in a gzip file, so that each library has opened what it opens. */
static const char sample[] =
    "From: warm@example.org\r\n"
    "To: reports@example.org\r\n"
    "Subject: =?windows-1252?Q?Report_domain=3A_example=2Eorg?=\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"b\"\r\n"
    "\r\n"
    "--b\r\n"
    "Content-Type: text/plain; charset=windows-1252\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "=80\r\n"
    "--b\r\n"
    "Content-Type: application/zip; name=\"a.zip\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename*=iso-8859-1''a.zip\r\n"
    "\r\n"
    "UEsDBBQAAAAIAAAAIVyAgVj6NwEAAH0CAAAFAAAAYS54bWx9ks9uwjAMxl8F9U5DkSaBZMKu\r\n"
    "O+2wB6hC4xaL5o+SFNiefu7aQiuknWJ/Tj7/4gSOd9OurhgiOXvIinyTrdBWTpNtDtnH1+d6\r\n"
    "t3vbr4vsKKFG1CdVXSQE9C6k0mBSWiUlwYWmtMqgvKlgQDxSQKOoleod78r4FnOugBjEyYW0\r\n"
    "/CEP4pkCm2IZlG3Y4YQNWVmAGAJAq+WWPXgBMd8oXqi8a6n6Ln13aimesTd23NrKBc2ogZfW\r\n"
    "WQTh2er1ZMDKhX51NwnRdaHCkrws9tt8k29z5nuKULnOpp55CCYQvKq2Y+IehKJ3kRJPfWw7\r\n"
    "V0BfyEivYmS9DyH6WtY8NW7D0QNw5ij+yEijTVQTP6iEMyqNoayDM8srzwsgFmdUl85lwNi1\r\n"
    "KQ5t/x3asHNEG5OJcWklpgmKxz/6BVBLAQIUAxQAAAAIAAAAIVyAgVj6NwEAAH0CAAAFAAAA\r\n"
    "AAAAAAAAAACAAQAAAABhLnhtbFBLBQYAAAAAAQABADMAAABaAQAAAAA=\r\n"
    "--b\r\n"
    "Content-Type: application/gzip; name=\"a.xml.gz\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "H4sIAAAAAAACA32Sz27CMAzGXwX1TkORJoFkzK477bAHqELjlojmj5IU2J5+7tpCK6SdYn9O\r\n"
    "Pv/iBI53066uFKJ29pAV+SZbka2c0rY5ZB9fn+vd7m2/LrIjQk2kTrK6IATyLqTSUJJKJong\r\n"
    "QlNaaQhvMhgQjxTISN2ifKe7NL6lnCsgBnFy0QqbH+1BPHNgVyqDtA1bnKjRFgsQQwBkFW7Z\r\n"
    "hBcQ843iBcu7Vlffpe9OrY5n6o0d97a4wBk18GidJRCerV5PBqpc6Fd3Q4iuCxWV2mOx3+ab\r\n"
    "fJsz31OEynU29cxDMIHQVbYdE/cgOnoXdeKxj23nCqiLNuhljKz3IURfY81j4zYcPQBnjuKP\r\n"
    "TCuySdeaXxThTFJRKOvgzPLK8wKIxRnZpXMZKHZtikPbf4c27BzRxmRiXFqJaYLi8ZF+Abog\r\n"
    "RPd+AgAA\r\n"
    "--b--\r\n";

/* The descriptors stay open on purpose: the C library unloads a converter that nobody holds. */
static void load_converters(void)
{
	for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++) {
		/* One that this system does not have is only unknown. */
		(void)iconv_open("UTF-8", charsets[i]);
		(void)iconv_open(charsets[i], "UTF-8");
	}
}

enum tap_rc tap_warm_up(struct tap_err *err)
{
	const struct tap_parse_options opt = {.filename = "warm.eml", .payload = true};
	struct tap_parse_result res = {0};
	struct tap_source src;
	enum tap_rc rc;

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	tzset();
	load_converters();
	tap_source_mem(&src, sample, sizeof sample - 1);
	rc = tap_parse(&src, &opt, NULL, NULL, &res, err);
	if (rc != TAP_OK)
		return tap_err_prefix(err, "the built-in report: ");
	if (res.verdict != TAP_V_REPORT || res.reports != 2 || res.broken != 0)
		return tap_err_set(err, TAP_E_CONFIG, "the built-in report was not understood: %s",
				   res.why);
	return TAP_OK;
}
