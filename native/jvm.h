/*
 * Creates a Java virtual machine in this process and runs the main method of one class.
 * Used by the worker launcher and by the Perl bridge; knows nothing of either.
 */
#ifndef PVE_OCI_JVM_H
#define PVE_OCI_JVM_H

#include <stddef.h>

struct jvm_call {
    const char *library;        /* path of libjvm.so; may be loaded already, jvm_load() */
    char *const *options;       /* as on java's command line: -Xmx..., -D..., -XX:... */
    size_t option_count;
    const char *main_class;     /* with slashes: pve/oci/worker/WorkerMain */
    char *const *arguments;     /* of main, valid UTF-8 */
    size_t argument_count;
    const char *(*last_argument)(void); /* called once the machine is created: one more argument; NULL: none */
    size_t stack_size;          /* of the thread that runs main; 0 = JVM_DEFAULT_STACK */
};

/* What java itself gives its main thread on 64-bit Linux. */
#define JVM_DEFAULT_STACK ((size_t) 1 << 20)

/* More than this many options is a mistake of the caller. */
#define JVM_MAX_OPTIONS 128

/*
 * Loads libjvm.so without starting a thread. The loader reads no file of it after this, so a process that gives up its
 * view of the file system does so between jvm_load and jvm_run. Returns NULL, or what went wrong.
 */
const char *jvm_load(const char *library);

/*
 * Runs main to its end on a new thread with the signal mask of the caller, waits for the non-daemon threads.
 * At most once in a process, and never in one that forks afterwards: the child would have no threads.
 * Returns NULL when main returned, otherwise the step that failed. System.exit() does not return at all.
 */
const char *jvm_run(const struct jvm_call *call);

#endif
