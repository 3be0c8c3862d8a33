// What the bindings use of Security, SystemConfiguration and libSystem's rest.
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "cf.h"

// ---- Security. Code is a file; its first line is its identity, and "broken"
// in it breaks its seal. A requirement must name the identity.

enum { ALL_ARCHITECTURES = 1, NESTED = 8, STRICT = 16, SIGNING_INFORMATION = 2 };
enum { BAD_REQUIREMENT = -67050, UNSIGNED = -67062, BROKEN = -67061, SYNTAX = -67049, NO_FILE = 100002 };

static cf_bytes identifier_key = {{CF_STRING, 1, true, NULL}, "identifier", 10};
static cf_bytes team_key = {{CF_STRING, 1, true, NULL}, "teamid", 6};
static cf_bytes unique_key = {{CF_STRING, 1, true, NULL}, "unique", 6};
void *const kSecCodeInfoIdentifier = &identifier_key, *const kSecCodeInfoTeamIdentifier = &team_key;
void *const kSecCodeInfoUnique = &unique_key;

typedef struct code {
	cf_object base;
	char identity[256];
	bool broken;
} code;

static int fault(int status, void **error, const char *format, ...) {
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (error) *error = cf_bytes_new(CF_ERROR, text, strlen(text));
	return status;
}

int SecStaticCodeCreateWithPath(void *url, unsigned flags, void **out) {
	if (flags) misuse("flags %x", flags);
	FILE *f = fopen(((cf_bytes *)cf_as(url, CF_URL))->bytes, "r");
	if (!f) return NO_FILE;
	code *c = cf_new(sizeof *c, CF_OTHER, NULL);
	if (!fgets(c->identity, sizeof c->identity, f)) c->identity[0] = 0;
	fclose(f);
	c->identity[strcspn(c->identity, "\n")] = 0;
	c->broken = strstr(c->identity, "broken");
	*out = c;
	return 0;
}

int SecRequirementCreateWithStringAndErrors(void *text, unsigned flags, void **error, void **out) {
	cf_bytes *t = cf_as(text, CF_STRING);
	if (flags) misuse("flags %x", flags);
	if (strstr(t->bytes, "!!syntax")) return fault(SYNTAX, error, "unexpected token: !!");
	*out = cf_bytes_new(CF_OTHER, t->bytes, t->length);
	return 0;
}

int SecStaticCodeCheckValidityWithErrors(void *p, unsigned flags, void *requirement, void **error) {
	code *c = cf_as(p, CF_OTHER);
	if (flags != (ALL_ARCHITECTURES | NESTED | STRICT)) misuse("a check with flags %x", flags);
	if (!c->identity[0]) return fault(UNSIGNED, NULL, "");
	if (c->broken) return fault(BROKEN, error, "the seal of %s is broken", c->identity);
	if (requirement && !strstr(((cf_bytes *)requirement)->bytes, c->identity))
		return fault(BAD_REQUIREMENT, error, "%s does not satisfy it", c->identity);
	return 0;
}

int SecCodeCopySigningInformation(void *p, unsigned flags, void **out) {
	code *c = cf_as(p, CF_OTHER);
	if (flags != SIGNING_INFORMATION) misuse("information %x", flags);
	cf_list *d = cf_dictionary();
	*out = d;
	if (!c->identity[0]) return 0;
	cf_put(d, kSecCodeInfoIdentifier, cf_string(c->identity));
	cf_put(d, kSecCodeInfoTeamIdentifier, cf_string("TEAM123456"));
	cf_put(d, kSecCodeInfoUnique, cf_bytes_new(CF_DATA, "\1\2\0\4", 4));
	return 0;
}

int SecCodeCopyDesignatedRequirement(void *p, unsigned flags, void **out) {
	code *c = cf_as(p, CF_OTHER);
	if (flags) misuse("flags %x", flags);
	if (!c->identity[0]) return UNSIGNED;
	char text[512];
	int n = snprintf(text, sizeof text, "identifier \"%s\"", c->identity);
	*out = cf_bytes_new(CF_OTHER, text, n);
	return 0;
}

int SecRequirementCopyString(void *p, unsigned flags, void **out) {
	cf_bytes *r = cf_as(p, CF_OTHER);
	if (flags) misuse("flags %x", flags);
	*out = cf_bytes_new(CF_STRING, r->bytes, r->length);
	return 0;
}

// ---- SystemConfiguration

static cf_list *console;

void *SCDynamicStoreCreate(void *allocator, void *name, void *callback, void *context) {
	cf_as(name, CF_STRING);
	if (allocator || callback || context) misuse("a dynamic store with more than a name");
	return cf_new(sizeof(cf_object), CF_OTHER, NULL);
}

void *SCDynamicStoreCopyValue(void *store, void *key) {
	cf_as(store, CF_OTHER);
	if (strcmp(((cf_bytes *)cf_as(key, CF_STRING))->bytes, "State:/Users/ConsoleUser") || !console) return NULL;
	cf_list *d = cf_dictionary();
	cf_put(d, cf_string("SessionInfo"), CFRetain(console));
	return d;
}

static void put_number(cf_list *d, const char *key, int64_t v) { cf_put(d, cf_string(key), CFNumberCreate(NULL, 4, &v)); }
static void put_bool(cf_list *d, const char *key, bool v) { cf_put(d, cf_string(key), CFRetain(v ? kCFBooleanTrue : kCFBooleanFalse)); }

// standin_console adds a session; without a name it ends all.
void standin_console(const char *name, unsigned uid, bool login_done) {
	if (!*name) {
		if (console) CFRelease(console);
		console = NULL;
		return;
	}
	if (!console) console = cf_array();
	cf_list *d = cf_dictionary();
	cf_put(d, cf_string("kCGSSessionUserNameKey"), cf_string(name));
	put_number(d, "kCGSSessionUserIDKey", uid);
	put_bool(d, "kCGSessionLoginDoneKey", login_done);
	cf_append(console, d);
}

// standin_console_rubbish adds what is no session.
void standin_console_rubbish(void) {
	if (!console) console = cf_array();
	cf_append(console, cf_string("no dictionary"));
	cf_append(console, cf_dictionary());
}

// ---- launchd

static int socket_fd = -1;
static const char *socket_name;

// standin_socket: launchd holds fd, twice, under a name.
void standin_socket(const char *name, int fd) {
	free((void *)socket_name);
	socket_name = strdup(name);
	socket_fd = fd;
}

int launch_activate_socket(const char *name, int **fds, size_t *count) {
	if (!socket_name) return ESRCH;
	if (strcmp(name, socket_name)) return ENOENT;
	if (socket_fd < 0) return EALREADY;
	*fds = malloc(2 * sizeof **fds);
	*count = 2;
	(*fds)[0] = socket_fd;
	(*fds)[1] = dup(socket_fd);
	socket_fd = -1;
	return 0;
}

// ---- libproc, over /proc

int proc_listpids(uint32_t type, uint32_t info, void *buffer, int size) {
	if (type != 1 || info) misuse("processes of kind %u", type);
	DIR *d = opendir("/proc");
	if (!d) return 0;
	int n = 0;
	for (struct dirent *e; (e = readdir(d));) {
		int pid = atoi(e->d_name);
		if (pid <= 0 || (buffer && (n + 1) * 4 > size)) continue;
		if (buffer) ((int *)buffer)[n] = pid;
		n++;
	}
	closedir(d);
	return n * 4;
}

int proc_pidpath(int pid, void *buffer, uint32_t size) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	ssize_t n = readlink(path, buffer, size);
	return n < 0 ? 0 : (int)n;
}
