/* Loaded before the C library (LD_PRELOAD), so that what a program stands on breaks: its disk and its clock.
 *
 *   FAIL_CALL=write|fsync  FAIL_BELOW=FOLDER  FAIL_AFTER=N   calls on files below the folder fail with EIO once N have passed
 *   CLOCK_JUMPS=SECONDS,SECONDS,...                          each look at the wall clock is off by the next of them
 *
 * What makes system calls without the C library is not reached: the renames of Rust's tempfile, for one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    static atomic_long passed;
    const char *wanted = getenv("FAIL_CALL"), *below = getenv("FAIL_BELOW"), *after = getenv("FAIL_AFTER");
    if (!wanted || !below || strcmp(wanted, call) != 0) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (length < 0 || strncmp(path, below, strlen(below)) != 0) return 0;
    if (atomic_fetch_add(&passed, 1) < (after ? atol(after) : 0)) return 0;
    errno = EIO;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return fails("write", fd) ? -1 : real(fd, bytes, length);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", fd) ? -1 : real(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    static atomic_uint looks;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *jumps = clock == CLOCK_REALTIME ? getenv("CLOCK_JUMPS") : NULL;
    if (result != 0 || !jumps) return result;
    unsigned count = 1;
    for (const char *at = jumps; *at; at++) count += *at == ',';
    const char *jump = jumps;
    for (unsigned skip = atomic_fetch_add(&looks, 1) % count; skip > 0; skip--) jump = strchr(jump, ',') + 1;
    time->tv_sec += atoll(jump);
    return result;
}
