/* SPDX-License-Identifier: Apache-2.0
 * milter/callbacks.c - see callbacks.h. The context of libmilter is that of the mail server's side of the session too. */
#include "milter/callbacks.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/net.h"
#include "milter/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

_Static_assert(TAP_CAN_ADDHDRS == SMFIF_ADDHDRS && TAP_CAN_DELRCPT == SMFIF_DELRCPT &&
		   TAP_CAN_CHGHDRS == SMFIF_CHGHDRS && TAP_CAN_SETSYMLIST == SMFIF_SETSYMLIST,
	       "actions as on the wire");
_Static_assert(TAP_STEP_NOHELO == SMFIP_NOHELO && TAP_STEP_NR_HDR == SMFIP_NR_HDR &&
		   TAP_STEP_NOUNKNOWN == SMFIP_NOUNKNOWN && TAP_STEP_NODATA == SMFIP_NODATA &&
		   TAP_STEP_SKIP == SMFIP_SKIP && TAP_STEP_NR_CONN == SMFIP_NR_CONN &&
		   TAP_STEP_NR_MAIL == SMFIP_NR_MAIL && TAP_STEP_NR_EOH == SMFIP_NR_EOH &&
		   TAP_STEP_HDR_LEADSPC == SMFIP_HDR_LEADSPC,
	       "steps as on the wire");

enum { BACKLOG = 128, GRACE_MS = 5000, DRAIN_MS = 20000, DRAIN_STEP_MS = 20 };

/* libmilter hands no pointer of ours to its callbacks before there is a connection. */
static struct tap_intake *_Atomic the_intake;
static atomic_int sessions; /* connections that have been negotiated */
static atomic_int busy;	    /* messages for us between DATA and their answer */
static atomic_int ending;   /* of these, at their end: being judged and made durable */

static sfsistat answer(enum tap_answer a)
{
	static const sfsistat of[TAP_ANSWER_N] = {
	    [TAP_ANSWER_CONTINUE] = SMFIS_CONTINUE, [TAP_ANSWER_NOREPLY] = SMFIS_NOREPLY,
	    [TAP_ANSWER_ACCEPT] = SMFIS_ACCEPT,	    [TAP_ANSWER_SKIP] = SMFIS_SKIP,
	    [TAP_ANSWER_DISCARD] = SMFIS_DISCARD,   [TAP_ANSWER_TEMPFAIL] = SMFIS_TEMPFAIL,
	    [TAP_ANSWER_REJECT] = SMFIS_REJECT,
	};
	return of[a];
}

/* ---- what the session asks of the mail server ---- */

/* libmilter's prototypes lack const; it only reads these strings. */
static char *loose(const char *s)
{
	union {
		const char *in;
		char *out;
	} u = {s};

	return u.out;
}

static const char *mta_macro(void *ctx, const char *name)
{
	return smfi_getsymval(ctx, loose(name));
}

static bool mta_set_reply(void *ctx, int code, const char *dsn, const char *text)
{
	char c[8], clean[512];

	snprintf(c, sizeof(c), "%d", code);
	tap_session_reply_text(text, clean, sizeof(clean));
	return smfi_setreply(ctx, c, loose(dsn), clean) == MI_SUCCESS;
}

static bool mta_add_header(void *ctx, const char *name, const char *value)
{
	return smfi_addheader(ctx, loose(name), loose(value)) == MI_SUCCESS;
}

static bool mta_drop_header(void *ctx, const char *name, int index)
{
	return smfi_chgheader(ctx, loose(name), index, NULL) == MI_SUCCESS;
}

static bool mta_drop_recipient(void *ctx, const char *path)
{
	return smfi_delrcpt(ctx, loose(path)) == MI_SUCCESS;
}

static const struct tap_session_mta mta = {
    .macro = mta_macro,
    .set_reply = mta_set_reply,
    .add_header = mta_add_header,
    .drop_header = mta_drop_header,
    .drop_recipient = mta_drop_recipient,
};

