/* run_fixture.h - for tests/test_run_*.c: small models and photos made from seeds, temporary folders, runs, and readers of what a run wrote that
 * owe nothing to src/out. */
#ifndef BCAM_TESTS_RUN_FIXTURE_H
#define BCAM_TESTS_RUN_FIXTURE_H

#include <cjson/cJSON.h>
#include <errno.h>
#include <png.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/base.h"
#include "golden.h"
#include "onnx_build.h"
#include "out/out.h"

#define FIX_DATA BCAM_SOURCE_DIR "/data"

/* ---- files ---- */

/* Waiting for the disk would take most of the time; that it is asked to flush is tested in test_out_crash.c. Visible, for SQLite calls them too. */
#pragma GCC visibility push(default)
int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
#pragma GCC visibility pop

/** A path or other text in one of 64 buffers, which are used in turn: copy what must last. */
static inline const char *fix_text(const char *format, ...) BCAM_PRINTF(1, 2);
static inline const char *fix_text(const char *format, ...)
{
    static char texts[64][1024];
    static int at;
    char *text = texts[at++ % 64];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    cr_assert(length >= 0 && (size_t)length < sizeof texts[0]);
    return text;
}

/** A new folder for one test. */
static inline const char *fix_folder(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/batchcam-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(path));
    char *copy = (char *)fix_text("%s", path);
    return copy;
}

static inline void fix_remove(const char *path)
{
    cr_assert_eq(system(fix_text("rm -rf '%s'", path)), 0);
}

/* Things that stand where a file or folder should. */
static inline void fix_make_folder(const char *path)
{
    cr_assert_eq(mkdir(path, 0777), 0);
}

static inline void fix_make_pipe(const char *path)
{
    cr_assert_eq(mkfifo(path, 0666), 0);
}

static inline void fix_make_device(const char *path)
{
    cr_assert_eq(symlink("/dev/zero", path), 0);
}

static inline void fix_make_loop(const char *path)
{
    cr_assert_eq(symlink(path, path), 0);
}

static inline bool fix_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/** Writes a file; folders on the way are made. */
static inline void fix_write(const char *path, const void *data, size_t bytes)
{
    char *copy = strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        cr_assert(mkdir(copy, 0777) == 0 || errno == EEXIST, "%s", copy);
        *slash = '/';
    }
    free(copy);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static inline void fix_write_text(const char *path, const char *text)
{
    fix_write(path, text, strlen(text));
}

/** A whole file with a zero byte behind it; freed with free. */
static inline char *fix_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *data = malloc((size_t)size + 1);
    cr_assert_eq(fread(data, 1, (size_t)size, file), (size_t)size);
    data[size] = '\0';
    fclose(file);
    if (bytes)
        *bytes = (size_t)size;
    return data;
}

static inline void fix_copy(const char *from, const char *to)
{
    size_t bytes;
    char *data = fix_read(from, &bytes);
    fix_write(to, data, bytes);
    free(data);
}

/* ---- photos ---- */

/** A scene of soft colours and a bright block that differ by seed; freed with free. */
static inline uint8_t *fix_scene(uint64_t seed, int width, int height) // (height, width, 3)
{
    uint8_t *rgb = malloc((size_t)(width * height) * 3);
    uint64_t state = seed * 77 + 5;
    double phase[3];
    for (int c = 0; c < 3; c++)
        phase[c] = bcam_random_unit(&state) * 7;
    int left = (int)(bcam_random_unit(&state) * width * 0.7), top = (int)(bcam_random_unit(&state) * height * 0.7);
    for (int i = 0; i < width * height * 3; i++) {
        int c = i % 3, x = i / 3 % width, y = i / 3 / width;
        bool block = x >= left && x < left + width / 3 && y >= top && y < top + height / 3;
        rgb[i] = block ? (uint8_t)(250 - 80 * ((c + (int)seed) % 3))
                       : (uint8_t)(128 + 100 * sin(phase[c] + 5.0 * x / width + 4.0 * y / height));
    }
    return rgb;
}

