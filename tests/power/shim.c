/* Logs every call that changes files below a root, in one order for all threads and processes.
 *
 * Loaded with LD_PRELOAD. CG_POWER_ROOT is the root, CG_POWER_LOG the log, CG_POWER_CONTROL a file for the lock that
 * all processes share, CG_POWER_ACKS a file outside the root: what is written to it is an acknowledgement.
 * A call is made and logged under the lock, so the log has the order in which the calls took effect.
 *
 * A record: op u8, inode u64, number i64, length u32 and bytes of a first and of a second text, little endian.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../shims.h"

/* The lock: the thread that has it, and how often. Waiting by looking again, because it is held so briefly. */
struct control {
    int owner;
    int depth;
};

static struct control *control;
static int log_fd = -1;
static char root[PATH_MAX], acks[PATH_MAX];
static size_t root_length;

static long raw_write(int fd, const void *data, size_t size) { return syscall(SYS_write, fd, data, size); }

__attribute__((constructor)) static void start(void) {
    const char *where = getenv("CG_POWER_ROOT"), *log = getenv("CG_POWER_LOG");
    const char *shared = getenv("CG_POWER_CONTROL"), *told = getenv("CG_POWER_ACKS");
    if (!where || !log || !shared || !told) return;
    if (!realpath(where, root) || !realpath(told, acks)) abort();
    root_length = strlen(root);
    int fd = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) abort();
    if (syscall(SYS_ftruncate, fd, (off_t)sizeof(struct control))) abort();
    control = (void *)syscall(SYS_mmap, NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) abort();
    close(fd);
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
    int low = log_fd;
    log_fd = fcntl(low, F_DUPFD_CLOEXEC, 900); /* out of the way of programs that count descriptors */
    if (log_fd < 0) abort();
    close(low);
}

static void before(void) {
    int kept = errno, me = syscall(SYS_gettid), free_lock = 0;
    if (__atomic_load_n(&control->owner, __ATOMIC_ACQUIRE) != me) {
        for (long tries = 1; !__atomic_compare_exchange_n(&control->owner, &free_lock, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); tries++) {
            /* free_lock now holds the owner; one that was killed never gives the lock back. */
            if (tries % 2000 || !(syscall(SYS_tkill, free_lock, 0) && errno == ESRCH)) free_lock = 0;
            usleep(50);
        }
        control->depth = 0;
    }
    control->depth++;
    errno = kept;
}

static void after(void) {
    if (!--control->depth) __atomic_store_n(&control->owner, 0, __ATOMIC_RELEASE);
}

static void note(char op, uint64_t inode, int64_t number, const void *one, uint32_t size, const char *two) {
    int kept = errno;
    uint32_t two_size = two ? strlen(two) : 0;
    size_t total = 1 + 8 + 8 + 4 + size + 4 + two_size;
    char *record = malloc(total), *at = record;
    if (!record) abort();
    *at++ = op;
    memcpy(at, &inode, 8), at += 8;
    memcpy(at, &number, 8), at += 8;
    memcpy(at, &size, 4), at += 4;
    if (size) memcpy(at, one, size), at += size;
    memcpy(at, &two_size, 4), at += 4;
    if (two_size) memcpy(at, two, two_size);
    if (raw_write(log_fd, record, total) != (long)total) abort();
    free(record);
    errno = kept;
}

static void note_path(char op, uint64_t inode, int64_t number, const char *one, const char *two) {
    note(op, inode, number, one, one ? strlen(one) : 0, two);
}

