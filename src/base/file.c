/* file.c - whole files, paths, hashes, the clock. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

static void digest_hex(struct sha256_ctx *context, char out[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void bcam_sha256_hex(const void *data, size_t bytes, char out[65])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, bytes, data);
    digest_hex(&context, out);
}

bcam_status bcam_sha256_file(const char *path, char out[65], bcam_error *err)
{
    uint8_t piece[65536];
    struct sha256_ctx context;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return bcam_fail(err, BCAM_E_IO, "cannot open '%s': %s", path, strerror(errno));
    sha256_init(&context);
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;)
        sha256_update(&context, got, piece);
    bool failed = ferror(file);
    fclose(file);
    if (failed)
        return bcam_fail(err, BCAM_E_IO, "cannot read '%s' to its end", path);
    digest_hex(&context, out);
    return BCAM_OK;
}

static bcam_status read_all(int fd, const char *path, size_t limit, char **data, size_t *bytes, bcam_error *err)
{
    size_t size = 0, capacity = 0;
    char *text = NULL;
    for (;;) {
        if (size + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 4096;
            char *grown = bcam_realloc(text, capacity, 1);
            if (!grown) {
                bcam_free(text);
                return bcam_fail_memory(err, capacity, path);
            }
            text = grown;
        }
        ssize_t got = read(fd, text + size, capacity - 1 - size);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (size += (size_t)got) > limit) {
            bcam_free(text);
            return got < 0 ? bcam_fail(err, BCAM_E_IO, "cannot read '%s': %s", path, strerror(errno))
                           : bcam_fail(err, BCAM_E_INPUT, "'%s' is larger than %zu bytes; is it the right file?", path,
                                       limit);
        }
    }
    text[size] = '\0';
    *data = text;
    *bytes = size;
    return BCAM_OK;
}

bcam_status bcam_file_read(const char *path, size_t limit, char **data, size_t *bytes, bcam_error *err)
{
    *data = NULL;
    *bytes = 0;
    /* Non-blocking, so that a pipe nobody writes to is refused below instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return bcam_fail(err, BCAM_E_IO, "cannot open '%s': %s", path, strerror(errno));
    struct stat info;
    bcam_status status = BCAM_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        status = bcam_fail(err, BCAM_E_IO, "'%s' is not a regular file", path);
    else
        status = read_all(fd, path, limit, data, bytes, err);
    close(fd);
    return status;
}

char *bcam_path_join(const char *dir, const char *name)
{
    size_t length = strlen(dir);
    return bcam_format("%s%s%s", dir, length && dir[length - 1] == '/' ? "" : "/", name);
}

const char *bcam_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *bcam_path_dir(const char *path)
{
    const char *base = bcam_path_base(path);
    if (base == path)
        return bcam_strdup(".");
    size_t length = (size_t)(base - path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return bcam_strndup(path, length);
}

double bcam_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
