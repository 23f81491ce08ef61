/* SPDX-License-Identifier: Apache-2.0
 * confine/warm.h - what must be loaded while files can still be opened (private to confine/). */
#ifndef TAP_CONFINE_WARM_H
#define TAP_CONFINE_WARM_H

#include "base/err.h"

/* Loads the converters of the usual character sets, then reads a small built-in report through every library of the parser.
 * TAP_E_CONFIG when that report is not understood: this parser is of no use. */
enum tap_rc tap_warm_up(struct tap_err *err) TAP_MUST_CHECK;

#endif
