/* SPDX-License-Identifier: Apache-2.0
 * confine/jail.c - the parser's jail.
 * The tables below are the policy; whatever they do not name kills the process. Builds with sanitizers need more of the system
 * while they report, so there the rest fails with EPERM instead; what must never work still kills. */
#include "confine/jail.h"
#include "base/landlock.h"
#include "confine/build.h"
#include "confine/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* Which argument is looked at before a call is allowed. */
enum test { ANY, ON_SOCKET, ON_STDERR, NO_ADDRESS, NOT_EXEC, MEMORY, DONTNEED, PROFILE, SELF };

/* Positions of the arguments looked at. */
enum {
	FD_ARG = 0,
	PID_ARG = 0,
	TIMER_ARG = 0,
	PROT_ARG = 2,
	ADVICE_ARG = 2,
	FLAGS_ARG = 3,
	ADDRESS_ARG = 4
};

struct rule {
	int call;
	enum test test;
};

/* What a run over the whole corpus uses (tests/lib/syscalls.py), then the few that it happens not to, each with its reason; a test
 * compares. */
static const struct rule allowed[] = {
    {SCMP_SYS(pread64), ANY},
    {SCMP_SYS(close), ANY},
    {SCMP_SYS(recvmsg), ON_SOCKET},
    {SCMP_SYS(sendto), NO_ADDRESS},
    {SCMP_SYS(brk), ANY},
    /* Memory, never a file: a shared mapping would be a way to write into the message, whatever the rules for write say. */
    {SCMP_SYS(mmap), MEMORY},
    {SCMP_SYS(munmap), ANY},
    {SCMP_SYS(futex), ANY},
    {SCMP_SYS(setitimer), PROFILE},
    {SCMP_SYS(exit_group), ANY},
    /* spare: realloc of what is very large */
    {SCMP_SYS(mremap), ANY},
    /* spare: malloc, when the limit of memory is near and it tries a second arena */
    {SCMP_SYS(mprotect), NOT_EXEC},
    {SCMP_SYS(madvise), DONTNEED},
    /* spare: complaints of libraries; the pool has put the null device there */
    {SCMP_SYS(write), ON_STDERR},
    {SCMP_SYS(writev), ON_STDERR},
    /* spare: the clock, where the kernel gives no other way to it */
    {SCMP_SYS(clock_gettime), ANY},
    {SCMP_SYS(gettimeofday), ANY},
    /* spare: seeds of hash tables */
    {SCMP_SYS(getrandom), ANY},
    /* spare: abort(), so that it ends as what it is */
    {SCMP_SYS(rt_sigprocmask), ANY},
    {SCMP_SYS(getpid), ANY},
    {SCMP_SYS(gettid), ANY},
    {SCMP_SYS(tgkill), SELF},
};

struct refusal {
	int call;
	int errnum;
};

/* Libraries try these and go on without. */
static const struct refusal refused[] = {
    {SCMP_SYS(open), EACCES},	    {SCMP_SYS(openat), EACCES},	  {SCMP_SYS(openat2), EACCES},
    {SCMP_SYS(stat), EACCES},	    {SCMP_SYS(lstat), EACCES},	  {SCMP_SYS(newfstatat), EACCES},
    {SCMP_SYS(statx), EACCES},	    {SCMP_SYS(access), EACCES},	  {SCMP_SYS(faccessat), EACCES},
    {SCMP_SYS(faccessat2), EACCES}, {SCMP_SYS(readlink), EACCES}, {SCMP_SYS(readlinkat), EACCES},
    {SCMP_SYS(getcwd), EACCES},	    {SCMP_SYS(ioctl), ENOTTY},	  {SCMP_SYS(getpeername), ENOTSOCK},
};

static const int deadly[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(pwrite64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(bpf),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
};

/* What the run-time of the sanitizers needs besides. */
static const int sanitizers[] = {
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrusage),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(prctl),
    SCMP_SYS(read),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(madvise),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
};

