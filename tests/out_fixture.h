/* out_fixture.h - for tests/test_out_*.c: made-up photos and maps whose bytes follow from a seed, and readers
 * that owe nothing to src/out. */
#ifndef BCAM_TESTS_OUT_FIXTURE_H
#define BCAM_TESTS_OUT_FIXTURE_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "out/out.h"

#define FIX_MAPS 24
#define FIX_MAP_BYTES 8192
#define FIX_SIDE 33

typedef struct fixture {
    uint64_t seed;
    const char *layers[4], *methods[3];
    int layer_count, method_count, classes; /* maps of a photo: layers x methods x classes */
    int height[4], width[4];                /* of a layer's maps */
    bcam_dtype dtype;
    bool pictures;
    /* the item last made */
    bcam_out_item item;
    bcam_out_map maps[FIX_MAPS];
    bcam_out_prediction predictions[3];
    char path[64], data[FIX_MAPS][FIX_MAP_BYTES];
    uint8_t pixels[FIX_SIDE * FIX_SIDE * 3], colours[FIX_SIDE * FIX_SIDE * 3];
} fixture;

static inline uint64_t fix_seed(void)
{
    const char *given = getenv("BCAM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    fprintf(stderr, "seed %" PRIu64 " (BCAM_TEST_SEED repeats it)\n", seed);
    return seed;
}

static inline fixture *fix_make(uint64_t seed, bcam_dtype dtype)
{
    fixture *f = calloc(1, sizeof *f);
    *f = (fixture){.seed = seed,
                   .layers = {"/layer4/layer4.2/conv3/Conv", "a/b", "a_b"},
                   .methods = {"gradcam", "hirescam"},
                   .layer_count = 3,
                   .method_count = 2,
                   .classes = 2,
                   .height = {7, 1, 13},
                   .width = {7, 5, 3},
                   .dtype = dtype};
    return f;
}

static inline size_t fix_bytes(const fixture *f, int layer)
{
    return (size_t)f->height[layer] * (size_t)f->width[layer] *
           (f->dtype == BCAM_F32   ? 4
            : f->dtype == BCAM_F16 ? 2
                                   : 1);
}

/* What map `place` of photo `id` has to be. */
static inline void fix_map_bytes(const fixture *f, int64_t id, int place, size_t bytes, char *out)
{
    uint64_t state = f->seed ^ (uint64_t)id * 1000 ^ (uint64_t)place;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)bcam_random(&state);
}

static inline bool fix_is_ok(int64_t id)
{
    return id % 5 != 3;
}

static inline int fix_map_count(const fixture *f)
{
    return f->layer_count * f->method_count * f->classes;
}

static inline void fix_pictures(fixture *f, int64_t id)
{
    uint64_t state = f->seed + (uint64_t)id;
    for (size_t i = 0; i < sizeof f->pixels; i++)
        f->pixels[i] = (uint8_t)bcam_random(&state);
    for (size_t i = 0; i < sizeof f->colours; i++)
        f->colours[i] = (uint8_t)bcam_random(&state);
    f->item.pixels = f->pixels;
    f->item.in_height = f->item.in_width = FIX_SIDE;
}

static inline const bcam_out_item *fix_item(fixture *f, int64_t id)
{
    bool ok = fix_is_ok(id);
    snprintf(f->path, sizeof f->path, "folder/photo %" PRId64 ".jpg", id);
    f->item = (bcam_out_item){.id = id,
                              .path = f->path,
                              .outcome = ok ? "ok" : "unreadable",
                              .message = ok ? "" : "it ends too early",
                              .width = ok ? 500 : 0,
                              .height = ok ? 375 : 0,
                              .orientation = 1,
                              .crop_x = 62.5,
                              .crop_y = 0,
                              .crop_w = ok ? 375 : 0,
                              .crop_h = ok ? 375 : 0,
                              .label = id % 4 == 0 ? -1 : (int)(id % 10),
                              .predictions = f->predictions,
                              .prediction_count = ok ? 3 : 0,
                              .maps = f->maps,
                              .map_count = ok ? fix_map_count(f) : 0};
    for (int i = 0; i < 3; i++)
        f->predictions[i] = (bcam_out_prediction){(int)((id + i) % 10), 3.5f - (float)i, 0.5f / (float)(i + 1)};
    if (ok && f->pictures)
        fix_pictures(f, id);
    for (int i = 0; i < f->item.map_count; i++) {
        int layer = i / (f->method_count * f->classes), method = i / f->classes % f->method_count, k = i % f->classes;
        fix_map_bytes(f, id, i, fix_bytes(f, layer), f->data[i]);
        f->maps[i] = (bcam_out_map){.layer = f->layers[layer],
                                    .method = f->methods[method],
                                    .class_id = (int)((id + k) % 10),
                                    .outcome = BCAM_MAP_OK,
                                    .logit = (float)id,
                                    .probability = 0.25f,
                                    .raw_min = -1.5f,
                                    .raw_max = (float)i,
                                    .height = f->height[layer],
                                    .width = f->width[layer],
                                    .dtype = f->dtype,
                                    .data = f->data[i],
                                    .colours = f->pictures ? f->colours : NULL};
    }
    return &f->item;
}

/* ---- folders ---- */

static inline char *fix_folder(void)
{
    const char *root = getenv("TMPDIR");
    char *path = NULL;
    cr_assert(asprintf(&path, "%s/batchcam-XXXXXX", root && *root ? root : "/tmp") > 0);
    cr_assert_not_null(mkdtemp(path));
    return path;
}

