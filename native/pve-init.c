/*
 * /.pve.init - the first program of a container made from an OCI image.
 *
 * As process 1 it reads environment, command and ids from /.pve.env (native/init-file.c has the format), becomes the
 * user, and executes the command in its own place, so that the command is process 1. LXC's own configuration has no
 * quoting, and its environment also reaches hooks on the host; with this file neither matters. With arguments, these
 * are the command. In a running container, /.pve.init COMMAND [ARGUMENT...] runs another command in the same
 * environment.
 *
 * It is one static executable without a C library, so it runs in any root file system, also in an empty one.
 *
 * The exit codes are a shell's: 127 when the command is not found, 126 when it cannot be executed or anything before
 * that fails.
 */

#include "init-explain.h"
#include "init-file.h"
#include "init-network.h"
#include "init-system.h"

#define MAX_PATH_LENGTH 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Made by process 1, on the tmpfs that LXC mounts at /dev: its directory, and the variables of the administrator. */
#define RECORD_NAME "/dev/.pve.env"
#define MAX_RECORD_SIZE (512 * 1024)

/* Present while the host's pve-oci updates the container, which is stopped then. */
#define JOURNAL_NAME "/.pve.oci.update/journal"
#define PHASE_KEY "\"phase\":\""

#define SIGCHLD 17
#define SIG_SETMASK 2
#define WNOHANG 1
#define PIPEFS_MAGIC 0x50495045
#define FIRST_PTY_MAJOR 136
#define LAST_PTY_MAJOR 143

/* The kernel puts argc, argv and the environment on the stack; their address is all that is needed. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tbl start\n");
#endif

static char content[MAX_FILE_SIZE + 1];
static char record[MAX_RECORD_SIZE + 1];
static struct start_file file;
static struct environment environment;

__attribute__((noreturn, used)) void start(char **stack);

static void read_start_file(bool is_first)
{
    long size = read_file(FILE_NAME, content, sizeof(content));
    if (size == -EACCES)
        fail(EXIT_CANNOT_EXECUTE, FILE_NAME ": Permission denied: only root and the image's user may read it; ",
             is_first ? "remove lxc.init.uid and lxc.init.gid from the container's configuration"
                      : "run /.pve.init as root, it becomes the image's user", NULL);
    if (size < 0)
        fail(EXIT_CANNOT_EXECUTE, FILE_NAME ": ", error_text(size), NULL);
    if (size > MAX_FILE_SIZE)
        fail(EXIT_CANNOT_EXECUTE, FILE_NAME ": larger than 4 MiB", NULL);
    parse_file(&file, content, (size_t)size);
}

/* Ends if an update was interrupted while it exchanged names: then the tree is a mixture of two systems. */
static void require_whole_system(void)
{
    static char journal[4096];
    long size = read_file(JOURNAL_NAME, journal, sizeof(journal) - 1);
    for (long i = 0; i < size; i++) {
        const char *phase = journal + i + sizeof(PHASE_KEY) - 1;
        if (!starts_with(journal + i, PHASE_KEY))
            continue;
        if (starts_with(phase, "staged\"") || starts_with(phase, "switched\""))
            return;
        fail(EXIT_CANNOT_EXECUTE, "an update of this container was interrupted; to put it in order, run on the host:"
             " pve-oci update or pve-oci rollback", NULL);
    }
}

static void add(char *variable)
{
    if (!add_variable(&environment, variable))
        fail(EXIT_CANNOT_EXECUTE, "there are too many variables", NULL);
}

static void add_image_variables(void)
{
    char *variable = file.variables;
    for (unsigned i = 0; i < file.variable_count; i++, variable += length_of(variable) + 1)
        add(variable);
}

/* LXC and Proxmox VE set these in every container, so they say nothing about what the administrator wants. */
static bool is_set_by_lxc(const char *variable)
{
    return are_equal(variable, "TERM=linux") || are_equal(variable, "container=lxc")
        || starts_with(variable, "container_ttys=");
}

/*
 * lxc-attach passes the environment of the host's shell on. These variables describe the host's session and are wrong
 * in the container.
 */
