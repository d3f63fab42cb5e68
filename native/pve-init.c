/*
 * /.pve.init - the first program of a container made from an OCI image.
 *
 * Reads environment, command and ids from /.pve.env, becomes the user, and executes the command in its
 * own place, so that the command is process 1. LXC's configuration has neither quoting nor an
 * environment that stays out of hooks on the host; this file has neither need.
 *
 * One static executable without a C library: it runs in any root file system, also an empty one.
 *
 * Format of /.pve.env, every record ended by NUL, numbers decimal:
 *
 *     pve.env 1 VARIABLES ARGUMENTS UID GID [GROUP...]
 *     NAME=VALUE        VARIABLES times
 *     ARGUMENT          ARGUMENTS times, at least once; the first names the command
 *
 * Exit codes are a shell's: 127 when the command is not found, 126 when it cannot be executed or
 * anything before that fails.
 */

#include <stddef.h>

#define FILE_NAME "/.pve.env"
#define MAX_FILE_SIZE (4 * 1024 * 1024)
#define MAX_STRINGS 65536
#define MAX_GROUPS 64
#define MAX_PATH_LENGTH 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

#define AT_FDCWD -100
#define O_RDONLY 0
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000
#define ENOENT 2
#define EINTR 4
#define EACCES 13
#define ENOTDIR 20

#if defined(__x86_64__)
#define O_NOFOLLOW 0400000
enum { READ = 0, WRITE = 1, EXECVE = 59, GETUID = 102, SETUID = 105, SETGID = 106, SETGROUPS = 116, EXIT_GROUP = 231, OPENAT = 257 };

static long system_call(long number, long a, long b, long c, long d)
{
	long result;
	register long fourth __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
	return result;
}

/* The kernel puts argc, argv and the environment on the stack; their address is all that is needed. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");

#elif defined(__aarch64__)
#define O_NOFOLLOW 0100000
enum { OPENAT = 56, READ = 63, WRITE = 64, EXIT_GROUP = 94, SETGID = 144, SETUID = 146, SETGROUPS = 159, GETUID = 174, EXECVE = 221 };

static long system_call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tbl start\n");

#else
#error "no system calls known for this architecture"
#endif

/* The header's numbers, in its order. */
enum { VARIABLES, ARGUMENTS, USER, GROUP, GROUPS };

static char content[MAX_FILE_SIZE + 1];
static char *environment[MAX_STRINGS];
static char *arguments[MAX_STRINGS];
static unsigned header[GROUPS + MAX_GROUPS];
static unsigned header_count;

void start(char **stack) __attribute__((noreturn));

static size_t length_of(const char *text)
{
	size_t length = 0;
	while (text[length])
		length++;
	return length;
}

static void say(const char *text)
{
	system_call(WRITE, 2, (long)text, (long)length_of(text), 0);
}

__attribute__((noreturn)) static void fail(int code, const char *subject, const char *reason)
{
	say("/.pve.init: ");
	say(subject);
	say(": ");
	say(reason);
	say("\n");
	for (;;)
		system_call(EXIT_GROUP, code, 0, 0, 0);
}

__attribute__((noreturn)) static void fail_errno(int code, const char *subject, long error)
{
	static const struct { long error; const char *text; } texts[] = {
		{1, "Operation not permitted"}, {ENOENT, "not found"}, {7, "Argument list too long"}, {8, "Exec format error"},
		{EACCES, "Permission denied"}, {ENOTDIR, "Not a directory"}, {21, "Is a directory"}, {22, "Invalid argument"},
		{40, "Too many levels of symbolic links"},
	};
	char number[] = "error 000";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].error == -error)
			fail(code, subject, texts[i].text);
	for (size_t i = sizeof(number) - 2; error != 0 && number[i] == '0'; i--, error /= 10)
		number[i] = (char)('0' + -error % 10);
	fail(code, subject, number);
}

__attribute__((noreturn)) static void fail_damaged(const char *reason)
{
	fail(EXIT_CANNOT_EXECUTE, FILE_NAME, reason);
}

