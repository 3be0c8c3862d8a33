/* keeper is the floor of a supervisor: it starts a program and, when that ended,
 * starts it again, with nothing in between.
 *
 *	keeper PROGRAM BELL         at once, and for ever
 *	keeper PROGRAM BELL SOCKET  whenever a connection waits at SOCKET, SOCK_SEQPACKET;
 *	                            the program inherits the listener as descriptor 3 */
#include "turn.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

extern char **environ;

static int listen_at(const char *path) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof a.sun_path)
		exit(64);
	strcpy(a.sun_path, path);
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (void *)&a, sizeof a) || listen(s, 16))
		die("listen");
	return s;
}

static void wait_for_connection(int listener) {
	struct pollfd p = {listener, POLLIN, 0};
	while (poll(&p, 1, -1) < 1)
		;
}

/* start shares this process's memory until the child is another program, as
 * posix_spawn does: nothing is copied. */
static pid_t start(char **argv, int listener) {
	pid_t pid = vfork();
	if (pid == 0) {
		if (listener >= 0)
			dup2(listener, 3);
		execve(argv[0], argv, environ);
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv) {
	if (argc != 3 && argc != 4)
		return 64;
	int listener = argc == 4 ? listen_at(argv[3]) : -1;
	/* dup2 onto itself would leave close-on-exec set. */
	if (listener == 3)
		listener = dup(3);
	if (listener >= 0 && setenv("BENCH_SERVES", "1", 1))
		die("setenv");
	char *child[] = {argv[1], argv[2], 0};
	for (;;) {
		if (listener >= 0)
			wait_for_connection(listener);
		pid_t pid = start(child, listener);
		if (pid < 0 || waitpid(pid, 0, 0) != pid)
			die("start");
	}
}
