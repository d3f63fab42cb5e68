/* System calls, text and errors of /.pve.init. */

#include "init-system.h"

#include <stdarg.h>

#if defined(__x86_64__)

long system_call(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
}

#else

long system_call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

#endif

long get_status(long fd, const char *path, struct file_status *status)
{
    const long basic = 0x7ff;
    _Static_assert(sizeof(struct file_status) == 256, "struct statx has 256 bytes");
    return system_call(STATX, fd, (long)path, path[0] == 0 ? AT_EMPTY_PATH : 0, basic, (long)status);
}

/* O_NONBLOCK: a fifo in the file's place must not hang the container. */
long read_file(const char *path, char *buffer, size_t capacity)
{
    size_t size = 0;
    long fd = system_call(OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return fd;
    while (size < capacity) {
        long count = system_call(READ, fd, (long)(buffer + size), (long)(capacity - size), 0, 0);
        if (count == -EINTR)
            continue;
        if (count < 0) {
            system_call(CLOSE, fd, 0, 0, 0, 0);
            return count;
        }
        if (count == 0)
            break;
        size += (size_t)count;
    }
    system_call(CLOSE, fd, 0, 0, 0, 0);
    return (long)size;
}

size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

bool starts_with(const char *text, const char *prefix)
{
    while (*prefix && *text == *prefix) {
        text++;
        prefix++;
    }
    return *prefix == 0;
}

bool are_equal(const char *one, const char *other)
{
    return starts_with(one, other) && length_of(one) == length_of(other);
}

char *format_number(unsigned long number, unsigned base, char buffer[24])
{
    char *at = buffer + 23;
    *at = 0;
    do
        *--at = (char)('0' + number % base);
    while ((number /= base) != 0);
    if (base == 8)
        *--at = '0';
    return at;
}

const char *error_text(long error)
{
    static const struct {
        long error;
        const char *text;
    } texts[] = {
        {1, "Operation not permitted"}, {ENOENT, "not found"}, {E2BIG, "Argument list too long"},
        {ENOEXEC, "Exec format error"}, {EACCES, "Permission denied"}, {12, "Cannot allocate memory"},
        {ENOTDIR, "Not a directory"}, {21, "Is a directory"}, {22, "Invalid argument"},
        {26, "Text file busy"}, {40, "Too many levels of symbolic links"},
    };
    static char number[24 + 6];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].error == -error)
            return texts[i].text;
    char *digits = format_number((unsigned long)-error, 10, number + 6) - 6;
    for (size_t i = 0; i < 6; i++)
        digits[i] = "error "[i];
    return digits;
}

void fail(int code, const char *text, ...)
{
    va_list texts;
    va_start(texts, text);
    for (const char *part = "/.pve.init: "; part; part = text, text = text ? va_arg(texts, const char *) : NULL)
        system_call(WRITE, 2, (long)part, (long)length_of(part), 0, 0);
    va_end(texts);
    system_call(WRITE, 2, (long)"\n", 1, 0, 0);
    for (;;)
        system_call(EXIT_GROUP, code, 0, 0, 0, 0);
}
