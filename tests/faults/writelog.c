// SPDX-License-Identifier: GPL-3.0-or-later
/* Logs, in order, every call of a process that changes files below one folder.
 *
 * LD_PRELOAD this into a process; WRITELOG_ROOT names the folder (a real path), WRITELOG_FILE the
 * log, outside it. tests/faults/powercut.py reads the log and says what a disk may hold of it.
 *
 * A record: op, length of a, length of b, 0 (uint32 each), inode, number (uint64 each), a, b.
 *   C create a file       a = path                      T cut to number bytes
 *   W write at number     b = bytes                     S fsync or fdatasync, of a file or folder
 *   M mkdir               a = path                      D rmdir, U unlink        a = path
 *   R rename, L link      a = from, b = to              A mark  b = bytes (writelog_mark)
 *   X a change this log cannot tell of                  a = name of the call, b = path
 * Paths are relative to the folder. SQLite's -shm is left out: it is shared memory, rebuilt when
 * opened. Syncs are logged only: the log is the disk. One lock over call and record, across
 * threads and processes, keeps the order. What glibc writes by itself (stdio) is not seen; the
 * reader compares the whole log with the folder as it is in the end.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int log_fd = -1;
static pid_t log_pid;

static void die(const char *why) {
    (void)!syscall(SYS_write, 2, "writelog: ", 10);
    (void)!syscall(SYS_write, 2, why, strlen(why));
    (void)!syscall(SYS_write, 2, "\n", 1);
    abort();
}

static void begin(void) {
    pthread_mutex_lock(&one);
    if (log_fd < 0 || log_pid != getpid()) { /* a forked child would share its parent's lock */
        const char *file = getenv("WRITELOG_FILE"), *folder = getenv("WRITELOG_ROOT");
        if (!file || !folder || strlen(folder) >= sizeof root) die("WRITELOG_* are not set");
        strcpy(root, folder);
        root_length = strlen(root);
        log_fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0) die("the log cannot be opened");
        log_pid = getpid();
    }
    if (flock(log_fd, LOCK_EX)) die("the log cannot be locked");
}

static void end(void) {
    int kept = errno;
    flock(log_fd, LOCK_UN);
    pthread_mutex_unlock(&one);
    errno = kept;
}

static void record(char op, uint64_t inode, uint64_t number, const char *a, const void *b, size_t n) {
    int kept = errno;
    struct { uint32_t op, a, b, zero; uint64_t inode, number; } head =
        {(uint32_t)op, a ? strlen(a) : 0, n, 0, inode, number};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)a, head.a}, {(void *)b, n}};
    if (syscall(SYS_writev, log_fd, parts, 3) != (long)(sizeof head + head.a + n)) die("log is full");
    errno = kept;
}

