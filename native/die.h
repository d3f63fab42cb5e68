/* The one way the launcher fails: a line on fd 2, exit status 1. */
#ifndef PVE_OCI_DIE_H
#define PVE_OCI_DIE_H

/* Whose lines they are: the launcher's own, unless another program says its name first. */
void die_as(const char *name);

/* FORMAT is "verb object: reason" without the newline; %m is errno's text. */
__attribute__((format(printf, 1, 2))) _Noreturn void die(const char *format, ...);

#endif
