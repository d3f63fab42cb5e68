/*
 * There are two halves. The parent half stays outside the worker's pid and user namespaces, writes the id maps, waits
 * and passes on the exit status; its child becomes the worker. Killing either half, or its owner, ends both.
 *
 * The order of the steps is what makes them safe:
 *
 *  1. Libraries are loaded while the host's files can be seen. None of them has read a byte of an image.
 *  2. Limits and oom_score_adj are set. A process without CAP_SYS_RESOURCE cannot raise its limits again, and writing
 *     oom_score_adj needs /proc, which is about to go.
 *  3. The mount tree is entered, then pid, net, ipc, uts and cgroup namespaces are made. All of them belong to the
 *     host's user namespace, because the worker's own is not made yet: the capabilities that the worker keeps are
 *     those of its user namespace, and count for nothing in these. It can neither mount nor configure a network.
 *  4. fork(): the child is process 1 of its pid namespace, so that its end is the end of everything in it.
 *  5. The child makes its user namespace, and the parent half, which still has the host's capabilities, writes the
 *     maps. A process cannot write a map of more than one id for itself.
 *  6. The child takes ids 0 of the map, and drops capabilities. The bounding set comes first, because dropping it needs
 *     CAP_SETPCAP. no_new_privs is set before the seccomp filter, as the kernel demands of a process without
 *     CAP_SYS_ADMIN.
 *  7. Descriptors are closed, so that only the connection and the log are left, and the filter is installed. From here
 *     on there is no way to get more.
 *  8. The virtual machine is created. Its threads inherit all of it. The first byte of an image comes after that. The
 *     list of the process's own mappings stays open until then, because only now the archives are mapped.
 */
#include "sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "mappings.h"
#include "seccomp.h"
#include "tree.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Options that a virtual machine needs in this sandbox. The caller's options come after them and can override them. */
static char *const needed_options[] = {
    "-XX:-UsePerfData",                 /* would be a file in /tmp, which is not there */
    "-XX:-UseContainerSupport",         /* would look for a cgroup's limits in /proc and /sys */
    "-XX:+SuppressFatalErrorMessage",   /* a crash is a line of the log, not a file and a report */
    "-XX:+DisableAttachMechanism",      /* would be a socket in /tmp */
    "-Xrs",                             /* no handler for signals that are blocked, or end the process */
    "-XX:+UseSerialGC",                 /* few threads, small memory; class-data archives are of its heap */
    "-XX:TieredStopAtLevel=1",          /* it lives for one image: C2 gains less there than its compiling costs */
    "-XX:+UnlockDiagnosticVMOptions",   /* for the next */
    "-XX:ArchiveRelocationMode=0",      /* class data stays as mapped, and is shared: 10 MB less for each process */
    "-Djava.util.logging.manager=pve.oci.linux.QuietLogManager", /* JNA loads it; 12 ms less to start */
    "-Djna.nounpack=true",              /* JNA's own library lies beside the jars */
    "-Djna.platform.library.path=",     /* or JNA asks ldconfig(8) */
    "-Djdk.util.jar.enableMultiRelease=false", /* JDK 22 would bind zstd anew: 165 classes, 8 MB */
};

/*
 * Libraries that the virtual machine, its native code and our own code open later, when there is no system library
 * directory any more. The loader then finds them by their soname among those already loaded. If one is missing, Java
 * does without it or reports it.
 */
static void load_libraries(const char *jvm)
{
    static const char *const runtime[] = {
        "libz.so.1", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libisal.so.2", "libcrypto.so.3",
    };

    const char *error = jvm_load(jvm);
    if (error != NULL)
        die("load %s: %s", jvm, error);
    for (size_t i = 0; i < LENGTH(runtime); i++)
        (void) dlopen(runtime[i], RTLD_NOW);
}

/*
 * Threads of a worker. The kernel counts by user and user namespace (since Linux 5.14), so where a worker has a user
 * namespace of its own nobody else's processes count, not those of a container with the same ID map either. A worker
 * needs fewer than 30. The limit does not bind the host's root, for whom the service's TasksMax counts.
 */
#define MAX_THREADS 128

/*
 * If memory runs out, the kernel should kill a worker first: it has one job, other processes have many. The child
 * inherits the value. It is written here because later there is no /proc. A process that root has started and that then
 * became an ordinary user's may not write it. It goes on without, and still has its limits.
 */
static void volunteer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4 && errno != EACCES && errno != EPERM)
        die("set oom_score_adj: %m");
    if (close(fd) != 0)
        die("close oom_score_adj: %m");
}

