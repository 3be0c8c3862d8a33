// What travels between connections.
#include "connection.h"

// A receiver's kernel queue is short: what it has not handled yet waits at the
// sender, in order, and so do the sender's barriers.
enum { IN_FLIGHT = 16, TURN = 64 };

void line_push(struct line *l, struct item i) {
	struct item *p = malloc(sizeof *p);
	*p = i;
	p->next = NULL;
	*l->last = p;
	l->last = &p->next;
	l->messages += i.message;
}

struct item *line_pop(struct line *l) {
	struct item *i = l->first;
	if (!i) return NULL;
	if (!(l->first = i->next)) l->last = &l->first;
	l->messages -= i->message;
	return i;
}

void item_free(struct item *i) {
	free(i->identity);
	free(i);
}

// satisfied is the whole requirement language here: the text names the identity.
bool satisfied(const char *requirement, const char *identity) {
	if (!requirement) return true;
	if (!strcmp(requirement, "deny")) return false;
	return !identity || strstr(requirement, identity);
}

// ---- handlers

struct call {
	struct block *block;
	object *arg;
};

static void call(void *context) {
	struct call *c = context;
	block_call(c->block, (uintptr_t)c->arg, 0);
	_Block_release(c->block);
	if (c->arg) xpc_release(c->arg);
	free(c);
}

// call_on takes both over.
static void call_on(struct queue *q, struct block *b, object *arg) {
	struct call *c = malloc(sizeof *c);
	*c = (struct call){b, arg};
	queue_async(q, call, c);
}

void run_block(struct queue *q, struct block *b) { call_on(q, b, NULL); }

static struct queue *queue_of(connection *c) { return c->target ? c->target : c->own; }

// next_event is what the handler gets now, NULL if nothing; the lock is held.
static struct item *next_event(connection *c) {
	struct item *i = c->suspended ? NULL : line_pop(&c->in);
	if (!i) return NULL;
	if (!i->message) return i;
	if (satisfied(c->requirement, i->identity))
		dictionary_set_connection(i->what, &c->base);
	else {
		xpc_release(i->what); // and whoever waits for a reply hears of it
		i->what = xpc_retain(&_xpc_error_peer_code_signing_requirement);
	}
	if (c->remote) flush(c->remote); // there is room again
	return i;
}

// finish is after the last event.
static void finish(connection *c) {
	lock();
	struct block *handler = c->handler;
	c->handler = NULL;
	c->over = true;
	unlock();
	_Block_release(handler);
	if (c->kind == PEER) xpc_release(&c->base); // the library's
}

static void drain(void *context) {
	connection *c = context;
	for (int n = 0;; n++) {
		lock();
		struct item *i = n < TURN ? next_event(c) : NULL;
		if (!i) {
			c->draining = false;
			kick(c);
			unlock();
			break;
		}
		struct block *handler = _Block_copy(c->handler);
		unlock();
		block_call(handler, (uintptr_t)i->what, 0);
		_Block_release(handler);
		xpc_release(i->what);
		if (i->final) finish(c);
		item_free(i);
	}
	xpc_release(&c->base);
}

void kick(connection *c) {
	if (!c->activated || c->suspended || c->draining || !c->in.first) return;
	c->draining = true;
	xpc_retain(&c->base);
	queue_async(queue_of(c), drain, c);
}

void push_event(connection *c, object *event, bool final) {
	line_push(&c->in, (struct item){.what = xpc_retain(event), .final = final});
	kick(c);
}

// ---- ends

void drop_out(connection *c, object *error) {
	for (struct item *i; (i = line_pop(&c->out)); free(i)) {
		if (i->barrier) run_block(queue_of(c), i->barrier);
		if (i->what) xpc_release(i->what);
		if (i->reply) {
			resolve(i->reply, xpc_retain(error));
			reply_unanswered(i->reply);
		}
	}
}

void drop_pending(connection *c, object *error) {
	while (c->pending) resolve(c->pending, xpc_retain(error));
}

// interrupt: the other side is gone, the name is not.
void interrupt(connection *c) {
	drop_out(c, &_xpc_error_connection_interrupted);
	drop_pending(c, &_xpc_error_connection_interrupted);
	push_event(c, &_xpc_error_connection_interrupted, false);
}

// invalidate: this connection ends, after what has arrived.
void invalidate(connection *c) {
	if (c->dead) return;
	c->dead = true;
	drop_out(c, &_xpc_error_connection_invalid);
	drop_pending(c, &_xpc_error_connection_invalid);
	push_event(c, &_xpc_error_connection_invalid, true);
}

// hang_up tells the other side, if there is one.
void hang_up(connection *c) {
	connection *r = c->remote;
	if (!r) return;
	c->remote = r->remote = NULL;
	if (r->kind == CLIENT && r->port->name)
		interrupt(r);
	else
		invalidate(r);
}

