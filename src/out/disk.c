/* disk.c - files that are whole or not there, and what to say where the disk refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out/writer.h"

bool bcam_disk_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

bcam_status bcam_disk_fail(bcam_error *err, const char *what, const char *path, int error)
{
    char buffer[128];
    const char *advice = error == EFBIG ? "raise the limit on the size of files, then run again with --overwrite"
                         : bcam_disk_is_full(error) ? "make room, then run again with --overwrite"
                                                    : "check the disk and the folder's permissions";
    return bcam_fail(err, bcam_disk_is_full(error) ? BCAM_E_FULL : BCAM_E_IO, "cannot %s '%s': %s; %s", what, path,
                     strerror_r(error, buffer, sizeof buffer), advice);
}

bcam_status bcam_disk_lost(bcam_error *err, const char *path)
{
    return bcam_fail(
        err, BCAM_E_IO,
        "'%s' was moved or removed while the run went on, so the run ends here; run again with --overwrite", path);
}

int bcam_disk_write_at(int fd, const void *data, size_t bytes, int64_t offset)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t n = pwrite(fd, from, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        from += n;
        bytes -= (size_t)n;
        offset += n;
    }
    return 0;
}

bcam_status bcam_disk_sync_dir(const char *path, bcam_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return bcam_disk_fail(err, "open", path, errno);
    /* Some file systems cannot sync a folder and say so with EINVAL: then there is nothing to be done. */
    int error = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return error ? bcam_disk_fail(err, "write", path, error) : BCAM_OK;
}

bcam_status bcam_disk_make_dir(const char *path, bcam_error *err)
{
    struct stat st;
    if (mkdir(path, 0777) == 0)
        return BCAM_OK;
    if (errno != EEXIST)
        return bcam_disk_fail(err, "make the folder", path, errno);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return bcam_fail(err, BCAM_E_OUTPUT,
                         "'%s' has to be a folder and is a file or a link; move it away or name another output folder",
                         path);
    return BCAM_OK;
}

/* 0 or errno. */
static int write_new(const char *path, const void *data, size_t bytes, bool last)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = 0;
    if (bcam_disk_write_at(fd, data, bytes, 0) != 0 || (last && fsync(fd) != 0))
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    return error;
}

bcam_status bcam_disk_replace(const char *path, const void *data, size_t bytes, bool last, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    char *folder = bcam_path_dir(path);
    char *temporary = bcam_format("%s.tmp", path);
    if (!folder || !temporary) {
        status = bcam_fail_memory(err, strlen(path), "a file name");
        goto out;
    }
    int error = write_new(temporary, data, bytes, last);
    if (!error && rename(temporary, path) != 0)
        error = errno;
    if (error) {
        unlink(temporary);
        status = bcam_disk_fail(err, "write", path, error);
        goto out;
    }
    if (last)
        status = bcam_disk_sync_dir(folder, err);
out:
    bcam_free(temporary);
    bcam_free(folder);
    return status;
}