static inline void fix_jpeg(const char *path, uint64_t seed, int width, int height)
{
    uint8_t *rgb = fix_scene(seed, width, height), *data = NULL;
    size_t bytes;
    cr_assert_eq(bcam_jpeg_encode(rgb, height, width, 90, &data, &bytes, NULL), BCAM_OK);
    fix_write(path, data, bytes);
    bcam_free(data);
    free(rgb);
}

static inline void fix_png(const char *path, uint64_t seed, int width, int height)
{
    uint8_t *rgb = fix_scene(seed, width, height);
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = (unsigned)width, .height = (unsigned)height, .format = PNG_FORMAT_RGB};
    fix_write(path, "", 0); /* makes the folders */
    cr_assert(png_image_write_to_file(&image, path, 0, rgb, 0, NULL), "%s", image.message);
    free(rgb);
}

/** A JPEG that ends in the middle. */
static inline void fix_truncated(const char *path, uint64_t seed)
{
    size_t bytes;
    fix_jpeg(path, seed, 60, 50);
    char *data = fix_read(path, &bytes);
    fix_write(path, data, bytes / 2);
    free(data);
}

/* ---- a small model ----
 * input (N,3,12,10) → conv1 → relu1 (6,12,10) → conv2 → relu2 (8,6,5) → pool → flat → [hidden → act →] head → logits.
 * With `hidden` the gradients depend on the photo; without, relu2's is constant. */

enum { FIX_H = 12, FIX_W = 10 };

static inline void fix_put_value(bytes *graph, unsigned number, const char *name, int rank, const int64_t *dim)
{
    bytes shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int i = 0; i < rank; i++) {
        bytes d = {0};
        if (i == 0)
            put_text(&d, 2, "N");
        else
            put_int(&d, 1, dim[i]);
        put_message(&shape, 1, d);
    }
    put_int(&tensor, 1, 1);
    put_message(&tensor, 2, shape);
    put_message(&type, 1, tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, type);
    put_message(graph, number, value);
}

static inline void fix_put_ints(bytes *node, const char *name, int count, const int64_t *values)
{
    bytes attribute = {0};
    put_text(&attribute, 1, name);
    for (int i = 0; i < count; i++)
        put_int(&attribute, 8, values[i]);
    put_int(&attribute, 20, 7);
    put_message(node, 5, attribute);
}

static inline void fix_put_int(bytes *node, const char *name, int64_t value)
{
    bytes attribute = {0};
    put_text(&attribute, 1, name);
    put_int(&attribute, 3, value);
    put_int(&attribute, 20, 2);
    put_message(node, 5, attribute);
}

/** A node "name" that makes the value "name" of the words of `inputs`. */
static inline bytes fix_node(const char *type, const char *name, const char *inputs)
{
    bytes node = {0};
    for (const char *at = inputs; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        put_bytes(&node, 1, at, size);
        at += size;
    }
    put_text(&node, 2, name);
    put_text(&node, 3, name);
    put_text(&node, 4, type);
    return node;
}

/** Numbers around `middle`, spread like one over the root of what is added up. */
static inline void fix_put_weights(bytes *graph, const char *name, int rank, const int64_t *dim, double middle,
                                   uint64_t *state)
{
    bytes tensor = {0};
    int64_t count = 1, terms = 1;
    for (int i = 0; i < rank; i++) {
        put_int(&tensor, 1, dim[i]);
        count *= dim[i];
        terms *= i ? dim[i] : 1;
    }
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(middle + (bcam_random_unit(state) * 2 - 1) * 1.7 / sqrt((double)terms));
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_bytes(&tensor, 9, values, (size_t)count * sizeof *values);
    free(values);
    put_message(graph, 5, tensor);
}

static inline void fix_put_conv(bytes *graph, int index, const char *input, const int64_t *dim, int64_t stride,
                                uint64_t *state)
{
    const int64_t ones[4] = {1, 1, 1, 1}, kernel[2] = {3, 3}, strides[2] = {stride, stride};
    bytes conv = fix_node("Conv", fix_text("conv%d", index), fix_text("%s w%d b%d", input, index, index));
    fix_put_ints(&conv, "kernel_shape", 2, kernel);
    fix_put_ints(&conv, "pads", 4, ones);
    fix_put_ints(&conv, "strides", 2, strides);
    put_message(graph, 1, conv);
    put_message(graph, 1, fix_node("Relu", fix_text("relu%d", index), fix_text("conv%d", index)));
    fix_put_weights(graph, fix_text("w%d", index), 4, dim, 0, state);
    fix_put_weights(graph, fix_text("b%d", index), 1, dim, 0, state);
}

