/* From Perl's process to the worker's sandbox: what JVM.xs calls, free of Perl. */
#ifndef PVE_OCI_BRIDGE_H
#define PVE_OCI_BRIDGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox.h"

struct bridge {
    struct sandbox sandbox;
    int connection;       /* becomes the worker's fd 0 */
    int log;              /* becomes fds 1 and 2 */
    int owner;            /* at its end all of it is killed */
    bool needs_namespace; /* an ordinary user's process: becomes root of a user namespace of its own, if it may */
};

/*
 * Forks; the child becomes the parent half of a sandbox. Returns its pid, or -1 with errno. The descriptors stay the
 * caller's. The child ends with the worker's exit status.
 */
pid_t bridge_start(const struct bridge *bridge);

/*
 * A detached mount of a directory with the mounts below it: `..` ends at it. No set-id, no devices, no programs.
 * Returns a descriptor, or -1 with errno.
 */
int bridge_clone_mount(int directory, bool is_read_only);

#endif
