// Connections and endpoints: their life. Delivery is in delivery.c.
#include <unistd.h>

#include "connection.h"

const type _xpc_type_connection = {"connection"}, _xpc_type_endpoint = {"endpoint"};

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct port *names;
static connection *all;
static char *default_identity;

void lock(void) { pthread_mutex_lock(&mutex); }
void unlock(void) { pthread_mutex_unlock(&mutex); }

connection *as_connection(object *o) {
	if (!o || o->type != &_xpc_type_connection) misuse("%p is no connection", (void *)o);
	return (connection *)o;
}

connection *connections(void) { return all; }

// ---- ports

static struct port *port_new(const char *name) {
	struct port *p = calloc(1, sizeof *p);
	p->refs = 1;
	p->name = name ? strdup(name) : NULL;
	return p;
}

static struct port *port_retain(struct port *p) {
	p->refs++;
	return p;
}

void port_release(struct port *p) {
	if (--p->refs) return;
	free(p->name);
	free(p);
}

// port_named is for ever: a name can be loaded again.
static struct port *port_named(const char *name) {
	for (struct port *p = names; p; p = p->next)
		if (!strcmp(p->name, name)) return p;
	struct port *p = port_new(name);
	p->next = names;
	p->privileged = true;
	return names = p;
}

// ---- birth and death

static void connection_finalize(object *o);

connection *connection_new(int kind, struct port *p, struct queue *target) {
	connection *c = calloc(1, sizeof *c);
	object_init(&c->base, &_xpc_type_connection, LIVE_CONNECTIONS, connection_finalize, NULL);
	c->kind = kind;
	c->port = p;
	c->in.last = &c->in.first;
	c->out.last = &c->out.first;
	if (target) dispatch_retain(c->target = target);
	if (default_identity) c->identity = strdup(default_identity);
	c->self = (struct credentials){getpid(), geteuid(), getegid()};
	c->seen = (struct credentials){0, -1, -1};
	if ((c->next = all)) all->prev = &c->next;
	c->prev = &all;
	all = c;
	return c;
}

// leave takes c out of every relation and discards what waits in it.
static void leave(connection *c) {
	c->dead = true;
	if (c->port->listener == c) c->port->listener = NULL;
	for (struct item *i; (i = line_pop(&c->in));) {
		if (i->what->type == &_xpc_type_connection) { // a peer nobody has seen
			connection *p = (connection *)i->what;
			p->over = true;
			leave(p);
			xpc_release(&p->base); // the library's
		}
		xpc_release(i->what);
		item_free(i);
	}
	drop_out(c, &_xpc_error_connection_invalid);
	drop_pending(c, &_xpc_error_connection_invalid);
	hang_up(c);
}

static void connection_finalize(object *o) {
	connection *c = (connection *)o;
	lock();
	if (!c->activated && c->kind != PEER) misuse("release of an inactive connection");
	if (c->suspended) misuse("release of a suspended connection");
	leave(c);
	if ((*c->prev = c->next)) c->next->prev = c->prev;
	port_release(c->port);
	unlock();
	if (c->handler) _Block_release(c->handler);
	if (c->target) dispatch_release(c->target);
	if (c->own) dispatch_release(c->own);
	free(c->requirement);
	free(c->identity);
	object_free(o, sizeof *c);
}

object *xpc_connection_create(const char *name, struct queue *target) {
	if (name) misuse("an XPC service; only anonymous listeners are known here");
	lock();
	connection *c = connection_new(LISTENER, port_new(NULL), target);
	c->port->listener = c;
	unlock();
	return &c->base;
}

object *xpc_connection_create_mach_service(const char *name, struct queue *target, uint64_t flags) {
	if (flags & ~(uint64_t)3) misuse("unknown flags %lx", (unsigned long)flags);
	lock();
	connection *c = connection_new(flags & 1 ? LISTENER : CLIENT, port_retain(port_named(name)), target);
	c->privileged = flags & 2;
	unlock();
	return &c->base;
}

// ---- endpoints

struct endpoint {
	object base;
	struct port *port;
};

static void endpoint_finalize(object *o) {
	lock();
	port_release(((struct endpoint *)o)->port);
	unlock();
	object_free(o, sizeof(struct endpoint));
}

object *xpc_endpoint_create(object *o) {
	connection *c = as_connection(o);
	if (c->kind != LISTENER || c->port->name) misuse("an endpoint of what is no anonymous listener");
	struct endpoint *e = calloc(1, sizeof *e);
	object_init(&e->base, &_xpc_type_endpoint, LIVE_OBJECTS, endpoint_finalize, NULL);
	lock();
	e->port = port_retain(c->port);
	unlock();
	return &e->base;
}

object *xpc_connection_create_from_endpoint(object *o) {
	if (!o || o->type != &_xpc_type_endpoint) misuse("%p is no endpoint", (void *)o);
	lock();
	connection *c = connection_new(CLIENT, port_retain(((struct endpoint *)o)->port), NULL);
	unlock();
	return &c->base;
}

// ---- configuration