static bool is_of_host_session(const char *variable)
{
    static const char *const names[] = {
        "PATH=", "HOME=", "HOSTNAME=", "PWD=", "OLDPWD=", "USER=", "LOGNAME=", "SHELL=", "MAIL=",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (starts_with(variable, names[i]))
            return true;
    return false;
}

/* Adds HOSTNAME. The name may change between two starts, so the kernel is asked each time. */
static void add_host_name(void)
{
    static struct {
        char system[65], node[65], rest[4 * 65];
    } names;
    static char variable[9 + 65] = "HOSTNAME=";
    if (system_call(UNAME, (long)&names, 0, 0, 0, 0) != 0)
        return;
    for (size_t i = 0; names.node[i]; i++)
        variable[9 + i] = names.node[i];
    add(variable);
}

/* For process 1. The administrator's variables come first, because a name that is there keeps its value. */
static void collect_first(char **inherited)
{
    for (char **variable = inherited; *variable; variable++)
        if (!is_set_by_lxc(*variable))
            add(*variable);
    add_image_variables();
    for (char **variable = inherited; *variable; variable++)
        add(*variable);
    add_host_name();
}

/* For a command beside process 1. Returns its directory. */
static const char *collect_beside(char **inherited)
{
    const char *directory = file.directory;
    long size = read_file(RECORD_NAME, record, sizeof(record));
    if (size > 0 && size <= MAX_RECORD_SIZE && record[size - 1] == 0) {
        directory = record;
        for (char *variable = record + length_of(record) + 1; variable < record + size;
             variable += length_of(variable) + 1)
            add(variable);
    }
    add_image_variables();
    for (; *inherited; inherited++)
        if (!is_of_host_session(*inherited))
            add(*inherited);
    add_host_name();
    return directory;
}

static bool write_string(long fd, const char *text)
{
    long size = (long)length_of(text) + 1;
    return system_call(WRITE, fd, (long)text, size, 0, 0) == size;
}

/*
 * Leaves the administrator's variables for collect_beside, which cannot tell them from those of the host's shell. Only
 * root may read the file. If it cannot be written, the container starts all the same.
 */
static void write_record(const char *directory, char **inherited)
{
    system_call(UNLINKAT, AT_FDCWD, (long)RECORD_NAME, 0, 0, 0);
    long fd = system_call(
        OPENAT, AT_FDCWD, (long)RECORD_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600, 0);
    if (fd < 0)
        return;
    bool is_whole = write_string(fd, directory);
    for (; *inherited && is_whole; inherited++)
        if (!is_set_by_lxc(*inherited))
            is_whole = write_string(fd, *inherited);
    system_call(CLOSE, fd, 0, 0, 0, 0);
    if (!is_whole)
        system_call(UNLINKAT, AT_FDCWD, (long)RECORD_NAME, 0, 0, 0);
}

static void enter(const char *directory)
{
    long result = directory[0] == 0 ? 0 : system_call(CHDIR, (long)directory, 0, 0, 0, 0);
    if (result < 0)
        fail(EXIT_CANNOT_EXECUTE, "working directory ", directory, ": ", error_text(result), NULL);
}

/*
 * Returns the directory where process 1 starts. LXC has entered lxc.init.cwd; where it is not set, for instance after a
 * restore without the raw keys, LXC has stayed in / and the image's directory counts.
 */
static const char *enter_first_directory(void)
{
    static char path[MAX_PATH_LENGTH];
    if (system_call(GETCWD, (long)path, sizeof(path), 0, 0, 0) > 0 && !are_equal(path, "/"))
        return path;
    enter(file.directory);
    return file.directory;
}

/*
 * A pipe without a name, or a pseudo-terminal of this container: one of its own devpts, or what LXC has put at
 * /dev/console. In a privileged container everything else, such as /dev/null or a terminal of the host that somebody
 * handed to lxc-attach, would change its owner on the host as well.
 */
static bool is_own_stream(int fd)
{
    struct file_status status, other;
    unsigned long type[16]; /* struct statfs begins with the type */
    if (get_status(fd, "", &status) < 0)
        return false;
    if ((status.mode & S_IFMT) == S_IFIFO)
        return system_call(FSTATFS, fd, (long)type, 0, 0, 0) == 0 && type[0] == PIPEFS_MAGIC;
    if ((status.mode & S_IFMT) != S_IFCHR || status.rdev_major < FIRST_PTY_MAJOR || status.rdev_major > LAST_PTY_MAJOR)
        return false;
    if (get_status(AT_FDCWD, "/dev/pts", &other) == 0 && other.dev_major == status.dev_major
        && other.dev_minor == status.dev_minor)
        return true;
    return get_status(AT_FDCWD, "/dev/console", &other) == 0 && other.dev_major == status.dev_major
        && other.dev_minor == status.dev_minor && other.inode == status.inode;
}

/* Does what lxc.init.uid, gid and groups do, unless LXC has done it: then this process is not root. */
static void become_user(void)
{
    long result = 0;
    if (system_call(GETUID, 0, 0, 0, 0, 0) != 0)
        return;
    if (file.uid == 0 && file.gid == 0 && file.group_count == 0)
        return;
    /*
     * Gives the user these streams, so that he can open /dev/stdout and /dev/stderr. If that is not permitted, the
     * command starts all the same.
     */
    for (int fd = 0; fd <= 2; fd++)
        if (is_own_stream(fd))
            system_call(FCHOWN, fd, file.uid, -1, 0, 0);
    result = system_call(SETGROUPS, file.group_count, (long)file.groups, 0, 0, 0);
    if (result == 0)
        result = system_call(SETGID, file.gid, 0, 0, 0, 0);
    if (result == 0)
        result = system_call(SETUID, file.uid, 0, 0, 0, 0);
    if (result < 0)
        fail(EXIT_CANNOT_EXECUTE, "cannot become the image's user: ", error_text(result), NULL);
}

/*
 * Process 1 of the mode with an init: hands every signal on to the command, reaps whatever ends, and exits as the
 * command did. It stays root, so that it may signal a command that changes its user. All signals are blocked: process
 * 1 would lose those without a handler, and a blocked one is kept until it is waited for.
 */
__attribute__((noreturn)) static void supervise(long child)
{
    static const unsigned long all = ~0UL;
    for (;;) {
        int status = 0;
        long pid = 0, number = system_call(RT_SIGTIMEDWAIT, (long)&all, 0, 0, sizeof(all), 0);
        if (number > 0 && number != SIGCHLD)
            system_call(KILL, child, number, 0, 0, 0);
        if (number != SIGCHLD)
            continue;
        while ((pid = system_call(WAIT4, -1, (long)&status, WNOHANG, 0, 0)) > 0)
            if (pid == child)
                for (;;)
                    system_call(EXIT_GROUP, status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff, 0, 0, 0, 0);
    }
}

/* Returns in the child, which goes on to execute the command in a process group of its own. */
static void start_child(void)
{
    static const unsigned long all = ~0UL;
    static const unsigned long default_action[4]; /* an ignored SIGCHLD would never come */
    unsigned long before = 0;
    system_call(RT_SIGACTION, SIGCHLD, (long)default_action, 0, sizeof(all), 0);
    system_call(RT_SIGPROCMASK, SIG_SETMASK, (long)&all, (long)&before, sizeof(all), 0);
    long child = system_call(CLONE, SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        fail(EXIT_CANNOT_EXECUTE, "cannot start a process: ", error_text(child), NULL);
    if (child > 0)
        supervise(child);
    system_call(SETPGID, 0, 0, 0, 0, 0);
    system_call(RT_SIGPROCMASK, SIG_SETMASK, (long)&before, 0, sizeof(all), 0);
}

static long execute(const char *path, char **arguments)
{
    return system_call(EXECVE, (long)path, (long)arguments, (long)environment.list, 0, 0);
}

/*
 * Tries the command in each directory of PATH, as execvp(3): the first file that can be executed. Otherwise the first
 * file that has the name is what explain_failure looks at.
 */
__attribute__((noreturn)) static void search_and_execute(const char *path, char **arguments)
{
    static char candidate[MAX_PATH_LENGTH], blamed[MAX_PATH_LENGTH];
    struct file_status status;
    long error = -ENOENT;
    size_t command_length = length_of(arguments[0]);
    for (;; path++) {
        size_t length = 0, used = 0;
        while (path[length] && path[length] != ':')
            length++;
        if (length + command_length + 3 <= sizeof(candidate)) {
            for (; used < length; used++)
                candidate[used] = path[used];
            if (length == 0) /* an empty directory in PATH is the current one */
                candidate[used++] = '.';
            candidate[used++] = '/';
            for (size_t i = 0; i <= command_length; i++)
                candidate[used + i] = arguments[0][i];
            long result = execute(candidate, arguments);
            if (result != -ENOENT && result != -ENOTDIR && result != -EACCES)
                explain_failure(arguments[0], candidate, result, arguments, environment.list);
            if (result == -EACCES)
                error = result;
            if (blamed[0] == 0 && get_status(AT_FDCWD, candidate, &status) == 0)
                for (size_t i = 0; i <= used + command_length; i++)
                    blamed[i] = candidate[i];
        }
        path += length;
        if (*path == 0)
            explain_failure(arguments[0], blamed[0] ? blamed : NULL, error, arguments, environment.list);
    }
}

__attribute__((noreturn)) static void execute_command(char **arguments)
{
    const char *path = get_variable(&environment, "PATH");
    const char *command = arguments[0];
    while (*command && *command != '/')
        command++;
    if (arguments[0][0] == 0)
        explain_failure("the command is an empty string", NULL, -ENOENT, arguments, environment.list);
    if (*command == 0)
        search_and_execute(path ? path : DEFAULT_PATH, arguments);
    explain_failure(arguments[0], arguments[0], execute(arguments[0], arguments), arguments, environment.list);
}

void start(char **stack)
{
    long count = *(long *)stack;
    char **arguments = stack + 2; /* after argv[0] */
    char **inherited = stack + 1 + count + 1;
    bool is_first = system_call(GETPID, 0, 0, 0, 0, 0) == 1;
    if (!is_first && count < 2)
        fail(EXIT_CANNOT_EXECUTE, "the container's command is running already; to run another one beside it:"
             " /.pve.init COMMAND [ARGUMENT...]", NULL);
    if (is_first)
        require_whole_system();
    read_start_file(is_first);
    if (count < 2)
        arguments = file.arguments;
    if (arguments[0] == NULL)
        fail(EXIT_CANNOT_EXECUTE, FILE_NAME " holds no command", NULL);
    if (is_first) {
        collect_first(inherited);
        const char *directory = enter_first_directory();
        if (system_call(GETUID, 0, 0, 0, 0, 0) == 0) {
            prepare_network();
            write_record(directory, inherited);
        }
        if (file.flags & FLAG_INIT)
            start_child();
    } else {
        enter(collect_beside(inherited));
    }
    become_user();
    execute_command(arguments);
}
