/* The system calls a worker may make. One piece of the launcher. */
#ifndef PVE_OCI_SECCOMP_H
#define PVE_OCI_SECCOMP_H

#include <stdbool.h>

/*
 * Installs the filter for this thread and the ones it starts; needs no_new_privs. System calls that are not in the list
 * fail with EPERM. only_reads: calls that change files fail too. make_devices: mknodat may make character and block
 * devices.
 * Returns 0 or -1 with errno.
 */
int restrict_system_calls(bool only_reads, bool make_devices);

#endif