static int below(const char *path) {
    return log_fd >= 0 && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The path an open file has; empty if it has none. */
static int path_of(int fd, char *out) {
    char link[64];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    out[size < 0 ? 0 : size] = 0;
    errno = kept;
    return size > 0;
}

/* 1 if the open file is below the root, 2 if it is that of the acknowledgements. */
static int kind_of(int fd, uint64_t *inode) {
    char path[PATH_MAX];
    struct stat about;
    if (log_fd < 0 || !path_of(fd, path)) return 0;
    if (!strcmp(path, acks)) return 2;
    int kept = errno;
    int known = below(path) && !fstat(fd, &about);
    errno = kept;
    if (known) *inode = about.st_ino;
    return known;
}

/* The real path of the folder of `path`, and its name. */
static int full(int folder, const char *path, char *out) {
    char joined[PATH_MAX * 2], parent[PATH_MAX * 2];
    int kept = errno;
    if (log_fd < 0 || !path) return 0;
    if (path[0] == '/') {
        snprintf(joined, sizeof joined, "%s", path);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(folder, base)) return 0;
        snprintf(joined, sizeof joined, "%s/%s", base, path);
    }
    size_t size = strlen(joined);
    while (size > 1 && joined[size - 1] == '/') joined[--size] = 0;
    char *slash = strrchr(joined, '/');
    snprintf(parent, sizeof parent, "%.*s", slash == joined ? 1 : (int)(slash - joined), joined);
    char resolved[PATH_MAX];
    int found = realpath(parent, resolved) != NULL;
    errno = kept;
    if (!found) return 0;
    int needed = snprintf(out, PATH_MAX, "%s/%s", !strcmp(resolved, "/") ? "" : resolved, slash + 1);
    return needed < PATH_MAX && below(out);
}

static int there(const char *path) {
    struct stat about;
    int kept = errno;
    int found = !lstat(path, &about);
    errno = kept;
    return found;
}

/* ---- opening */

static int open_noted(int folder, const char *path, int flags, mode_t mode) {
    char known[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !full(folder, path, known))
        return syscall(SYS_openat, folder, path, flags, mode);
    before();
    int existed = there(known);
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0) {
        struct stat about;
        fstat(fd, &about);
        if (!existed) note_path('C', about.st_ino, 0, known, NULL);
        else if (flags & O_TRUNC) note('T', about.st_ino, 0, NULL, 0, NULL);
    }
    after();
    return fd;
}

EXPORT int open(const char *path, int flags, ...) { MODE_ARGUMENT return open_noted(AT_FDCWD, path, flags, mode); }
EXPORT int open64(const char *path, int flags, ...) { MODE_ARGUMENT return open_noted(AT_FDCWD, path, flags, mode); }
EXPORT int openat(int folder, const char *path, int flags, ...) { MODE_ARGUMENT return open_noted(folder, path, flags, mode); }
EXPORT int openat64(int folder, const char *path, int flags, ...) { MODE_ARGUMENT return open_noted(folder, path, flags, mode); }
EXPORT int creat(const char *path, mode_t mode) { return open_noted(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char *path, mode_t mode) { return open_noted(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int __open_2(const char *path, int flags) { return open_noted(AT_FDCWD, path, flags, 0); }
EXPORT int __open64_2(const char *path, int flags) { return open_noted(AT_FDCWD, path, flags, 0); }
EXPORT int __openat_2(int folder, const char *path, int flags) { return open_noted(folder, path, flags, 0); }
EXPORT int __openat64_2(int folder, const char *path, int flags) { return open_noted(folder, path, flags, 0); }

/* ---- writing */

static ssize_t write_noted(int fd, const struct iovec *pieces, int count, off_t offset) {
    uint64_t inode = 0;
    int kind = kind_of(fd, &inode);
    if (kind) before();
    ssize_t written = offset < 0 ? syscall(SYS_writev, fd, pieces, count)
                                 : syscall(SYS_pwritev, fd, pieces, count, (long)offset, 0L);
    if (kind) {
        if (written > 0) {
            char *data = malloc(written);
            ssize_t at = 0;
            for (int piece = 0; piece < count && at < written; piece++) {
                ssize_t part = pieces[piece].iov_len;
                if (part > written - at) part = written - at;
                memcpy(data + at, pieces[piece].iov_base, part);
                at += part;
            }
            int kept = errno;
            off_t begin = offset < 0 ? lseek(fd, 0, SEEK_CUR) - written : offset;
            errno = kept;
            note(kind == 2 ? 'A' : 'W', inode, begin, data, written, NULL);
            free(data);
        }
        after();
    }
    return written;
}

EXPORT ssize_t write(int fd, const void *data, size_t size) {
    struct iovec piece = {(void *)data, size};
    return write_noted(fd, &piece, 1, -1);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec piece = {(void *)data, size};
    return write_noted(fd, &piece, 1, offset);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return pwrite(fd, data, size, offset); }
EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) { return write_noted(fd, pieces, count, -1); }
EXPORT ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) { return write_noted(fd, pieces, count, offset); }
EXPORT ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset) { return write_noted(fd, pieces, count, offset); }

