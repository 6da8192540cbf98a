/* Stands between a process and its file system and sockets (LD_PRELOAD). It counts calls that match the rules of a shared file,
 * and at the one that a rule is armed for it kills the process, lets the call fail, or pretends that it worked. It knows no
 * boundary by name and decides nothing: the rules come from mod.rs, which has the same layout. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CALL_WRITE = 1, CALL_SYNC = 2, CALL_RENAME = 4, CALL_CUT = 8, CALL_MAKE = 16, CALL_READ = 32, CALL_REMOVE = 64 };
enum { ACT_NOTHING = 0, ACT_KILL = 1, ACT_FAIL = 2, ACT_PRETEND = 3 };
enum { BEFORE = 0, AFTER = 1 };

struct rule {
    _Atomic uint64_t hits;     /* calls that matched */
    _Atomic uint64_t armed_at; /* the hit that it acts at; 0 is never */
    _Atomic uint64_t fired;
    uint32_t calls;
    uint32_t when;
    uint32_t action;
    int32_t error;
    uint32_t for_good; /* acts at all hits from that one on */
    uint32_t unused;
    char contains[64]; /* in the file's path; empty is any */
    char ends[32];     /* at its end */
    char thread[16];   /* the calling thread's name; empty is any */
    char payload[64];  /* in the first bytes that are moved; empty is any */
};

struct table {
    uint64_t magic;
    uint64_t count;
    struct rule rules[];
};

static struct table *table;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RINGFENCE_IO_RULES");
    if (!path) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    struct stat about;
    if (fstat(file, &about) == 0) {
        void *mapped = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) table = mapped;
    }
    syscall(SYS_close, file);
}

static int path_of(int file, char *into, size_t room) {
    char link[32] = "/proc/self/fd/";
    char digits[12];
    int length = 0;
    unsigned number = (unsigned)file;
    do { digits[length++] = (char)('0' + number % 10); number /= 10; } while (number);
    char *end = link + strlen(link);
    while (length) *end++ = digits[--length];
    *end = 0;
    long found = syscall(SYS_readlink, link, into, room - 1);
    if (found < 0) return -1;
    into[found] = 0;
    return 0;
}

static int matches(struct rule *rule, const char *path, const void *bytes, size_t length) {
    if (rule->contains[0] && !strstr(path, rule->contains)) return 0;
    size_t whole = strlen(path), end = strlen(rule->ends);
    if (end && (whole < end || strcmp(path + whole - end, rule->ends) != 0)) return 0;
    if (rule->thread[0]) {
        char name[16] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        if (strcmp(name, rule->thread) != 0) return 0;
    }
    size_t sought = strlen(rule->payload);
    return !sought || (bytes && memmem(bytes, length < 2048 ? length : 2048, rule->payload, sought));
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* What one call has to do after the real one. */
struct verdict {
    int act; /* before it: ACT_FAIL or ACT_PRETEND; ACT_NOTHING goes on */
    int error;
    int kill_after;
    int fail_after;
};

static struct verdict judge(uint32_t call, int file, const char *known, const void *bytes, size_t length) {
    struct verdict verdict = { 0 };
    if (!table) return verdict;
    int keep = errno;
    char found[512];
    const char *path = known;
    for (uint64_t at = 0; at < table->count; at++) {
        struct rule *rule = &table->rules[at];
        if (!(rule->calls & call)) continue;
        if (!path) {
            if (path_of(file, found, sizeof found)) break;
            path = found;
        }
        if (!matches(rule, path, bytes, length)) continue;
        uint64_t hit = atomic_fetch_add(&rule->hits, 1) + 1;
        uint64_t armed = atomic_load(&rule->armed_at);
        if (!armed || (rule->for_good ? hit < armed : hit != armed)) continue;
        atomic_fetch_add(&rule->fired, 1);
        if (rule->when == BEFORE) {
            if (rule->action == ACT_KILL) die();
            verdict.act = (int)rule->action;
        } else if (rule->action == ACT_KILL) {
            verdict.kill_after = 1;
        } else {
            verdict.fail_after = 1;
        }
        verdict.error = rule->error;
    }
    errno = keep;
    return verdict;
}

#define REAL(name) \
    static __typeof__(name) *real_##name; \
    if (!real_##name) real_##name = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* `worked` is what a call returns that did all it was asked for. */
#define THROUGH(verdict, worked, call) \
    do { \
        if ((verdict).act == ACT_FAIL) { errno = (verdict).error; return -1; } \
        if ((verdict).act == ACT_PRETEND) return (worked); \
        __typeof__(worked) result = (call); \
        if ((verdict).kill_after) die(); \
        if ((verdict).fail_after) { errno = (verdict).error; return -1; } \
        return result; \
    } while (0)

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(write);
    struct verdict verdict = judge(CALL_WRITE, file, NULL, bytes, length);
    THROUGH(verdict, (ssize_t)length, real_write(file, bytes, length));
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    REAL(pwrite64);
    struct verdict verdict = judge(CALL_WRITE, file, NULL, bytes, length);
    THROUGH(verdict, (ssize_t)length, real_pwrite64(file, bytes, length, at));
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return pwrite64(file, bytes, length, at); }

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int at = 0; at < count; at++) sum += parts[at].iov_len;
    return sum;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    const void *first = count > 0 ? parts[0].iov_base : NULL;
    struct verdict verdict = judge(CALL_WRITE, file, NULL, first, count > 0 ? parts[0].iov_len : 0);
    THROUGH(verdict, (ssize_t)total(parts, count), real_writev(file, parts, count));
}

