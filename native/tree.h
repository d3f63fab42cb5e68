/* The directory tree that a worker sees. One piece of the launcher. */
#ifndef PVE_OCI_TREE_H
#define PVE_OCI_TREE_H

#include <stddef.h>

/*
 * Moves this process into a mount namespace and root directory of its own that hold the JDK of JVM (the real path of
 * JDK/lib/server/libjvm.so), the BINDS at their own paths, without what is mounted below them, and nothing else.
 * Does not return on failure.
 */
void enter_tree(const char *jvm, const char *const *binds, size_t bind_count);

#endif
