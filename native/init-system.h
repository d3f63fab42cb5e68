/*
 * What the files of /.pve.init share: system calls, text, and errors. There is no C library below it.
 */
#ifndef INIT_SYSTEM_H
#define INIT_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

#define AT_FDCWD -100
#define AT_EMPTY_PATH 0x1000
#define O_RDONLY 0
#define O_WRONLY 01
#define O_RDWR 02
#define O_CREAT 0100
#define O_EXCL 0200
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000

#define ENOENT 2
#define EINTR 4
#define E2BIG 7
#define ENOEXEC 8
#define EACCES 13
#define ENOTDIR 20

#if defined(__x86_64__)
#define O_NOFOLLOW 0400000
enum {
    READ = 0, WRITE = 1, CLOSE = 3, RT_SIGACTION = 13, RT_SIGPROCMASK = 14, IOCTL = 16, GETPID = 39, SOCKET = 41,
    CLONE = 56, EXECVE = 59, WAIT4 = 61, KILL = 62, UNAME = 63, GETCWD = 79, CHDIR = 80, FCHOWN = 93, GETUID = 102,
    SETUID = 105, SETGID = 106, SETPGID = 109, SETGROUPS = 116, RT_SIGTIMEDWAIT = 128, FSTATFS = 138,
    EXIT_GROUP = 231, OPENAT = 257, UNLINKAT = 263, STATX = 332,
};
#elif defined(__aarch64__)
#define O_NOFOLLOW 0100000
enum {
    GETCWD = 17, IOCTL = 29, UNLINKAT = 35, FSTATFS = 44, CHDIR = 49, FCHOWN = 55, OPENAT = 56, CLOSE = 57, READ = 63,
    WRITE = 64, EXIT_GROUP = 94, KILL = 129, RT_SIGACTION = 134, RT_SIGPROCMASK = 135, RT_SIGTIMEDWAIT = 137,
    SETGID = 144, SETUID = 146, SETPGID = 154, SETGROUPS = 159, UNAME = 160, GETPID = 172, GETUID = 174, SOCKET = 198,
    CLONE = 220, EXECVE = 221, WAIT4 = 260, STATX = 291,
};
#else
#error "no system calls known for this architecture"
#endif

/* The first fields of struct statx, which is the same on every architecture. */
struct file_status {
    unsigned mask, block_size;
    unsigned long attributes;
    unsigned links, uid, gid;
    unsigned short mode, spare;
    unsigned long inode, size, blocks, attributes_mask;
    long times[8];
    unsigned rdev_major, rdev_minor, dev_major, dev_minor;
    unsigned long rest[14];
};

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000

long system_call(long number, long a, long b, long c, long d, long e);

/* Returns 0 or a negative error number. An empty path means the descriptor itself. */
long get_status(long fd, const char *path, struct file_status *status);

/* Reads the file into the buffer. Returns the count of bytes, at most the capacity, or a negative error number. */
long read_file(const char *path, char *buffer, size_t capacity);

size_t length_of(const char *text);
bool are_equal(const char *one, const char *other);
bool starts_with(const char *text, const char *prefix);

/* Writes the number in decimal, or in octal with a leading 0. Returns a pointer into the buffer. */
char *format_number(unsigned long number, unsigned base, char buffer[24]);

/* What a program says about an error number, such as "Permission denied". */
const char *error_text(long error);

/* Writes "/.pve.init: " and the texts, up to NULL, in one line to standard error, and exits with the code. */
__attribute__((noreturn, sentinel)) void fail(int code, const char *text, ...);

#endif
