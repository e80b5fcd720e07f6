/*
 * npy.c - maps in shards of a fixed number of rows, in NumPy's format 1.0.
 *
 * A shard has its full size and its header from the moment it has its name, so that numpy.load(mmap_mode="r")
 * reads it while the run goes on; rows that the index does not name yet are zeros or leftovers. At the end the
 * last shard of each series gets the number of rows it really has: first in the header, then in the file's
 * size, because a header that promises too little is still readable.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out/writer.h"

#define SHARD_BYTES ((int64_t)64 << 20)
#define SHARD_ROWS 65536
#define TOGETHER (256 << 10) /* bytes of small maps that are written at once */
#define HEADER_BYTES 128     /* a multiple of 64, and room for any shape */

typedef struct series { /* the shards of one layer and method */
    const char *stem;   /* is the key: one a layer and method */
    int height, width;
    bcam_dtype dtype;
    int64_t row_bytes, shard_rows;
    int fd; /* -1: no shard open */
    int shard;
    int64_t row;     /* the next one in it */
    char *waiting;   /* its last rows, where rows are small: written together; else NULL */
    int64_t in_wait; /* bytes of them */
    int64_t begun;   /* bytes of the file whose way to the disk was begun */
    bool dirty;      /* written to since the last sync */
    char path[];     /* of the open shard; room for BCAM_OUT_FILE bytes behind the folder's name */
} series;

typedef struct npy {
    bcam_out_shared *shared;
    char *folder;
    series **series;
    size_t count, capacity;
    bool new_names; /* shards were made since the folder was last synced */
    bool broken;    /* a sync failed: what is on disk is not known, and a second sync would not tell */
} npy;

static void npy_close(void *state)
{
    npy *self = state;
    for (size_t i = 0; i < self->count; i++) {
        if (self->series[i]->fd >= 0)
            close(self->series[i]->fd);
        bcam_free(self->series[i]->waiting);
        bcam_free(self->series[i]);
    }
    bcam_free(self->series);
    bcam_free(self->folder);
    bcam_free(self);
}

static bcam_status npy_open(bcam_out_shared *shared, void **state, bcam_error *err)
{
    npy *self = bcam_alloc(1, sizeof *self);
    if (!self)
        return bcam_fail_memory(err, sizeof *self, "the map writer");
    *state = self;
    self->shared = shared;
    shared->durable = true;
    self->folder = bcam_path_join(shared->settings->dir, "maps");
    if (!self->folder)
        return bcam_fail_memory(err, strlen(shared->settings->dir), "a file name");
    bcam_status status = bcam_disk_make_dir(self->folder, err);
    return status == BCAM_OK ? bcam_disk_sync_dir(shared->settings->dir, err) : status;
}

static void make_header(const series *s, int64_t rows, char header[HEADER_BYTES])
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const char order = '<';
#else
    const char order = '>';
#endif
    const char *type = s->dtype == BCAM_F32 ? "f4" : s->dtype == BCAM_F16 ? "f2" : "u1";
    const char prefix[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(HEADER_BYTES - 10), 0};
    memset(header, ' ', HEADER_BYTES);
    memcpy(header, prefix, sizeof prefix);
    int length = snprintf(header + 10, HEADER_BYTES - 10,
                          "{'descr': '%c%s', 'fortran_order': False, 'shape': (%" PRId64 ", %d, %d), }",
                          s->dtype == BCAM_U8 ? '|' : order, type, rows, s->height, s->width);
    header[10 + length] = ' ';
    header[HEADER_BYTES - 1] = '\n';
}

/* The next shard of a series: it gets its name when it is whole. */
static bcam_status open_shard(npy *self, series *s, bcam_error *err)
{
    char header[HEADER_BYTES];
    char file[BCAM_OUT_FILE];
    bcam_out_shard_file(s->stem, s->shard, file);
    sprintf(s->path, "%s%s", self->folder, strchr(file, '/'));
    char *temporary = bcam_format("%s.tmp", s->path);
    if (!temporary)
        return bcam_fail_memory(err, strlen(s->path), "a file name");
    make_header(s, s->shard_rows, header);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, HEADER_BYTES + s->shard_rows * s->row_bytes) != 0 ||
        bcam_disk_write_at(fd, header, sizeof header, 0) != 0 || rename(temporary, s->path) != 0) {
        bcam_status status = bcam_disk_fail(err, "make", s->path, errno);
        if (fd >= 0)
            close(fd);
        unlink(temporary);
        bcam_free(temporary);
        return status;
    }
    bcam_free(temporary);
    s->fd = fd;
    s->row = s->begun = 0;
    s->dirty = self->new_names = true;
    return BCAM_OK;
}

