/*
 * Memory of this process that only shows files: code and constant data of libraries, class-data archives, the JDK's
 * modules. Nobody ever writes it, so its pages can be given back to the kernel at any time (madvise(2),
 * MADV_DONTNEED), and come from the page cache again when they are read.
 */
#ifndef PVE_OCI_MAPPINGS_H
#define PVE_OCI_MAPPINGS_H

/* Gives the pages of the libraries back. */
void give_back_libraries(void);

/*
 * Such mappings of libraries, archives and modules, as hexadecimal numbers: "start-end,start-end". MAPS is
 * /proc/PID/maps of this process. Those that do not fit are left out. The text stays valid until the next call.
 */
const char *list_unwritten_mappings(int maps);

#endif
