/* Why a command cannot be executed. */
#ifndef INIT_EXPLAIN_H
#define INIT_EXPLAIN_H

/*
 * Fails with the exit code of a shell: 127 if the command is not there, else 126. The path is the file that was tried,
 * or NULL if the command was searched and no file has its name.
 */
__attribute__((noreturn)) void explain_failure(
    const char *command, const char *path, long error, char *const arguments[], char *const variables[]);

#endif
