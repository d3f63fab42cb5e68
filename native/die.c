/* "<3>" is the priority that journald reads. Written at once, so that the lines of several workers stay whole. */
#include "die.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *program = "pve-oci-worker";

void die_as(const char *name)
{
    program = name;
}

_Noreturn void die(const char *format, ...)
{
    char line[1024];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "<3>%s: %.*s\n", program, length < 0 ? 0 : (int) sizeof line, line);
    _exit(1);
}
