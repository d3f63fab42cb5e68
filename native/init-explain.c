/*
 * execve(2) says "No such file or directory" when a script's interpreter or a program's dynamic loader is missing, and
 * "Argument list too long" without a name. This file looks at the program again and says what is really wrong.
 */

#include "init-explain.h"

#include "init-system.h"

#define HEAD_SIZE 4096
#define MAX_STRING (128 * 1024) /* MAX_ARG_STRLEN, with its NUL */
#define PT_INTERP 3

/* The beginning of the file, zeroed behind its end. */
static unsigned char head[HEAD_SIZE + 1];
static long head_size;

/* Follows links, unlike read_file: the command may be one. */
static void read_head(const char *path)
{
    long fd = system_call(OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return;
    head_size = system_call(READ, fd, (long)head, HEAD_SIZE, 0, 0);
    for (long i = head_size < 0 ? 0 : head_size; i <= HEAD_SIZE; i++)
        head[i] = 0;
    system_call(CLOSE, fd, 0, 0, 0, 0);
}

static bool is_elf(void)
{
    return head_size > 64 && head[0] == 0x7f && head[1] == 'E' && head[2] == 'L' && head[3] == 'F';
}

static unsigned long number_at(size_t offset, size_t size)
{
    unsigned long value = 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | head[offset + i - 1];
    return value;
}

/* The dynamic loader that a 64-bit little-endian program names, or NULL. */
static const char *loader_of_program(void)
{
    unsigned long at = number_at(32, 8), size = number_at(54, 2), count = number_at(56, 2);
    for (; size >= 56 && count > 0 && at < HEAD_SIZE - 56; at += size, count--) {
        unsigned long offset = number_at(at + 8, 8);
        if (number_at(at, 4) == PT_INTERP && offset < HEAD_SIZE)
            return (const char *)head + offset;
    }
    return NULL;
}

/* Reads the interpreter's name out of the first line of a script and ends it with NUL; NULL if there is none. */
static const char *interpreter_of_script(bool *is_crlf)
{
    char *name = (char *)head + 2;
    if (head[0] != '#' || head[1] != '!')
        return NULL;
    while (*name == ' ' || *name == '\t')
        name++;
    size_t length = 0;
    while (name[length] && name[length] != ' ' && name[length] != '\t' && name[length] != '\n' && name[length] != '\r')
        length++;
    *is_crlf = name[length] == '\r';
    name[length] = 0;
    return name;
}

__attribute__((noreturn)) static void fail_interpreter(const char *command)
{
    static char script[HEAD_SIZE + 1];
    struct file_status status;
    const char *interpreter = NULL;
    bool is_crlf = false;
    if (!is_elf() && (interpreter = interpreter_of_script(&is_crlf))) {
        if (is_crlf || get_status(AT_FDCWD, interpreter, &status) < 0)
            fail(EXIT_NOT_FOUND, command, ": the interpreter in its first line, ", interpreter, ", is not found",
                 is_crlf ? ": the line ends with CR LF, convert the file to LF" : "", NULL);
        for (size_t i = 0; i == 0 || script[i - 1]; i++) /* the head is read anew */
            script[i] = interpreter[i];
        read_head(script);
    }
    const char *loader = is_elf() ? loader_of_program() : NULL;
    fail(EXIT_NOT_FOUND, command, ": ", interpreter ? "its interpreter " : "", interpreter ? script : "",
         interpreter ? " needs a file that is not found" : "it needs a file that is not found",
         loader ? ", the dynamic loader " : "", loader ? loader : "", NULL);
}

__attribute__((noreturn)) static void fail_format(const char *command)
{
    const char *reason = "it is neither a program nor a script, whose first line begins with #!";
    if (head_size == 0)
        reason = "the file is empty";
    else if (is_elf())
        reason = "it is a program for another architecture";
    fail(EXIT_CANNOT_EXECUTE, command, ": Exec format error: ", reason, NULL);
}

__attribute__((noreturn)) static void fail_permission(const char *command, const char *path)
{
    struct file_status status;
    char number[24];
    if (get_status(AT_FDCWD, path, &status) < 0)
        fail(EXIT_CANNOT_EXECUTE, command, ": Permission denied", NULL);
    if ((status.mode & S_IFMT) == S_IFDIR)
        fail(EXIT_CANNOT_EXECUTE, command, ": Permission denied: ", path, " is a directory", NULL);
    if (!(status.mode & 0111))
        fail(EXIT_CANNOT_EXECUTE, command, ": Permission denied: ", path, " is not executable, its mode is ",
             format_number(status.mode & 07777, 8, number), NULL);
    bool is_crlf;
    const char *interpreter = interpreter_of_script(&is_crlf);
    if (interpreter && get_status(AT_FDCWD, interpreter, &status) == 0 && !(status.mode & 0111))
        fail(EXIT_CANNOT_EXECUTE, command, ": Permission denied: the interpreter in its first line, ", interpreter,
             ", is not executable", NULL);
    fail(EXIT_CANNOT_EXECUTE, command, ": Permission denied", NULL);
}

__attribute__((noreturn)) static void fail_size(
    const char *command, char *const arguments[], char *const variables[])
{
    size_t total = 0;
    char number[24];
    for (; *variables; variables++) {
        size_t length = length_of(*variables), name_length = 0;
        total += length + 1 + sizeof(char *);
        if (length < MAX_STRING)
            continue;
        while ((*variables)[name_length] && (*variables)[name_length] != '=')
            name_length++;
        (*variables)[name_length] = 0;
        fail(EXIT_CANNOT_EXECUTE, command, ": the variable ", *variables, " has ", format_number(length, 10, number),
             " bytes, the kernel takes 131071", NULL);
    }
    for (; *arguments; arguments++) {
        size_t length = length_of(*arguments);
        total += length + 1 + sizeof(char *);
        if (length >= MAX_STRING)
            fail(EXIT_CANNOT_EXECUTE, command, ": an argument has ", format_number(length, 10, number),
                 " bytes, the kernel takes 131071", NULL);
    }
    fail(EXIT_CANNOT_EXECUTE, command, ": environment and arguments have ", format_number(total, 10, number),
         " bytes, which is more than the kernel takes", NULL);
}

void explain_failure(
    const char *command, const char *path, long error, char *const arguments[], char *const variables[])
{
    struct file_status status;
    if (path)
        read_head(path);
    if (error == -E2BIG)
        fail_size(command, arguments, variables);
    if (error == -EACCES && path)
        fail_permission(command, path);
    if (error == -ENOEXEC)
        fail_format(command);
    if (error == -ENOENT && path && get_status(AT_FDCWD, path, &status) == 0)
        fail_interpreter(command);
    fail(error == -ENOENT || error == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, command, ": ",
         error_text(error), NULL);
}
