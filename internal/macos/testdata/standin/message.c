// Arrays and dictionaries.
#include "standin.h"

const type _xpc_type_array = {"array"}, _xpc_type_dictionary = {"dictionary"};

static object *object_copy(object *o) { return o->copy ? o->copy(o) : xpc_retain(o); }

typedef struct array {
	object base;
	size_t count, room;
	object **values;
} array;

static array *as_array(object *o) { return o && o->type == &_xpc_type_array ? (array *)o : NULL; }

static void array_finalize(object *o) {
	array *a = (array *)o;
	for (size_t i = 0; i < a->count; i++) xpc_release(a->values[i]);
	free(a->values);
	object_free(o, sizeof *a);
}

static void array_push(array *a, object *v) {
	if (a->count == a->room) a->values = realloc(a->values, (a->room = a->room * 2 + 4) * sizeof *a->values);
	a->values[a->count++] = v;
}

static object *array_copy(object *o);

object *xpc_array_create_empty(void) {
	array *a = calloc(1, sizeof *a);
	object_init(&a->base, &_xpc_type_array, LIVE_OBJECTS, array_finalize, array_copy);
	return &a->base;
}

static object *array_copy(object *o) {
	array *a = (array *)o, *c = (array *)xpc_array_create_empty();
	for (size_t i = 0; i < a->count; i++) array_push(c, object_copy(a->values[i]));
	return &c->base;
}

void xpc_array_append_value(object *o, object *v) {
	array *a = as_array(o);
	if (!a || !v) misuse("append to no array, or of nothing");
	array_push(a, xpc_retain(v));
}

size_t xpc_array_get_count(object *o) {
	array *a = as_array(o);
	return a ? a->count : 0;
}

object *xpc_array_get_value(object *o, size_t i) {
	array *a = as_array(o);
	if (!a || i >= a->count) misuse("index %zu beyond the array's end", i);
	return a->values[i];
}

struct pair {
	struct pair *next;
	object *value;
	char key[];
};

struct dictionary {
	object base;
	size_t count;
	struct pair *first, **last;
	object *connection;   // that received it, and lives as long
	struct reply *reply;  // that it asks for or, if is_reply, is
	bool is_reply;
};

static dictionary *as_dictionary(object *o) { return o && o->type == &_xpc_type_dictionary ? (dictionary *)o : NULL; }

static void dictionary_finalize(object *o) {
	dictionary *d = (dictionary *)o;
	for (struct pair *p = d->first, *next; p; p = next) {
		next = p->next;
		xpc_release(p->value);
		free(p);
	}
	if (d->reply) reply_unanswered(d->reply);
	if (d->connection) xpc_release(d->connection);
	object_free(o, sizeof *d);
}

static void push_pair(dictionary *d, const char *key, object *v) {
	size_t n = strlen(key) + 1;
	struct pair *p = malloc(sizeof *p + n);
	p->next = NULL;
	p->value = v;
	memcpy(p->key, key, n);
	*d->last = p;
	d->last = &p->next;
	d->count++;
}

static object *dictionary_copy(object *o);

object *xpc_dictionary_create_empty(void) {
	dictionary *d = calloc(1, sizeof *d);
	object_init(&d->base, &_xpc_type_dictionary, LIVE_OBJECTS, dictionary_finalize, dictionary_copy);
	d->last = &d->first;
	return &d->base;
}

static object *dictionary_copy(object *o) {
	dictionary *d = (dictionary *)o, *c = (dictionary *)xpc_dictionary_create_empty();
	for (struct pair *p = d->first; p; p = p->next) push_pair(c, p->key, object_copy(p->value));
	return &c->base;
}

static void drop_pair(dictionary *d, struct pair **at) {
	struct pair *p = *at;
	if (!(*at = p->next)) d->last = at;
	d->count--;
	xpc_release(p->value);
	free(p);
}

void xpc_dictionary_set_value(object *o, const char *key, object *v) {
	dictionary *d = as_dictionary(o);
	if (!d) misuse("a value for no dictionary");
	if (v) xpc_retain(v);
	for (struct pair **at = &d->first; *at; at = &(*at)->next)
		if (!strcmp((*at)->key, key)) {
			drop_pair(d, at);
			break;
		}
	if (v) push_pair(d, key, v);
}

object *xpc_dictionary_get_value(object *o, const char *key) {
	dictionary *d = as_dictionary(o);
	if (!d) misuse("a key asked of no dictionary");
	for (struct pair *p = d->first; p; p = p->next)
		if (!strcmp(p->key, key)) return p->value;
	return NULL;
}

size_t xpc_dictionary_get_count(object *o) {
	dictionary *d = as_dictionary(o);
	if (!d) misuse("the count of no dictionary");
	return d->count;
}

bool xpc_dictionary_apply(object *o, struct block *f) {
	dictionary *d = as_dictionary(o);
	if (!d) misuse("pairs of no dictionary");
	for (struct pair *p = d->first; p; p = p->next)
		if (!(bool)block_call(f, (uintptr_t)p->key, (uintptr_t)p->value)) return false;
	return true;
}

object *xpc_dictionary_create_reply(object *o) {
	dictionary *d = as_dictionary(o);
	if (!d || !d->reply || d->is_reply) return NULL;
	dictionary *r = (dictionary *)xpc_dictionary_create_empty();
	r->reply = d->reply;
	r->is_reply = true;
	d->reply = NULL;
	return &r->base;
}

object *dictionary_received(object *sent, struct reply *reply) {
	dictionary *d = (dictionary *)object_copy(sent);
	d->reply = reply;
	return &d->base;
}

void dictionary_set_connection(object *o, object *connection) {
	dictionary *d = as_dictionary(o);
	if (d) d->connection = xpc_retain(connection);
}

struct reply *dictionary_take_reply(object *o, bool *is_reply) {
	dictionary *d = as_dictionary(o);
	if (!d) misuse("a message that is no dictionary");
	struct reply *r = d->is_reply ? d->reply : NULL;
	*is_reply = d->is_reply;
	if (r) d->reply = NULL;
	return r;
}