/* Bytes of the open shard that were written. */
static int64_t written(const series *s)
{
    return HEADER_BYTES + s->row * s->row_bytes - s->in_wait;
}

static bcam_status write_waiting(series *s, bcam_error *err)
{
    if (s->in_wait && bcam_disk_write_at(s->fd, s->waiting, (size_t)s->in_wait, written(s)) != 0)
        return bcam_disk_fail(err, "write", s->path, errno);
    s->in_wait = 0;
    return BCAM_OK;
}

static bcam_status sync_shard(npy *self, series *s, bcam_error *err)
{
    struct stat st;
    bcam_status status = write_waiting(s, err);
    if (status != BCAM_OK)
        return status;
    if (s->dirty && fdatasync(s->fd) != 0) {
        self->broken = true;
        return bcam_disk_fail(err, "write", s->path, errno);
    }
    if (fstat(s->fd, &st) == 0 && st.st_nlink == 0) {
        self->broken = true;
        return bcam_disk_lost(err, s->path);
    }
    s->dirty = false;
    return BCAM_OK;
}

static bcam_status close_shard(npy *self, series *s, bcam_error *err)
{
    bcam_status status = sync_shard(self, s, err);
    if (close(s->fd) != 0 && status == BCAM_OK)
        status = bcam_disk_fail(err, "write", s->path, errno);
    s->fd = -1;
    s->shard++;
    return status;
}

static int64_t choose_rows(const bcam_out_settings *settings, int64_t row_bytes)
{
    if (settings->rows_per_shard > 0)
        return settings->rows_per_shard;
    int64_t rows = SHARD_BYTES / row_bytes;
    return rows < 1 ? 1 : rows > SHARD_ROWS ? SHARD_ROWS : rows;
}

static bcam_status add_series(npy *self, const bcam_out_map *map, const char *stem, series **out, bcam_error *err)
{
    if (map->height < 1 || map->width < 1 ||
        (map->dtype != BCAM_F32 && map->dtype != BCAM_F16 && map->dtype != BCAM_U8) || !map->data)
        return bcam_fail(err, BCAM_E_INTERNAL,
                         "a map of layer '%s' is %dx%d of type %d, which no map can be; please report this", map->layer,
                         map->height, map->width, (int)map->dtype);
    size_t bytes = sizeof(series) + strlen(self->folder) + BCAM_OUT_FILE;
    series *s = bcam_alloc(1, bytes);
    if (!s || !bcam_grow(&self->series, &self->capacity, self->count, sizeof *self->series)) {
        bcam_free(s);
        return bcam_fail_memory(err, bytes, "a series of map files");
    }
    s->stem = stem;
    s->height = map->height;
    s->width = map->width;
    s->dtype = map->dtype;
    s->row_bytes = (int64_t)map->height * map->width * (int64_t)bcam_dtype_bytes(map->dtype);
    s->shard_rows = choose_rows(self->shared->settings, s->row_bytes);
    s->fd = -1;
    if (s->row_bytes <= TOGETHER / 4 && !(s->waiting = bcam_alloc(TOGETHER, 1))) {
        bcam_free(s);
        return bcam_fail_memory(err, TOGETHER, "maps to be written");
    }
    self->series[self->count++] = s;
    *out = s;
    return BCAM_OK;
}

/* The series a map belongs to. Within one, all maps are alike: a row's place follows from its number. */
static bcam_status find_series(npy *self, const bcam_out_map *map, series **out, bcam_error *err)
{
    const char *stem = bcam_out_stem_of(self->shared, map->layer, map->method);
    if (!stem)
        return bcam_fail_memory(err, strlen(map->layer), "a layer's name");
    for (size_t i = 0; i < self->count; i++) {
        const series *s = self->series[i];
        if (s->stem != stem)
            continue;
        if (s->height != map->height || s->width != map->width || s->dtype != map->dtype)
            return bcam_fail(err, BCAM_E_INTERNAL,
                             "a %dx%d %s map of layer '%s' follows %dx%d %s ones; please report this", map->height,
                             map->width, bcam_dtype_name(map->dtype), map->layer, s->height, s->width,
                             bcam_dtype_name(s->dtype));
        *out = self->series[i];
        return BCAM_OK;
    }
    return add_series(self, map, stem, out, err);
}