/* What the kernel copied is read back, to be logged as a write. */
static void note_copied(int fd, uint64_t inode, off_t begin, size_t size) {
    char name[64], *data = malloc(size ? size : 1);
    int kept = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int reading = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    if (reading < 0 || syscall(SYS_pread64, reading, data, size, begin) != (long)size) abort();
    close(reading);
    note('W', inode, begin, data, size, NULL);
    free(data);
    errno = kept;
}

EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags) {
    uint64_t inode = 0;
    int kind = kind_of(out, &inode) == 1;
    if (kind) before();
    off_t begin = out_at ? *out_at : lseek(out, 0, SEEK_CUR);
    ssize_t copied = syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
    if (kind) {
        if (copied > 0) note_copied(out, inode, begin, copied);
        after();
    }
    return copied;
}

EXPORT ssize_t sendfile(int out, int in, off_t *in_at, size_t size) {
    uint64_t inode = 0;
    int kind = kind_of(out, &inode) == 1;
    if (kind) before();
    off_t begin = kind ? lseek(out, 0, SEEK_CUR) : 0;
    ssize_t copied = syscall(SYS_sendfile, out, in, in_at, size);
    if (kind) {
        if (copied > 0) note_copied(out, inode, begin, copied);
        after();
    }
    return copied;
}
EXPORT ssize_t sendfile64(int out, int in, off64_t *in_at, size_t size) { return sendfile(out, in, in_at, size); }

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    uint64_t inode = 0;
    int kind = request == FICLONE && kind_of(fd, &inode) == 1;
    if (kind) before();
    int result = syscall(SYS_ioctl, fd, request, argument);
    if (kind) {
        struct stat about;
        if (!result && !fstat(fd, &about)) note_copied(fd, inode, 0, about.st_size);
        after();
    }
    return result;
}

/* ---- sizes */

static int truncate_noted(int fd, off_t size) {
    uint64_t inode = 0;
    int kind = kind_of(fd, &inode) == 1;
    if (kind) before();
    int result = syscall(SYS_ftruncate, fd, size);
    if (kind) {
        if (!result) note('T', inode, size, NULL, 0, NULL);
        after();
    }
    return result;
}
EXPORT int ftruncate(int fd, off_t size) { return truncate_noted(fd, size); }
EXPORT int ftruncate64(int fd, off64_t size) { return truncate_noted(fd, size); }
EXPORT int truncate(const char *path, off_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = truncate_noted(fd, size);
    int kept = errno;
    close(fd);
    errno = kept;
    return result;
}
EXPORT int truncate64(const char *path, off64_t size) { return truncate(path, size); }

EXPORT int fallocate(int fd, int mode, off_t offset, off_t size) {
    uint64_t inode = 0;
    int kind = kind_of(fd, &inode) == 1;
    if (kind) before();
    struct stat about;
    int result = syscall(SYS_fallocate, fd, mode, offset, size);
    if (kind) {
        if (!result && !fstat(fd, &about)) note(mode & ~FALLOC_FL_KEEP_SIZE ? 'X' : 'T', inode, about.st_size, NULL, 0, NULL);
        after();
    }
    return result;
}
EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return fallocate(fd, mode, offset, size); }
EXPORT int posix_fallocate(int fd, off_t offset, off_t size) { return fallocate(fd, 0, offset, size) ? errno : 0; }
EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t size) { return posix_fallocate(fd, offset, size); }

/* ---- syncing */

static int sync_noted(long call, int fd) {
    uint64_t inode = 0;
    int kind = kind_of(fd, &inode) == 1;
    if (kind) before();
    int result = syscall(call, fd);
    if (kind) {
        char path[PATH_MAX];
        struct stat about;
        path_of(fd, path);
        if (!result && call == SYS_syncfs) note('Y', 0, 0, NULL, 0, NULL);
        else if (!result && !fstat(fd, &about)) {
            if (S_ISDIR(about.st_mode)) note_path('D', inode, 0, path, NULL);
            else note('S', inode, 0, NULL, 0, NULL);
        }
        after();
    }
    return result;
}
EXPORT int fsync(int fd) { return sync_noted(SYS_fsync, fd); }
EXPORT int fdatasync(int fd) { return sync_noted(SYS_fdatasync, fd); }
EXPORT int syncfs(int fd) { return sync_noted(SYS_syncfs, fd); }
EXPORT void sync(void) {
    if (log_fd < 0) { syscall(SYS_sync); return; }
    before();
    syscall(SYS_sync);
    note('Y', 0, 0, NULL, 0, NULL);
    after();
}