ssize_t send(int file, const void *bytes, size_t length, int flags) {
    REAL(send);
    struct verdict verdict = judge(CALL_WRITE, file, NULL, bytes, length);
    THROUGH(verdict, (ssize_t)length, real_send(file, bytes, length, flags));
}

ssize_t sendto(int file, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t room) {
    REAL(sendto);
    struct verdict verdict = judge(CALL_WRITE, file, NULL, bytes, length);
    THROUGH(verdict, (ssize_t)length, real_sendto(file, bytes, length, flags, to, room));
}

/* What a read matches is known after it: then the process dies before it can do anything with the bytes, or they are taken from it. */
static ssize_t received(int file, const void *bytes, ssize_t result) {
    if (result <= 0) return result;
    struct verdict verdict = judge(CALL_READ, file, NULL, bytes, (size_t)result);
    if (verdict.kill_after) die();
    if (verdict.act == ACT_FAIL || verdict.fail_after) {
        errno = verdict.error;
        return -1;
    }
    return result;
}

ssize_t read(int file, void *into, size_t room) {
    REAL(read);
    return received(file, into, real_read(file, into, room));
}

ssize_t recv(int file, void *into, size_t room, int flags) {
    REAL(recv);
    return received(file, into, real_recv(file, into, room, flags));
}

ssize_t recvfrom(int file, void *into, size_t room, int flags, struct sockaddr *from, socklen_t *length) {
    REAL(recvfrom);
    return received(file, into, real_recvfrom(file, into, room, flags, from, length));
}

int fsync(int file) {
    REAL(fsync);
    struct verdict verdict = judge(CALL_SYNC, file, NULL, NULL, 0);
    THROUGH(verdict, 0, real_fsync(file));
}

int fdatasync(int file) {
    REAL(fdatasync);
    struct verdict verdict = judge(CALL_SYNC, file, NULL, NULL, 0);
    THROUGH(verdict, 0, real_fdatasync(file));
}

int ftruncate64(int file, off64_t length) {
    REAL(ftruncate64);
    struct verdict verdict = judge(CALL_CUT, file, NULL, NULL, 0);
    THROUGH(verdict, 0, real_ftruncate64(file, length));
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int rename(const char *from, const char *to) {
    REAL(rename);
    struct verdict verdict = judge(CALL_RENAME, -1, to, NULL, 0);
    THROUGH(verdict, 0, real_rename(from, to));
}

int unlink(const char *path) {
    REAL(unlink);
    struct verdict verdict = judge(CALL_REMOVE, -1, path, NULL, 0);
    THROUGH(verdict, 0, real_unlink(path));
}

static int opened(int directory, const char *path, int flags, mode_t mode) {
    REAL(openat64);
    if (!(flags & O_CREAT) || syscall(SYS_faccessat, directory, path, F_OK) == 0) return real_openat64(directory, path, flags, mode);
    struct verdict verdict = judge(CALL_MAKE, -1, path, NULL, 0);
    if (verdict.act == ACT_PRETEND) verdict.act = ACT_NOTHING; /* nobody can pretend a descriptor */
    THROUGH(verdict, 0, real_openat64(directory, path, flags, mode));
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE(flags) return opened(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE(flags) return opened(directory, path, flags, mode); }
