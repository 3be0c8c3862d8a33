// A slice of CoreFoundation.
#include "cf.h"

enum { UTF8 = 0x08000100, SINT32 = 3, SINT64 = 4 };

static cf_object true_object = {.type = CF_BOOLEAN, .refs = 1, .immortal = true};
static cf_object false_object = {.type = CF_BOOLEAN, .refs = 1, .immortal = true};
cf_object *const kCFBooleanTrue = &true_object, *const kCFBooleanFalse = &false_object;

void *cf_new(size_t size, int type, void (*finalize)(void *)) {
	cf_object *o = calloc(1, size);
	o->type = type;
	o->refs = 1;
	o->finalize = finalize;
	live_add(LIVE_CF, 1);
	return o;
}

void *CFRetain(void *p) {
	cf_object *o = p;
	if (!o) misuse("CFRetain of NULL");
	if (!o->immortal) atomic_fetch_add(&o->refs, 1);
	return p;
}

void CFRelease(void *p) {
	cf_object *o = p;
	if (!o) misuse("CFRelease of NULL");
	if (o->immortal) return;
	long before = atomic_fetch_sub(&o->refs, 1);
	if (before < 1) misuse("CF object %p released too often", p);
	if (before > 1) return;
	if (o->finalize) o->finalize(p);
	live_add(LIVE_CF, -1);
	free(p);
}

unsigned long CFGetTypeID(void *p) {
	if (!p) misuse("CFGetTypeID of NULL");
	return ((cf_object *)p)->type;
}
unsigned long CFStringGetTypeID(void) { return CF_STRING; }
unsigned long CFNumberGetTypeID(void) { return CF_NUMBER; }
unsigned long CFBooleanGetTypeID(void) { return CF_BOOLEAN; }
unsigned long CFDataGetTypeID(void) { return CF_DATA; }
unsigned long CFArrayGetTypeID(void) { return CF_ARRAY; }
unsigned long CFDictionaryGetTypeID(void) { return CF_DICTIONARY; }

// ---- bytes: strings, data, URLs

static void bytes_finalize(void *p) { free(((cf_bytes *)p)->bytes); }

cf_bytes *cf_bytes_new(int type, const void *bytes, long n) {
	cf_bytes *b = cf_new(sizeof *b, type, bytes_finalize);
	b->bytes = calloc(1, n + 1);
	b->length = n;
	if (n) memcpy(b->bytes, bytes, n);
	return b;
}

cf_bytes *cf_string(const char *text) { return cf_bytes_new(CF_STRING, text, strlen(text)); }

void *cf_as(void *p, int type) {
	if (!p || ((cf_object *)p)->type != type) misuse("%p is no CF object of type %d", p, type);
	return p;
}

// valid is a rough look at UTF-8: no lone or missing continuation.
static bool valid(const unsigned char *s, long n) {
	for (long i = 0; i < n;) {
		int more = s[i] < 0x80 ? 0 : s[i] >= 0xf0 && s[i] < 0xf5 ? 3 : s[i] >= 0xe0 && s[i] < 0xf0 ? 2 : s[i] >= 0xc2 && s[i] < 0xe0 ? 1 : -1;
		if (more < 0 || i + more >= n) return false;
		for (i++; more; more--, i++)
			if ((s[i] & 0xc0) != 0x80) return false;
	}
	return true;
}

void *CFStringCreateWithBytes(void *allocator, const unsigned char *bytes, long n, unsigned encoding, bool external) {
	if (allocator || external || encoding != UTF8) misuse("CFStringCreateWithBytes wants UTF-8 and no allocator");
	return valid(bytes, n) ? cf_bytes_new(CF_STRING, bytes, n) : NULL;
}

long CFStringGetLength(void *s) { return ((cf_bytes *)cf_as(s, CF_STRING))->length; }
long CFStringGetMaximumSizeForEncoding(long n, unsigned encoding) { return encoding == UTF8 ? 3 * n : -1; }

bool CFStringGetCString(void *p, char *to, long room, unsigned encoding) {
	cf_bytes *s = cf_as(p, CF_STRING);
	if (encoding != UTF8 || s->length + 1 > room) return false;
	memcpy(to, s->bytes, s->length + 1);
	return true;
}

long CFDataGetLength(void *d) { return ((cf_bytes *)cf_as(d, CF_DATA))->length; }
void *CFDataGetBytePtr(void *d) { return ((cf_bytes *)cf_as(d, CF_DATA))->bytes; }

void *CFURLCreateFromFileSystemRepresentation(void *allocator, const unsigned char *path, long n, bool directory) {
	(void)directory;
	if (allocator) misuse("an allocator");
	return n ? cf_bytes_new(CF_URL, path, n) : NULL;
}

void *CFErrorCopyDescription(void *e) {
	cf_bytes *b = cf_as(e, CF_ERROR);
	return cf_bytes_new(CF_STRING, b->bytes, b->length);
}

// ---- numbers

void *CFNumberCreate(void *allocator, long type, const void *from) {
	if (allocator || (type != SINT32 && type != SINT64)) misuse("a number of type %ld", type);
	cf_number *n = cf_new(sizeof *n, CF_NUMBER, NULL);
	n->value = type == SINT32 ? *(const int32_t *)from : *(const int64_t *)from;
	return n;
}

// As the real one: false, and a truncated value, when it does not fit.
bool CFNumberGetValue(void *p, long type, void *to) {
	int64_t v = ((cf_number *)cf_as(p, CF_NUMBER))->value;
	if (type == SINT64) return *(int64_t *)to = v, true;
	if (type != SINT32) misuse("a number of type %ld", type);
	*(int32_t *)to = (int32_t)v;
	return v == (int32_t)v;
}

bool CFBooleanGetValue(void *p) { return cf_as(p, CF_BOOLEAN) == kCFBooleanTrue; }

// ---- collections

static void list_finalize(void *p) {
	cf_list *l = p;
	for (long i = 0; i < l->count; i++) {
		if (l->keys) CFRelease(l->keys[i]);
		CFRelease(l->values[i]);
	}
	free(l->keys);
	free(l->values);
}

cf_list *cf_array(void) { return cf_new(sizeof(cf_list), CF_ARRAY, list_finalize); }

void cf_append(cf_list *l, void *value) {
	l->values = realloc(l->values, (l->count + 1) * sizeof *l->values);
	l->values[l->count++] = value;
}

long CFArrayGetCount(void *a) { return ((cf_list *)cf_as(a, CF_ARRAY))->count; }

void *CFArrayGetValueAtIndex(void *a, long i) {
	cf_list *l = cf_as(a, CF_ARRAY);
	if (i < 0 || i >= l->count) misuse("index %ld beyond the array's end", i);
	return l->values[i];
}

cf_list *cf_dictionary(void) { return cf_new(sizeof(cf_list), CF_DICTIONARY, list_finalize); }

void cf_put(cf_list *d, void *key, void *value) {
	d->keys = realloc(d->keys, (d->count + 1) * sizeof *d->keys);
	d->keys[d->count] = key;
	cf_append(d, value);
}

void *CFDictionaryGetValue(void *p, void *key) {
	cf_list *d = cf_as(p, CF_DICTIONARY);
	cf_bytes *k = cf_as(key, CF_STRING);
	for (long i = 0; i < d->count; i++) {
		cf_bytes *have = d->keys[i];
		if (have->length == k->length && !memcmp(have->bytes, k->bytes, k->length)) return d->values[i];
	}
	return NULL;
}
