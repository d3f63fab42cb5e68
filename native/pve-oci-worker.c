/*
 * pve-oci-worker starts a Java worker in a sandbox, for the daemon. It reads the command line, connects to the daemon,
 * and has native/sandbox.c do the rest. It reads nothing of an image. Launcher and worker both end when one of them, or
 * the daemon, is killed.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "die.h"
#include "sandbox.h"

#define MAX_LIST 32
#define CONNECT_MS 10000
#define RETRY_MS 2

struct list {
    const char *items[MAX_LIST];
    size_t count;
};

static struct {
    const char *socket, *jvm, *class, *uid_map, *gid_map;
    struct list binds; /* the home is one of them */
    rlim_t open_files, data;
    bool only_reads;
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
        {"uidmap", required_argument, NULL, 'u'},
        {"gidmap", required_argument, NULL, 'g'}, {"nofile", required_argument, NULL, 'n'},
        {"class", required_argument, NULL, 'c'},  {"only-reads", no_argument, NULL, 'r'},
        {"data", required_argument, NULL, 'd'},   {NULL, 0, NULL, 0},
    };

    const char *home = NULL;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (option) {
        case 's': options.socket = optarg; break;
        case 'j': options.jvm = optarg; break;
        case 'h': home = optarg; break;
        case 'b': append(&options.binds, optarg); break;
        case 'u': options.uid_map = optarg; break;
        case 'g': options.gid_map = optarg; break;
        case 'n': options.open_files = parse_number(optarg); break;
        case 'c': options.class = optarg; break;
        case 'd': options.data = parse_number(optarg); break;
        case 'r': options.only_reads = true; break;
        default: die("read options: unknown, ambiguous or without value: %s", argv[optind - 1]);
        }
    }
    if (options.socket == NULL || options.jvm == NULL || home == NULL || options.class == NULL)
        die("read options: --socket, --jvm, --home and --class are required");
    if ((options.uid_map == NULL) != (options.gid_map == NULL))
        die("read options: --uidmap and --gidmap go together");
    if (options.only_reads && options.uid_map == NULL)
        die("read options: --only-reads needs --uidmap and --gidmap");
    append(&options.binds, home);
    options.jvm_options = argv + optind;
    options.jvm_option_count = (size_t) (argc - optind);
}

/* Drops what was inherited from the caller: descriptors, environment, signal mask, an ignored SIGCHLD. */
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

/*
 * Waits until the daemon listens: it starts the first worker before it does anything else. ENOENT and ECONNREFUSED mean
 * that it does not listen yet; the file of a daemon that was killed refuses too. Waiting ends with the daemon, which
 * becomes readable, and nothing has been given to the worker by then. Only this process's own user may listen: where
 * the socket's directory is not root's, somebody else could before the daemon does.
 */
static void connect_daemon(int daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd end = {.fd = daemon, .events = POLLIN};
    struct ucred peer;
    socklen_t peer_size = sizeof peer;
    size_t length = strlen(options.socket);

    if (length >= sizeof address.sun_path)
        die("connect %s: path is too long", options.socket);
    memcpy(address.sun_path, options.socket, length);
    if (address.sun_path[0] == '@') /* in the abstract namespace */
        address.sun_path[0] = '\0';
    else
        length++;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        die("make socket: %m");
    socklen_t size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
    for (int waited = 0; connect(fd, (struct sockaddr *) &address, size) != 0; waited += RETRY_MS) {
        if ((errno != ENOENT && errno != ECONNREFUSED) || waited >= CONNECT_MS)
            die("connect %s: %m", options.socket);
        if (poll(&end, 1, RETRY_MS) > 0)
            die("connect %s: the daemon is gone", options.socket);
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) != 0)
        die("get owner of %s: %m", options.socket);
    if (peer.uid != geteuid())
        die("connect %s: user %u listens there", options.socket, peer.uid);
    /* The connection becomes fd 0. */
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        die("move connection to fd 0: %m");
    if (fd > STDERR_FILENO && close(fd) != 0)
        die("close %s: %m", options.socket);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    forget_caller();

    /*
     * The daemon's death is noticed by a pidfd, not by a parent-death signal: that is sent when the thread that started
     * us ends, and a Java daemon's threads come and go. If the parent is in another pid namespace, getppid() is 0 and
     * there is no pidfd. Then only the end of the connection tells.
     */
    int daemon = pidfd_open(getppid(), 0);
    if (daemon < 0 && getppid() != 0)
        die("open pidfd of parent: %m");
    (void) jvm_load(options.jvm); /* meanwhile the daemon may begin to listen; a failure is reported later */
    connect_daemon(daemon);

    const struct sandbox sandbox = {
        .call = {
            .library = options.jvm,
            .options = options.jvm_options,
            .option_count = options.jvm_option_count,
            .main_class = options.class,
        },
        .binds = options.binds.items,
        .bind_count = options.binds.count,
        .uid_map = options.uid_map,
        .gid_map = options.gid_map,
        .open_files = options.open_files,
        .data = options.data,
        .only_reads = options.only_reads,
        .owner = daemon,
        .makes_devices = options.uid_map == NULL,
        .tells_mappings = true,
    };
    return run_in_sandbox(&sandbox);
}
