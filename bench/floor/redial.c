/* redial BYTES: the floor for a crash as an agent sees it. A supervisor holds the
 * listening socket and starts its child again, by fork and exec, when it has
 * ended; the agent streams to the child over a connection of its own. The child
 * is killed; the agent sees the end of its connection, connects again, hands over
 * three sealed surfaces of so many bytes, and sends a frame.
 *
 * Its samples are the seconds from seeing the end to having the next frame
 * released. */
#include "turn.h"
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { SLOTS = 3, LISTENER = 100 };

static size_t bytes;

union rights {
	char room[CMSG_SPACE(SLOTS * sizeof(int))];
	struct cmsghdr align;
};

/* serve is the child: one agent at a time, its surfaces mapped after a look at
 * their seals, each of its frames given back. */
static void serve(void) {
	for (;;) {
		int s = accept4(LISTENER, 0, 0, SOCK_CLOEXEC), fds[SLOTS];
		uint32_t frame[4], *pixels[SLOTS];
		union rights control;
		struct iovec v = {frame, sizeof frame};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		if (s < 0 || recvmsg(s, &m, MSG_CMSG_CLOEXEC) != sizeof frame || !CMSG_FIRSTHDR(&m))
			die("surfaces");
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fds);
		for (int i = 0; i < SLOTS; i++) {
			if (!(fcntl(fds[i], F_GET_SEALS) & F_SEAL_SHRINK))
				die("seals");
			pixels[i] = mmap(0, bytes, PROT_READ, MAP_SHARED, fds[i], 0);
			if (pixels[i] == MAP_FAILED)
				die("mmap");
			close(fds[i]);
		}
		while (recv(s, frame, sizeof frame, 0) == sizeof frame) {
			if (*(volatile uint32_t *)pixels[frame[0] % SLOTS] != frame[1])
				_exit(70);
			send(s, frame, sizeof frame, MSG_NOSIGNAL);
		}
		close(s);
	}
}

/* supervise keeps one child alive and tells its number. */
static void supervise(char *self, char *size, _Atomic pid_t *child) {
	for (;;) {
		pid_t p = vfork();
		if (p == 0) {
			die_with_parent();
			execl("/proc/self/exe", self, size, "child", (char *)0);
			_exit(71);
		}
		*child = p;
		waitpid(p, 0, 0);
	}
}

/* attach connects and hands the surfaces over. */
static int attach(const struct sockaddr_un *address, const int *fds) {
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	uint32_t hello[4] = {0};
	union rights control = {{0}};
	struct iovec v = {hello, sizeof hello};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(SLOTS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, SLOTS * sizeof(int));
	if (s < 0 || connect(s, (const struct sockaddr *)address, sizeof *address) || sendmsg(s, &m, MSG_NOSIGNAL) < 0)
		die("attach");
	return s;
}

/* show sends a frame and waits for its release; 0: the connection has ended. */
static int show(int s, uint32_t **pixels) {
	static uint32_t seq;
	uint32_t frame[4] = {++seq % SLOTS, seq};
	*(volatile uint32_t *)pixels[frame[0]] = seq;
	return send(s, frame, sizeof frame, MSG_NOSIGNAL) > 0 && recv(s, frame, sizeof frame, 0) > 0;
}

int main(int argc, char **argv) {
	bytes = argc > 1 ? atol(argv[1]) : 640 * 360 * 4;
	if (argc > 2)
		serve();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "portward-redial-%d", getpid());
	int l = socket(AF_UNIX, SOCK_SEQPACKET, 0), fds[SLOTS];
	if (bind(l, (struct sockaddr *)&address, sizeof address) || listen(l, 8) || dup2(l, LISTENER) < 0)
		die("listener");
	close(l);
	uint32_t *pixels[SLOTS];
	for (int i = 0; i < SLOTS; i++) {
		fds[i] = memfd_create("surface", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ftruncate(fds[i], bytes) || fcntl(fds[i], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
			die("surface");
		pixels[i] = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
	}
	_Atomic pid_t *child = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fork() == 0) {
		die_with_parent();
		supervise(argv[0], argc > 1 ? argv[1] : "921600", child);
	}
	close(LISTENER);
	int s = attach(&address, fds);
	for (long n; (n = next_turn()) > 0;) {
		double *samples = calloc(n, sizeof *samples);
		for (long i = 0; i < n; i++) {
			for (int warm = 0; warm < 100; warm++)
				if (!show(s, pixels))
					die("the child died by itself");
			char end;
			kill(*child, SIGKILL);
			while (recv(s, &end, 1, 0) > 0)
				;
			int64_t began = now();
			close(s);
			s = attach(&address, fds);
			if (!show(s, pixels))
				die("the next child died");
			samples[i] = (now() - began) / 1e9;
		}
		answer(samples, n);
		free(samples);
	}
	return 0;
}
