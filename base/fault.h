/* SPDX-License-Identifier: Apache-2.0
 * base/fault.h - named fault points for crash and error tests.
 * TAP_FAULT=point:nth:errno|kill[,…] in the environment makes the nth passage (from 1; 0 = every one) of a point
 * fail with that errno (a name such as ENOSPC, or a number) or kills the process with SIGKILL.
 * What happens is said on standard error ("TAP_FAULT: POINT happens").
 * In builds without TAP_FAULT_POINTS the calls compile to nothing and the environment is never read.
 * `PROGRAM --fault-points` is not offered: tests read docs/fault-points.txt, which a test compares with the sources.
 * Threads: safe. */
#ifndef TAP_BASE_FAULT_H
#define TAP_BASE_FAULT_H

#ifdef TAP_FAULT_POINTS
/* 0, or the errno that this passage must fail with (errno is set to it too). Never returns when it kills. */
int tap_fault(const char *point);
/* What test builds read from the environment: an initialiser. */
#define TAP_TEST_ENVIRONMENT                                                                       \
	{                                                                                          \
		"TAP_FAULT", "TAP_PARSE_HOOK", "TAP_SANDBOX_PROBE", "ASAN_OPTIONS",                \
		    "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"                                \
	}
#else
#define TAP_TEST_ENVIRONMENT                                                                       \
	{                                                                                          \
		NULL                                                                               \
	}
static inline int tap_fault(const char *point)
{
	(void)point;
	return 0;
}
#endif

#endif
