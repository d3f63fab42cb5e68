/*
 * A Java virtual machine in a sandbox: namespaces, a read-only tree, few capabilities, few system calls. Used by the
 * worker launcher and by the Perl bridge; knows neither where the connection on fd 0 comes from nor what runs in Java.
 */
#ifndef PVE_OCI_SANDBOX_H
#define PVE_OCI_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "jvm.h"

struct sandbox {
    struct jvm_call call;           /* library may be a link; options that the sandbox needs come before the caller's */
    const char *const *binds;       /* what the worker sees besides the JDK */
    size_t bind_count;
    const char *uid_map, *gid_map;  /* lines of uid_map(5) joined by commas; NULL: no user namespace is made */
    rlim_t open_files;
    rlim_t data;                    /* bytes of memory that can be written, RLIMIT_DATA; 0: as the caller has it */
    int owner;                      /* becomes readable when nobody wants the worker any more; -1: never */
    bool waits_for_end;             /* when the owner is gone: not before nothing is left; takes CAP_KILL */
    bool makes_devices;             /* for a privileged container */
    bool only_reads;                /* has no capability, and no system call that changes a file */
    bool keeps_groups;              /* in a user namespace where setgroups(2) is denied */
    bool tells_mappings;            /* the last argument of main is what native/mappings.h lists */
    bool is_plain;                  /* no namespaces and no tree, where the kernel does not grant them */
};

/*
 * Makes this process the parent half, and its child the worker: process 1 of its namespaces, connection on fd 0, log on
 * fds 1 and 2, no other descriptor. Returns the worker's exit status, 128 and the number when it was a signal, once
 * nothing of it is left; on failure dies.
 *
 * The caller has one thread, no descriptors but 0 to 2 and the owner, and a signal mask that the worker inherits.
 */
int run_in_sandbox(const struct sandbox *sandbox);

#endif
