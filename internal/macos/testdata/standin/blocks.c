// Blocks, as Block.h and the ABI have them.
#include "standin.h"

enum {
	REFCOUNT_MASK = 0xfffe,
	NEEDS_FREE = 1 << 24,
	HAS_COPY_DISPOSE = 1 << 25,
	IS_GLOBAL = 1 << 28,
};

struct descriptor {
	uintptr_t reserved, size;
	void (*copy)(void *, const void *);
	void (*dispose)(const void *);
};

struct block {
	void *isa;
	atomic_int flags;
	int reserved;
	uintptr_t (*invoke)(const struct block *, uintptr_t, uintptr_t);
	struct descriptor *descriptor;
};

void *_NSConcreteGlobalBlock[32], *_NSConcreteStackBlock[32], *_NSConcreteMallocBlock[32];

static atomic_long live[LIVE_KINDS];

void live_add(int what, long n) { atomic_fetch_add(&live[what], n); }
long standin_live(int what) { return atomic_load(&live[what]); }

struct block *_Block_copy(const void *arg) {
	struct block *b = (struct block *)arg;
	if (!b) return NULL;
	int flags = atomic_load(&b->flags);
	if (flags & NEEDS_FREE) {
		atomic_fetch_add(&b->flags, 2);
		return b;
	}
	if (flags & IS_GLOBAL) return b;
	struct block *c = malloc(b->descriptor->size);
	memcpy(c, b, b->descriptor->size);
	c->isa = _NSConcreteMallocBlock;
	atomic_store(&c->flags, (flags & ~REFCOUNT_MASK) | NEEDS_FREE | 2);
	if ((flags & HAS_COPY_DISPOSE) && c->descriptor->copy) c->descriptor->copy(c, b);
	live_add(LIVE_BLOCKS, 1);
	return c;
}

void _Block_release(const void *arg) {
	struct block *b = (struct block *)arg;
	if (!b || !(atomic_load(&b->flags) & NEEDS_FREE)) return;
	int before = atomic_fetch_sub(&b->flags, 2);
	if ((before & REFCOUNT_MASK) == 0) misuse("block %p released too often", (void *)b);
	if ((before & REFCOUNT_MASK) != 2) return;
	if (before & HAS_COPY_DISPOSE) b->descriptor->dispose(b);
	size_t size = b->descriptor->size;
	memset(b, 0x5a, size);
	free(b);
	live_add(LIVE_BLOCKS, -1);
}

uintptr_t block_call(const struct block *b, uintptr_t arg0, uintptr_t arg1) { return b->invoke(b, arg0, arg1); }

// standin_drive calls a void(^)(object) from threads of its own, n times each.
struct drive {
	struct block *block;
	long n;
};

static void *drive_thread(void *arg) {
	struct drive *d = arg;
	for (long i = 0; i < d->n; i++) block_call(d->block, (uintptr_t)i + 1, 0);
	return NULL;
}

void standin_drive(void *block, long n, int threads) {
	struct drive d = {_Block_copy(block), n};
	pthread_t t[threads];
	for (int i = 0; i < threads; i++) pthread_create(&t[i], NULL, drive_thread, &d);
	for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
	_Block_release(d.block);
}
