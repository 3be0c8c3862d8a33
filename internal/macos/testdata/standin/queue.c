// Serial queues. Each has a thread while there is something to do and a little
// longer, so handlers meet fresh threads and used ones.
#include <errno.h>
#include <time.h>

#include "standin.h"

struct job {
	struct job *next;
	void (*run)(void *);
	void *context;
};

struct queue {
	atomic_long refs;
	pthread_mutex_t mu;
	pthread_cond_t more;
	struct job *first, **last;
	bool thread;
	char *label;
};

struct queue *dispatch_queue_create(const char *label, void *attributes) {
	if (attributes) misuse("a queue with attributes");
	struct queue *q = calloc(1, sizeof *q);
	q->refs = 1;
	q->last = &q->first;
	q->label = label ? strdup(label) : NULL;
	pthread_mutex_init(&q->mu, NULL);
	pthread_cond_init(&q->more, NULL);
	live_add(LIVE_QUEUES, 1);
	return q;
}

static void queue_free(struct queue *q) {
	pthread_mutex_destroy(&q->mu);
	pthread_cond_destroy(&q->more);
	free(q->label);
	free(q);
}

void dispatch_retain(void *queue) { atomic_fetch_add(&((struct queue *)queue)->refs, 1); }

// The last reference ends the queue; its thread, if there is one, does so.
void dispatch_release(void *queue) {
	struct queue *q = queue;
	pthread_mutex_lock(&q->mu);
	long before = atomic_fetch_sub(&q->refs, 1);
	if (before < 1) misuse("queue %p released too often", queue);
	bool thread = q->thread;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->mu);
	if (before > 1) return;
	live_add(LIVE_QUEUES, -1);
	if (!thread) queue_free(q);
}

// wait_for_job is NULL when none came for a while, or the queue is over.
static struct job *wait_for_job(struct queue *q) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	if ((until.tv_nsec += 20 * 1000 * 1000) >= 1000 * 1000 * 1000) until.tv_sec++, until.tv_nsec -= 1000 * 1000 * 1000;
	while (!q->first && atomic_load(&q->refs) > 0)
		if (pthread_cond_timedwait(&q->more, &q->mu, &until) == ETIMEDOUT) break;
	struct job *j = q->first;
	if (j && !(q->first = j->next)) q->last = &q->first;
	return j;
}

static void *queue_thread(void *arg) {
	struct queue *q = arg;
	pthread_mutex_lock(&q->mu);
	for (struct job *j; (j = wait_for_job(q));) {
		pthread_mutex_unlock(&q->mu);
		j->run(j->context);
		free(j);
		dispatch_release(q); // the job's
		pthread_mutex_lock(&q->mu);
	}
	q->thread = false;
	bool over = atomic_load(&q->refs) == 0;
	pthread_mutex_unlock(&q->mu);
	if (over) queue_free(q);
	return NULL;
}

static void start_thread(void *(*f)(void *), void *arg) {
	pthread_attr_t detached;
	pthread_t t;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	struct timespec moment = {0, 1000 * 1000};
	while (pthread_create(&t, &detached, f, arg)) nanosleep(&moment, NULL);
	pthread_attr_destroy(&detached);
}

static void *job_thread(void *arg) {
	struct job j = *(struct job *)arg;
	free(arg);
	j.run(j.context);
	return NULL;
}

void queue_async(struct queue *q, void (*f)(void *), void *context) {
	struct job *j = malloc(sizeof *j);
	*j = (struct job){NULL, f, context};
	if (!q) return start_thread(job_thread, j);
	dispatch_retain(q);
	pthread_mutex_lock(&q->mu);
	*q->last = j;
	q->last = &j->next;
	bool start = !q->thread;
	q->thread = true;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->mu);
	if (start) start_thread(queue_thread, q);
}