static inline void fix_put_gemm(bytes *graph, const char *name, const char *input, int64_t out, int64_t in,
                                uint64_t *state)
{
    const int64_t dim[2] = {out, in};
    bytes gemm = fix_node("Gemm", name, fix_text("%s w_%s b_%s", input, name, name));
    fix_put_int(&gemm, "transB", 1);
    put_message(graph, 1, gemm);
    fix_put_weights(graph, fix_text("w_%s", name), 2, dim, 0, state);
    fix_put_weights(graph, fix_text("b_%s", name), 1, dim, 0, state);
}

static inline void fix_model(const char *path, int classes, bool hidden)
{
    const int64_t input[4] = {0, 3, FIX_H, FIX_W}, logits[2] = {0, classes}, w1[4] = {6, 3, 3, 3}, w2[4] = {8, 6, 3, 3};
    bytes graph = {0};
    uint64_t state = 4711;
    put_text(&graph, 2, "small");
    fix_put_conv(&graph, 1, "input", w1, 1, &state);
    fix_put_conv(&graph, 2, "relu1", w2, 2, &state);
    put_message(&graph, 1, fix_node("GlobalAveragePool", "pool", "relu2"));
    put_message(&graph, 1, fix_node("Flatten", "flat", "pool"));
    if (hidden) {
        fix_put_gemm(&graph, "hidden", "flat", 16, 8, &state);
        put_message(&graph, 1, fix_node("Relu", "act", "hidden"));
    }
    fix_put_gemm(&graph, "head", hidden ? "act" : "flat", classes, hidden ? 16 : 8, &state);
    fix_put_value(&graph, 11, "input", 4, input);
    fix_put_value(&graph, 12, "head", 2, logits);
    bytes model = model_of(graph);
    fix_write(path, model.data, model.size);
    free(model.data);
}

/* ---- engines ---- */

static inline bcam_engine *fix_engine(const char *model, bcam_engine_options options)
{
    bcam_engine *engine = NULL;
    bcam_error err;
    cr_assert_eq(bcam_engine_open(model, &options, &engine, &err), BCAM_OK, "%s: %s", model, err.message);
    return engine;
}

static inline bcam_engine_info fix_info(const bcam_engine *engine)
{
    bcam_engine_info info;
    cr_assert_eq(bcam_engine_get_info(engine, &info, NULL), BCAM_OK);
    return info;
}

/** Numbers as photos become them, about -2 to 2; freed with free. */
static inline float *fix_input(const bcam_engine *engine, int count, uint64_t seed)
{
    bcam_engine_info info = fix_info(engine);
    size_t size = (size_t)count * (size_t)info.channels * (size_t)info.height * (size_t)info.width;
    float *input = malloc(size * sizeof *input);
    uint64_t state = seed;
    for (size_t i = 0; i < size; i++)
        input[i] = (float)(bcam_random_unit(&state) + bcam_random_unit(&state) + bcam_random_unit(&state) - 1.5) * 1.4f;
    return input;
}

static inline void fix_compute(bcam_engine *engine, const bcam_batch *batch)
{
    bcam_error err;
    cr_assert_eq(bcam_engine_compute(engine, batch, &err), BCAM_OK, "%s", err.message);
}

static inline bcam_map fix_map(const bcam_engine *engine, int layer, int method, int n, int k)
{
    bcam_map map;
    bcam_error err;
    memset(&map, 0xee, sizeof map);
    cr_assert_eq(bcam_engine_map(engine, layer, method, n, k, &map, &err), BCAM_OK, "%s", err.message);
    return map;
}

static inline size_t fix_map_bytes(const bcam_map *map)
{
    return (size_t)map->height * (size_t)map->width * bcam_dtype_bytes(map->dtype);
}

