/*
 * Test program, static, started in an otherwise empty rootfs: writes to /out what it was started with,
 * records ended by NUL: "argv" and its arguments, "env" and its variables, "cwd", "ids" with uid, gid
 * and groups, "pid". Then, if there is a file /wait, waits for a signal and appends its number.
 */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	gid_t groups[128];
	char directory[4096];
	sigset_t signals;
	int signal_number = 0;
	FILE *out = fopen("/out", "w");
	if (!out)
		return 99;
	fprintf(out, "argv%c", 0);
	for (int i = 0; i < argc; i++)
		fprintf(out, "%s%c", argv[i], 0);
	fprintf(out, "env%c", 0);
	for (char **variable = environ; *variable; variable++)
		fprintf(out, "%s%c", *variable, 0);
	fprintf(out, "cwd%c%s%cids%c%u %u", 0, getcwd(directory, sizeof(directory)), 0, 0, getuid(), getgid());
	int count = getgroups(128, groups);
	for (int i = 0; i < count; i++)
		fprintf(out, " %u", groups[i]);
	fprintf(out, "%cpid%c%d%c", 0, 0, getpid(), 0);
	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	fflush(out);
	if (access("/wait", F_OK) != 0)
		return 7;
	if (sigwait(&signals, &signal_number) != 0)
		return 98;
	fprintf(out, "signal%c%d%c", 0, signal_number, 0);
	fclose(out);
	return 7;
}
