#include "mappings.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((uintptr_t) 4096)

struct list {
    char text[4096];
    size_t length;
};

static void add(struct list *list, uintptr_t start, uintptr_t end)
{
    char range[48];
    int length = snprintf(range, sizeof range, "%s%jx-%jx", list->length > 0 ? "," : "", (uintmax_t) start,
        (uintmax_t) end);

    if (list->length + (size_t) length >= sizeof list->text)
        return;
    memcpy(list->text + list->length, range, (size_t) length + 1);
    list->length += (size_t) length;
}

/*
 * Notes the segments that are not writable. What the loader writes while it relocates, and protects afterwards (RELRO),
 * is in a writable one. The program itself and the kernel's library have no path, and are left out.
 */
static int visit_object(struct dl_phdr_info *object, size_t size, void *list)
{
    (void) size;
    for (size_t i = 0; object->dlpi_name[0] == '/' && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
            continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr + PAGE - 1) & -PAGE;
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & -PAGE;
        if (end <= start)
            continue;
        if (list != NULL)
            add(list, start, end);
        else
            (void) madvise((void *) start, end - start, MADV_DONTNEED); /* if it fails, nothing has changed */
    }
    return 0;
}

void give_back_libraries(void)
{
    (void) dl_iterate_phdr(visit_object, NULL);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The virtual machine maps these for as long as it runs, and those that it has to change it maps writable. */
static void add_data(struct list *list, char *line)
{
    uintmax_t start, end;
    char access[5];

    if (sscanf(line, "%jx-%jx %4s", &start, &end, access) != 3 || strncmp(access, "r--", 3) != 0)
        return;
    if (ends_with(line, ".jsa") || ends_with(line, "/lib/modules"))
        add(list, (uintptr_t) start, (uintptr_t) end);
}

const char *list_unwritten_mappings(int maps)
{
    static struct list list;
    char buffer[8192];
    size_t filled = 0;
    ssize_t count;

    list.length = 0;
    list.text[0] = '\0';
    (void) dl_iterate_phdr(visit_object, &list);
    while ((count = read(maps, buffer + filled, sizeof buffer - 1 - filled)) > 0) {
        filled += (size_t) count;
        buffer[filled] = '\0';
        char *line = buffer;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            add_data(&list, line);
        }
        filled -= (size_t) (line - buffer);
        memmove(buffer, line, filled);
    }
    return list.text;
}