/* ---- events ----
 * libmilter lets a peer that never negotiated come as far as MAIL: then there is no session, and the answer is "later". */

/* Keeps count of messages under way: was = before the event. */
static void count_busy(const struct tap_session *s, bool was)
{
	bool is = s && tap_session_busy(s);

	if (is != was)
		atomic_fetch_add(&busy, is ? 1 : -1);
}

/* Without a list of ours the mail server sends its own with every stage, and looks each of those up: for some Postfix has to ask
 * another process. Client and sender come with their events, so one stage is left. Postfix takes an empty list for none at all;
 * hence a name that nobody defines. A stage whose list cannot be set keeps the server's. */
static void choose_macros(SMFICTX *ctx)
{
	static const int stages[] = {SMFIM_CONNECT, SMFIM_HELO, SMFIM_ENVFROM,
				     SMFIM_ENVRCPT, SMFIM_DATA, SMFIM_EOH};

	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		(void)smfi_setsymlist(ctx, stages[i], loose("{dmarctap_none}"));
	(void)smfi_setsymlist(ctx, SMFIM_EOM, loose("i {auth_authen}"));
}

void tap_milter_use(struct tap_intake *in)
{
	atomic_store(&the_intake, in);
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2,
			     unsigned long f3, unsigned long *p0, unsigned long *p1,
			     unsigned long *p2, unsigned long *p3)
{
	struct tap_intake *in = atomic_load(&the_intake); /* this connection's to its end */
	struct tap_session *s;

	(void)f2;
	(void)f3;
	tap_session_negotiate(f0, f1, p0, p1);
	*p2 = *p3 = 0;
	if (tap_intake_reports(in)->consume && !(*p0 & TAP_CAN_DELRCPT))
		tap_warn("milter",
			 "the mail server does not let a recipient be taken off: mail with others "
			 "besides the report address is copied");
	if (*p0 & TAP_CAN_SETSYMLIST)
		choose_macros(ctx);
	s = tap_session_new(in, &mta, ctx, *p0, *p1);
	if (!s || smfi_setpriv(ctx, s) != MI_SUCCESS) {
		tap_session_free(&s);
		return SMFIS_TEMPFAIL;
	}
	atomic_fetch_add(&sessions, 1);
	return SMFIS_CONTINUE;
}

/* The peer's address as text, and its port; local mail has neither. */
static const char *address_of(const struct sockaddr *sa, char *out, socklen_t n, unsigned *port_r)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	*port_r = 0;
	if (!sa)
		return NULL;
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		*port_r = ntohs(in.sin_port);
		return inet_ntop(AF_INET, &in.sin_addr, out, n);
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		*port_r = ntohs(in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			return inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, out, n);
		return inet_ntop(AF_INET6, &in6.sin6_addr, out, n);
	}
	return NULL;
}

static sfsistat on_connect(SMFICTX *ctx, char *name, struct sockaddr *sa)
{
	char text[INET6_ADDRSTRLEN];
	unsigned port;
	const char *address = address_of(sa, text, sizeof(text), &port);
	struct tap_session *s = smfi_getpriv(ctx);

	if (!s)
		return SMFIS_TEMPFAIL;
	/* For mail of sendmail(1) Postfix gives its own address with port 0, Sendmail none. */
	return answer(tap_session_connect(s, name, address, !address || port == 0));
}

/* What every event of a message does around the session's answer. False: there is no session. */
struct event {
	struct tap_session *s;
	bool was; /* busy before it */
};

static bool enter(SMFICTX *ctx, struct event *e)
{
	e->s = smfi_getpriv(ctx);
	e->was = e->s && tap_session_busy(e->s);
	return e->s != NULL;
}

