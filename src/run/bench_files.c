/* bench_files.c - what measuring leaves on the disk for a while: photos, runs, a large file. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out/out.h"
#include "run/measuring.h"

enum { DIFFERENT = 32, QUALITY = 90 };

static bcam_status fail(bcam_error *err, const char *what, const char *path)
{
    return bcam_fail(err, errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? BCAM_E_FULL : BCAM_E_IO,
                     "cannot %s '%s': %s", what, path, strerror(errno));
}

bcam_status bcam_bench_make_folder(const char *where, char **out, bcam_error *err)
{
    const char *set = getenv("TMPDIR"), *base = where ? where : set && *set ? set : "/tmp";
    *out = bcam_format("%s/batchcam-XXXXXX", base);
    if (!*out)
        return bcam_fail_memory(err, strlen(base), "a folder's name");
    if (mkdtemp(*out))
        return BCAM_OK;
    bcam_free(*out);
    *out = NULL;
    return bcam_fail(err, BCAM_E_OUTPUT, "cannot make a temporary folder in '%s': %s; name another place", base,
                     strerror(errno));
}

double bcam_bench_remove(const char *folder)
{
    char *const paths[] = {(char *)folder, NULL};
    double bytes = 0;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_F)
            bytes += (double)entry->fts_statp->st_size;
        if (entry->fts_info == FTS_DP)
            rmdir(entry->fts_accpath);
        else if (entry->fts_info != FTS_D)
            unlink(entry->fts_accpath);
    }
    if (tree)
        fts_close(tree);
    return bytes;
}

/* ---- photos: waves of colour with grain over them, so that their files are about as large as a camera's would be at this size ---- */

static void paint(uint8_t *rgb, int width, int height, uint64_t *state) // (height,width,3)
{
    double wave[3][4];
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 4; i++)
            wave[c][i] = bcam_random_unit(state) * (i < 2 ? 0.06 : 6.3);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double grain = 44 * (bcam_random_unit(state) - 0.5);
            for (int c = 0; c < 3; c++)
                rgb[(y * width + x) * 3 + c] = (uint8_t)(127 + grain + 50 * sin(wave[c][0] * x + wave[c][2]) +
                                                         50 * sin(wave[c][1] * y + wave[c][3]));
        }
}

static bcam_status write_file(const char *path, const void *data, size_t bytes, bcam_error *err)
{
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(data, 1, bytes, file) == bytes;
    if (file && fclose(file))
        good = false;
    return good ? BCAM_OK : fail(err, "write", path);
}

static bcam_status make_photo(const bcam_measuring *b, const char *path, uint64_t seed, uint8_t *rgb, bcam_error *err)
{
    uint8_t *jpeg = NULL;
    size_t bytes = 0;
    paint(rgb, b->width, b->height, &seed);
    bcam_status status = bcam_jpeg_encode(rgb, b->height, b->width, QUALITY, &jpeg, &bytes, err);
    if (status == BCAM_OK)
        status = write_file(path, jpeg, bytes, err);
    bcam_free(jpeg);
    return status;
}

bcam_status bcam_bench_make_photos(const bcam_measuring *b, int64_t count, bcam_error *err)
{
    size_t bytes = (size_t)b->width * (size_t)b->height * 3;
    uint8_t *rgb = bcam_alloc(bytes, 1);
    bcam_status status = rgb ? BCAM_OK : bcam_fail_memory(err, bytes, "a photo");
    if (status == BCAM_OK && mkdir(b->photos, 0777) != 0 && errno != EEXIST)
        status = fail(err, "make", b->photos);
    for (int64_t i = 0; status == BCAM_OK && i < count; i++) {
        char *path = bcam_format("%s/%07lld.jpg", b->photos, (long long)i);
        char *same = bcam_format("%s/%07lld.jpg", b->photos, (long long)(i % DIFFERENT));
        if (!path || !same)
            status = bcam_fail_memory(err, strlen(b->photos), "a photo's name");
        else if (i >= DIFFERENT)
            status = link(same, path) == 0 || errno == EEXIST ? BCAM_OK : fail(err, "make", path);
        else if (access(path, F_OK) != 0)
            status = make_photo(b, path, b->options->seed + (uint64_t)i * 1000003u, rgb, err);
        bcam_free(path);
        bcam_free(same);
    }
    bcam_free(rgb);
    return status;
}

/* ---- the disk ---- */

static bcam_status write_once(const char *path, const char *block, size_t bytes, int blocks, double *rate,
                              bcam_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    double begun = bcam_clock_seconds();
    bool good = fd >= 0;
    for (int i = 0; good && i < blocks; i++)
        good = write(fd, block, bytes) == (ssize_t)bytes;
    good = good && fdatasync(fd) == 0;
    *rate = (double)bytes * blocks / (bcam_clock_seconds() - begun);
    bcam_status status = good ? BCAM_OK : fail(err, "write", path);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return status;
}

bcam_status bcam_bench_disk(const char *folder, double *rate, bcam_error *err)
{
    enum { BLOCK = 4 << 20, BLOCKS = 64, ROUNDS = 3 };
    double rates[ROUNDS] = {0};
    char *path = bcam_path_join(folder, "large"), *block = bcam_alloc_aligned(BLOCK);
    bcam_status status = path && block ? BCAM_OK : bcam_fail_memory(err, BLOCK, "measuring the disk");
    uint64_t state = 1;
    for (size_t i = 0; status == BCAM_OK && i < BLOCK / sizeof state; i++) /* some disks store zeros for nothing */
        ((uint64_t *)(void *)block)[i] = bcam_random(&state);
    for (int r = 0; status == BCAM_OK && r < ROUNDS; r++)
        status = write_once(path, block, BLOCK, BLOCKS, &rates[r], err);
    *rate = bcam_median(rates, ROUNDS);
    bcam_free(block);
    bcam_free(path);
    return status;
}
