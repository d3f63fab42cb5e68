/*
 * pve-oci-worker: starts a Java worker in a sandbox, for the daemon. Reads nothing of an image.
 *
 * Two halves: the parent half stays outside the worker's pid and user namespaces, writes the id maps, waits and passes
 * on the exit status; its child becomes the worker, process 1 of its namespaces: connection on fd 0, log on fds 1 and
 * 2, a read-only tree with the JDK and the jars, no /proc, no network, no execve. Killing either half, or the daemon,
 * ends all of it.
 *
 * Host first: mount, pid, net, ipc and uts namespaces are made before the user namespace, so that they belong to the
 * host's and the worker's capabilities do not count in them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "jvm.h"
#include "seccomp.h"
#include "tree.h"

#define MAX_LIST 32
#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

struct list {
    const char *items[MAX_LIST];
    size_t count;
};

static struct {
    const char *socket, *jvm, *class, *uid_map, *gid_map;
    struct list binds, preloads; /* the home is one of the binds */
    rlim_t open_files;
    char **jvm_options;
    size_t jvm_option_count;
} options = {.open_files = 4096};

static void append(struct list *list, const char *item)
{
    if (list->count == MAX_LIST)
        die("read options: more than %d of a kind", MAX_LIST);
    list->items[list->count++] = item;
}

static rlim_t parse_number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number == 0)
        die("read options: not a number: %s", text);
    return number;
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"socket", required_argument, NULL, 's'}, {"jvm", required_argument, NULL, 'j'},
        {"home", required_argument, NULL, 'h'},   {"bind", required_argument, NULL, 'b'},
        {"preload", required_argument, NULL, 'p'}, {"uidmap", required_argument, NULL, 'u'},
        {"gidmap", required_argument, NULL, 'g'}, {"nofile", required_argument, NULL, 'n'},
        {"class", required_argument, NULL, 'c'},  {NULL, 0, NULL, 0},
    };

    const char *home = NULL;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (option) {
        case 's': options.socket = optarg; break;
        case 'j': options.jvm = optarg; break;
        case 'h': home = optarg; break;
        case 'b': append(&options.binds, optarg); break;
        case 'p': append(&options.preloads, optarg); break;
        case 'u': options.uid_map = optarg; break;
        case 'g': options.gid_map = optarg; break;
        case 'n': options.open_files = parse_number(optarg); break;
        case 'c': options.class = optarg; break;
        default: die("read options: unknown, ambiguous or without value: %s", argv[optind - 1]);
        }
    }
    if (options.socket == NULL || options.jvm == NULL || home == NULL || options.class == NULL)
        die("read options: --socket, --jvm, --home and --class are required");
    if ((options.uid_map == NULL) != (options.gid_map == NULL))
        die("read options: --uidmap and --gidmap go together");
    append(&options.binds, home);
    options.jvm_options = argv + optind;
    options.jvm_option_count = (size_t) (argc - optind);
}

/* Nothing of the caller's goes on: descriptors, environment, signal mask, a SIGCHLD that is ignored. */
static void forget_caller(void)
{
    static char *no_environment[] = {NULL}; /* clearenv() leaves no list at all, which crashes Java */
    sigset_t none;

    if (close_range(3, ~0U, 0) != 0)
        die("close inherited descriptors: %m");
    environ = no_environment;
    if (sigemptyset(&none) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0 || signal(SIGCHLD, SIG_DFL) == SIG_ERR)
        die("reset signals: %m");
    umask(022); /* of the tree's directories */
}

/* The connection becomes fd 0. A path that starts with @ is in the abstract namespace. */
static void connect_daemon(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(options.socket);

    if (length >= sizeof address.sun_path)
        die("connect %s: path is too long", options.socket);
    memcpy(address.sun_path, options.socket, length);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    else
        length++;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        die("make socket: %m");
    if (connect(fd, (struct sockaddr *) &address, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length)) != 0)
        die("connect %s: %m", options.socket);
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        die("move connection to fd 0: %m");
    if (fd > STDERR_FILENO && close(fd) != 0)
        die("close %s: %m", options.socket);
}

/*
 * Libraries that the virtual machine, its natives and JNA ask the loader for later, when no system library directory
 * exists any more: found by their soname among the loaded. One that is missing is not needed, or Java says so.
 */