static int add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	struct scmp_arg_cmp cmp[2];
	unsigned n = 0;

	switch (r->test) {
	case ANY: break;
	case NO_ADDRESS:
		cmp[n++] = SCMP_CMP(ADDRESS_ARG, SCMP_CMP_EQ, 0, 0);
		cmp[n++] = SCMP_CMP(FD_ARG, SCMP_CMP_EQ, TAP_WIRE_FD, 0);
		break;
	case ON_SOCKET: cmp[n++] = SCMP_CMP(FD_ARG, SCMP_CMP_EQ, TAP_WIRE_FD, 0); break;
	case ON_STDERR: cmp[n++] = SCMP_CMP(FD_ARG, SCMP_CMP_EQ, STDERR_FILENO, 0); break;
	case MEMORY:
		cmp[n++] = SCMP_CMP(PROT_ARG, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
		cmp[n++] = SCMP_CMP(FLAGS_ARG, SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_ANONYMOUS,
				    MAP_ANONYMOUS);
		break;
	case NOT_EXEC: cmp[n++] = SCMP_CMP(PROT_ARG, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0); break;
	case DONTNEED: cmp[n++] = SCMP_CMP(ADVICE_ARG, SCMP_CMP_EQ, MADV_DONTNEED, 0); break;
	case PROFILE: cmp[n++] = SCMP_CMP(TIMER_ARG, SCMP_CMP_EQ, ITIMER_PROF, 0); break;
	case SELF: cmp[n++] = SCMP_CMP(PID_ARG, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0); break;
	}
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, n, cmp);
}

/* Calls that this processor does not have are not errors. */
static int missing_is_fine(int rc)
{
	return rc == -EDOM || rc == -EINVAL ? 0 : rc;
}

static int add_rules(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof allowed / sizeof *allowed && rc == 0; i++)
		rc = add_rule(ctx, &allowed[i]);
	for (size_t i = 0; i < sizeof refused / sizeof *refused && rc == 0; i++)
		rc = missing_is_fine(seccomp_rule_add_array(
		    ctx, SCMP_ACT_ERRNO((uint16_t)refused[i].errnum), refused[i].call, 0, NULL));
	if (!TAP_BUILD_SANITIZED)
		return rc;
	/* There the default only refuses, so what must never work is named. */
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly && rc == 0; i++)
		rc = missing_is_fine(
		    seccomp_rule_add_array(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL));
	for (size_t i = 0; i < sizeof sanitizers / sizeof *sanitizers && rc == 0; i++)
		rc = missing_is_fine(
		    seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, sanitizers[i], 0, NULL));
	return rc;
}

static enum tap_rc filter(struct tap_err *err)
{
	scmp_filter_ctx ctx =
	    seccomp_init(TAP_BUILD_SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS);
	int rc;

	if (ctx == NULL)
		return tap_err_set(err, TAP_E_CONFIG, "no system call filter can be made");
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = add_rules(ctx);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0)
		return tap_err_sys(err, TAP_E_CONFIG, -rc, "the system call filter");
	return TAP_OK;
}

static enum tap_rc limits(const struct tap_jail *jail, struct tap_err *err)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t most;
		const char *name;
	} all[] = {
	    {RLIMIT_CORE, 0, "RLIMIT_CORE"},
	    /* A sanitizer's report may go to a file. */
	    {RLIMIT_FSIZE, TAP_BUILD_SANITIZED ? RLIM_INFINITY : 0, "RLIMIT_FSIZE"},
	    {RLIMIT_NPROC, 0, "RLIMIT_NPROC"},
	    /* Standard input to error, the socket, and one message. */
	    {RLIMIT_NOFILE, TAP_WIRE_FD + 2, "RLIMIT_NOFILE"},
	    {RLIMIT_AS, TAP_BUILD_SANITIZED ? RLIM_INFINITY : jail->memory, "RLIMIT_AS"},
	    {RLIMIT_CPU, jail->cpu_s, "RLIMIT_CPU"},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct rlimit now;
		struct rlimit l = {all[i].most, all[i].most};

		if (getrlimit(all[i].what, &now) != 0)
			return tap_err_sys(err, TAP_E_CONFIG, errno, "%s", all[i].name);
		/* A limit that is narrower already stays. */
		if (now.rlim_max < l.rlim_max)
			l.rlim_cur = l.rlim_max = now.rlim_max;
		if (setrlimit(all[i].what, &l) != 0)
			return tap_err_sys(err, TAP_E_CONFIG, errno, "%s", all[i].name);
	}
	return TAP_OK;
}

enum tap_rc tap_jail_enter(const struct tap_jail *jail, uint32_t *confined_r, struct tap_err *err)
{
	enum tap_rc rc = limits(jail, err);

	*confined_r = 0;
	if (rc != TAP_OK)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "dumpable");
	if (!jail->confine)
		return TAP_OK;
	/* No rule: no file, no connection, no signal, should the filter below ever let one through. */
	*confined_r = 1 + (uint32_t)tap_landlock_version();
	if (!TAP_BUILD_SANITIZED)
		rc = tap_landlock_enter(NULL, 0, false, true, err);
	return rc == TAP_OK ? filter(err) : rc;
}
