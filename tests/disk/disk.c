/* A disk that runs full, or that can only be read, below one folder; for the process that asks for it.
 *
 * Loaded with LD_PRELOAD. Nothing is different until `disk_set` is called. Then files below the root may grow by `room`
 * bytes in all; a write that needs more takes what there is room for, the next one gets ENOSPC. With `late` the writes
 * are taken and the next sync gets ENOSPC, as where space is found only when the bytes go to the disk. A new name takes
 * BLOCK bytes. Bytes that a file has already may be written again. With `readonly` whatever would change a file or a
 * name below the root gets EROFS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../shims.h"

#define BLOCK 4096

static char root[PATH_MAX];
static size_t root_length;
static long room;
static int late, readonly, full;

/* Counts anew from here; a negative room is one without end. */
EXPORT void disk_set(const char *below, long bytes, int at_sync, int only_read) {
    root_length = 0;
    snprintf(root, sizeof root, "%s", below);
    room = bytes < 0 ? LONG_MAX : bytes;
    late = at_sync;
    readonly = only_read;
    full = 0;
    root_length = strlen(root);
}

static int is_below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int descriptor_below(int fd, char *path) {
    char link[64];
    if (!root_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return is_below(path);
}

static int file_below(int fd) {
    char path[PATH_MAX];
    return descriptor_below(fd, path);
}

static int name_below(int folder, const char *name) {
    char path[PATH_MAX];
    if (!root_length || !name) return 0;
    if (name[0] == '/') return is_below(name);
    if (folder == AT_FDCWD) return getcwd(path, sizeof path) && is_below(path);
    return descriptor_below(folder, path);
}

static int refuse(int code) {
    errno = code;
    return -1;
}

/* How many of `size` bytes the disk takes; negative if none. */
static ssize_t take(long size) {
    long left = __atomic_fetch_sub(&room, size, __ATOMIC_SEQ_CST);
    if (left >= size) return size;
    full = 1;
    if (late) return size;
    __atomic_store_n(&room, 0, __ATOMIC_SEQ_CST);
    return left > 0 ? left : -1;
}

static ssize_t allowed(int fd, size_t size, off_t at) {
    struct stat about;
    if (!size || !file_below(fd) || fstat(fd, &about) || !S_ISREG(about.st_mode)) return size;
    if (readonly) return refuse(EROFS);
    if (at < 0) at = fcntl(fd, F_GETFL) & O_APPEND ? about.st_size : lseek(fd, 0, SEEK_CUR);
    off_t end = at + (off_t)size, more = end - (at > about.st_size ? at : about.st_size);
    if (more <= 0) return size;
    ssize_t taken = take(more);
    if (taken == more) return size;
    ssize_t kept = (ssize_t)size - more + (taken > 0 ? taken : 0);
    return kept > 0 ? kept : refuse(ENOSPC);
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    if (name_below(folder, path)) {
        int there = !syscall(SYS_faccessat, folder, path, F_OK);
        if (readonly && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC || (flags & O_CREAT && !there)))
            return refuse(there && flags & O_CREAT && flags & O_EXCL ? EEXIST : EROFS);
        if (flags & O_CREAT && !there && take(BLOCK) < BLOCK) return refuse(ENOSPC);
    }
    return syscall(SYS_openat, folder, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...) { MODE_ARGUMENT return open_at(AT_FDCWD, path, flags, mode); }
EXPORT int open64(const char *path, int flags, ...) { MODE_ARGUMENT return open_at(AT_FDCWD, path, flags, mode); }
EXPORT int openat(int folder, const char *path, int flags, ...) { MODE_ARGUMENT return open_at(folder, path, flags, mode); }
EXPORT int openat64(int folder, const char *path, int flags, ...) { MODE_ARGUMENT return open_at(folder, path, flags, mode); }
EXPORT int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char *path, mode_t mode) { return creat(path, mode); }

EXPORT ssize_t write(int fd, const void *data, size_t size) {
    ssize_t part = allowed(fd, size, -1);
    return part < 0 ? -1 : syscall(SYS_write, fd, data, (size_t)part);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t part = allowed(fd, size, at);
    return part < 0 ? -1 : syscall(SYS_pwrite64, fd, data, (size_t)part, at);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }
EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) {
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t now = write(fd, pieces[i].iov_base, pieces[i].iov_len);
        if (now < 0) return done ? done : -1;
        done += now;
        if ((size_t)now < pieces[i].iov_len) break;
    }
    return done;
}
EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags) {
    struct stat about;
    if (!file_below(out) || fstat(in, &about)) return syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
    off_t from = in_at ? *in_at : lseek(in, 0, SEEK_CUR);
    size_t rest = about.st_size > from ? about.st_size - from : 0;
    ssize_t part = allowed(out, size < rest ? size : rest, out_at ? *out_at : -1);
    return part < 0 ? -1 : syscall(SYS_copy_file_range, in, in_at, out, out_at, (size_t)part, flags);
}
EXPORT ssize_t sendfile(int out, int in, off_t *in_at, size_t size) {
    struct stat about;
    if (!file_below(out) || fstat(in, &about)) return syscall(SYS_sendfile, out, in, in_at, size);
    off_t from = in_at ? *in_at : lseek(in, 0, SEEK_CUR);
    size_t rest = about.st_size > from ? about.st_size - from : 0;
    ssize_t part = allowed(out, size < rest ? size : rest, -1);
    return part < 0 ? -1 : syscall(SYS_sendfile, out, in, in_at, (size_t)part);
}
EXPORT ssize_t sendfile64(int out, int in, off64_t *in_at, size_t size) { return sendfile(out, in, in_at, size); }

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *given = va_arg(more, void *);
    va_end(more);
    if (request == FICLONE && file_below(fd)) return refuse(EOPNOTSUPP); /* so that it is copied, and counted */
    return syscall(SYS_ioctl, fd, request, given);
}

EXPORT int ftruncate64(int fd, off64_t size) {
    if (file_below(fd)) {
        struct stat about;
        if (readonly) return refuse(EROFS);
        if (!fstat(fd, &about) && size > about.st_size && take(size - about.st_size) < size - about.st_size)
            return refuse(ENOSPC);
    }
    return syscall(SYS_ftruncate, fd, size);
}
EXPORT int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
EXPORT int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    ssize_t part = allowed(fd, size, at);
    if (part < 0) return -1;
    if (part < size) return refuse(ENOSPC);
    return syscall(SYS_fallocate, fd, mode, at, size);
}
EXPORT int fallocate(int fd, int mode, off_t at, off_t size) { return fallocate64(fd, mode, at, size); }
EXPORT int posix_fallocate(int fd, off_t at, off_t size) { return fallocate64(fd, 0, at, size) ? errno : 0; }
EXPORT int posix_fallocate64(int fd, off64_t at, off64_t size) { return posix_fallocate(fd, at, size); }

static int sync_by(long call, int fd) {
    if (late && full && file_below(fd)) return refuse(ENOSPC);
    return syscall(call, fd);
}
EXPORT int fsync(int fd) { return sync_by(SYS_fsync, fd); }
EXPORT int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }
EXPORT int syncfs(int fd) { return sync_by(SYS_syncfs, fd); }

EXPORT int mkdirat(int folder, const char *path, mode_t mode) {
    if (name_below(folder, path) && syscall(SYS_faccessat, folder, path, F_OK)) {
        if (readonly) return refuse(EROFS);
        if (take(BLOCK) < BLOCK) return refuse(ENOSPC);
    }
    return syscall(SYS_mkdirat, folder, path, mode);
}
EXPORT int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

#define READ_ONLY(folder, path) \
    if (readonly && name_below(folder, path)) return refuse(EROFS)
EXPORT int unlinkat(int folder, const char *path, int flags) {
    READ_ONLY(folder, path);
    return syscall(SYS_unlinkat, folder, path, flags);
}
EXPORT int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
EXPORT int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int rename(const char *old, const char *new) {
    READ_ONLY(AT_FDCWD, new);
    return syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}
EXPORT int linkat(int from, const char *old, int to, const char *new, int flags) {
    READ_ONLY(to, new);
    return syscall(SYS_linkat, from, old, to, new, flags);
}
EXPORT int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
EXPORT int access(const char *path, int mode) {
    if (mode & W_OK) READ_ONLY(AT_FDCWD, path);
    return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}
