// Surfaces. A surface is a memory file that every reference maps for itself, as
// every process does; it is accessible as long as it is locked, and as its locks
// say. What a surface says of itself can be made a lie.
#include <sys/mman.h>
#include <unistd.h>

#include "cf.h"

enum { WIDTH, HEIGHT, BYTES_PER_ELEMENT, BYTES_PER_ROW, ALLOC_SIZE, ELEMENT_WIDTH, ELEMENT_HEIGHT, PLANE_COUNT, PIXEL_FORMAT,
	LOCK_CODE, NO_BASE, FACTS };
enum { READ_ONLY = 1, AVOID_SYNC = 2 };

#define KEY(name, text) \
	static cf_bytes name##_string = {{CF_STRING, 1, true, NULL}, text, sizeof text - 1}; \
	void *const name = &name##_string
KEY(kIOSurfaceWidth, "IOSurfaceWidth");
KEY(kIOSurfaceHeight, "IOSurfaceHeight");
KEY(kIOSurfaceBytesPerElement, "IOSurfaceBytesPerElement");
KEY(kIOSurfaceBytesPerRow, "IOSurfaceBytesPerRow");
KEY(kIOSurfaceAllocSize, "IOSurfaceAllocSize");
KEY(kIOSurfacePixelFormat, "IOSurfacePixelFormat");

// What a dictionary does with its entries: the standard ways, nothing else.
const struct callbacks {
	long version;
	void *rest[5];
} kCFTypeDictionaryKeyCallBacks, kCFTypeDictionaryValueCallBacks;

void *CFDictionaryCreate(void *allocator, void **keys, void **values, long n, const struct callbacks *k, const struct callbacks *v) {
	if (allocator || k != &kCFTypeDictionaryKeyCallBacks || v != &kCFTypeDictionaryValueCallBacks)
		misuse("a dictionary with an allocator, or that does not retain");
	cf_list *d = cf_dictionary();
	for (long i = 0; i < n; i++) cf_put(d, CFRetain(keys[i]), CFRetain(values[i]));
	return d;
}

void *CFDictionaryGetValue(void *, void *);
bool CFNumberGetValue(void *, long, void *);

// ---- what the kernel has

typedef struct surface {
	atomic_long refs; // references and XPC objects
	int file;
	unsigned id;
	size_t size;
	size_t facts[FACTS];
	atomic_long uses;
} surface;

static void surface_drop(surface *s) {
	if (atomic_fetch_sub(&s->refs, 1) > 1) return;
	if (atomic_load(&s->uses)) misuse("surface %u ends with %ld uses", s->id, atomic_load(&s->uses));
	close(s->file);
	free(s);
	live_add(LIVE_SURFACES, -1);
}

static surface *surface_hold(surface *s) {
	atomic_fetch_add(&s->refs, 1);
	return s;
}

// ---- what a process has

typedef struct reference {
	cf_object base;
	surface *surface;
	char *map;
	size_t mapped;
	bool guarded;
	pthread_mutex_t mutex;
	long readers, writers; // locks
	atomic_long uses;      // of this process's
} reference;

static reference *as_surface(void *p) {
	reference *r = cf_as(p, CF_OTHER);
	if (!r->surface) misuse("%p is no surface", p);
	return r;
}

static void reference_end(void *p) {
	reference *r = p;
	if (r->readers || r->writers) misuse("surface %u released while it is locked", r->surface->id);
	atomic_fetch_sub(&r->surface->uses, atomic_load(&r->uses));
	munmap(r->map, r->mapped);
	pthread_mutex_destroy(&r->mutex);
	surface_drop(r->surface);
}

static atomic_bool unguarded;

void standin_surface_guard(bool on) { atomic_store(&unguarded, !on); }

// reference_new takes the hold on s over.
static reference *reference_new(surface *s) {
	size_t page = sysconf(_SC_PAGESIZE), n = (s->size + page - 1) / page * page;
	bool guarded = !atomic_load(&unguarded);
	char *map = mmap(NULL, n, guarded ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0);
	if (map == MAP_FAILED) {
		surface_drop(s);
		return NULL;
	}
	reference *r = cf_new(sizeof *r, CF_OTHER, reference_end);
	r->surface = s;
	r->map = map;
	r->mapped = n;
	r->guarded = guarded;
	pthread_mutex_init(&r->mutex, NULL);
	return r;
}

static size_t property(void *properties, void *key, size_t otherwise) {
	void *v = CFDictionaryGetValue(properties, key);
	int64_t n = 0;
	if (!v) return otherwise;
	if (!CFNumberGetValue(v, 4, &n) || n < 0) misuse("a surface's property of %ld", (long)n);
	return n;
}

