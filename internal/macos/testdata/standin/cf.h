// What files of the stand-in share that have CoreFoundation's objects.
#pragma once
#include "standin.h"

enum { CF_STRING = 1, CF_NUMBER, CF_BOOLEAN, CF_DATA, CF_ARRAY, CF_DICTIONARY, CF_URL, CF_ERROR, CF_OTHER };

typedef struct cf_object {
	int type;
	atomic_long refs;
	bool immortal;
	void (*finalize)(void *); // frees what the object holds, not the object
} cf_object;

typedef struct cf_bytes {
	cf_object base;
	char *bytes; // with a NUL behind
	long length;
} cf_bytes;

typedef struct cf_number {
	cf_object base;
	int64_t value;
} cf_number;

typedef struct cf_list { // an array, or with keys a dictionary
	cf_object base;
	long count;
	void **keys, **values;
} cf_list;

void *cf_new(size_t size, int type, void (*finalize)(void *));
void *cf_as(void *p, int type); // ends the process if it is not
cf_bytes *cf_bytes_new(int type, const void *bytes, long n);
cf_bytes *cf_string(const char *text);
cf_list *cf_array(void);
cf_list *cf_dictionary(void);
void cf_append(cf_list *array, void *value);          // takes it over
void cf_put(cf_list *dictionary, void *key, void *value); // takes both over

extern cf_object *const kCFBooleanTrue, *const kCFBooleanFalse;
void *CFRetain(void *p);
void CFRelease(void *p);
void *CFNumberCreate(void *allocator, long type, const void *from);