/* "a/b" in a buffer of its own; four may be in use. */
static inline const char *fix_in(const char *dir, const char *name)
{
    static char buffers[4][4096];
    static int next;
    char *out = buffers[next++ % 4];
    snprintf(out, 4096, "%s/%s", dir, name);
    return out;
}

/* The run directory below a folder of fix_folder(), in a buffer of its own; not made, nor is the folder it lies in. */
static inline const char *fix_run(const char *root)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/deep/run", root);
    return path;
}

static inline void fix_remove(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            char inner[4096];
            struct stat st;
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode))
                fix_remove(inner);
            else
                unlink(inner);
        }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static inline bool fix_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline char *fix_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s is not there", path);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*bytes + 1);
    cr_assert_eq(fread(data, 1, *bytes, file), *bytes);
    data[*bytes] = '\0';
    fclose(file);
    return data;
}

static inline void fix_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

/* ---- an .npy reader ---- */

typedef struct npy_file {
    char *bytes, *data; /* data points into bytes */
    char descr[16];
    long long rows, height, width;
    size_t row_bytes;
} npy_file;

static inline npy_file npy_read(const char *path)
{
    npy_file npy = {0};
    size_t bytes;
    npy.bytes = fix_read(path, &bytes);
    cr_assert(bytes >= 10 && memcmp(npy.bytes, "\x93NUMPY\x01\x00", 8) == 0, "%s is no npy file", path);
    size_t length = (size_t)(unsigned char)npy.bytes[8] + 256 * (size_t)(unsigned char)npy.bytes[9];
    cr_assert_eq((10 + length) % 64, 0u);
    cr_assert_eq(npy.bytes[9 + length], '\n');
    int end = 0;
    int fields = sscanf(npy.bytes + 10, "{'descr': '%15[^']', 'fortran_order': False, 'shape': (%lld, %lld, %lld), }%n",
                        npy.descr, &npy.rows, &npy.height, &npy.width, &end);
    cr_assert(fields == 4 && end > 0, "header of %s: %.100s", path, npy.bytes + 10);
    for (size_t i = 10 + (size_t)end; i < 9 + length; i++)
        cr_assert_eq(npy.bytes[i], ' ');
    npy.row_bytes = (size_t)(npy.height * npy.width) * (size_t)(npy.descr[2] - '0');
    npy.data = npy.bytes + 10 + length;
    cr_assert_eq(bytes, 10 + length + (size_t)npy.rows * npy.row_bytes, "%s: %zu bytes", path, bytes);
    return npy;
}

/* ---- an index reader ---- */

static inline sqlite3 *fix_db(const char *dir)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open_v2(fix_in(dir, "index.sqlite"), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    return db;
}

static inline int64_t fix_count(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(db));
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Reads a whole run as it is and holds it against the fixture: photos 1 … n without a gap, each with all its
 * maps, and every map's bytes. */
static inline int64_t fix_check(const char *dir, const fixture *f)
{
    sqlite3 *db = fix_db(dir);
    sqlite3_stmt *maps = NULL;
    int64_t photos = fix_count(db, "SELECT count(*) FROM images"), rows = 0, last = 0;
    int place = 0;
    cr_assert_eq(fix_count(db, "SELECT coalesce(max(id), 0) FROM images"), photos);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "SELECT image_id, layer, method, class, file, row, raw_max FROM maps ORDER BY id",
                                    -1, &maps, NULL),
                 SQLITE_OK);
    for (; sqlite3_step(maps) == SQLITE_ROW; rows++, place++) {
        int64_t id = sqlite3_column_int64(maps, 0), row = sqlite3_column_int64(maps, 5);
        if (id != last)
            place = 0;
        last = id;
        int layer = place / (f->method_count * f->classes), method = place / f->classes % f->method_count,
            k = place % f->classes;
        cr_assert(layer < f->layer_count && fix_is_ok(id));
        cr_assert_str_eq((const char *)sqlite3_column_text(maps, 1), f->layers[layer]);
        cr_assert_str_eq((const char *)sqlite3_column_text(maps, 2), f->methods[method]);
        cr_assert_eq(sqlite3_column_int(maps, 3), (id + k) % 10);
        cr_assert_eq(sqlite3_column_int(maps, 6), place);
        npy_file npy = npy_read(fix_in(dir, (const char *)sqlite3_column_text(maps, 4)));
        cr_assert_str_eq(npy.descr, f->dtype == BCAM_F32 ? "<f4" : f->dtype == BCAM_F16 ? "<f2" : "|u1");
        cr_assert(row >= 0 && row < npy.rows && npy.height == f->height[layer] && npy.width == f->width[layer]);
        char expected[FIX_MAP_BYTES];
        fix_map_bytes(f, id, place, npy.row_bytes, expected);
        cr_assert(memcmp(expected, npy.data + (size_t)row * npy.row_bytes, npy.row_bytes) == 0,
                  "photo %" PRId64 ", map %d", id, place);
        free(npy.bytes);
    }
    sqlite3_finalize(maps);
    int64_t ok = 0;
    for (int64_t id = 1; id <= photos; id++)
        ok += fix_is_ok(id);
    cr_assert_eq(rows, ok * fix_map_count(f), "%" PRId64 " rows of %" PRId64 " photos", rows, photos);
    cr_assert_eq(fix_count(db, "SELECT count(*) FROM predictions"), 3 * ok);
    sqlite3_close(db);
    return rows;
}

#endif
