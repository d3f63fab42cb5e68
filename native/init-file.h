/* The file /.pve.env, and the environment that a command gets. */
#ifndef INIT_FILE_H
#define INIT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define FILE_NAME "/.pve.env"
#define MAX_FILE_SIZE (4 * 1024 * 1024)
/* The kernel takes fewer than this: 2 MiB hold no more than 233,016 strings and the pointers to them. */
#define MAX_STRINGS (256 * 1024)
#define MAX_GROUPS 64

/* Process 1 stays an init that forwards signals and reaps processes; the command is its child. */
#define FLAG_INIT 1

struct start_file {
    unsigned flags, uid, gid;
    unsigned group_count, groups[MAX_GROUPS];
    char *directory; /* empty: none */
    unsigned variable_count;
    char *variables; /* the strings follow one another */
    unsigned argument_count;
    char *arguments[MAX_STRINGS + 1]; /* ends with NULL */
};

/* Variables by name. A name that is there already keeps its value, so the sources are added by their rank. */
struct environment {
    char *list[MAX_STRINGS + 1]; /* ends with NULL */
    unsigned count;
    unsigned slots[2 * MAX_STRINGS]; /* hash table: 1 + index in the list, 0 where free */
};

/* Fills the structure with pointers into the content. Fails if the content is not as the format says. */
void parse_file(struct start_file *file, char *content, size_t size);

/* Adds NAME=VALUE unless the name is there. Returns false if there is no room. */
bool add_variable(struct environment *environment, char *variable);

/* Returns the value, or NULL. */
const char *get_variable(const struct environment *environment, const char *name);

#endif
