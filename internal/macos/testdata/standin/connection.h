// What connection.c and delivery.c share. All of it is under one lock, which
// may be taken again by who has it; handlers run without it.
#include "standin.h"

typedef struct connection connection;

// A port is what names and endpoints lead to.
struct port {
	long refs;
	connection *listener; // NULL: none now
	char *name;           // NULL: anonymous
	bool loaded;          // named ones: launchd knows it
	bool privileged;      // in root's namespace
	struct port *next;    // of the named ones
};

// An item waits in a connection, to be sent or to be handled.
struct item {
	struct item *next;
	object *what;         // message or event
	struct reply *reply;  // to be sent with it
	struct block *barrier;
	bool message, final;
	char *identity;       // of a message's sender
};

struct line {
	struct item *first, **last;
	long messages;
};

struct credentials {
	int pid;
	unsigned euid, egid;
};

struct connection {
	object base;
	enum { LISTENER, CLIENT, PEER } kind;
	struct port *port;
	bool activated, dead, draining, privileged;
	bool over; // a peer that the library has let go
	int suspended;
	struct block *handler;
	struct queue *target, *own;
	connection *remote; // not counted: cleared when either side ends
	char *requirement, *identity;
	struct credentials self, seen; // seen: of the other side
	struct line in, out;
	struct reply *pending;
	connection *next, **prev; // all there are
};

// A reply is a call's: its asker's list has it, and the message or its reply.
struct reply {
	long refs;
	bool done;
	connection *asker;
	struct block *handler;
	struct queue *queue;
	struct reply *next, **prev;
};

void lock(void);
void unlock(void);
connection *as_connection(object *o);
connection *connections(void); // all there are
connection *connection_new(int kind, struct port *p, struct queue *target);
void line_push(struct line *l, struct item i);
struct item *line_pop(struct line *l);
void item_free(struct item *i);
void port_release(struct port *p);

// delivery.c
void push_event(connection *c, object *event, bool final);
void kick(connection *c);
void flush(connection *c);
void flush_waiting(struct port *p);
void hang_up(connection *c);
void interrupt(connection *c);
void invalidate(connection *c);
void drop_out(connection *c, object *error);
void drop_pending(connection *c, object *error);
bool satisfied(const char *requirement, const char *identity);
void resolve(struct reply *r, object *answer);
void run_block(struct queue *q, struct block *b);
