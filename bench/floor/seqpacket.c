/* seqpacket: the floor for control messages. Two processes, a SOCK_SEQPACKET
 * pair, 16 bytes there and 16 bytes back by send(2) and recv(2), nothing else.
 * Its samples are round trips in seconds. */
#include "turn.h"
#include <sys/socket.h>

enum { SIZE = 16 };

static void echo(int s) {
	char b[SIZE];
	while (recv(s, b, SIZE, 0) == SIZE)
		if (send(s, b, SIZE, MSG_NOSIGNAL) != SIZE)
			break;
	_exit(0);
}

static double round_trip(int s) {
	char b[SIZE] = {0};
	int64_t began = now();
	if (send(s, b, SIZE, MSG_NOSIGNAL) != SIZE || recv(s, b, SIZE, 0) != SIZE)
		die("round trip");
	return (now() - began) / 1e9;
}

int main(void) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		die("socketpair");
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		die_with_parent();
		close(pair[0]);
		place(1);
		echo(pair[1]);
	}
	close(pair[1]);
	place(0);
	for (long n; (n = next_turn()) > 0;) {
		double *samples = calloc(n, sizeof *samples);
		for (long i = 0; i < n / 10; i++)
			round_trip(pair[0]);
		for (long i = 0; i < n; i++)
			samples[i] = round_trip(pair[0]);
		answer(samples, n);
		free(samples);
	}
	return 0;
}
