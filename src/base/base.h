/* base.h - what every room may use: errors, memory, logging, little helpers. Knows no device, no ONNX, no file format. */
#ifndef BCAM_BASE_H
#define BCAM_BASE_H

#include <stdarg.h>

#include "batchcam.h"

#define BCAM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- err.c ---- */

/** Writes code and message into err (may be NULL) and returns code, so that a failing call is one line. A line break in the message becomes a
 *  space; bytes that are not printable are shown as \xNN. */
bcam_status bcam_fail(bcam_error *err, bcam_status code, const char *format, ...) BCAM_PRINTF(3, 4);
bcam_status bcam_fail_memory(bcam_error *err, size_t bytes, const char *what);

/** Writes what `name` is nearest to among `count` candidates as "'a', 'b' or 'c'" (at most three, none: ""), for "did you mean". */
void bcam_nearest(const char *name, const char *const *candidates, size_t count, char *out, size_t size);

/* ---- log.c ---- */

typedef struct bcam_log {
    bcam_log_fn fn;
    void *data;
} bcam_log;

void bcam_log_line(const bcam_log *log, bcam_log_level level, const char *format, ...) BCAM_PRINTF(3, 4);

/* ---- mem.c: counted allocation, with failures on request for tests ---- */

/** As calloc/realloc/free; zeroed, NULL on overflow or when the planned failure is due. All memory of the library goes through these. */
void *bcam_alloc(size_t count, size_t size);
void *bcam_realloc(void *block, size_t count, size_t size);
/** Aligned to 64 bytes, not zeroed. Freed with bcam_free. */
void *bcam_alloc_aligned(size_t bytes);
void bcam_free(void *block);
/** What the machine has, so that what could never be had is not asked for: some systems promise any amount and end the process later. */
size_t bcam_memory_of_machine(void);
char *bcam_strdup(const char *text);
char *bcam_strndup(const char *text, size_t length);
char *bcam_format(const char *format, ...) BCAM_PRINTF(1, 2); /* allocated; NULL on failure */

/** Blocks now held, and calls so far, on all threads. */
int64_t bcam_alloc_live(void);
int64_t bcam_alloc_calls(void);
/** Fails the nth call from now (1 = the next one) and, if `persist`, all after it; 0 switches off. For tests. */
void bcam_alloc_fail_at(int64_t nth, bool persist);

/** Doubling array growth: makes room for one more element; false when memory is out. `capacity` and `count` are of elements. */
bool bcam_grow(void *array_pointer, size_t *capacity, size_t count, size_t element_size);

/** A bump allocator for things that die together (a graph, a plan). Zeroed memory, 16-byte aligned. */
typedef struct bcam_pool {
    struct bcam_pool_block *blocks;
    size_t used;  /* of the newest block */
    size_t bytes; /* in all */
} bcam_pool;

void *bcam_pool_alloc(bcam_pool *pool, size_t count, size_t size);
char *bcam_pool_strdup(bcam_pool *pool, const char *text);
char *bcam_pool_strndup(bcam_pool *pool, const char *text, size_t length);
char *bcam_pool_format(bcam_pool *pool, const char *format, ...) BCAM_PRINTF(2, 3);
void bcam_pool_fini(bcam_pool *pool);

/* ---- num.c ---- */

/** a*b, or false on overflow. */
static inline bool bcam_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
uint16_t bcam_f32_to_f16(float value); /* round to nearest even; overflow to infinity */
float bcam_f16_to_f32(uint16_t value);
uint16_t bcam_f32_to_bf16(float value); /* round to nearest even */
float bcam_bf16_to_f32(uint16_t value);
size_t bcam_dtype_bytes(bcam_dtype dtype);
const char *bcam_dtype_name(bcam_dtype dtype); /* "float32", … */

/** Sorts `numbers` and returns the middle one, or the mean of the two; 0 for none. */
double bcam_median(double *numbers, size_t count);

/** A small generator for tests and seeds (splitmix64); state is any number. */
uint64_t bcam_random(uint64_t *state);
double bcam_random_unit(uint64_t *state); /* [0, 1) */

/* ---- file.c ---- */

/** The SHA-256 of `bytes` bytes as 64 hexadecimal digits. */
void bcam_sha256_hex(const void *data, size_t bytes, char out[65]);
/** The same of a file, read in pieces. */
bcam_status bcam_sha256_file(const char *path, char out[65], bcam_error *err);
/** The path of a file among what can be found out again, $XDG_CACHE_HOME/batchcam/NAME or ~/.cache/batchcam/NAME, allocated; `make`: with the
 *  folders on the way. NULL where there is no home for it. */
char *bcam_cache_path(const char *name, bool make);
/** Reads a whole regular file of at most `limit` bytes into allocated memory with a zero byte behind it. */
bcam_status bcam_file_read(const char *path, size_t limit, char **data, size_t *bytes, bcam_error *err);
/** "dir" + "/" + "name", allocated; and the folder part of a path ("." where there is none), allocated. */
char *bcam_path_join(const char *dir, const char *name);
char *bcam_path_dir(const char *path);
const char *bcam_path_base(const char *path); /* points into path */
double bcam_clock_seconds(void);              /* monotonic */

#endif
