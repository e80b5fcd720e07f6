/* golden.h - reading golden cases (tests/golden/README.md) and holding an engine's results against them. */
#ifndef BCAM_TESTS_GOLDEN_H
#define BCAM_TESTS_GOLDEN_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batchcam.h"

/* ---- .npy of little-endian float32, float64 ---- */

typedef struct golden_array {
    size_t dim[4], count;
    int rank;
    double *data;
} golden_array;

static inline golden_array golden_read(const char *folder, const char *name)
{
    char path[1024], header[512] = "", type[8];
    golden_array a = {.count = 1};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    cr_assert(file, "cannot open %s", path);
    unsigned char head[10];
    cr_assert_eq(fread(head, 1, 10, file), 10u);
    size_t length = head[8] + 256u * head[9];
    cr_assert(memcmp(head, "\x93NUMPY\x01\x00", 8) == 0 && length < sizeof header, "%s is no .npy file", path);
    cr_assert_eq(fread(header, 1, length, file), length);
    cr_assert_eq(sscanf(strstr(header, "'descr'"), "'descr': '%7[^']'", type), 1);
    cr_assert(strstr(header, "'fortran_order': False"));
    for (char *p = strstr(header, "'shape': (") + 10; *p && *p != ')';) {
        a.dim[a.rank] = strtoul(p, &p, 10);
        a.count *= a.dim[a.rank++];
        p += strspn(p, ", ");
    }
    bool wide = strcmp(type, "<f8") == 0;
    cr_assert(wide || strcmp(type, "<f4") == 0, "%s holds %s", path, type);
    a.data = malloc(a.count * sizeof *a.data);
    for (size_t i = 0; i < a.count; i++) {
        float narrow;
        size_t got = wide ? fread(&a.data[i], 8, 1, file) : fread(&narrow, 4, 1, file);
        cr_assert_eq(got, 1u, "%s is too short", path);
        if (!wide)
            a.data[i] = (double)narrow;
    }
    fclose(file);
    return a;
}

/* ---- golden.tsv ---- */

typedef struct golden_row {
    char layer[256], tensor[256], prefix[16];
    int classes[8];
    double logits, activations, gradients, weights, map; /* PyTorch's own float32 errors */
} golden_row;

static inline int golden_rows(const char *folder, golden_row *rows, int most)
{
    char path[1024], line[1024], classes[256];
    int count = 0;
    snprintf(path, sizeof path, "%s/golden.tsv", folder);
    FILE *file = fopen(path, "r");
    cr_assert(file && fgets(line, sizeof line, file), "cannot read %s", path);
    while (count < most && fgets(line, sizeof line, file)) {
        golden_row *r = &rows[count++];
        int fields =
            sscanf(line, "%255[^\t]\t%255[^\t]\t%15[^\t]\t%255[^\t]\t%lf\t%lf\t%lf\t%lf\t%lf", r->layer, r->tensor,
                   r->prefix, classes, &r->logits, &r->activations, &r->gradients, &r->weights, &r->map);
        cr_assert_eq(fields, 9, "%s: %s", path, line);
        int n = 0;
        for (char *c = strtok(classes, ","); c; c = strtok(NULL, ","))
            r->classes[n++] = atoi(c);
    }
    fclose(file);
    return count;
}

/* ---- what an engine gives ---- */

/* The arrays of a layer, l0.A.npy and so on; their own errors stand in this order in a golden_row. */
static const struct {
    const char *name, *suffix;
    bcam_tensor_kind kind;
} golden_kinds[] = {{"activations", "A", BCAM_TENSOR_ACTIVATIONS},
                    {"weights", "w", BCAM_TENSOR_WEIGHTS},
                    {"map", "map", BCAM_TENSOR_RAW},
                    {"gradients", "g", BCAM_TENSOR_GRADIENTS}};

/* A tensor of an engine's layer, whole; NULL: not there, since it is constant. */
static inline float *golden_read_layer(bcam_engine *engine, bcam_tensor_kind kind, int layer, size_t *count)
{
    bcam_error err;
    size_t unused;
    if (bcam_engine_read(engine, kind, layer, 0, NULL, 0, count, &err) == BCAM_E_UNSUPPORTED)
        return NULL;
    float *data = malloc(*count * sizeof *data);
    memset(data, 0xff, *count * sizeof *data);
    cr_assert_eq(bcam_engine_read(engine, kind, layer, 0, data, *count, &unused, &err), BCAM_OK, "%s", err.message);
    return data;
}

/* A constant gradient is never spread out: its channel weight stands for every position. */
static inline float *golden_spread(const float *weights, size_t channels, size_t area)
{
    float *g = malloc(channels * area * sizeof *g);
    for (size_t i = 0; i < channels * area; i++)
        g[i] = weights[i / area];
    return g;
}

/* ---- holding against ---- */

/* |a - b| / |b| in the 2-norm; a zero or NaN norm is a failure of its own. */
static inline double golden_error(const float *a, const double *b, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += b[i] * b[i];
    }
    cr_assert(norm > 0 && isfinite(norm), "the golden's norm is %g", norm);
    return sqrt(difference / norm);
}

/* The bound of docs/testing.md: 4 times PyTorch's own float32 error, plus 1e-6. Prints and counts, so that one run shows all that differ. */
static inline int golden_expect(const char *what, const char *layer, const float *a, const double *b, size_t count,
                                double own)
{
    double error = golden_error(a, b, count), bound = 4 * own + 1e-6;
    if (error <= bound)
        return 0;
    cr_log_error("%s of %s: relative error %.3e, allowed %.3e", what, layer, error, bound);
    return 1;
}

#endif