/* ---- names */

static int rename_noted(int from, const char *old, int to, const char *new, unsigned flags) {
    char one[PATH_MAX], two[PATH_MAX];
    int left = full(from, old, one), right = full(to, new, two);
    if (left || right) before();
    int result = syscall(SYS_renameat2, from, old, to, new, flags);
    if (left || right) {
        if (!result) note_path(left && right && !(flags & RENAME_EXCHANGE) ? 'R' : 'X', 0, 0, one, two);
        after();
    }
    return result;
}
EXPORT int rename(const char *old, const char *new) { return rename_noted(AT_FDCWD, old, AT_FDCWD, new, 0); }
EXPORT int renameat(int from, const char *old, int to, const char *new) { return rename_noted(from, old, to, new, 0); }
EXPORT int renameat2(int from, const char *old, int to, const char *new, unsigned flags) { return rename_noted(from, old, to, new, flags); }

static int link_noted(int from, const char *old, int to, const char *new, int flags) {
    char two[PATH_MAX];
    int right = full(to, new, two);
    if (right) before();
    int result = syscall(SYS_linkat, from, old, to, new, flags);
    if (right) {
        struct stat about;
        if (!result && !lstat(two, &about)) note_path('L', about.st_ino, 0, two, NULL);
        after();
    }
    return result;
}
EXPORT int link(const char *old, const char *new) { return link_noted(AT_FDCWD, old, AT_FDCWD, new, 0); }
EXPORT int linkat(int from, const char *old, int to, const char *new, int flags) { return link_noted(from, old, to, new, flags); }

static int unlink_noted(int folder, const char *path, int flags) {
    char one[PATH_MAX];
    int known = full(folder, path, one);
    if (known) before();
    int result = syscall(SYS_unlinkat, folder, path, flags);
    if (known) {
        if (!result) note_path('U', 0, 0, one, NULL);
        after();
    }
    return result;
}
EXPORT int unlink(const char *path) { return unlink_noted(AT_FDCWD, path, 0); }
EXPORT int unlinkat(int folder, const char *path, int flags) { return unlink_noted(folder, path, flags); }
EXPORT int rmdir(const char *path) { return unlink_noted(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int remove(const char *path) {
    int result = unlink_noted(AT_FDCWD, path, 0);
    return result && errno == EISDIR ? unlink_noted(AT_FDCWD, path, AT_REMOVEDIR) : result;
}

static int mkdir_noted(int folder, const char *path, mode_t mode) {
    char one[PATH_MAX];
    int known = full(folder, path, one);
    if (known) before();
    int result = syscall(SYS_mkdirat, folder, path, mode);
    if (known) {
        if (!result) note_path('K', 0, 0, one, NULL);
        after();
    }
    return result;
}
EXPORT int mkdir(const char *path, mode_t mode) { return mkdir_noted(AT_FDCWD, path, mode); }
EXPORT int mkdirat(int folder, const char *path, mode_t mode) { return mkdir_noted(folder, path, mode); }

EXPORT int symlinkat(const char *target, int folder, const char *path) {
    char one[PATH_MAX];
    int result = syscall(SYS_symlinkat, target, folder, path);
    if (!result && full(folder, path, one)) before(), note_path('X', 0, 0, one, target), after();
    return result;
}
EXPORT int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

/* ---- memory maps: the shared index of SQLite is rebuilt after a crash; any other is not modelled */

EXPORT void *mmap(void *at, size_t size, int allowed, int flags, int fd, off_t offset) {
    char path[PATH_MAX];
    uint64_t inode;
    if (log_fd >= 0 && fd >= 0 && (flags & MAP_SHARED) && (allowed & PROT_WRITE) && kind_of(fd, &inode) == 1) {
        path_of(fd, path);
        size_t length = strlen(path);
        if (length < 4 || strcmp(path + length - 4, "-shm")) before(), note_path('X', inode, 0, path, "mmap"), after();
    }
    return (void *)syscall(SYS_mmap, at, size, allowed, flags, fd, offset);
}
EXPORT void *mmap64(void *at, size_t size, int allowed, int flags, int fd, off_t offset) { return mmap(at, size, allowed, flags, fd, offset); }