/* Below the folder: the path relative to it, "" for the folder itself. Else NULL. */
static const char *below(const char *path) {
    size_t n = strlen(path);
    if (strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/')) return NULL;
    if (n > 4 && !strcmp(path + n - 4, "-shm")) return NULL;
    return path[root_length] ? path + root_length + 1 : path + root_length;
}

static const char *of_fd(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    if (n <= 0) return NULL;
    buffer[n] = 0;
    if (n > 10 && !strcmp(buffer + n - 10, " (deleted)")) buffer[n - 10] = 0;
    return below(buffer);
}

/* The path of a name: its folder without symbolic links, the name as it is. */
static const char *of_name(int at, const char *name, char *buffer) {
    char joined[2 * PATH_MAX], folder[PATH_MAX];
    if (name[0] == '/') {
        snprintf(joined, sizeof joined, "%s", name);
    } else {
        char base[PATH_MAX], link[64];
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        long n = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
        if (n <= 0) return NULL;
        base[n] = 0;
        snprintf(joined, sizeof joined, "%s/%s", base, name);
    }
    size_t n = strlen(joined);
    while (n > 1 && joined[n - 1] == '/') joined[--n] = 0;
    char *last = strrchr(joined, '/');
    *last = 0;
    if (!realpath(joined[0] ? joined : "/", folder)) return NULL;
    if (snprintf(buffer, PATH_MAX, "%s/%s", folder, last + 1) >= PATH_MAX) die("a path is too long");
    return below(buffer);
}

static uint64_t inode_of(int fd) {
    struct stat it;
    if (fstat(fd, &it)) die("fstat failed");
    return it.st_ino;
}

/* ------------------------------------------------------------ open */

static int opened(int at, const char *name, int flags, mode_t mode) {
    if (!(flags & (O_CREAT | O_TRUNC))) return syscall(SYS_openat, at, name, flags, mode);
    char buffer[PATH_MAX];
    begin();
    int before = errno;
    const char *path = of_name(at, name, buffer);
    struct stat it;
    int fresh = path && fstatat(at, name, &it, 0) != 0;
    errno = before;
    int fd = syscall(SYS_openat, at, name, flags, mode);
    if (fd >= 0 && path) {
        if ((flags & O_TMPFILE) == O_TMPFILE) record('X', 0, 0, "O_TMPFILE", path, strlen(path));
        else if (fresh) record('C', inode_of(fd), 0, path, NULL, 0);
        else if (flags & O_TRUNC) record('T', inode_of(fd), 0, path, NULL, 0);
    }
    end();
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }
int open(const char *n, int flags, ...) { MODE(flags) return opened(AT_FDCWD, n, flags, mode); }
int open64(const char *n, int flags, ...) { MODE(flags) return opened(AT_FDCWD, n, flags, mode); }
int openat(int at, const char *n, int flags, ...) { MODE(flags) return opened(at, n, flags, mode); }
int openat64(int at, const char *n, int flags, ...) { MODE(flags) return opened(at, n, flags, mode); }
int creat(const char *n, mode_t mode) { return opened(AT_FDCWD, n, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *n, mode_t mode) { return creat(n, mode); }

/* ------------------------------------------------------------ bytes */

static ssize_t written(int fd, ssize_t n, int64_t at, const struct iovec *parts, int count) {
    char buffer[PATH_MAX];
    const char *path = n > 0 ? of_fd(fd, buffer) : NULL;
    if (!path) return n;
    if (at < 0) at = lseek(fd, 0, SEEK_CUR) - n; /* as it is after the call: right for O_APPEND too */
    uint64_t inode = inode_of(fd);
    ssize_t left = n;
    for (int i = 0; i < count && left > 0; i++) {
        size_t take = (ssize_t)parts[i].iov_len < left ? parts[i].iov_len : (size_t)left;
        if (take) record('W', inode, at, path, parts[i].iov_base, take);
        at += take;
        left -= take;
    }
    return n;
}

#define WRITING(call, at, parts, count) \
    begin(); \
    ssize_t n = written(fd, call, at, parts, count); \
    end(); \
    return n;

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec part = {(void *)data, size};
    WRITING(syscall(SYS_write, fd, data, size), -1, &part, 1)
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    WRITING(syscall(SYS_writev, fd, parts, count), -1, parts, count)
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    struct iovec part = {(void *)data, size};
    WRITING(syscall(SYS_pwrite64, fd, data, size, at), at, &part, 1)
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    WRITING(syscall(SYS_pwritev, fd, parts, count, at, 0L), at, parts, count)
}
ssize_t pwritev(int fd, const struct iovec *p, int count, off_t at) { return pwritev64(fd, p, count, at); }

int ftruncate64(int fd, off64_t size) {
    char buffer[PATH_MAX];
    begin();
    int done = syscall(SYS_ftruncate, fd, size);
    const char *path = done ? NULL : of_fd(fd, buffer);
    if (path) record('T', inode_of(fd), size, path, NULL, 0);
    end();
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, long call) {
    char buffer[PATH_MAX];
    begin();
    const char *path = of_fd(fd, buffer);
    int done = 0;
    if (path) record('S', inode_of(fd), 0, path, NULL, 0);
    else done = syscall(call, fd);
    end();
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* ------------------------------------------------------------ names */

static int moved(char op, int from_at, const char *from, int to_at, const char *to, int flags) {
    char a[PATH_MAX], b[PATH_MAX];
    begin();
    const char *old = of_name(from_at, from, a), *new = of_name(to_at, to, b);
    long done = op == 'L' ? syscall(SYS_linkat, from_at, from, to_at, to, flags)
                          : syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (!done && old && new) record(flags ? 'X' : op, 0, 0, old, new, strlen(new));
    else if (!done && (old || new)) record('X', 0, 0, "across", old ? old : new, strlen(old ? old : new));
    end();
    return done;
}
int rename(const char *a, const char *b) { return moved('R', AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int x, const char *a, int y, const char *b) { return moved('R', x, a, y, b, 0); }
int renameat2(int x, const char *a, int y, const char *b, unsigned f) { return moved('R', x, a, y, b, f); }
int link(const char *a, const char *b) { return moved('L', AT_FDCWD, a, AT_FDCWD, b, 0); }
int linkat(int x, const char *a, int y, const char *b, int f) { return moved('L', x, a, y, b, f); }

static int removed(int at, const char *name, int flags) {
    char buffer[PATH_MAX];
    begin();
    const char *path = of_name(at, name, buffer);
    int done = syscall(SYS_unlinkat, at, name, flags);
    if (!done && path) record(flags & AT_REMOVEDIR ? 'D' : 'U', 0, 0, path, NULL, 0);
    end();
    return done;
}
int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return removed(at, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    int done = unlink(name);
    return done && errno == EISDIR ? rmdir(name) : done;
}

int mkdirat(int at, const char *name, mode_t mode) {
    char buffer[PATH_MAX];
    begin();
    const char *path = of_name(at, name, buffer);
    int done = syscall(SYS_mkdirat, at, name, mode);
    struct stat it;
    if (!done && path) {
        if (fstatat(at, name, &it, 0)) die("stat failed");
        record('M', it.st_ino, 0, path, NULL, 0);
    }
    end();
    return done;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ------------------------------------------------------------ what the log cannot tell of */

static void unknown(const char *call, int fd) {
    char buffer[PATH_MAX];
    begin();
    const char *path = of_fd(fd, buffer);
    if (path) record('X', 0, 0, call, path, strlen(path));
    end();
}
void *mmap64(void *where, size_t size, int protection, int flags, int fd, off64_t at) {
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED)) unknown("mmap", fd);
    return (void *)syscall(SYS_mmap, where, size, protection, flags, fd, at);
}
void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t at) {
    return mmap64(where, size, protection, flags, fd, at);
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    unknown("fallocate", fd);
    return syscall(SYS_fallocate, fd, mode, at, size);
}
int fallocate(int fd, int mode, off_t at, off_t size) { return fallocate64(fd, mode, at, size); }
int posix_fallocate64(int fd, off64_t at, off64_t size) { return fallocate64(fd, 0, at, size) ? errno : 0; }
int posix_fallocate(int fd, off_t at, off_t size) { return posix_fallocate64(fd, at, size); }
int truncate64(const char *name, off64_t size) {
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CLOEXEC), done = -1;
    if (fd >= 0) {
        done = ftruncate64(fd, size);
        syscall(SYS_close, fd);
    }
    return done;
}
int truncate(const char *name, off_t size) { return truncate64(name, size); }
ssize_t sendfile64(int out, int in, off64_t *at, size_t size) {
    unknown("sendfile", out);
    return syscall(SYS_sendfile, out, in, at, size);
}
ssize_t sendfile(int out, int in, off_t *at, size_t size) { return sendfile64(out, in, at, size); }
ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t size, unsigned flags) {
    unknown("copy_file_range", out);
    return syscall(SYS_copy_file_range, in, a, out, b, size, flags);
}

/* ------------------------------------------------------------ marks */

__attribute__((visibility("default"))) void writelog_mark(const char *data, size_t size) {
    begin();
    record('A', 0, 0, NULL, data, size);
    end();
}