int xpc_connection_set_peer_code_signing_requirement(object *o, const char *requirement) {
	connection *c = as_connection(o);
	if (c->requirement) misuse("a second requirement on one connection");
	if (c->activated) misuse("a requirement on an active connection");
	if (strstr(requirement, "!!syntax")) return 22;
	lock();
	c->requirement = strdup(requirement);
	unlock();
	return 0;
}

void xpc_connection_set_event_handler(object *o, struct block *handler) {
	connection *c = as_connection(o);
	lock();
	struct block *old = c->handler;
	c->handler = _Block_copy(handler);
	unlock();
	_Block_release(old);
}

void xpc_connection_set_target_queue(object *o, struct queue *q) {
	connection *c = as_connection(o);
	if (c->activated) misuse("a target queue for an active connection");
	if (q) dispatch_retain(q);
	struct queue *old = c->target;
	c->target = q;
	if (old) dispatch_release(old);
}

// start does what the activation of a kind does.
static void start(connection *c) {
	struct port *p = c->port;
	if (c->kind == LISTENER && p->name) {
		if (p->listener) return invalidate(c);
		p->listener = c;
		p->loaded = true;
	}
	if (c->kind == LISTENER) flush_waiting(p);
	bool there = p->name ? p->loaded && (p->privileged || !c->privileged) : p->listener != NULL;
	if (c->kind == CLIENT && !there) invalidate(c);
}

void xpc_connection_activate(object *o) {
	connection *c = as_connection(o);
	lock();
	if (!c->handler) misuse("activation without a handler");
	bool first = !c->activated;
	c->activated = true;
	if (first && !c->own && !c->target) c->own = dispatch_queue_create("connection", NULL);
	if (first && !c->dead) start(c);
	kick(c);
	flush(c);
	unlock();
}

void xpc_connection_suspend(object *o) {
	connection *c = as_connection(o);
	lock();
	c->suspended++;
	unlock();
}

void xpc_connection_resume(object *o) {
	connection *c = as_connection(o);
	lock();
	if (--c->suspended < 0) misuse("more resumptions than suspensions");
	kick(c);
	flush(c);
	unlock();
}

// let_go: a peer cancelled before its activation hears nothing more.
static void let_go(connection *c) {
	if (c->over) return;
	c->over = true;
	leave(c);
	xpc_release(&c->base); // the library's
}

void xpc_connection_cancel(object *o) {
	connection *c = as_connection(o);
	lock();
	xpc_retain(o);
	if (c->kind == PEER && !c->activated)
		let_go(c);
	else if (!c->dead) {
		leave(c);
		push_event(c, &_xpc_error_connection_invalid, true);
	}
	unlock();
	xpc_release(o);
}

int xpc_connection_get_pid(object *o) { return as_connection(o)->seen.pid; }
unsigned xpc_connection_get_euid(object *o) { return as_connection(o)->seen.euid; }
unsigned xpc_connection_get_egid(object *o) { return as_connection(o)->seen.egid; }

// ---- what tests do from outside

// Who the process of a connection is: text that a requirement must contain.
void standin_set_identity(object *o, const char *text) {
	connection *c = as_connection(o);
	lock();
	free(c->identity);
	c->identity = *text ? strdup(text) : NULL;
	unlock();
}

// The same for connections to come.
void standin_set_default_identity(const char *text) {
	lock();
	free(default_identity);
	default_identity = *text ? strdup(text) : NULL;
	unlock();
}

// What the other side will see, from the next exchange on.
void standin_set_credentials(object *o, int pid, unsigned euid, unsigned egid) {
	connection *c = as_connection(o);
	lock();
	c->self = (struct credentials){pid, euid, egid};
	unlock();
}

// A job with this name is loaded, and not running: messages to it wait.
void standin_load(const char *name, bool privileged) {
	lock();
	struct port *p = port_named(name);
	p->loaded = true;
	p->privileged = privileged;
	unlock();
}

static void die(struct port *p) {
	for (connection *c = all, *next; c; c = next) {
		next = c->next;
		if (c->port != p || c->kind != PEER || c->dead) continue;
		hang_up(c);
		invalidate(c);
	}
	connection *l = p->listener;
	if (!l) return;
	leave(l);
	push_event(l, &_xpc_error_connection_invalid, true);
}

// The process behind a listener is gone: it and its peers become invalid, as
// the ends of a process that tests have in their own.
void standin_die(object *listener) {
	lock();
	die(as_connection(listener)->port);
	unlock();
}

// The same for a name, which may have a new listener later.
void standin_kill(const char *name) {
	lock();
	die(port_named(name));
	unlock();
}

// The job is booted out: its process is gone, its clients are interrupted, then invalid.
void standin_unload(const char *name) {
	lock();
	struct port *p = port_named(name);
	p->loaded = false;
	die(p);
	for (connection *c = all; c; c = c->next)
		if (c->port == p && c->kind == CLIENT && !c->dead && c->activated) invalidate(c);
	unlock();
}

// An error that is none of those with a name reaches a handler.
void standin_terminate(object *o) {
	lock();
	push_event(as_connection(o), &_xpc_error_termination_imminent, false);
	unlock();
}