/* The disk begins with what was written, so that a sync has little left to wait for. Whole pages, so that none goes there twice. What a disk
 * refuses here, the sync will tell. */
static void begin_writing(series *s)
{
    enum { PAGE = 4096, ENOUGH = 1 << 20 };
    int64_t end = written(s) / PAGE * PAGE;
    if (end - s->begun < ENOUGH)
        return;
    sync_file_range(s->fd, s->begun, end - s->begun, SYNC_FILE_RANGE_WRITE);
    s->begun = end;
}

static bcam_status write_row(series *s, const void *data, bcam_error *err)
{
    bcam_status status = s->in_wait + s->row_bytes > TOGETHER ? write_waiting(s, err) : BCAM_OK;
    if (status == BCAM_OK && !s->waiting && bcam_disk_write_at(s->fd, data, (size_t)s->row_bytes, written(s)) != 0)
        status = bcam_disk_fail(err, "write", s->path, errno);
    if (status != BCAM_OK)
        return status;
    if (s->waiting) {
        memcpy(s->waiting + s->in_wait, data, (size_t)s->row_bytes);
        s->in_wait += s->row_bytes;
    }
    s->row++;
    begin_writing(s);
    return BCAM_OK;
}

static bcam_status write_map(npy *self, const bcam_out_map *map, bcam_out_place *place, bcam_error *err)
{
    series *s = NULL;
    bcam_status status = find_series(self, map, &s, err);
    if (status == BCAM_OK && s->fd >= 0 && s->row == s->shard_rows)
        status = close_shard(self, s, err);
    if (status == BCAM_OK && s->fd < 0)
        status = open_shard(self, s, err);
    if (status != BCAM_OK)
        return status;
    s->dirty = true;
    self->shared->durable = false;
    *place = (bcam_out_place){s->stem, s->shard, s->row};
    return write_row(s, map->data, err);
}

static bcam_status npy_write(void *state, const bcam_out_item *item, bcam_error *err)
{
    npy *self = state;
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < item->map_count; i++)
        if (item->maps[i].outcome != BCAM_MAP_NONE)
            status = write_map(self, &item->maps[i], &self->shared->places[i], err);
    return status;
}

static bcam_status npy_sync(void *state, bcam_error *err)
{
    npy *self = state;
    if (self->broken)
        return bcam_fail(err, BCAM_E_IO,
                         "an earlier write into '%s' failed, so nothing more is added there; check the disk",
                         self->folder);
    bcam_status status = BCAM_OK;
    for (size_t i = 0; status == BCAM_OK && i < self->count; i++)
        if (self->series[i]->fd >= 0)
            status = sync_shard(self, self->series[i], err);
    if (status == BCAM_OK && self->new_names)
        status = bcam_disk_sync_dir(self->folder, err);
    if (status == BCAM_OK) {
        self->new_names = false;
        self->shared->durable = true;
    }
    return status;
}

static bcam_status trim(npy *self, series *s, bcam_error *err)
{
    char header[HEADER_BYTES];
    if (s->row == 0) { /* its first map failed */
        unlink(s->path);
        return BCAM_OK;
    }
    bcam_status status = write_waiting(s, err);
    if (status != BCAM_OK)
        return status;
    make_header(s, s->row, header);
    if (bcam_disk_write_at(s->fd, header, sizeof header, 0) != 0 || fdatasync(s->fd) != 0 ||
        ftruncate(s->fd, HEADER_BYTES + s->row * s->row_bytes) != 0)
        return bcam_disk_fail(err, "write", s->path, errno);
    s->dirty = true;
    return sync_shard(self, s, err);
}

static bcam_status npy_finish(void *state, bcam_error *err)
{
    npy *self = state;
    bcam_status status = BCAM_OK;
    for (size_t i = 0; i < self->count; i++) {
        series *s = self->series[i];
        if (s->fd < 0)
            continue;
        bcam_error one = {0};
        bcam_status trimmed = s->row < s->shard_rows ? trim(self, s, &one) : BCAM_OK;
        bcam_status closed = close_shard(self, s, trimmed == BCAM_OK ? &one : NULL);
        if (status == BCAM_OK && (trimmed != BCAM_OK || closed != BCAM_OK)) {
            status = trimmed != BCAM_OK ? trimmed : closed;
            if (err)
                *err = one;
        }
    }
    return status;
}

const bcam_writer bcam_npy_writer = {"npy", npy_open, npy_write, npy_sync, npy_finish, npy_close};