static void load_libraries(const char *jvm)
{
    static const char *const runtime[] = {"libz.so.1", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"};

    const char *error = jvm_load(jvm);
    if (error != NULL)
        die("load %s: %s", jvm, error);
    for (size_t i = 0; i < sizeof runtime / sizeof *runtime; i++)
        (void) dlopen(runtime[i], RTLD_NOW);
    for (size_t i = 0; i < options.preloads.count; i++)
        (void) dlopen(options.preloads.items[i], RTLD_NOW);
}

/* Neither limit is raised above the hard one, which would need a capability. */
static void limit_resources(void)
{
    static const struct rlimit no_core = {0, 0};
    struct rlimit limit;

    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        die("set limit of core files: %m");
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("get limit of open files: %m");
    if (limit.rlim_max > options.open_files)
        limit.rlim_max = options.open_files;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("set limit of open files: %m");
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        die("get limit of file size: %m");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        die("set limit of file size: %m");
}

/* Keeps exactly these capabilities, none to be got back. */
static void limit_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    for (int i = 0; i < 64; i++)
        if ((keep >> i & 1) == 0 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0 && errno != EINVAL)
            die("drop capability %d: %m", i); /* EINVAL: the kernel knows no such capability */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        die("clear ambient capabilities: %m");
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted = (uint32_t) (keep >> 32 * i);
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

/* The child: takes its ids, gives up the rest, becomes Java. PARENT is the parent half's end of a socket pair. */
static _Noreturn void become_worker(int parent, const char *jvm, bool log_only)
{
    bool privileged = options.uid_map == NULL;
    uint64_t keep = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID | 1ULL << CAP_SETFCAP;
    char byte = 0;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        die("set parent-death signal: %m");
    /* kill(0) of a root worker would reach the daemon's process group; and no terminal. */
    if (setsid() < 0)
        die("make session: %m");
    if (!privileged && unshare(CLONE_NEWUSER) != 0)
        die("unshare user namespace: %m");
    if (write(parent, &byte, 1) != 1 || read(parent, &byte, 1) != 1)
        _exit(1); /* the parent half is gone, and said why */
    if (setgroups(0, NULL) != 0)
        die("clear supplementary groups: %m");
    if (setresgid(0, 0, 0) != 0)
        die("set group id 0: %m");
    if (setresuid(0, 0, 0) != 0)
        die("set user id 0: %m");
    limit_capabilities(privileged ? keep | 1 << CAP_MKNOD : keep);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        die("set not dumpable: %m");

    /* New ids have cleared it. Had the parent half died meanwhile, its end of the pair would be closed. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        die("set parent-death signal: %m");
    struct pollfd hangup = {.fd = parent, .events = POLLIN};
    if (poll(&hangup, 1, 0) != 0)
        _exit(1);
    if (close_range(3, ~0U, 0) != 0)
        die("close descriptors: %m");
    umask(0); /* of the image's files */
    if (restrict_system_calls(privileged, log_only) != 0)
        die("install seccomp filter: %m");

    const struct jvm_call call = {
        .library = jvm,
        .options = options.jvm_options,
        .option_count = options.jvm_option_count,
        .main_class = options.class,
    };
    const char *failed = jvm_run(&call);
    if (failed != NULL)
        die("%s", failed);
    _exit(0);
}

/* The parent half: maps, then nothing but waiting. Returns the exit status. */
static int supervise(pid_t child, int pair, int proc, int daemon)
{
    int status;
    char byte;

    /* A copy of the connection here would hide the worker's death from the daemon. */
    if (close(STDIN_FILENO) != 0 || close(STDOUT_FILENO) != 0)
        die("close connection: %m");
    if (read(pair, &byte, 1) != 1)
        goto reap; /* the child failed, and said why */
    if (options.uid_map != NULL) {
        write_map(proc, child, "uid_map", options.uid_map);
        write_map(proc, child, "gid_map", options.gid_map);
    }
    if (close(proc) != 0)
        die("close /proc: %m");
    limit_capabilities(0);
    if (write(pair, &byte, 1) != 1)
        goto reap;

    struct pollfd ends[] = {{.fd = pidfd_open(child, 0), .events = POLLIN}, {.fd = daemon, .events = POLLIN}};
    if (ends[0].fd < 0)
        die("open pidfd of worker: %m");
    while (poll(ends, 2, -1) < 0)
        if (errno != EINTR)
            die("wait for worker: %m");
    /* Our own end kills the child, see PR_SET_PDEATHSIG. */
    if (ends[0].revents == 0)
        die("serve daemon: it is gone");
reap:
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("wait for worker: %m");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    const char *seccomp_mode = getenv("PVE_OCI_SECCOMP");
    bool log_only = seccomp_mode != NULL && strcmp(seccomp_mode, "log") == 0;
    char jvm[PATH_MAX];
    int pair[2];

    parse_options(argc, argv);
    forget_caller();

    /*
     * A pidfd instead of a parent-death signal: that one comes when the thread that started us ends, and a Java
     * daemon's threads come and go. No pidfd of process 0, a parent in another pid namespace: then EOF has to do.
     */
    int daemon = pidfd_open(getppid(), 0);
    if (daemon < 0 && getppid() != 0)
        die("open pidfd of parent: %m");
    connect_daemon();
    if (realpath(options.jvm, jvm) == NULL)
        die("resolve %s: %m", options.jvm);
    load_libraries(jvm);
    limit_resources();
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        die("open /proc: %m");
    enter_tree(jvm, options.binds.items, options.binds.count);
    if (unshare(NAMESPACES) != 0)
        die("unshare pid, net, ipc, uts and cgroup namespaces: %m");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        die("make socket pair: %m");

    pid_t child = fork();
    if (child < 0)
        die("fork: %m");
    if (child == 0) {
        if (close(pair[0]) != 0 || close(proc) != 0)
            die("close parent's descriptors: %m");
        become_worker(pair[1], jvm, log_only);
    }
    if (close(pair[1]) != 0)
        die("close child's descriptors: %m");
    return supervise(child, pair[0], proc, daemon);
}
