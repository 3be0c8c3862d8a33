// What the files of the stand-in share. It stands in for the functions of
// Apple's libraries that the bindings call, for tests on systems without them.
// It is written from their documentation: what it does is what is promised, as
// strictly as it can be taken, and programming errors end the process.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// misuse ends the process as the real libraries do.
#define misuse(...) (fprintf(stderr, "stand-in: API misuse: " __VA_ARGS__), fputc('\n', stderr), abort())

// What tests count. A test leaves each as it found it.
enum { LIVE_OBJECTS, LIVE_BLOCKS, LIVE_CONNECTIONS, LIVE_QUEUES, LIVE_SURFACES, LIVE_CF, LIVE_KINDS };
void live_add(int what, long n);

// ---- blocks.c
struct block;
struct block *_Block_copy(const void *b);
void _Block_release(const void *b);
uintptr_t block_call(const struct block *b, uintptr_t arg0, uintptr_t arg1);

// ---- queue.c: serial queues on threads of their own
struct queue;
struct queue *dispatch_queue_create(const char *label, void *attributes);
void dispatch_retain(void *queue);
void dispatch_release(void *queue);
// queue_async runs f(context) after all that was given to q before; without a
// queue on a thread of its own, as the default queue might.
void queue_async(struct queue *q, void (*f)(void *), void *context);

// ---- object.c
typedef struct type {
	const char *name;
} type;

typedef struct object object;
struct object {
	const type *type;
	atomic_long refs;
	long live;                       // which counter
	void (*finalize)(object *);      // frees what the object holds, then the object; NULL: immortal
	object *(*copy)(object *);       // as the other side receives it; NULL: the same, retained
};

void object_init(object *o, const type *t, int live, void (*finalize)(object *), object *(*copy)(object *));
void object_free(object *o, size_t size); // poisons
object *xpc_retain(object *o);
void xpc_release(object *o);

// ---- message.c: dictionaries and arrays; a dictionary is what travels
struct reply;
typedef struct dictionary dictionary;
extern const type _xpc_type_dictionary, _xpc_type_connection, _xpc_type_endpoint, _xpc_type_error;
extern object _xpc_error_connection_interrupted, _xpc_error_connection_invalid, _xpc_error_termination_imminent,
	_xpc_error_peer_code_signing_requirement;
// A dictionary may answer a call (is_reply) or have been sent as one, and then
// holds the reply to be.
object *dictionary_received(object *sent, struct reply *reply);
void dictionary_set_connection(object *d, object *connection);
struct reply *dictionary_take_reply(object *d, bool *is_reply);
void reply_unanswered(struct reply *r); // connection.c
