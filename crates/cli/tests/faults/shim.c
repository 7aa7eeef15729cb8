/* Bends the system calls of one program: LD_PRELOAD this, name a file in GAPLESS_FAULTS_FILE, and write into it, at any time,
 * lines of the form
 *
 *     CALL ERRNO DELAY_MS NAME
 *
 * where CALL is `sync` (fsync, fdatasync) or `write` (write, pwrite), ERRNO is 0 for none, and NAME is a part of the path of the
 * files that are meant. An empty or missing file bends nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* The errno to fail with, 0 for none; waits the delay. Only raw system calls: what is bent here must not be used here. */
static int bent(const char *call, int fd) {
    const char *control = getenv("GAPLESS_FAULTS_FILE");
    if (control == NULL) return 0;
    char text[1024], link[64], path[1024];
    long from = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (from < 0) return 0;
    long count = syscall(SYS_read, from, text, sizeof text - 1);
    syscall(SYS_close, from);
    if (count <= 0) return 0;
    text[count] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char kind[16], name[256];
        int number = 0, delay_ms = 0;
        if (sscanf(line, "%15s %d %d %255s", kind, &number, &delay_ms, name) != 4) continue;
        if (strcmp(kind, call) != 0 || strstr(path, name) == NULL) continue;
        struct timespec delay = {delay_ms / 1000, (delay_ms % 1000) * 1000000L};
        nanosleep(&delay, NULL);
        return number;
    }
    return 0;
}

#define FAIL_IF_BENT(call, fd)        \
    do {                              \
        int number = bent(call, fd);  \
        if (number != 0) {            \
            errno = number;           \
            return -1;                \
        }                             \
    } while (0)

int fsync(int fd) {
    FAIL_IF_BENT("sync", fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    FAIL_IF_BENT("sync", fd);
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    FAIL_IF_BENT("write", fd);
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    FAIL_IF_BENT("write", fd);
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    FAIL_IF_BENT("write", fd);
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}
