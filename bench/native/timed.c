/*
 * Runs a command and says what it cost: wall time, processor time and peak memory of the command and of all that it
 * waited for. A small program of its own, because a child's peak memory starts with that of the process that forks it.
 *
 *     timed RESULT-FILE [--map INSIDE OUTSIDE COUNT] COMMAND [ARGUMENT...]
 *
 * With --map the command runs as root of a user namespace, as an extractor that knows no ID maps has to be run.
 * RESULT-FILE gets one line of JSON. The exit status is the command's.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "timed: %s: %m\n", what);
	_exit(125);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void write_map(pid_t pid, const char *kind, char *const map[3])
{
	char path[64], line[128];
	int fd, length;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, kind);
	length = snprintf(line, sizeof(line), "%s %s %s\n", map[0], map[1], map[2]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, (size_t)length) != length)
		die(path);
	close(fd);
}

/* In the command's process: enters a namespace, whose maps its parent writes, and becomes its root. */
static void enter_namespace(int entered, int mapped)
{
	char byte = 0;

	if (unshare(CLONE_NEWUSER))
		die("unshare");
	if (write(entered, &byte, 1) != 1 || read(mapped, &byte, 1) != 1)
		die("pipe");
	if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		die("setresuid");
}

static double time_of(const struct timeval *value)
{
	return (double)value->tv_sec + (double)value->tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	char *const *map = NULL;
	char *const *command = argv + 2;
	struct rusage usage;
	int entered[2], mapped[2], status;
	char byte = 0;
	double start, end;
	FILE *result;
	pid_t pid;

	if (argc > 6 && !strcmp(argv[2], "--map")) {
		map = argv + 3;
		command = argv + 6;
	}
	if (argc < 3) {
		fputs("usage: timed RESULT-FILE [--map INSIDE OUTSIDE COUNT] COMMAND...\n", stderr);
		return 2;
	}
	if (pipe2(entered, O_CLOEXEC) || pipe2(mapped, O_CLOEXEC))
		die("pipe2");

	start = seconds();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (map)
			enter_namespace(entered[1], mapped[0]);
		execvp(command[0], command);
		die(command[0]);
	}
	if (map) {
		if (read(entered[0], &byte, 1) != 1)
			die("pipe");
		write_map(pid, "uid_map", map);
		write_map(pid, "gid_map", map);
		if (write(mapped[1], &byte, 1) != 1)
			die("pipe");
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	end = seconds();

	result = fopen(argv[1], "we");
	if (!result)
		die(argv[1]);
	fprintf(result, "{\"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld}\n", end - start,
		time_of(&usage.ru_utime) + time_of(&usage.ru_stime), usage.ru_maxrss * 1024);
	if (fclose(result))
		die(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