static sfsistat leave(const struct event *e, enum tap_answer a)
{
	count_busy(e->s, e->was);
	return answer(a);
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_mail(e.s, argv[0])) : SMFIS_TEMPFAIL;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_rcpt(e.s, argv[0])) : SMFIS_TEMPFAIL;
}

static sfsistat on_data(SMFICTX *ctx)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_data(e.s)) : SMFIS_TEMPFAIL;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_header(e.s, name, value)) : SMFIS_TEMPFAIL;
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_eoh(e.s)) : SMFIS_TEMPFAIL;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *p, size_t n)
{
	struct event e;

	return enter(ctx, &e) ? leave(&e, tap_session_body(e.s, p, n)) : SMFIS_TEMPFAIL;
}

static sfsistat on_eom(SMFICTX *ctx)
{
	struct event e;
	sfsistat r;

	if (!enter(ctx, &e))
		return SMFIS_TEMPFAIL;
	atomic_fetch_add(&ending, 1);
	r = leave(&e, tap_session_eom(e.s));
	atomic_fetch_sub(&ending, 1);
	return r;
}

static sfsistat on_abort(SMFICTX *ctx)
{
	struct tap_session *s = smfi_getpriv(ctx);
	bool was = s && tap_session_busy(s);

	if (s)
		tap_session_abort(s);
	count_busy(s, was);
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct tap_session *s = smfi_getpriv(ctx);
	bool was = s && tap_session_busy(s);

	if (!s)
		return SMFIS_CONTINUE;
	tap_session_free(&s);
	smfi_setpriv(ctx, NULL);
	count_busy(NULL, was);
	atomic_fetch_sub(&sessions, 1);
	return SMFIS_CONTINUE;
}

/* ---- the program's side ---- */

/* A socket that somebody listens on is another milter's; a file that is no socket is not ours to remove. */
static enum tap_rc check_stale(const char *path, struct tap_err *err)
{
	struct tap_err why = {0};
	struct stat st;
	int fd = -1;

	if (lstat(path, &st) != 0)
		return TAP_OK; /* whatever is wrong with the path is said when it is bound */
	if (!S_ISSOCK(st.st_mode))
		return tap_err_set(err, TAP_E_CONFIG, "milter.socket: %s is there and is no socket",
				   path);
	/* Only "refused" says that nobody listens. One that we may not speak to is somebody's all the same. */
	if (tap_net_connect_unix(path, &fd, &why) != TAP_OK)
		return why.sys_errno == ECONNREFUSED || why.sys_errno == ENOENT
			   ? TAP_OK
			   : tap_err_set(err, TAP_E_CONFIG, "milter.socket: %s", why.msg);
	tap_io_close(&fd);
	return tap_err_set(err, TAP_E_CONFIG, "milter.socket: another program listens on %s", path);
}

enum tap_rc tap_milter_listen(struct tap_intake *in, const char *socket, mode_t mode,
			      struct tap_err *err)
{
	const char *path = tap_milter_unix_path(socket);
	struct smfiDesc desc = {
	    .xxfi_name = loose("dmarctap"),
	    .xxfi_version = SMFI_VERSION,
	    .xxfi_flags = SMFIF_ADDHDRS | SMFIF_DELRCPT | SMFIF_CHGHDRS | SMFIF_SETSYMLIST,
	    .xxfi_connect = on_connect,
	    .xxfi_envfrom = on_mail,
	    .xxfi_envrcpt = on_rcpt,
	    .xxfi_header = on_header,
	    .xxfi_eoh = on_eoh,
	    .xxfi_body = on_body,
	    .xxfi_eom = on_eom,
	    .xxfi_abort = on_abort,
	    .xxfi_close = on_close,
	    .xxfi_data = on_data,
	    .xxfi_negotiate = on_negotiate,
	};
	enum tap_rc rc = path ? check_stale(path, err) : TAP_OK;
	mode_t old;
	int r;