/** A tensor of the engine whole; freed with free. */
static inline float *fix_tensor(bcam_engine *engine, bcam_tensor_kind kind, int layer, int method, size_t *count)
{
    bcam_error err;
    size_t again = 0;
    cr_assert_eq(bcam_engine_read(engine, kind, layer, method, NULL, 0, count, &err), BCAM_E_ARGUMENT, "%s",
                 err.message);
    float *data = malloc((*count + 1) * sizeof *data);
    data[*count] = 12345.5f;
    cr_assert_eq(bcam_engine_read(engine, kind, layer, method, data, *count, &again, &err), BCAM_OK, "%s", err.message);
    cr_assert(again == *count && data[*count] == 12345.5f);
    return data;
}

#define fix_golden(name) BCAM_TEST_DATA "/golden/" name "/model.onnx"

/* ---- runs ---- */

/** What was logged, a line each. */
static char fix_lines[16384];

static inline void fix_log(void *data, bcam_log_level level, const char *line)
{
    size_t used = strlen(fix_lines);
    (void)data;
    cr_assert(level == BCAM_LOG_INFO || level == BCAM_LOG_WARNING);
    cr_assert_not(strchr(line, '\n'), "%s", line);
    snprintf(fix_lines + used, sizeof fix_lines - used, "%s\n", line);
}

/** A folder with a small model, photos and room for a run; `options` points into it. */
typedef struct fix_job {
    char root[256], model[300], photos[300], out[300], names[300], csv[300]; /* names and csv: not there yet */
    const char *images[4], *targets[4], *layers[4], *methods[4];
    bcam_run_options options;
    bcam_run_summary summary;
    bcam_error err;
} fix_job;

/** The small model of `classes` classes with a recipe beside it; no photos yet. */
static inline fix_job *fix_open(int classes, bool hidden)
{
    static fix_job job;
    snprintf(job.root, sizeof job.root, "%s", fix_folder());
    snprintf(job.model, sizeof job.model, "%s/model/model.onnx", job.root);
    snprintf(job.photos, sizeof job.photos, "%s/photos", job.root);
    snprintf(job.out, sizeof job.out, "%s/out", job.root);
    snprintf(job.names, sizeof job.names, "%s/names.txt", job.root);
    snprintf(job.csv, sizeof job.csv, "%s/t.csv", job.root);
    fix_model(job.model, classes, hidden);
    fix_write_text(
        fix_text("%s/model/preprocess.json", job.root),
        "{\"size\": [12, 10], \"resize\": \"squash\", \"crop\": \"none\", \"mean\": [0.5, 0.5, 0.5], \"std\": [0.25, 0.25, 0.25]}");
    cr_assert_eq(mkdir(job.photos, 0777), 0);
    job.images[0] = job.photos;
    job.options = (bcam_run_options){
        .model = job.model, .images = job.images, .image_count = 1, .out_dir = job.out, .targets = job.targets};
    job.options.engine =
        (bcam_engine_options){.threads = 2, .batch = 4, .layers = job.layers, .methods = job.methods, .log = fix_log};
    return &job;
}

static inline void fix_close(fix_job *job)
{
    fix_remove(job->root);
}

/** A file of the job's folder. */
#define fix_in(job, ...) fix_text("%s/%s", (job)->root, fix_text(__VA_ARGS__))

static inline bcam_status fix_try(fix_job *job)
{
    memset(&job->summary, 0xee, sizeof job->summary);
    memset(&job->err, 0xee, sizeof job->err);
    fix_lines[0] = '\0';
    bcam_status status = bcam_run(&job->options, NULL, NULL, &job->summary, &job->err);
    cr_assert_eq(job->err.code, status);
    cr_assert_not(strchr(job->err.message, '\n'), "%s", job->err.message);
    cr_assert_eq(*job->err.message == '\0', status == BCAM_OK, "%d: %s", (int)status, job->err.message);
    return status;
}

/** A run that must be refused with `code` and a sentence that has all of the words (up to a NULL), leaving no output folder. */
static inline void fix_refused(fix_job *job, bcam_status code, ...)
{
    bcam_status status = fix_try(job);
    va_list args;
    cr_assert_eq(status, code, "%d: %s", (int)status, job->err.message);
    va_start(args, code);
    for (const char *word; (word = va_arg(args, const char *)) != NULL;)
        cr_assert(strstr(job->err.message, word), "'%s' is not in: %s", word, job->err.message);
    va_end(args);
    cr_assert_not(fix_exists(job->out), "%s", job->err.message);
}

