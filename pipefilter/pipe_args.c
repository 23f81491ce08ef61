/* SPDX-License-Identifier: Apache-2.0
 * pipefilter/pipe_args.c - see pipe_args.h. */
#include "pipefilter/pipe_args.h"

#include <getopt.h>
#include <string.h>

/* Postfix writes the null sender so, where null_sender is not set; other mail servers <> or nothing. */
static const char *sender_of(const char *s)
{
	return strcmp(s, "<>") == 0 || strcmp(s, "MAILER-DAEMON") == 0 ? "" : s;
}

enum tap_rc tap_pipe_args_parse(int argc, char **argv, bool set_id, struct tap_pipe_args *a,
				struct tap_err *err)
{
	int c;

	memset(a, 0, sizeof(*a));
	opterr = 0; /* the first words that we print must be our answer */
	while ((c = getopt(argc, argv, "+:f:q:a:c:hV")) != -1) {
		switch (c) {
		case 'f': a->sender = sender_of(optarg); break;
		case 'q': a->queue_id = optarg; break;
		case 'a': a->client = optarg; break;
		case 'c': a->config = optarg; break;
		case 'h': a->job = TAP_PIPE_HELP; break;
		case 'V': a->job = TAP_PIPE_VERSION; break;
		case ':': return tap_err_set(err, TAP_E_CONFIG, "option -%c needs a value", optopt);
		default: return tap_err_set(err, TAP_E_CONFIG, "there is no option -%c", optopt);
		}
	}
	if (a->config && set_id)
		return tap_err_set(err, TAP_E_CONFIG,
				   "-c is not for a program that is set-group-id: it reads %s",
				   tap_settings_default_path);
	a->recipients = (const char *const *)argv + optind;
	a->n_recipients = optind < argc ? (size_t)(argc - optind) : 0;
	return TAP_OK;
}

static const char from[] = "From ";

static void take_sender(struct tap_pipe_from *f)
{
	const char *p = f->line + sizeof(from) - 1, *end = f->line + f->n;
	size_t k = 0;

	while (p < end && *p == ' ')
		p++;
	while (p + k < end && p[k] != ' ' && p[k] != '\t' && p[k] != '\r' && p[k] != '\n')
		k++;
	memcpy(f->sender, p, k);
	f->sender[k] = '\0';
	f->had_line = true;
	if (!sender_of(f->sender)[0])
		f->sender[0] = '\0';
}

size_t tap_pipe_from_feed(struct tap_pipe_from *f, const char *p, size_t n, size_t *give_r)
{
	size_t i = 0;

	*give_r = 0;
	while (i < n && !f->known) {
		bool whole = f->n >= sizeof(from) - 1;

		if ((!whole && p[i] != from[f->n]) || f->n + 1 >= sizeof(f->line)) {
			f->known = true; /* an ordinary message: give back what was held */
			*give_r = f->n;
			break;
		}
		f->line[f->n++] = p[i++];
		if (whole && f->line[f->n - 1] == '\n') {
			take_sender(f);
			f->known = true;
			break;
		}
	}
	return i;
}

size_t tap_pipe_from_end(struct tap_pipe_from *f)
{
	return f->known ? 0 : f->n;
}
