/* SPDX-License-Identifier: Apache-2.0
 * confine/build.h - what kind of build this is, as constants, so that code need not be cut by the preprocessor (private). */
#ifndef TAP_CONFINE_BUILD_H
#define TAP_CONFINE_BUILD_H

#ifdef TAP_SANITIZED
enum { TAP_BUILD_SANITIZED = 1 };
#else
enum { TAP_BUILD_SANITIZED = 0 };
#endif
#ifdef TAP_FAULT_POINTS
enum { TAP_BUILD_HOOKS = 1 };
#else
enum { TAP_BUILD_HOOKS = 0 };
#endif

#endif
