/*
 * Format of /.pve.env, every record ended by NUL, numbers decimal:
 *
 *     pve.env 2 FLAGS VARIABLES ARGUMENTS UID GID [GROUP...]
 *     DIRECTORY         where the command starts; may be empty
 *     NAME=VALUE        VARIABLES times
 *     ARGUMENT          ARGUMENTS times; the first names the command
 *
 * The container's root may write anything into the file, so nothing in it is believed: all numbers are compared
 * with the bytes that are there. t/08-init-fuzz.t runs this file under sanitizers.
 */

#include "init-file.h"

#include "init-system.h"

/* The header's numbers, in its order. */
enum { FLAGS, VARIABLES, ARGUMENTS, USER, GROUP, GROUPS };

__attribute__((noreturn)) static void fail_damaged(const char *reason)
{
    fail(EXIT_CANNOT_EXECUTE, FILE_NAME ": ", reason, NULL);
}

static unsigned parse_header(const char *content, unsigned header[GROUPS + MAX_GROUPS])
{
    static const char magic[] = "pve.env 2";
    const char *at = content + sizeof(magic) - 1;
    unsigned count = 0;
    if (!starts_with(content, magic))
        fail_damaged("damaged, or of another version than /.pve.init");
    for (; *at; count++) {
        unsigned long value = 0;
        if (count == GROUPS + MAX_GROUPS || *at++ != ' ' || *at < '0' || *at > '9')
            fail_damaged("damaged header");
        for (; *at >= '0' && *at <= '9' && value <= 0xffffffffUL; at++)
            value = value * 10 + (unsigned long)(*at - '0');
        if (value >= 0xffffffffUL) /* (uid_t)-1 means no change */
            fail_damaged("damaged header: number too large");
        header[count] = (unsigned)value;
    }
    if (count < GROUPS)
        fail_damaged("damaged header: it is too short");
    return count;
}

static size_t name_length(const char *variable)
{
    size_t length = 0;
    while (variable[length] && variable[length] != '=')
        length++;
    return length;
}

void parse_file(struct start_file *file, char *content, size_t size)
{
    unsigned header[GROUPS + MAX_GROUPS];
    if (size == 0 || content[size - 1] != 0)
        fail_damaged("damaged: it does not end with NUL");
    const char *end = content + size;
    unsigned header_count = parse_header(content, header);
    file->flags = header[FLAGS];
    file->uid = header[USER];
    file->gid = header[GROUP];
    file->group_count = header_count - GROUPS;
    for (unsigned i = 0; i < file->group_count; i++)
        file->groups[i] = header[GROUPS + i];
    file->variable_count = header[VARIABLES];
    file->argument_count = header[ARGUMENTS];
    if (file->variable_count > MAX_STRINGS || file->argument_count > MAX_STRINGS)
        fail_damaged("too many variables or arguments");
    char *record = content + length_of(content) + 1;
    if (record == end)
        fail_damaged("damaged: it is cut short");
    file->directory = record;
    record += length_of(record) + 1;
    file->variables = record;
    for (unsigned i = 0; i < file->variable_count + file->argument_count; i++, record += length_of(record) + 1) {
        if (record == end)
            fail_damaged("damaged: it is cut short");
        if (i >= file->variable_count)
            file->arguments[i - file->variable_count] = record;
        else if (name_length(record) == 0 || record[name_length(record)] != '=')
            fail_damaged("damaged: a variable is not NAME=VALUE");
    }
    file->arguments[file->argument_count] = NULL;
    if (record != end)
        fail_damaged("damaged: bytes after the last argument");
}

/* The slot of the name, or the free slot where it belongs. At most half of the slots are ever taken. */
static unsigned find_slot(const struct environment *environment, const char *name, size_t length)
{
    unsigned hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    for (;; hash++) {
        unsigned slot = hash % (2 * MAX_STRINGS);
        if (environment->slots[slot] == 0)
            return slot;
        const char *other = environment->list[environment->slots[slot] - 1];
        size_t i = 0;
        while (i < length && other[i] == name[i])
            i++;
        if (i == length && (other[i] == '=' || other[i] == 0))
            return slot;
    }
}

bool add_variable(struct environment *environment, char *variable)
{
    unsigned slot = find_slot(environment, variable, name_length(variable));
    if (environment->slots[slot] != 0)
        return true;
    if (environment->count == MAX_STRINGS)
        return false;
    environment->list[environment->count] = variable;
    environment->slots[slot] = ++environment->count;
    environment->list[environment->count] = NULL;
    return true;
}

const char *get_variable(const struct environment *environment, const char *name)
{
    unsigned index = environment->slots[find_slot(environment, name, length_of(name))];
    const char *variable = index == 0 ? NULL : environment->list[index - 1];
    return variable && variable[name_length(variable)] == '=' ? variable + name_length(variable) + 1 : NULL;
}
