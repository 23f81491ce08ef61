/* SPDX-License-Identifier: Apache-2.0
 * base/notify.h - telling the service manager how we are (sd_notify(3)), without its library.
 * Where NOTIFY_SOCKET is not set every call does nothing. Threads: safe. */
#ifndef TAP_BASE_NOTIFY_H
#define TAP_BASE_NOTIFY_H

#include "base/err.h"
#include <stdint.h>

/* "READY=1", "STOPPING=1", "STATUS=…", "WATCHDOG=1"; several are parted by line feeds. One that cannot be sent is lost. */
void tap_notify(const char *fmt, ...) TAP_PRINTF(1, 2);
/* RELOADING=1 with the time that it must carry. */
void tap_notify_reloading(void);
/* How often WATCHDOG=1 is expected at the latest, in ms; 0 = not at all. */
int64_t tap_notify_watchdog_ms(void);

#endif
