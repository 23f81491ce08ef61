/* SPDX-License-Identifier: Apache-2.0
 * cli/options.c - see options.h. */
#include "cli/options.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum id {
	O_HELP,
	O_OUTPUT,
	O_RECURSIVE,
	O_JOBS,
	O_MBOXRD,
	O_STRIP,
	O_NO_GUARD,
	O_AUTHSERV,
	O_OWN_HOST,
	O_DOMAIN,
	O_TRUSTED,
	O_OFFLINE,
	O_NAMESERVERS,
	O_TIMEOUT,
	O_COMPAT,
	O_LOCAL,
	O_SILENT,
	O_NO_PROGRESS,
	O_DEBUG,
	O_VERSION
};
struct option {
	enum id id;
	char letter;			/* 0 = long form only */
	const char *name, *value, *doc; /* no doc: another name of the one before */
	size_t flag; /* where the bool of it lies in struct tap_cli_options; 0 = it is none */
};
#define FLAG(member) offsetof(struct tap_cli_options, member)
static const struct option options[] = {
    {O_HELP, 'h', "help", NULL, "show this help and exit", FLAG(help)},
    {O_OUTPUT, 'o', "output", "DIR",
     "write JSON and CSV files, and the samples, into this directory", 0},
    {O_RECURSIVE, 0, "recursive", NULL,
     "read directories and all below them, and sub-folders of a Maildir", FLAG(recursive)},
    {O_JOBS, 'j', "jobs", "N", "read N mails or files at once; the output stays the same", 0},
    {O_MBOXRD, 0, "mboxrd", NULL,
     "take one > from every >From line of an mbox (else only once a >>From was seen)",
     FLAG(mboxrd)},
    {O_STRIP, 0, "strip-attachment-payloads", NULL,
     "attachments of samples: name, size and hash only", FLAG(strip_payloads)},
    {O_NO_GUARD, 0, "no-csv-guard", NULL, "CSV: no apostrophe before what a spreadsheet would run",
     FLAG(no_csv_guard)},
    {O_AUTHSERV, 0, "authserv-id", "ID",
     "believe Authentication-Results of this name, our own mail server's (repeatable)", 0},
    {O_OWN_HOST, 0, "own-host", "HOST", "another name in Received fields of our own (repeatable)",
     0},
    {O_DOMAIN, 0, "domain", "DOMAIN",
     "reports about other domains are marked as foreign (repeatable)", 0},
    {O_TRUSTED, 0, "trusted-only", NULL,
     "leave out reports that are not trusted (needs --authserv-id)", FLAG(trusted_only)},
    {O_OFFLINE, 0, "offline", NULL, "ask no DNS server; sources have no names", FLAG(offline)},
    {O_NAMESERVERS, 'n', "nameservers", "NS",
     "DNS servers to ask: one or more addresses, or system (default: Cloudflare's)", 0},
    {O_TIMEOUT, 't', "timeout", "SECONDS", "how long a DNS server has to answer (default 2.0)", 0},
    {O_TIMEOUT, 0, "dns_timeout", "SECONDS", NULL, 0},
    {O_COMPAT, 0, "compat", "FORM",
     "parsedmarc4: exactly the documented shape of parsedmarc 4, local time included", 0},
    {O_LOCAL, 0, "local-time", NULL, "print times in the host's time zone instead of UTC",
     FLAG(local_time)},
    {O_SILENT, 's', "silent", NULL, "print only errors and warnings", FLAG(silent)},
    {O_NO_PROGRESS, 0, "no-progress", NULL, "no progress bar, even on a terminal",
     FLAG(no_progress)},
    {O_DEBUG, 0, "debug", NULL, "tell on standard error what was repaired or ignored", FLAG(debug)},
    {O_VERSION, 'v', "version", NULL, "show the version and exit", FLAG(version)},
};
enum { N_OPTIONS = sizeof options / sizeof *options, NAME_MAX_LEN = 32 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to add, remove or replace to get from a to b; names longer than NAME_MAX_LEN are far from everything. */
static size_t distance(const char *a, size_t na, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], nb = strlen(b);

	if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t above = row[j];

			row[j] =
			    least(least(row[j], row[j - 1]) + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[nb];
}

static enum tap_rc unknown_long(const char *name, size_t n, struct tap_err *err)
{
	const struct option *best = &options[0];

	for (size_t i = 1; i < N_OPTIONS; i++)
		if (distance(name, n, options[i].name) < distance(name, n, best->name))
			best = &options[i];
	return tap_err_set(err, TAP_E_CONFIG, "unknown option --%.*s; the nearest is --%s",
			   (int)least(n, 100), name, best->name);
}

static enum tap_rc read_jobs(struct tap_cli_options *o, const char *value, struct tap_err *err)
{
	unsigned n = 0;
	const char *p = value;

