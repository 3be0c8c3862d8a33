// Objects with one value. Getters answer zero for objects of another type.
#include <fcntl.h>
#include <unistd.h>

#include "standin.h"

const type _xpc_type_null = {"null"}, _xpc_type_bool = {"bool"}, _xpc_type_int64 = {"int64"}, _xpc_type_uint64 = {"uint64"},
	   _xpc_type_double = {"double"}, _xpc_type_date = {"date"}, _xpc_type_data = {"data"}, _xpc_type_string = {"string"},
	   _xpc_type_uuid = {"uuid"}, _xpc_type_fd = {"fd"}, _xpc_type_shmem = {"shmem"}, _xpc_type_error = {"error"};
static const type type_other = {"other"};

#define IMMORTAL(t) {.type = &(t), .refs = 1}
object _xpc_error_connection_interrupted = IMMORTAL(_xpc_type_error);
object _xpc_error_connection_invalid = IMMORTAL(_xpc_type_error);
object _xpc_error_termination_imminent = IMMORTAL(_xpc_type_error);
object _xpc_error_peer_code_signing_requirement = IMMORTAL(_xpc_type_error);
object _xpc_bool_true = IMMORTAL(_xpc_type_bool), _xpc_bool_false = IMMORTAL(_xpc_type_bool);
static object null_object = IMMORTAL(_xpc_type_null);

void object_init(object *o, const type *t, int live, void (*finalize)(object *), object *(*copy)(object *)) {
	o->type = t;
	o->refs = 1;
	o->live = live;
	o->finalize = finalize;
	o->copy = copy;
	live_add(live, 1);
}

void object_free(object *o, size_t size) {
	live_add(o->live, -1);
	memset(o, 0x5a, size);
	free(o);
}

object *xpc_retain(object *o) {
	if (o->finalize && atomic_fetch_add(&o->refs, 1) < 1) misuse("%p retained after its end", (void *)o);
	return o;
}

void xpc_release(object *o) {
	if (!o) misuse("NULL released");
	if (!o->finalize) return;
	long before = atomic_fetch_sub(&o->refs, 1);
	if (before < 1) misuse("%s %p released too often", before > -1000 ? o->type->name : "object", (void *)o);
	if (before == 1) o->finalize(o);
}

const type *xpc_get_type(object *o) { return o->type; }

char *xpc_copy_description(object *o) {
	char *text = NULL;
	if (asprintf(&text, "<%s: %p>", o->type->name, (void *)o) < 0) abort();
	return text;
}

// A scalar is a value in one word, or bytes behind it; an fd owns what it holds.
typedef struct scalar {
	object base;
	union {
		int64_t i;
		uint64_t u;
		double d;
		int fd;
	};
	size_t length;
	char bytes[];
} scalar;

static void scalar_finalize(object *o) {
	scalar *s = (scalar *)o;
	if (o->type == &_xpc_type_fd) close(s->fd);
	object_free(o, sizeof *s + s->length);
}

static scalar *scalar_create(const type *t, const void *bytes, size_t length) {
	scalar *s = calloc(1, sizeof *s + length + 1);
	object_init(&s->base, t, LIVE_OBJECTS, scalar_finalize, NULL);
	s->length = length;
	if (length) memcpy(s->bytes, bytes, length);
	return s;
}

static scalar *as(object *o, const type *t) { return o && o->type == t ? (scalar *)o : NULL; }

object *standin_null_create(void) { return &null_object; }
object *xpc_bool_create(bool v) { return v ? &_xpc_bool_true : &_xpc_bool_false; }
bool xpc_bool_get_value(object *o) { return o == &_xpc_bool_true; }

#define SCALAR(name, field, ctype)                                     \
	object *xpc_##name##_create(ctype v) {                             \
		scalar *s = scalar_create(&_xpc_type_##name, NULL, 0);         \
		s->field = v;                                                  \
		return &s->base;                                               \
	}                                                                  \
	ctype xpc_##name##_get_value(object *o) {                          \
		scalar *s = as(o, &_xpc_type_##name);                          \
		return s ? s->field : 0;                                       \
	}
SCALAR(int64, i, int64_t)
SCALAR(uint64, u, uint64_t)
SCALAR(double, d, double)
SCALAR(date, i, int64_t)

object *xpc_data_create(const void *bytes, size_t n) { return &scalar_create(&_xpc_type_data, bytes, n)->base; }
object *xpc_string_create(const char *text) { return &scalar_create(&_xpc_type_string, text, strlen(text))->base; }
object *xpc_uuid_create(const unsigned char *uuid) { return &scalar_create(&_xpc_type_uuid, uuid, 16)->base; }
object *standin_other_create(void) { return &scalar_create(&type_other, NULL, 0)->base; }

size_t xpc_data_get_length(object *o) {
	scalar *s = as(o, &_xpc_type_data);
	return s ? s->length : 0;
}

size_t xpc_data_get_bytes(object *o, void *to, size_t from, size_t n) {
	scalar *s = as(o, &_xpc_type_data);
	if (!s || from >= s->length) return 0;
	if (n > s->length - from) n = s->length - from;
	memcpy(to, s->bytes + from, n);
	return n;
}

size_t xpc_string_get_length(object *o) {
	scalar *s = as(o, &_xpc_type_string);
	return s ? s->length : 0;
}

const char *xpc_string_get_string_ptr(object *o) {
	scalar *s = as(o, &_xpc_type_string);
	return s ? s->bytes : NULL;
}

const unsigned char *xpc_uuid_get_bytes(object *o) {
	scalar *s = as(o, &_xpc_type_uuid);
	return s ? (unsigned char *)s->bytes : NULL;
}

object *xpc_fd_create(int fd) {
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) return NULL;
	scalar *s = scalar_create(&_xpc_type_fd, NULL, 0);
	s->fd = own;
	return &s->base;
}

int xpc_fd_dup(object *o) {
	scalar *s = as(o, &_xpc_type_fd);
	return s ? dup(s->fd) : -1;
}