/* Never raises a hard limit, which would need a capability. */
static void lower_limit(int resource, const char *name, rlim_t value)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) != 0)
        die("get limit of %s: %m", name);
    if (limit.rlim_max > value)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(resource, &limit) != 0)
        die("set limit of %s: %m", name);
}

static void limit_resources(const struct sandbox *sandbox)
{
    lower_limit(RLIMIT_CORE, "core files", 0);
    lower_limit(RLIMIT_NOFILE, "open files", sandbox->open_files);
    if (sandbox->data != 0)
        lower_limit(RLIMIT_DATA, "memory", sandbox->data);
    lower_limit(RLIMIT_FSIZE, "file size", RLIM_INFINITY); /* an image's files may be as large as is allowed here */
}

/*
 * Keeps only these capabilities, and makes sure that no others can be gained. The bounding set is dropped first,
 * because that needs CAP_SETPCAP, which is dropped next. no_new_privs keeps execve(2) from giving any, even if the
 * filter allowed it.
 */
static void limit_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) != 0)
        die("get capabilities: %m");
    /*
     * Without CAP_SETPCAP the bounding set stays. That is harmless: it counts at execve only, which gives no
     * capabilities after no_new_privs.
     */
    bool may_drop = (data[0].effective >> CAP_SETPCAP & 1) != 0;
    for (int i = 0; may_drop && i < 64; i++)
        if ((keep >> i & 1) == 0 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0 && errno != EINVAL)
            die("drop capability %d: %m", i); /* EINVAL: the kernel knows no such capability */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        die("clear ambient capabilities: %m");
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted &= (uint32_t) (keep >> 32 * i);
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) != 0)
        die("set capabilities: %m");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("set no_new_privs: %m");
}

static void write_map(int proc, pid_t child, const char *name, const char *map)
{
    char path[64], lines[4096];
    size_t length = strlen(map);

    if (length >= sizeof lines)
        die("write %s: too long", name);
    for (size_t i = 0; i <= length; i++)
        lines[i] = map[i] == ',' ? '\n' : map[i];
    (void) snprintf(path, sizeof path, "%d/%s", (int) child, name);
    int fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        die("open %s: %m", name);
    /* The kernel takes a map in one write or not at all. */
    if (write(fd, lines, length) != (ssize_t) length)
        die("write %s %s: %m", name, map);
    if (close(fd) != 0)
        die("close %s: %m", name);
}

static void take_ids(const struct sandbox *sandbox)
{
    if (!sandbox->keeps_groups && setgroups(0, NULL) != 0)
        die("clear supplementary groups: %m");
    if (setresgid(0, 0, 0) != 0)
        die("set group id 0: %m");
    if (setresuid(0, 0, 0) != 0)
        die("set user id 0: %m");
}

/* The descriptor of /proc/PID/maps, while the virtual machine is created. It is closed before main runs. */
#define MAPS 3

static const char *mappings_argument(void)
{
    const char *list = list_unwritten_mappings(MAPS);

    if (close(MAPS) != 0)
        die("close mappings: %m");
    return list;
}

static const char *run_with_needed_options(const struct jvm_call *call)
{
    char *options[JVM_MAX_OPTIONS];
    struct jvm_call completed = *call;
    size_t needed = LENGTH(needed_options);

    if (call->option_count > JVM_MAX_OPTIONS - needed)
        return "count Java options: too many";
    memcpy(options, needed_options, sizeof needed_options);
    if (call->option_count > 0)
        memcpy(options + needed, call->options, call->option_count * sizeof *options);
    completed.options = options;
    completed.option_count = needed + call->option_count;
    return jvm_run(&completed);
}

/*
 * The child: takes its ids, gives up all other privileges, and becomes Java. PARENT is a socket to the parent half,
 * MAPS the child's mappings or -1.
 */