	if (rc)
		return rc;
	tap_milter_use(in);
	if (smfi_register(desc) != MI_SUCCESS || smfi_setconn(loose(socket)) != MI_SUCCESS ||
	    smfi_setbacklog(BACKLOG) != MI_SUCCESS)
		return tap_err_set(err, TAP_E_CONFIG, "milter.socket: libmilter refuses %s",
				   socket);
	old = umask(0777 & ~mode);
	errno = 0;
	r = smfi_opensocket(true);
	umask(old);
	if (r != MI_SUCCESS)
		return errno ? tap_err_sys(err, TAP_E_CONFIG, errno,
					   "milter.socket: cannot listen on %s", socket)
			     : tap_err_set(err, TAP_E_CONFIG, "milter.socket: cannot listen on %s",
					   socket);
	return TAP_OK;
}

/* libmilter looks for a stop when its wait for connections returns, which takes up to five seconds, and its own thread for signals
 * stops at once. So libmilter runs in a thread of its own and the first thread of the process takes the signals: of threads that wait
 * for a signal the kernel prefers the first. It says stop once messages under way are answered, and wakes libmilter until it has seen it. */
struct serving {
	pthread_t first;
	atomic_bool over;
	int result; /* of smfi_main */
};

static void wake(int signal_number)
{
	(void)signal_number;
}

static void *say_stop(void *ctx)
{
	(void)ctx;
	smfi_stop();
	return NULL;
}

/* Waits until the number is zero, at most that long. */
static bool wait_for_none(atomic_int *number, int64_t ms)
{
	const struct timespec step = {0, DRAIN_STEP_MS * 1000000L};
	int64_t until = tap_clock_mono_ms() + ms;

	while (atomic_load(number) > 0 && tap_clock_mono_ms() < until)
		nanosleep(&step, NULL);
	return atomic_load(number) == 0;
}

static void *serve(void *ctx)
{
	struct serving *sv = ctx;

	sv->result = smfi_main();
	atomic_store(&sv->over, true);
	pthread_kill(sv->first, SIGHUP);
	return NULL;
}

/* In the first thread, until libmilter has ended in its own. */
static void take_signals(struct serving *sv, pthread_t server, const sigset_t *set)
{
	const struct timespec step = {0, DRAIN_STEP_MS * 1000000L};
	pthread_t sayer;
	int got;

	if (sigwait(set, &got) != 0 || atomic_load(&sv->over))
		return;
	/* Once it is stopped libmilter reads no connection any more, so messages under way get a while to come to their end. */
	(void)wait_for_none(&busy, GRACE_MS);
	/* smfi_stop waits for a lock that libmilter's thread holds while it waits: hence a thread of its own. */
	if (pthread_create(&sayer, NULL, say_stop, NULL) != 0) {
		say_stop(NULL);
		return;
	}
	while (!atomic_load(&sv->over)) {
		pthread_kill(server, SIGUSR2);
		nanosleep(&step, NULL);
	}
	pthread_join(sayer, NULL);
}

enum tap_rc tap_milter_serve(bool *idle_r, struct tap_err *err)
{
	struct sigaction act = {.sa_handler = wake};
	struct serving sv = {.first = pthread_self()};
	pthread_t server;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaction(SIGUSR2, &act, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&server, NULL, serve, &sv) != 0)
		return tap_err_set(err, TAP_E_TEMP, "cannot start a thread");
	take_signals(&sv, server, &set);
	pthread_join(server, NULL);
	/* A message at its end still gets its answer from libmilter's thread. */
	(void)wait_for_none(&ending, DRAIN_MS);
	if (atomic_load(&busy) > 0)
		tap_warn("milter",
			 "ends while messages are under way; the mail server will send them again");
	*idle_r = atomic_load(&sessions) == 0;
	return sv.result == MI_SUCCESS
		   ? TAP_OK
		   : tap_err_set(err, TAP_E_TEMP, "libmilter ended with a failure");
}
