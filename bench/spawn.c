/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a command and says how long the whole process took and how much memory it had. A small program does it because
 * a child's peak includes what its parent had before exec.
 *
 *	spawn INPUT LOG COMMAND ARGUMENT...
 *
 * Standard input is INPUT, standard output /dev/null, standard error goes to LOG. Prints nanoseconds, ru_maxrss as the
 * system counts it, and the exit status (128 + N after a signal).
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void redirect(int descriptor, const char *path, int flags)
{
	int opened = open(path, flags, 0600);

	if (opened < 0 || dup2(opened, descriptor) < 0)
		err(3, "%s", path);
	if (opened != descriptor)
		close(opened);
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	struct rusage usage;
	int status;
	pid_t pid;

	if (argc < 4)
		errx(2, "usage: spawn INPUT LOG COMMAND ARGUMENT...");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid = fork();
	if (pid < 0)
		err(3, "fork");
	if (pid == 0) {
		redirect(0, argv[1], O_RDONLY);
		redirect(1, "/dev/null", O_WRONLY);
		redirect(2, argv[2], O_WRONLY | O_CREAT | O_TRUNC);
		execvp(argv[3], argv + 3);
		err(127, "%s", argv[3]);
	}
	if (wait4(pid, &status, 0, &usage) < 0)
		err(3, "wait4");
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld %ld %d\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + (end.tv_nsec - begin.tv_nsec), usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
