/* child is the job that every supervisor keeps: child BELL
 *
 * When it is ready it sends "R" and the time to the datagram socket BELL, and again
 * "H" with the time of its last beat when SIGUSR1 makes it hang. The time is
 * CLOCK_MONOTONIC in ns, as it was taken here: how long the message takes is not
 * measured. It says READY=1 and WATCHDOG=1 to systemd where that asks for it, and
 * touches the file BEAT_FILE four times a second where that is given. To s6 it writes a
 * line at descriptor READY_FD. With BENCH_SERVES it accepts one connection at the
 * listener it inherits as descriptor 3 and leaves when that ends. */
#include "turn.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static volatile sig_atomic_t hang;

static void on_usr1(int sig) {
	(void)sig;
	hang = 1;
}

/* tell sends one datagram to a socket that is named as NOTIFY_SOCKET is. */
static void tell(const char *to, const void *message, size_t n) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(to);
	if (len >= sizeof a.sun_path)
		exit(64);
	memcpy(a.sun_path, to, len);
	if (*to == '@')
		a.sun_path[0] = 0;
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sendto(s, message, n, 0, (void *)&a, offsetof(struct sockaddr_un, sun_path) + len);
	close(s);
}

static void ring(const char *bell, char kind, int64_t at) {
	char m[9] = {kind};
	memcpy(m + 1, &at, sizeof at);
	tell(bell, m, sizeof m);
}

/* tell_s6 says that the child is ready, at the descriptor that s6 listens to. */
static void tell_s6(void) {
	const char *fd = getenv("READY_FD");
	if (fd && (write(atoi(fd), "\n", 1) != 1 || close(atoi(fd))))
		exit(74);
}

static void notify(const char *text) {
	const char *to = getenv("NOTIFY_SOCKET");
	if (to)
		tell(to, text, strlen(text));
}

/* beat says that the child is alive, and when. */
static int64_t beat(const char *file) {
	int64_t at = now();
	notify("WATCHDOG=1");
	int f = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	if (f >= 0) {
		if (write(f, "1", 1) != 1)
			exit(74);
		close(f);
	}
	return at;
}

/* serve takes one connection, waits for its end and leaves. */
static void serve(void) {
	char c;
	int s = accept4(3, 0, 0, SOCK_CLOEXEC);
	if (s < 0)
		return;
	while (read(s, &c, 1) > 0 || errno == EINTR)
		errno = 0;
	exit(0);
}

static void stand_still(void) {
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	for (;;)
		pause();
}

int main(int argc, char **argv) {
	if (argc != 2)
		return 64;
	struct sigaction usr1 = {.sa_handler = on_usr1};
	sigaction(SIGUSR1, &usr1, 0);
	const char *usec = getenv("WATCHDOG_USEC"), *file = getenv("BEAT_FILE");
	struct pollfd p = {getenv("BENCH_SERVES") ? 3 : -1, POLLIN, 0};
	int every = usec ? atoi(usec) / 2000 : file ? 250 : -1;

	ring(argv[1], 'R', now());
	notify("READY=1");
	tell_s6();
	int64_t last = every > 0 ? beat(file) : 0;
	for (;;) {
		if (hang) {
			ring(argv[1], 'H', last);
			stand_still();
		}
		int n = poll(&p, 1, every);
		if (n > 0)
			serve();
		else if (n == 0)
			last = beat(file);
	}
}
