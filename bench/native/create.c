/*
 * The least that making a tree costs: takes an uncompressed tar archive from memory and makes its entries with as few
 * system calls as there can be, checking nothing. Parents come before their children and no entry comes twice, as
 * bench/run writes the archive. Directories' times are set at the end, as they have to be.
 *
 *     create FLAT.tar DIRECTORY
 *
 * Prints the seconds of wall and of processor time that it took, reading the archive into memory left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 512 };

struct entry {
	char type;
	char *name, *target;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec times[2];
	const char *content;
	size_t size;
};

/* The parent directory of the entry before, kept open: entries of one directory mostly follow each other. */
static int parent_fd = -1;
static char parent_name[4096] = "";
static int root_fd;

static void die(const char *what)
{
	fprintf(stderr, "create: %s: %m\n", what);
	exit(1);
}

static uint64_t number(const char *field, size_t length)
{
	uint64_t value = 0;

	if (field[0] & 0x80) { /* base 256 */
		for (size_t i = 1; i < length; i++)
			value = value << 8 | (unsigned char)field[i];
		return value;
	}
	for (size_t i = 0; i < length && field[i]; i++)
		if (field[i] >= '0' && field[i] <= '7')
			value = value * 8 + (uint64_t)(field[i] - '0');
	return value;
}

/* Opens the directory of an entry, unless it is that of the entry before; returns the entry's last component. */
static const char *open_parent(char *name)
{
	char *slash = strrchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;

	if (parent_fd >= 0 && !strncmp(parent_name, name, length) && !parent_name[length])
		return slash ? slash + 1 : name;
	if (parent_fd >= 0 && parent_fd != root_fd)
		close(parent_fd);
	memcpy(parent_name, name, length);
	parent_name[length] = 0;
	parent_fd = length ? openat(root_fd, parent_name, O_PATH | O_DIRECTORY | O_CLOEXEC) : root_fd;
	if (parent_fd < 0)
		die(parent_name);
	return slash ? slash + 1 : name;
}

static void make_file(const char *name, const struct entry *entry)
{
	int fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, entry->mode & 0777);

	if (fd < 0)
		die(entry->name);
	for (size_t done = 0; done < entry->size;) {
		ssize_t written = write(fd, entry->content + done, entry->size - done);

		if (written < 0)
			die(entry->name);
		done += (size_t)written;
	}
	if (fchown(fd, entry->uid, entry->gid))
		die(entry->name);
	if (entry->mode & 07000 && fchmod(fd, entry->mode))
		die(entry->name);
	if (futimens(fd, entry->times))
		die(entry->name);
	close(fd);
}

static void make(struct entry *entry)
{
	const char *name = open_parent(entry->name);
	int failed = 0;

	switch (entry->type) {
	case '0':
		make_file(name, entry);
		return;
	case '1':
		failed = linkat(root_fd, entry->target, parent_fd, name, 0);
		break;
	case '2':
		failed = symlinkat(entry->target, parent_fd, name) ||
			 fchownat(parent_fd, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) ||
			 utimensat(parent_fd, name, entry->times, AT_SYMLINK_NOFOLLOW);
		break;
	case '5':
		failed = mkdirat(parent_fd, name, entry->mode & 0777) ||
			 fchownat(parent_fd, name, entry->uid, entry->gid, 0) ||
			 (entry->mode & 07000 && fchmodat(parent_fd, name, entry->mode, 0));
		break;
	default:
		errno = EINVAL;
		failed = 1;
	}
	if (failed)
		die(entry->name);
}

/* Reads the header at *at and moves *at behind the entry; GNU long names are put into the entry that follows. */
static int next(const char *archive, size_t *at, struct entry *entry)
{
	char *long_name = NULL, *long_target = NULL;
	size_t length;

	for (;;) {
		const char *header = archive + *at;
		size_t size = number(header + 124, 12);

		if (!header[0])
			return 0;
		*at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
		if (header[156] == 'L') {
			long_name = strndup(header + BLOCK, size);
		} else if (header[156] == 'K') {
			long_target = strndup(header + BLOCK, size);
		} else {
			entry->type = header[156];
			entry->name = long_name ? long_name : strndup(header, 100);
			length = strlen(entry->name);
			if (length > 1 && entry->name[length - 1] == '/')
				entry->name[length - 1] = 0;
			entry->target = long_target ? long_target : strndup(header + 157, 100);
			entry->mode = (mode_t)number(header + 100, 8);
			entry->uid = (uid_t)number(header + 108, 8);
			entry->gid = (gid_t)number(header + 116, 8);
			entry->times[0].tv_sec = entry->times[1].tv_sec = (time_t)number(header + 136, 12);
			entry->times[0].tv_nsec = entry->times[1].tv_nsec = 0;
			entry->content = header + BLOCK;
			entry->size = size;
			return 1;
		}
	}
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct entry *directories = NULL;
	size_t at = 0, directories_count = 0;
	double wall, cpu;
	struct entry entry;
	struct stat status;
	char *archive;
	int fd;

	if (argc != 3) {
		fputs("usage: create FLAT.tar DIRECTORY\n", stderr);
		return 2;
	}
	umask(0);
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		die(argv[1]);
	archive = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (archive == MAP_FAILED)
		die(argv[1]);
	root_fd = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		die(argv[2]);

	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	while (next(archive, &at, &entry)) {
		make(&entry);
		if (entry.type == '5') {
			if (directories_count % 1024 == 0) {
				directories = realloc(directories, (directories_count + 1024) * sizeof(*directories));
				if (!directories)
					die("realloc");
			}
			directories[directories_count++] = entry;
		}
	}
	for (size_t i = 0; i < directories_count; i++)
		if (utimensat(root_fd, directories[i].name, directories[i].times, 0))
			die(directories[i].name);
	printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