static _Noreturn void become_worker(const struct sandbox *sandbox, const char *jvm, int parent, int maps)
{
    uint64_t keep = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID | 1ULL << CAP_SETFCAP;
    struct jvm_call call = sandbox->call;
    char byte = 0;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        die("set parent-death signal: %m");
    /*
     * Otherwise kill(0, ...) by a worker that is the host's root would reach the daemon's process group. A new session
     * also has no terminal, into which TIOCSTI could push characters.
     */
    if (setsid() < 0)
        die("make session: %m");
    if (sandbox->uid_map != NULL && unshare(CLONE_NEWUSER) != 0)
        die("unshare user namespace: %m");
    if (write(parent, &byte, 1) != 1 || read(parent, &byte, 1) != 1)
        _exit(1); /* the parent half is gone, and said why */
    if (!sandbox->is_plain)
        take_ids(sandbox);
    /* Set after the user namespace was made: the kernel would apply a limit of before to all processes of its maker. */
    if (sandbox->uid_map != NULL || sandbox->keeps_groups)
        lower_limit(RLIMIT_NPROC, "threads", MAX_THREADS);
    limit_capabilities(sandbox->only_reads ? 0 : sandbox->makes_devices ? keep | 1 << CAP_MKNOD : keep);
    /* Otherwise a container's process with the same ids could read its memory by ptrace(2) and /proc. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        die("set not dumpable: %m");

    /*
     * The kernel cleared the parent-death signal when the ids changed, so it is set again. If the parent half died in
     * between, its end of the socket pair is closed, which poll() reports; if it dies later, the signal comes.
     */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        die("set parent-death signal: %m");
    struct pollfd hangup = {.fd = parent, .events = POLLIN};
    if (poll(&hangup, 1, 0) != 0)
        _exit(1);
    if (maps >= 0 && dup2(maps, MAPS) != MAPS)
        die("move mappings: %m");
    if (close_range(maps < 0 ? MAPS : MAPS + 1, ~0U, 0) != 0)
        die("close descriptors: %m");
    umask(0); /* of the image's files */
    if (restrict_system_calls(sandbox->only_reads, sandbox->makes_devices) != 0)
        die("install seccomp filter: %m");

    call.library = jvm;
    call.last_argument = maps < 0 ? NULL : mappings_argument;
    const char *failed = run_with_needed_options(&call);
    if (failed != NULL)
        die("%s", failed);
    _exit(0);
}

/* The parent half: writes the maps, then only waits. Returns the exit status. */
static int supervise(const struct sandbox *sandbox, pid_t child, int pair, int proc)
{
    int status;
    char byte;

    /* If this half kept a copy of the connection, the owner would not notice the worker's death. */
    if (close(STDIN_FILENO) != 0 || close(STDOUT_FILENO) != 0)
        die("close connection: %m");
    if (read(pair, &byte, 1) != 1)
        goto reap; /* the child failed, and said why */
    if (sandbox->uid_map != NULL) {
        write_map(proc, child, "uid_map", sandbox->uid_map);
        write_map(proc, child, "gid_map", sandbox->gid_map);
    }
    if (close(proc) != 0)
        die("close /proc: %m");
    limit_capabilities(sandbox->waits_for_end ? 1 << CAP_KILL : 0);
    if (write(pair, &byte, 1) != 1)
        goto reap;

    struct pollfd ends[] = {{.fd = pidfd_open(child, 0), .events = POLLIN}, {.fd = sandbox->owner, .events = POLLIN}};
    if (ends[0].fd < 0)
        die("open pidfd of worker: %m");
    give_back_libraries(); /* only the child needs them now */
    while (poll(ends, 2, -1) < 0)
        if (errno != EINTR)
            die("wait for worker: %m");
    /* Our own end kills the child, see PR_SET_PDEATHSIG. */
    if (ends[0].revents == 0 && !sandbox->waits_for_end)
        die("serve daemon: it is gone");
    if (ends[0].revents == 0 && kill(child, SIGKILL) != 0)
        die("kill worker: %m");
reap:
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("wait for worker: %m");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_in_sandbox(const struct sandbox *sandbox)
{
    char jvm[PATH_MAX];
    int pair[2];

    if (realpath(sandbox->call.library, jvm) == NULL)
        die("resolve %s: %m", sandbox->call.library);
    load_libraries(jvm);
    volunteer_for_oom();
    limit_resources(sandbox);
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        die("open /proc: %m");
    if (!sandbox->is_plain) {
        enter_tree(jvm, sandbox->binds, sandbox->bind_count);
        if (unshare(NAMESPACES) != 0)
            die("unshare pid, net, ipc, uts and cgroup namespaces: %m");
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        die("make socket pair: %m");

    pid_t child = fork();
    if (child < 0)
        die("fork: %m");
    if (child == 0) {
        /* without them the worker keeps its pages */
        int maps = sandbox->tells_mappings ? openat(proc, "self/maps", O_RDONLY | O_CLOEXEC) : -1;
        if (close(pair[0]) != 0 || close(proc) != 0)
            die("close parent's descriptors: %m");
        become_worker(sandbox, jvm, pair[1], maps);
    }
    if (close(pair[1]) != 0)
        die("close child's descriptors: %m");
    return supervise(sandbox, child, pair[0], proc);
}
