/*
 * The worker's seccomp allow-list, as tables. These are left out on purpose: execve, socket, connect, mount and its
 * family, unshare, setns, ptrace, bpf, keyctl, io_uring, open_by_handle_at, perf_event_open, memfd_create.
 */
#include "seccomp.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than libseccomp 2.5; one number on every architecture. */
#define NR_FCHMODAT2 452
#define NR_SETXATTRAT 463
#define NR_GETXATTRAT 464
#define NR_LISTXATTRAT 465
#define NR_REMOVEXATTRAT 466

static const int always[] = {
    /* files by path or directory fd */
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(fchdir), SCMP_SYS(umask), SCMP_SYS(getdents64),

    /* files by fd */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fadvise64),
    SCMP_SYS(readahead), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sendfile), SCMP_SYS(splice), SCMP_SYS(close),
    SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(flock),

    /* extended attributes */
    SCMP_SYS(getxattr), SCMP_SYS(lgetxattr), SCMP_SYS(fgetxattr), NR_GETXATTRAT, SCMP_SYS(listxattr),
    SCMP_SYS(llistxattr), SCMP_SYS(flistxattr), NR_LISTXATTRAT,

    /* the connection to the daemon, which is there already, and waiting for it; pipes between threads */
    SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(shutdown),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(pipe2),

    /* memory of the virtual machine: heap, generated code, class-data archives */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
    SCMP_SYS(mincore), SCMP_SYS(get_mempolicy), SCMP_SYS(membarrier),

    /* threads, signals, time */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(rseq), SCMP_SYS(arch_prctl),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
    SCMP_SYS(getcpu), SCMP_SYS(getpriority), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(wait4), SCMP_SYS(waitid),

    /* who and where am I */
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getpgrp), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrandom), SCMP_SYS(getrlimit), SCMP_SYS(prlimit64),
    SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname),
};

#define CLONE_NEW_ANY \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/*
 * Applying layers needs these; only the root file system can be written. A worker that detects, inspects or verifies
 * has none of them, so it cannot change the archive even where that could not be mounted read-only.
 */
static const int changing[] = {
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(symlinkat),
    SCMP_SYS(linkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fchmodat), NR_FCHMODAT2,
    SCMP_SYS(fchownat), SCMP_SYS(utimensat), SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate), SCMP_SYS(syncfs), SCMP_SYS(sync_file_range), SCMP_SYS(copy_file_range), SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr), NR_SETXATTRAT, SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),
    SCMP_SYS(fremovexattr), NR_REMOVEXATTRAT,
};

/* Allowed when one argument is right; a call may stand here more than once. */
static const struct {
    int call;
    struct scmp_arg_cmp condition; /* argument, comparison, datum or mask, datum of the mask */
} conditional[] = {
    /* threads only: no process, no namespace */
    {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEW_ANY, CLONE_THREAD}},

    /* isatty(), available(), non-blocking mode; never TIOCSTI and its like */
    {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, TCGETS, 0}},
    {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, FIONREAD, 0}},
    {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, FIONBIO, 0}},

    /* names of threads and mappings; the parent-death signal must not be taken back */
    {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0}},
    {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_GET_NAME, 0}},
    {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_VMA, 0}},

    /* a thread's own priority, not that of all processes of a user */
    {SCMP_SYS(setpriority), {0, SCMP_CMP_EQ, PRIO_PROCESS, 0}},

    /* where the calling thread runs, not another one */
    {SCMP_SYS(sched_setaffinity), {0, SCMP_CMP_EQ, 0, 0}},

    /* NIO makes a pair to close channels with; it leads nowhere */
    {SCMP_SYS(socketpair), {0, SCMP_CMP_EQ, AF_UNIX, 0}},
};

/* mknodat: the types that a tar archive may hold and that are no devices; type 0 is a regular file. */
static const struct scmp_arg_cmp nodes[] = {
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFIFO},
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFSOCK},
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFREG},
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, 0},
};

/* Device nodes, in a privileged container only: in a user namespace the kernel refuses them as well. */
static const struct scmp_arg_cmp devices[] = {
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFCHR},
    {2, SCMP_CMP_MASKED_EQ, S_IFMT, S_IFBLK},
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* An architecture without the call (arm64 has no open, only openat) gives it a negative number: nothing to allow. */
static int allow(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *condition)
{
    if (call < 0)
        return 0;
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, condition == NULL ? 0 : 1, condition);
}

static int add_rules(scmp_filter_ctx filter, bool only_reads, bool make_devices)
{
    /* signals to this process only; no process group, where a root worker's peers could be */
    const struct scmp_arg_cmp self = {0, SCMP_CMP_EQ, (scmp_datum_t) getpid(), 0};
    int error = 0;

    for (size_t i = 0; error == 0 && i < LENGTH(always); i++)
        error = allow(filter, always[i], NULL);
    for (size_t i = 0; error == 0 && i < LENGTH(conditional); i++)
        error = allow(filter, conditional[i].call, &conditional[i].condition);
    error = error == 0 ? allow(filter, SCMP_SYS(kill), &self) : error;
    error = error == 0 ? allow(filter, SCMP_SYS(tgkill), &self) : error;
    for (size_t i = 0; error == 0 && !only_reads && i < LENGTH(changing); i++)
        error = allow(filter, changing[i], NULL);
    for (size_t i = 0; error == 0 && !only_reads && i < LENGTH(nodes); i++)
        error = allow(filter, SCMP_SYS(mknodat), &nodes[i]);
    for (size_t i = 0; error == 0 && make_devices && i < LENGTH(devices); i++)
        error = allow(filter, SCMP_SYS(mknodat), &devices[i]);

    /* The flags of clone3 are in memory, where the filter cannot read them. After ENOSYS the C library uses clone. */
    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return error;
}

int restrict_system_calls(bool only_reads, bool make_devices)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        errno = ENOMEM;
        return -1;
    }
    /* The filter is a binary search instead of a list, because every call with a condition runs through it. */
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error == 0)
        error = add_rules(filter, only_reads, make_devices);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error != 0) {
        errno = -error;
        return -1;
    }
    return 0;
}
