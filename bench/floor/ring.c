/* ring BYTES: the floor for the hand-over of a frame. Two processes share three
 * sealed surfaces of so many bytes and a page with two rings of descriptors of 64
 * bytes, frames one way and releases the other; who has nothing to read sleeps in
 * futex(2) and is woken only if it sleeps. Nothing is checked.
 *
 * Its samples are the seconds from writing a frame's descriptor to having read
 * its release. The consumer looks at one pixel of each frame. */
#include "turn.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SLOTS = 3, ENTRIES = 8 };

struct descriptor {
	uint8_t slot, count;
	uint16_t zero;
	uint32_t seq;
	uint16_t rects[7][4];
};
_Static_assert(sizeof(struct descriptor) == 64, "a descriptor is 64 bytes");

/* A ring has one writer and one reader. */
struct ring {
	_Alignas(64) _Atomic uint32_t head;   /* of the writer */
	_Alignas(64) _Atomic uint32_t asleep; /* of the reader */
	_Alignas(64) struct descriptor entries[ENTRIES];
};

struct page {
	struct ring frames, releases;
};

static void put(struct ring *r, struct descriptor d) {
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	r->entries[head % ENTRIES] = d;
	atomic_store(&r->head, head + 1);
	if (atomic_load(&r->asleep))
		syscall(SYS_futex, &r->head, FUTEX_WAKE, 1, 0, 0, 0);
}

/* take waits for entry number tail. */
static struct descriptor take(struct ring *r, uint32_t tail) {
	while (atomic_load(&r->head) == tail) {
		atomic_store(&r->asleep, 1);
		if (atomic_load(&r->head) == tail)
			syscall(SYS_futex, &r->head, FUTEX_WAIT, tail, 0, 0, 0);
		atomic_store(&r->asleep, 0);
	}
	return r->entries[tail % ENTRIES];
}

static uint32_t *surface(size_t bytes) {
	int fd = memfd_create("surface", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		die("surface");
	void *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void consume(struct page *page, uint32_t *pixels[]) {
	for (uint32_t tail = 0;; tail++) {
		struct descriptor d = take(&page->frames, tail);
		if (*(volatile uint32_t *)pixels[d.slot] != d.seq)
			_exit(70);
		put(&page->releases, d);
	}
}

static double hand_over(struct page *page, uint32_t *pixels[]) {
	static uint32_t seq;
	struct descriptor d = {.slot = seq % SLOTS, .count = 1, .seq = seq};
	*(volatile uint32_t *)pixels[d.slot] = seq;
	int64_t began = now();
	put(&page->frames, d);
	if (take(&page->releases, seq).seq != seq)
		die("another frame was released");
	seq++;
	return (now() - began) / 1e9;
}

int main(int argc, char **argv) {
	size_t bytes = argc > 1 ? atol(argv[1]) : 1920 * 1080 * 4;
	uint32_t *pixels[SLOTS];
	for (int i = 0; i < SLOTS; i++)
		pixels[i] = surface(bytes);
	struct page *page = (struct page *)surface(sizeof *page);
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		die_with_parent();
		place(1);
		consume(page, pixels);
	}
	place(0);
	for (long n; (n = next_turn()) > 0;) {
		double *samples = calloc(n, sizeof *samples);
		for (long i = 0; i < n / 10; i++)
			hand_over(page, pixels);
		for (long i = 0; i < n; i++)
			samples[i] = hand_over(page, pixels);
		answer(samples, n);
		free(samples);
	}
	return 0;
}
