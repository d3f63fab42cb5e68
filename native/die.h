/* The one way the launcher fails: a line on fd 2, exit status 1. */
#ifndef PVE_OCI_DIE_H
#define PVE_OCI_DIE_H

/* FORMAT is "verb object: reason" without the newline; %m is errno's text. */
__attribute__((format(printf, 1, 2))) _Noreturn void die(const char *format, ...);

#endif