void *IOSurfaceCreate(void *properties) {
	static atomic_uint ids;
	size_t w = property(properties, kIOSurfaceWidth, 0), h = property(properties, kIOSurfaceHeight, 0);
	size_t element = property(properties, kIOSurfaceBytesPerElement, 1);
	size_t row = property(properties, kIOSurfaceBytesPerRow, (w * element + 15) / 16 * 16);
	size_t size = property(properties, kIOSurfaceAllocSize, row * h);
	if (!w || !h || !element || row < w * element || size < row * h || size > 1ul << 31) return NULL;
	int file = memfd_create("standin-surface", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, size)) {
		if (file >= 0) close(file);
		return NULL;
	}
	surface *s = calloc(1, sizeof *s);
	*s = (surface){.refs = 1, .file = file, .size = size, .id = atomic_fetch_add(&ids, 1) + 1,
		.facts = {w, h, element, row, size, 1, 1, 0, property(properties, kIOSurfacePixelFormat, 0)}};
	live_add(LIVE_SURFACES, 1);
	return reference_new(s);
}

#define FACT(function, type, which) \
	type function(void *p) { return as_surface(p)->surface->facts[which]; }
FACT(IOSurfaceGetWidth, size_t, WIDTH)
FACT(IOSurfaceGetHeight, size_t, HEIGHT)
FACT(IOSurfaceGetBytesPerElement, size_t, BYTES_PER_ELEMENT)
FACT(IOSurfaceGetBytesPerRow, size_t, BYTES_PER_ROW)
FACT(IOSurfaceGetAllocSize, size_t, ALLOC_SIZE)
FACT(IOSurfaceGetElementWidth, size_t, ELEMENT_WIDTH)
FACT(IOSurfaceGetElementHeight, size_t, ELEMENT_HEIGHT)
FACT(IOSurfaceGetPlaneCount, size_t, PLANE_COUNT)
FACT(IOSurfaceGetPixelFormat, unsigned, PIXEL_FORMAT)

void standin_surface_lie(void *p, int what, size_t value) {
	if (what < 0 || what >= FACTS) misuse("lie %d", what);
	as_surface(p)->surface->facts[what] = value;
}

unsigned IOSurfaceGetID(void *p) { return as_surface(p)->surface->id; }

// ---- locks

static void protect(reference *r) {
	int how = r->writers ? PROT_READ | PROT_WRITE : r->readers ? PROT_READ : PROT_NONE;
	if (r->guarded && mprotect(r->map, r->mapped, how)) abort();
}

int IOSurfaceLock(void *p, unsigned options, unsigned *seed) {
	reference *r = as_surface(p);
	if (options & ~READ_ONLY || seed) misuse("a lock with options %x, or a seed", options);
	if (r->surface->facts[LOCK_CODE]) return r->surface->facts[LOCK_CODE];
	pthread_mutex_lock(&r->mutex);
	(*(options & READ_ONLY ? &r->readers : &r->writers))++;
	protect(r);
	pthread_mutex_unlock(&r->mutex);
	return 0;
}

int IOSurfaceUnlock(void *p, unsigned options, unsigned *seed) {
	reference *r = as_surface(p);
	if (seed) misuse("an unlock that asks for a seed");
	pthread_mutex_lock(&r->mutex);
	long *locks = options & READ_ONLY ? &r->readers : &r->writers;
	if (--*locks < 0) misuse("surface %u unlocked as it was not locked", r->surface->id);
	protect(r);
	pthread_mutex_unlock(&r->mutex);
	return 0;
}

void *IOSurfaceGetBaseAddress(void *p) {
	reference *r = as_surface(p);
	if (!r->readers && !r->writers) misuse("the base address of surface %u, which is not locked", r->surface->id);
	return r->surface->facts[NO_BASE] ? NULL : r->map;
}

// ---- uses

void IOSurfaceIncrementUseCount(void *p) {
	reference *r = as_surface(p);
	atomic_fetch_add(&r->uses, 1);
	atomic_fetch_add(&r->surface->uses, 1);
}

void IOSurfaceDecrementUseCount(void *p) {
	reference *r = as_surface(p);
	if (atomic_fetch_sub(&r->uses, 1) < 1) misuse("surface %u used less than never", r->surface->id);
	atomic_fetch_sub(&r->surface->uses, 1);
}

bool IOSurfaceIsInUse(void *p) { return atomic_load(&as_surface(p)->surface->uses) > 0; }

// ---- in messages: an object holds the surface and counts as a use of it

static const type surface_type = {"surface"};

typedef struct carried {
	object base;
	surface *surface;
} carried;

static object *carried_copy(object *o);

static void carried_finalize(object *o) {
	carried *c = (carried *)o;
	atomic_fetch_sub(&c->surface->uses, 1);
	surface_drop(c->surface);
	object_free(o, sizeof *c);
}

static object *carry(surface *s) {
	carried *c = calloc(1, sizeof *c);
	object_init(&c->base, &surface_type, LIVE_OBJECTS, carried_finalize, carried_copy);
	c->surface = surface_hold(s);
	atomic_fetch_add(&s->uses, 1);
	return &c->base;
}

static object *carried_copy(object *o) { return carry(((carried *)o)->surface); }

object *IOSurfaceCreateXPCObject(void *p) { return carry(as_surface(p)->surface); }

void *IOSurfaceLookupFromXPCObject(object *o) {
	if (!o || o->type != &surface_type) return NULL;
	return reference_new(surface_hold(((carried *)o)->surface));
}