// ---- replies

static void reply_release(struct reply *r) {
	if (--r->refs == 0) free(r);
}

// resolve answers once; the answer is taken over.
void resolve(struct reply *r, object *answer) {
	if (r->done) return xpc_release(answer);
	r->done = true;
	if ((*r->prev = r->next)) r->next->prev = r->prev;
	call_on(r->queue, r->handler, answer);
	if (r->queue) dispatch_release(r->queue);
	reply_release(r);
}

// reply_unanswered: nobody holds the message, nor a reply to it, any more.
void reply_unanswered(struct reply *r) {
	lock();
	resolve(r, xpc_retain(&_xpc_error_connection_interrupted));
	reply_release(r);
	unlock();
}

static void see(connection *c, connection *other) {
	c->seen = other->self;
}

static void send_reply(connection *from, struct reply *r, object *message) {
	if (!r) misuse("a reply sent twice");
	if (r->done) return reply_release(r);
	connection *to = r->asker;
	see(to, from);
	object *answer = xpc_retain(&_xpc_error_peer_code_signing_requirement);
	if (satisfied(to->requirement, from->identity)) {
		xpc_release(answer);
		answer = dictionary_received(message, NULL);
		dictionary_set_connection(answer, &to->base);
	}
	resolve(r, answer);
	reply_release(r);
}

// ---- sending

// meet makes a peer at the listener; false: not now.
static bool meet(connection *c) {
	connection *l = c->port->listener;
	if (!l && !(c->port->name && c->port->loaded)) return invalidate(c), false;
	if (!l || !l->activated) return false;
	if (!satisfied(l->requirement, c->identity)) return interrupt(c), false; // the check-in is dropped
	c->port->refs++;
	connection *p = connection_new(PEER, c->port, NULL);
	free(p->identity);
	p->identity = l->identity ? strdup(l->identity) : NULL;
	p->self = l->self;
	p->remote = c;
	c->remote = p;
	see(p, c);
	push_event(l, &p->base, false);
	return true;
}

static void deliver(connection *from, struct item *i) {
	connection *to = from->remote;
	see(to, from);
	line_push(&to->in, (struct item){.what = dictionary_received(i->what, i->reply), .message = true,
									 .identity = from->identity ? strdup(from->identity) : NULL});
	kick(to);
}

// send_first sends what is first in line, or says that it has to wait.
static bool send_first(connection *c) {
	struct item *i = c->out.first;
	bool is_reply = false;
	struct reply *answering = i->barrier ? NULL : dictionary_take_reply(i->what, &is_reply);
	if (!i->barrier && !is_reply) {
		if (!c->remote && (c->kind != CLIENT || !meet(c))) return false;
		if (c->remote->in.messages >= IN_FLIGHT) return false;
	}
	line_pop(&c->out);
	if (i->barrier)
		run_block(queue_of(c), i->barrier);
	else if (is_reply)
		send_reply(c, answering, i->what);
	else
		deliver(c, i);
	if (i->what) xpc_release(i->what);
	free(i);
	return true;
}

void flush(connection *c) {
	while (c->activated && !c->suspended && c->out.first && send_first(c)) continue;
}

static bool waiting(connection *c, struct port *p) { return c->port == p && c->kind == CLIENT && !c->remote && c->out.first; }



void flush_waiting(struct port *p) {
	for (connection *c = connections(); c; c = c->next)
		if (waiting(c, p)) flush(c);
}

static void send(connection *c, struct item i) {
	lock();
	if (c->kind == LISTENER) misuse("a message sent to a listener");
	line_push(&c->out, i);
	if (c->dead)
		drop_out(c, &_xpc_error_connection_invalid);
	else
		flush(c);
	unlock();
}

void xpc_connection_send_message(object *o, object *message) {
	send(as_connection(o), (struct item){.what = xpc_retain(message), .message = true});
}

void xpc_connection_send_barrier(object *o, struct block *b) {
	send(as_connection(o), (struct item){.barrier = _Block_copy(b)});
}

void xpc_connection_send_message_with_reply(object *o, object *message, struct queue *q, struct block *handler) {
	connection *c = as_connection(o);
	struct reply *r = malloc(sizeof *r);
	*r = (struct reply){.refs = 2, .asker = c, .handler = _Block_copy(handler), .queue = q};
	if (q) dispatch_retain(q);
	lock();
	if ((r->next = c->pending)) c->pending->prev = &r->next;
	r->prev = &c->pending;
	c->pending = r;
	send(c, (struct item){.what = xpc_retain(message), .reply = r, .message = true});
	unlock();
}
