/* SPDX-License-Identifier: Apache-2.0
 * base/sandbox_filter.c - the system calls that no door, worker or page ever needs, as a filter in the kernel's own form.
 * A list of what is refused, not of what is allowed: threads of libmilter, SQLite and the C library change what they call with every
 * release, and the parser processes, which have a list of the other kind (confine/jail.c), inherit this one. */
#include "base/sandbox_priv.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
enum { ARCH = (int)AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCH = (int)AUDIT_ARCH_AARCH64 };
#elif defined(__riscv) && __riscv_xlen == 64
enum { ARCH = (int)AUDIT_ARCH_RISCV64 };
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { ARCH = (int)AUDIT_ARCH_PPC64LE };
#else
enum { ARCH = 0 }; /* no filter; said in the log */
#endif

/* All of these exist on every processor. */
static const int refused[] = {
    /* other processes */
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_pidfd_getfd, SYS_kcmp,
    SYS_move_pages, SYS_migrate_pages,
    /* file systems and name spaces */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_setns, SYS_unshare, SYS_swapon,
    SYS_swapoff, SYS_quotactl, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init,
    /* the kernel itself */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
    SYS_io_uring_register, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
    SYS_reboot, SYS_syslog, SYS_acct, SYS_vhangup, SYS_sethostname, SYS_setdomainname, SYS_add_key,
    SYS_request_key, SYS_keyctl,
    /* the clock */
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex};
/* What the run-time of a sanitizer does when the program ends. */
static const int refused_in_earnest[] = {SYS_ptrace, SYS_personality};

enum { MOST = 256, ALLOW = (int)SECCOMP_RET_ALLOW, ERRNO = (int)SECCOMP_RET_ERRNO };

struct filter {
	struct sock_filter at[MOST];
	unsigned short n;
};

static void put(struct filter *f, unsigned code, unsigned k, unsigned char yes, unsigned char no)
{
	if (f->n < MOST)
		f->at[f->n++] = (struct sock_filter){(unsigned short)code, yes, no, (unsigned)k};
}

static void load(struct filter *f, size_t offset)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

/* The lower half of an argument. */
static size_t argument(size_t i)
{
	return offsetof(struct seccomp_data, args) + i * sizeof(uint64_t) +
	       (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static void answer(struct filter *f, unsigned what)
{
	put(f, BPF_RET | BPF_K, what, 0, 0);
}

static void refuse(struct filter *f, int call, int errnum)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1);
	answer(f, (unsigned)ERRNO | (unsigned)errnum);
}

/* Threads and processes, but no name spaces. clone3 keeps its flags where a filter cannot look; the C library goes on with clone. */
static void name_spaces(struct filter *f)
{
	const unsigned spaces =
	    (unsigned)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
		       CLONE_NEWPID | CLONE_NEWNET);

	refuse(f, SYS_clone3, ENOSYS);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	load(f, argument(0));
	put(f, BPF_JMP | BPF_JSET | BPF_K, spaces, 0, 1);
	answer(f, (unsigned)ERRNO | EPERM);
	answer(f, (unsigned)ALLOW);
}

/* A terminal must not be typed into. */
static void terminals(struct filter *f)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4);
	load(f, argument(1));
	put(f, BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 0, 1);
	answer(f, (unsigned)ERRNO | EPERM);
	answer(f, (unsigned)ALLOW);
}

static void sockets(struct filter *f, enum tap_net net)
{
	static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	size_t n = net == TAP_NET_LOCAL ? 1 : sizeof families / sizeof *families;

	put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (unsigned char)(2 + 2 * n));
	load(f, argument(0));
	for (size_t i = 0; i < n; i++) {
		put(f, BPF_JMP | BPF_JEQ | BPF_K, families[i], 0, 1);
		answer(f, (unsigned)ALLOW);
	}
	answer(f, (unsigned)ERRNO | EACCES);
}

bool tap_sandbox_can_filter(void)
{
	return ARCH != 0;
}

enum tap_rc tap_sandbox_filter(enum tap_net net, struct tap_err *err)
{
	struct filter f = {.n = 0};

	if (ARCH == 0)
		return TAP_OK;
	load(&f, offsetof(struct seccomp_data, arch));
	put(&f, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)ARCH, 1, 0);
	answer(&f, SECCOMP_RET_KILL_PROCESS);
	load(&f, offsetof(struct seccomp_data, nr));
	/* x32: other numbers for the same calls. */
	put(&f, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	answer(&f, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		refuse(&f, refused[i], EPERM);
	for (size_t i = 0;
	     !TAP_SANDBOX_SANITIZED && i < sizeof refused_in_earnest / sizeof *refused_in_earnest;
	     i++)
		refuse(&f, refused_in_earnest[i], EPERM);
	name_spaces(&f);
	terminals(&f);
	sockets(&f, net);
	answer(&f, (unsigned)ALLOW);

	const struct sock_fprog prog = {.len = f.n, .filter = f.at};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
		return tap_err_sys(err, TAP_E_CONFIG, errno, "the system call filter");
	return TAP_OK;
}
