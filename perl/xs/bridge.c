/*
 * The child of a Perl process, from the fork to the sandbox. It gives up what it has from Perl: signal handlers,
 * environment and descriptors. After that it has only a copy of its parent's memory.
 */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "die.h"

/* Descriptors 0 to 2 and this one stay open. */
#define OWNER 3

/*
 * Signals stay blocked, as they were before the fork. The handlers are removed too, in case one is unblocked by
 * mistake.
 */
static void forget_handlers(void)
{
    for (int number = 1; number < NSIG; number++)
        (void) signal(number, SIG_DFL); /* refused for SIGKILL and SIGSTOP, which have none */
}

/* Makes duplicates first, because each descriptor may have the number that another one is to get. */
static void arrange_descriptors(const struct bridge *bridge)
{
    int log = fcntl(bridge->log, F_DUPFD, OWNER + 1);
    int connection = fcntl(bridge->connection, F_DUPFD, OWNER + 1);
    int owner = fcntl(bridge->owner, F_DUPFD, OWNER + 1);

    if (log < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(1); /* nowhere to say it */
    if (connection < 0 || owner < 0 || dup2(connection, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0
        || dup2(owner, OWNER) < 0)
        die("move descriptors: %m");
    if (close_range(OWNER + 1, ~0U, 0) != 0)
        die("close inherited descriptors: %m");
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        die("open %s: %m", path);
    if (write(fd, text, strlen(text)) != (ssize_t) strlen(text))
        die("write %s: %m", path);
    if (close(fd) != 0)
        die("close %s: %m", path);
}

/* Makes an ordinary user root of a user namespace that maps nobody else. False if the host does not allow it. */
static bool enter_own_namespace(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();

    if (unshare(CLONE_NEWUSER) != 0)
        return false;
    /*
     * If this process was root's before, its files in /proc still are, unless it is dumpable. The worker must not be
     * dumpable, so this is undone below.
     */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        die("set dumpable: %m");
    write_file("/proc/self/setgroups", "deny"); /* else his gid map is refused */
    (void) snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
    (void) snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        die("set not dumpable: %m");
    return true;
}

static _Noreturn void become_parent_half(const struct bridge *bridge)
{
    static char *no_environment[] = {NULL}; /* clearenv() leaves no list at all, which crashes Java */
    struct sandbox sandbox = bridge->sandbox;

    die_as("pve-oci");
    forget_handlers();
    arrange_descriptors(bridge);
    environ = no_environment;
    umask(022); /* of the tree's directories */
    if (bridge->needs_namespace && enter_own_namespace())
        sandbox.keeps_groups = true;
    /* Only tests whether a mount namespace may be made; the sandbox makes its own. */
    if (unshare(CLONE_NEWNS) != 0) {
        if (errno != EPERM)
            die("unshare mount namespace: %m");
        sandbox.is_plain = true;
        /* A process that may not mount may not write a map either. So an extraction fails later; reading does not. */
        if (sandbox.only_reads)
            sandbox.uid_map = sandbox.gid_map = NULL;
    }
    sandbox.owner = OWNER;
    sandbox.waits_for_end = true;
    _exit(run_in_sandbox(&sandbox));
}

pid_t bridge_start(const struct bridge *bridge)
{
    sigset_t all, before;

    if (sigfillset(&all) != 0 || sigprocmask(SIG_SETMASK, &all, &before) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        become_parent_half(bridge);
    int error = errno;
    (void) sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return child;
}

int bridge_clone_mount(int directory, bool is_read_only)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    int tree = open_tree(directory, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);

    if (tree < 0)
        return -1;
    if (is_read_only)
        attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) == 0)
        return tree;
    int error = errno;
    (void) close(tree);
    errno = error;
    return -1;
}