/* Reads the whole file; returns its size. O_NONBLOCK: a fifo must not hang the container. */
static size_t read_file(void)
{
	size_t size = 0;
	long fd = system_call(OPENAT, AT_FDCWD, (long)FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		fail_errno(EXIT_CANNOT_EXECUTE, FILE_NAME, fd);
	for (;;) {
		long count = system_call(READ, fd, (long)(content + size), (long)(sizeof(content) - size), 0);
		if (count == -EINTR)
			continue;
		if (count < 0)
			fail_errno(EXIT_CANNOT_EXECUTE, FILE_NAME, count);
		if (count == 0)
			break;
		size += (size_t)count;
		if (size > MAX_FILE_SIZE)
			fail_damaged("larger than 4 MiB");
	}
	if (size == 0 || content[size - 1] != 0)
		fail_damaged("damaged: it does not end with NUL");
	return size;
}

static void parse_header(void)
{
	static const char magic[] = "pve.env 1";
	const char *at = content;
	for (const char *expected = magic; *expected; expected++, at++)
		if (*at != *expected)
			fail_damaged("damaged, or of another version");
	for (; *at; header_count++) {
		unsigned long value = 0;
		if (header_count == GROUPS + MAX_GROUPS || *at++ != ' ' || *at < '0' || *at > '9')
			fail_damaged("damaged header");
		for (; *at >= '0' && *at <= '9' && value <= 0xffffffffUL; at++)
			value = value * 10 + (unsigned long)(*at - '0');
		if (value >= 0xffffffffUL) /* (uid_t)-1 means no change */
			fail_damaged("damaged header: number too large");
		header[header_count] = (unsigned)value;
	}
	if (header_count < GROUPS || header[ARGUMENTS] == 0)
		fail_damaged("holds no command");
}

static size_t name_length(const char *variable)
{
	size_t length = 0;
	while (variable[length] && variable[length] != '=')
		length++;
	return length;
}

/* Points at the variables in the list that has this one's name, or at its end. */
static char **find_variable(char **list, const char *variable)
{
	size_t length = name_length(variable);
	for (; *list; list++) {
		size_t i = 0;
		while (i < length && (*list)[i] == variable[i])
			i++;
		if (i == length && name_length(*list) == length)
			break;
	}
	return list;
}

/* What LXC set comes first, the file's variables replace it by name. */
static void collect(char **inherited, const char *end)
{
	char *record = content + length_of(content) + 1;
	size_t count = 0;
	for (; *inherited && count < MAX_STRINGS / 2; inherited++)
		environment[count++] = *inherited;
	if (header[VARIABLES] >= MAX_STRINGS - count || header[ARGUMENTS] >= MAX_STRINGS)
		fail_damaged("too many variables or arguments");
	for (unsigned i = 0; i < header[VARIABLES] + header[ARGUMENTS]; i++, record += length_of(record) + 1) {
		if (record >= end)
			fail_damaged("damaged: it is cut short");
		if (i < header[VARIABLES]) {
			if (name_length(record) == 0 || record[name_length(record)] != '=')
				fail_damaged("damaged: a variable is not NAME=VALUE");
			*find_variable(environment, record) = record;
		} else {
			arguments[i - header[VARIABLES]] = record;
		}
	}
	if (record != end)
		fail_damaged("damaged: bytes after the last argument");
}

/* Does what lxc.init.uid, gid and groups do, unless LXC has done it: then this process is not root. */
static void become_user(void)
{
	long result = 0;
	if (system_call(GETUID, 0, 0, 0, 0) != 0)
		return;
	if (header[USER] == 0 && header[GROUP] == 0 && header_count == GROUPS)
		return;
	result = system_call(SETGROUPS, header_count - GROUPS, (long)&header[GROUPS], 0, 0);
	if (result == 0)
		result = system_call(SETGID, header[GROUP], 0, 0, 0);
	if (result == 0)
		result = system_call(SETUID, header[USER], 0, 0, 0);
	if (result < 0)
		fail_errno(EXIT_CANNOT_EXECUTE, "cannot become the image's user", result);
}

static long execute(const char *path)
{
	return system_call(EXECVE, (long)path, (long)arguments, (long)environment, 0);
}

/* Tries the command in each directory of PATH, as execvp(3): the first file that can be executed. */
static long search_and_execute(const char *path, const char *command)
{
	static char candidate[MAX_PATH_LENGTH];
	long error = -ENOENT;
	size_t command_length = length_of(command);
	for (;;) {
		size_t length = 0;
		long result = 0;
		while (path[length] && path[length] != ':')
			length++;
		if (length + command_length + 3 <= sizeof(candidate)) {
			size_t used = 0;
			for (; used < length; used++)
				candidate[used] = path[used];
			if (length == 0) /* an empty directory in PATH is the current one */
				candidate[used++] = '.';
			candidate[used++] = '/';
			for (size_t i = 0; i <= command_length; i++)
				candidate[used + i] = command[i];
			result = execute(candidate);
			if (result == -EACCES)
				error = result; /* a later directory may have one that can be executed */
			else if (result != -ENOENT && result != -ENOTDIR)
				return result;
		}
		if (path[length] == 0)
			return error;
		path += length + 1;
	}
}

void start(char **stack)
{
	char **inherited = stack + 1 + *(long *)stack + 1;
	const char *path = DEFAULT_PATH;
	long error = 0;
	size_t length = 0;
	size_t size = read_file();
	parse_header();
	collect(inherited, content + size);
	become_user();
	const char *command = arguments[0];
	char **variable = find_variable(environment, "PATH=");
	if (*variable)
		path = *variable + sizeof("PATH=") - 1;
	while (command[length] && command[length] != '/')
		length++;
	if (command[0] == 0)
		error = -ENOENT;
	else
		error = command[length] ? execute(command) : search_and_execute(path, command);
	fail_errno(error == -ENOENT || error == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, command, error);
}