	for (; *p >= '0' && *p <= '9' && n <= TAP_CLI_JOBS_MAX; p++)
		n = n * 10 + (unsigned)(*p - '0');
	if (p == value || *p != '\0' || n < 1 || n > TAP_CLI_JOBS_MAX)
		return tap_err_set(err, TAP_E_CONFIG, "--jobs needs a number from 1 to %d",
				   TAP_CLI_JOBS_MAX);
	o->jobs = n;
	return TAP_OK;
}

static enum tap_rc add_name(struct tap_cli_list *list, const struct option *opt, const char *value,
			    struct tap_err *err)
{
	if (*value == '\0')
		return tap_err_set(err, TAP_E_CONFIG, "--%s needs a value: %s", opt->name,
				   opt->value);
	list->item[list->n++] = value;
	return TAP_OK;
}

enum { TIMEOUT_LEAST = 50, TIMEOUT_MOST = 60000 };

/* "2", "2.0", "0.25"; what is less than a millisecond is cut off. */
static enum tap_rc read_timeout(struct tap_cli_options *o, const char *value, struct tap_err *err)
{
	int64_t ms = 0, unit = 1000;
	bool point = false, digit = false;
	const char *p = value;

	for (; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		digit = true;
		if (!point && ms <= TIMEOUT_MOST)
			ms = ms * 10 + (*p - '0') * 1000;
		else if (point)
			ms += (*p - '0') * (unit /= 10);
	}
	if (!digit || *p != '\0' || ms < TIMEOUT_LEAST || ms > TIMEOUT_MOST)
		return tap_err_set(err, TAP_E_CONFIG, "--timeout needs seconds from 0.05 to 60");
	o->timeout_ms = ms;
	return TAP_OK;
}

/* ADDRESS, IPV4:PORT, [ADDRESS]:PORT or "system". */
static bool is_nameserver(const char *s)
{
	unsigned char address[sizeof(struct in6_addr)];
	char text[64];
	size_t n = *s == '[' ? strcspn(s, "]") : strlen(s);
	const char *colon = strchr(s, ':');

	if (strcmp(s, "system") == 0)
		return true;
	if (*s == '[')
		s++, n--;
	else if (colon != NULL && strchr(colon + 1, ':') == NULL)
		n = (size_t)(colon - s);
	if (n == 0 || n >= sizeof text)
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* One, and those that follow as arguments of their own: a file of such a name needs "./" before it. */
static enum tap_rc add_nameservers(struct tap_cli_options *o, const char *value, char **argv,
				   int *i, struct tap_err *err)
{
	if (!is_nameserver(value))
		return tap_err_set(err, TAP_E_CONFIG,
				   "--nameservers needs addresses, or \"system\": %.100s", value);
	o->nameservers.item[o->nameservers.n++] = value;
	while (argv[*i + 1] != NULL && is_nameserver(argv[*i + 1]))
		o->nameservers.item[o->nameservers.n++] = argv[++*i];
	return TAP_OK;
}

static enum tap_rc apply(struct tap_cli_options *o, const struct option *opt, const char *value,
			 char **argv, int *i, struct tap_err *err)
{
	if (opt->flag != 0) {
		*(bool *)((char *)o + opt->flag) = true;
		return TAP_OK;
	}
	switch (opt->id) {
	case O_OUTPUT:
		if (*value == '\0')
			return tap_err_set(err, TAP_E_CONFIG, "--output needs a directory");
		o->output = value;
		return TAP_OK;
	case O_COMPAT:
		if (strcmp(value, "parsedmarc4") != 0)
			return tap_err_set(
			    err, TAP_E_CONFIG,
			    "unknown form --compat %.100s; the nearest is parsedmarc4", value);
		o->compat4 = true;
		return TAP_OK;
	case O_JOBS: return read_jobs(o, value, err);
	case O_NAMESERVERS: return add_nameservers(o, value, argv, i, err);
	case O_TIMEOUT: return read_timeout(o, value, err);
	case O_AUTHSERV: return add_name(&o->authserv_ids, opt, value, err);
	case O_OWN_HOST: return add_name(&o->own_hosts, opt, value, err);
	case O_DOMAIN: return add_name(&o->domains, opt, value, err);
	default: return TAP_OK;
	}
}

/* The value of opt: what is attached, else the next argument. */
static enum tap_rc value_of(const struct option *opt, const char *attached, char **argv, int *i,
			    const char **value_r, struct tap_err *err)
{
	if (attached != NULL) {
		*value_r = attached;
		return TAP_OK;
	}
	if (argv[*i + 1] == NULL)
		return tap_err_set(err, TAP_E_CONFIG, "--%s needs a value: %s", opt->name,
				   opt->value);
	*value_r = argv[++*i];
	return TAP_OK;
}

static enum tap_rc read_long(char **argv, int *i, struct tap_cli_options *o, struct tap_err *err)
{
	const char *name = argv[*i] + 2, *equals = strchr(name, '='), *value = "";
	size_t n = equals != NULL ? (size_t)(equals - name) : strlen(name);

	for (size_t k = 0; k < N_OPTIONS; k++) {
		const struct option *opt = &options[k];
		enum tap_rc rc = TAP_OK;

		if (strlen(opt->name) != n || strncmp(opt->name, name, n) != 0)
			continue;
		if (opt->value == NULL && equals != NULL)
			return tap_err_set(err, TAP_E_CONFIG, "--%s takes no value", opt->name);
		if (opt->value != NULL)
			rc =
			    value_of(opt, equals != NULL ? equals + 1 : NULL, argv, i, &value, err);
		return rc != TAP_OK ? rc : apply(o, opt, value, argv, i, err);
	}
	return unknown_long(name, n, err);
}

static const struct option *by_letter(char letter)
{
	for (size_t k = 0; k < N_OPTIONS; k++)
		if (options[k].letter != 0 && options[k].letter == letter)
			return &options[k];
	return NULL;
}

/* "-s", "-sv", "-oDIR", "-o DIR". */
static enum tap_rc read_letters(char **argv, int *i, struct tap_cli_options *o, struct tap_err *err)
{
	const char *p = argv[*i] + 1;

	for (; *p != '\0'; p++) {
		const struct option *opt = by_letter(*p);
		const char *value = "";
		enum tap_rc rc = TAP_OK;

		if (opt == NULL)
			return tap_err_set(err, TAP_E_CONFIG,
					   "unknown option -%c; see dmarctap --help", *p);
		if (opt->value != NULL)
			rc = value_of(opt, p[1] != '\0' ? p + 1 : NULL, argv, i, &value, err);
		if (rc == TAP_OK)
			rc = apply(o, opt, value, argv, i, err);
		if (rc != TAP_OK || opt->value != NULL)
			return rc;
	}
	return TAP_OK;
}

static enum tap_rc check(const struct tap_cli_options *o, struct tap_err *err)
{
	if (o->help || o->version)
		return TAP_OK;
	if (o->n_file == 0)
		return tap_err_set(err, TAP_E_CONFIG, "no file given");
	if (o->trusted_only && o->authserv_ids.n == 0)
		return tap_err_set(err, TAP_E_CONFIG, "--trusted-only needs --authserv-id");
	return TAP_OK;
}

static enum tap_rc read_arguments(int argc, char **argv, struct tap_cli_options *o,
				  struct tap_err *err)
{
	bool only_files = false;

	for (int i = 1; i < argc; i++) {
		enum tap_rc rc = TAP_OK;

		if (only_files || argv[i][0] != '-' || argv[i][1] == '\0')
			o->file[o->n_file++] = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			only_files = true;
		else if (argv[i][1] == '-')
			rc = read_long(argv, &i, o, err);
		else
			rc = read_letters(argv, &i, o, err);
		if (rc != TAP_OK)
			return rc;
	}
	return check(o, err);
}

enum tap_rc tap_cli_options_read(int argc, char **argv, struct tap_cli_options *o,
				 struct tap_err *err)
{
	size_t n = (size_t)argc;
	const char **names = calloc(4 * n + 1, sizeof *names);
	enum tap_rc rc;

	memset(o, 0, sizeof *o);
	if (names == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	o->file = argv;
	o->jobs = 1;
	o->authserv_ids.item = names;
	o->own_hosts.item = names + n;
	o->domains.item = names + 2 * n;
	o->nameservers.item = names + 3 * n;
	rc = read_arguments(argc, argv, o, err);
	if (rc != TAP_OK)
		tap_cli_options_free(o);
	return rc;
}

void tap_cli_options_free(struct tap_cli_options *o)
{
	free(o->authserv_ids.item);
	memset(o, 0, sizeof *o);
}

void tap_cli_options_help(FILE *to)
{
	(void)fputs(
	    "usage: dmarctap [options] FILE...\n\n"
	    "Reads DMARC aggregate and failure reports and SMTP TLS reports and prints them "
	    "as JSON.\nFILE: a mail, an mbox, a Maildir, a report as it is or packed, a "
	    "pattern of names; - is standard input.\n\n",
	    to);
	for (size_t k = 0; k < N_OPTIONS; k++) {
		const struct option *opt = &options[k];
		char left[80];

		if (opt->doc == NULL)
			continue;
		(void)snprintf(left, sizeof left, "%s%c%s--%s%s%s", opt->letter != 0 ? "-" : " ",
			       opt->letter != 0 ? opt->letter : ' ', opt->letter != 0 ? ", " : "  ",
			       opt->name, opt->value != NULL ? " " : "",
			       opt->value != NULL ? opt->value : "");
		(void)fprintf(to, "  %-29s %s\n", left, opt->doc);
	}
	(void)fputs("\nExit status: 0 all was read; 1 something was not (named on standard error) "
		    "or could not be written; "
		    "2 usage.\n",
		    to);
}