/* ---- reading a run ---- */

/** The rows of a query, columns parted by |, rows ended by a line break, in one of four buffers. */
static inline const char *fix_rows(const char *dir, const char *sql)
{
    static char texts[4][1 << 16];
    static int at;
    char *text = texts[at++ % 4];
    size_t used = 0;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_open_v2(fix_text("%s/index.sqlite", dir), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK, "%s",
                 dir);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    int result;
    *text = '\0';
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        for (int i = 0, n = sqlite3_column_count(statement); i < n; i++) {
            const char *cell = (const char *)sqlite3_column_text(statement, i);
            used += (size_t)snprintf(text + used, sizeof texts[0] - used, "%s%s", cell ? cell : "NULL",
                                     i + 1 < n ? "|" : "\n");
            cr_assert_lt(used, sizeof texts[0]);
        }
    cr_assert_eq(result, SQLITE_DONE, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    return text;
}

#define fix_expect_rows(dir, sql, expected) cr_assert_str_eq(fix_rows(dir, sql), expected)

/** A run that must go well; what it came to must be what its index says. */
static inline void fix_run(fix_job *job)
{
    bcam_status status = fix_try(job);
    const bcam_run_summary *s = &job->summary;
    cr_assert_eq(status, BCAM_OK, "%s", job->err.message);
    cr_assert_eq(s->ok + s->missing + s->unreadable + s->unsupported + s->too_large + s->no_label, s->images);
    const struct {
        const char *what;
        int64_t count;
    } counts[] = {{"images", s->images},
                  {"images WHERE outcome = 'ok'", s->ok},
                  {"images WHERE outcome = 'missing'", s->missing},
                  {"images WHERE outcome = 'unreadable'", s->unreadable},
                  {"images WHERE outcome = 'unsupported'", s->unsupported},
                  {"images WHERE outcome = 'too_large'", s->too_large},
                  {"images WHERE outcome = 'no_label'", s->no_label},
                  {"maps", s->maps},
                  {"maps WHERE outcome = 'all_zero'", s->maps_all_zero},
                  {"maps WHERE outcome = 'constant'", s->maps_constant},
                  {"maps WHERE outcome = 'not_finite'", s->maps_not_finite}};
    for (size_t i = 0; i < BCAM_COUNT(counts); i++)
        cr_assert_eq(atoll(fix_rows(job->options.out_dir, fix_text("SELECT count(*) FROM %s", counts[i].what))),
                     counts[i].count, "%s", counts[i].what);
}

/** Everything of two runs that must not differ: rows, and the bytes of the maps they name. */
static inline void fix_expect_same_runs(const char *a, const char *b)
{
    static const char *const tables[] = {"SELECT * FROM images", "SELECT * FROM predictions", "SELECT * FROM classes",
                                         "SELECT * FROM maps"};
    for (size_t i = 0; i < BCAM_COUNT(tables); i++)
        cr_assert_str_eq(fix_rows(a, tables[i]), fix_rows(b, tables[i]), "%s", tables[i]);
    char *files = strdup(fix_rows(a, "SELECT DISTINCT file FROM maps"));
    for (char *name = strtok(files, "\n"); name; name = strtok(NULL, "\n")) {
        size_t bytes_a, bytes_b;
        char *data_a = fix_read(fix_text("%s/%s", a, name), &bytes_a),
             *data_b = fix_read(fix_text("%s/%s", b, name), &bytes_b);
        cr_assert(bytes_a == bytes_b && memcmp(data_a, data_b, bytes_a) == 0, "%s differs", name);
        free(data_a);
        free(data_b);
    }
    free(files);
}

enum { FIX_MAP = FIX_H * FIX_W };

/** A map as it lies in its file, behind the header of NumPy's format. */
static inline void fix_read_map(const char *dir, const char *file, long row, float map[FIX_MAP])
{
    unsigned char head[10];
    FILE *shard = fopen(fix_text("%s/%s", dir, file), "rb");
    cr_assert(shard && fread(head, 1, 10, shard) == 10, "%s", file);
    cr_assert_eq(fseek(shard, 10 + head[8] + 256 * head[9] + row * (long)sizeof(float[FIX_MAP]), SEEK_SET), 0);
    cr_assert_eq(fread(map, sizeof(float), FIX_MAP, shard), (size_t)FIX_MAP, "%s, row %ld", file, row);
    fclose(shard);
}

/** Every row of the index names a map that is there and is the one that `whole`, a run that went well, has for the photo. Returns the rows. */
static inline int fix_check_maps(const char *dir, const char *whole)
{
    char *text = strdup(fix_rows(dir, "SELECT image_id, file, row FROM maps ORDER BY id"));
    int rows = 0;
    for (char *line = strtok(text, "\n"), file[200]; line; line = strtok(NULL, "\n"), rows++) {
        float map[FIX_MAP], expected[FIX_MAP];
        long long image;
        long row;
        cr_assert_eq(sscanf(line, "%lld|%199[^|]|%ld", &image, file, &row), 3, "%s", line);
        fix_read_map(dir, file, row, map);
        fix_read_map(whole, file, atol(fix_rows(whole, fix_text("SELECT row FROM maps WHERE image_id = %lld", image))),
                     expected);
        cr_assert_eq(memcmp(map, expected, sizeof map), 0, "%s", line);
    }
    free(text);
    cr_assert_str_eq(fix_rows(dir, "PRAGMA integrity_check"), "ok\n");
    return rows;
}

/** run.json; freed with cJSON_Delete. */
static inline cJSON *fix_json(const char *dir)
{
    char *text = fix_read(fix_text("%s/run.json", dir), NULL);
    cJSON *json = cJSON_Parse(text);
    cr_assert(cJSON_IsObject(json), "%s", text);
    free(text);
    return json;
}

/** A field by its path ("layers.0.name"), as text in one of the buffers; "" where it is not there. */
static inline const char *fix_field(const cJSON *json, const char *path)
{
    while (json && *path) {
        size_t length = strcspn(path, ".");
        const char *name = fix_text("%.*s", (int)length, path);
        json =
            cJSON_IsArray(json) ? cJSON_GetArrayItem(json, atoi(name)) : cJSON_GetObjectItemCaseSensitive(json, name);
        path += length + (path[length] == '.');
    }
    if (!json)
        return "";
    return cJSON_IsString(json)   ? fix_text("%s", json->valuestring)
           : cJSON_IsNumber(json) ? fix_text("%.9g", json->valuedouble)
           : cJSON_IsBool(json)   ? cJSON_IsTrue(json) ? "true" : "false"
                                  : "?";
}

static inline void fix_expect_field(const char *dir, const char *path, const char *expected)
{
    cJSON *json = fix_json(dir);
    cr_assert_str_eq(fix_field(json, path), expected, "%s", path);
    cJSON_Delete(json);
}

/* ---- runs whose photos the device resizes ---- */

/** Photos of all kinds, in batches that they do not fill: small and large, upright and wide, broken, one beyond what a batch has room for. */
static inline fix_job *fix_open_any_photos(int batch)
{
    fix_job *job = fix_open(5, true);
    for (int i = 0; i < 15; i++)
        fix_jpeg(fix_in(job, "photos/%c.jpg", 'a' + i), (uint64_t)i, 11 + 23 * i, 13 + 61 * (i * 5 % 7));
    fix_png(fix_in(job, "photos/p.png"), 20, 10, 12);
    fix_png(fix_in(job, "photos/q.png"), 21, 5, 400);
    fix_truncated(fix_in(job, "photos/c2.jpg"), 3);
    fix_write_text(fix_in(job, "photos/d2.jpg"), "no photo");
    fix_jpeg(fix_in(job, "photos/r.jpg"), 22, 1100, 1050);
    job->options.overlay = true;
    job->options.engine.batch = batch;
    return job;
}

static inline void fix_run_resized(fix_job *job, bcam_resizer resize, const char *out)
{
    job->options.resize = resize;
    job->options.out_dir = out;
    fix_run(job);
}

static inline void fix_expect_same_pictures(const char *a, const char *b)
{
    cr_assert_eq(system(fix_text("diff -r '%s/overlays' '%s/overlays'", a, b)), 0);
}

#endif
