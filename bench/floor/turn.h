/* What every floor needs: its turns, and the time.
 *
 * A floor is asked for samples by a line with their number on stdin, and answers
 * a uint32 with how many there are and so many doubles, in the order of this
 * machine. It ends when stdin does. See package talk. */
#ifndef TURN_H
#define TURN_H
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* die says why this floor cannot go on. */
static inline void die(const char *why) {
	perror(why);
	exit(70);
}

/* next_turn answers how many samples are wanted, 0 at the end. */
static inline long next_turn(void) {
	char line[32];
	return fgets(line, sizeof line, stdin) ? atol(line) : 0;
}

static inline void answer(const double *samples, uint32_t n) {
	if (fwrite(&n, sizeof n, 1, stdout) != 1 || fwrite(samples, sizeof *samples, n, stdout) != n || fflush(stdout))
		die("answer");
}

/* place puts this half of a pair, 0 or 1, where PORTWARD_BENCH_PLACE says: "same",
 * both halves on one processor, or "two", each on its own. Otherwise the kernel's
 * scheduler may do as it likes. */
static inline void place(int half) {
	const char *where = getenv("PORTWARD_BENCH_PLACE");
	cpu_set_t may, one;
	if (!where || sched_getaffinity(0, sizeof may, &may))
		return;
	int skip = strcmp(where, "two") == 0 && CPU_COUNT(&may) > 1 ? half : 0;
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may) && skip-- == 0)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

/* die_with_parent is for children: none may outlive the floor. */
static inline void die_with_parent(void) {
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		_exit(0);
}
#endif
