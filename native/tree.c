/*
 * The worker's mount tree: a small tmpfs as root, and in it read-only mounts of the JDK and of what the launcher was
 * told. Mounts are made by descriptor: they are cloned while the host's files can be seen, and attached in the new
 * tree.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "die.h"

/* What is mounted into the tree: a detached clone, taken while the host is still in sight, and its place. */
static struct {
    char path[PATH_MAX];
    int fd;
} sources[40];
static size_t source_count;

static void add_source(const char *path)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    size_t length = strlen(path);

    if (path[0] != '/' || length < 2 || length >= PATH_MAX)
        die("bind %s: not an absolute path below /", path);
    if (source_count == sizeof sources / sizeof *sources)
        die("bind %s: too many", path);
    memcpy(sources[source_count].path, path, length + 1);
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        die("clone mount of %s: %m", path);
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0)
        die("make %s read-only: %m", path);
    sources[source_count++].fd = fd;
}

/*
 * Adds the JDK of JVM, which is a real path, JDK/lib/server/libjvm.so. Distributions keep the files that conf/ links to
 * below /etc, so their directory is added too.
 */
static void add_jdk(const char *jvm)
{
    char jdk[PATH_MAX], linked[PATH_MAX + 32], target[PATH_MAX];

    memcpy(jdk, jvm, strlen(jvm) + 1);
    for (int i = 0; i < 3; i++)
        (void) dirname(jdk);
    add_source(jdk);
    (void) snprintf(linked, sizeof linked, "%s/conf/logging.properties", jdk);
    if (realpath(linked, target) == NULL)
        die("resolve %s: %m", linked);
    size_t length = strlen(jdk);
    if (strncmp(target, jdk, length) != 0 || target[length] != '/')
        add_source(dirname(target));
}

/*
 * Attaches a clone at its place. This process is inside the new tree already, so a link on the way cannot lead to the
 * host.
 */
static void attach_source(const char *path, int fd)
{
    char place[PATH_MAX];
    struct stat status;

    memcpy(place, path, strlen(path) + 1);
    for (char *slash = strchr(place + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(place, 0755) != 0 && errno != EEXIST)
            die("make directory %s: %m", place);
        *slash = '/';
    }
    if (fstat(fd, &status) != 0)
        die("stat %s: %m", path);
    /* The place is there already when it lies below another source. */
    if ((S_ISDIR(status.st_mode) ? mkdir(place, 0755) : mknod(place, S_IFREG | 0444, 0)) != 0 && errno != EEXIST)
        die("make mount point %s: %m", place);
    if (move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        die("mount %s: %m", path);
    if (close(fd) != 0)
        die("close %s: %m", path);
}

static int make_tmpfs(void)
{
    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0)
        die("open file system tmpfs: %m");
    if (fsconfig(fs, FSCONFIG_SET_STRING, "size", "64k", 0) != 0
        || fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "512", 0) != 0
        || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) != 0
        || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        die("configure file system tmpfs: %m");
    int mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (mount_fd < 0)
        die("make mount of tmpfs: %m");
    if (close(fs) != 0)
        die("close file system tmpfs: %m");
    return mount_fd;
}

void enter_tree(const char *jvm, const char *const *binds, size_t bind_count)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};

    if (unshare(CLONE_NEWNS) != 0)
        die("unshare mount namespace: %m");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        die("make mounts private: %m");
    add_jdk(jvm);
    for (size_t i = 0; i < bind_count; i++)
        add_source(binds[i]);

    int root = make_tmpfs();
    if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        die("mount new root: %m");
    if (fchdir(root) != 0)
        die("enter new root: %m");
    if (syscall(SYS_pivot_root, ".", ".") != 0)
        die("pivot root: %m");
    /* The old root now lies on top of the new one; unmounting it removes all that is below it. */
    if (umount2(".", MNT_DETACH) != 0)
        die("unmount old root: %m");
    if (chdir("/") != 0)
        die("enter /: %m");
    for (size_t i = 0; i < source_count; i++)
        attach_source(sources[i].path, sources[i].fd);
    if (mount_setattr(root, "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0)
        die("make root read-only: %m");
    if (close(root) != 0)
        die("close root: %m");
}
