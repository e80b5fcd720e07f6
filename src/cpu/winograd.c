/* winograd.c - the transformations of winograd.h. */
#include "cpu/winograd.h"

#include <string.h>

enum {
    TILE = BCAM_WINOGRAD_TILE,
    SIDE = BCAM_WINOGRAD_PATCH,
    PLACES = BCAM_WINOGRAD_PLACES,
    LANES = BCAM_WINOGRAD_LANES
};

#define P 0.625f
#define Q 1.5f

/* One version for each kind of vector unit, chosen when the library is loaded. (clang wants no vectors passed between functions then.) */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS lanes get(const float *p)
{
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS void put(float *p, lanes v)
{
    memcpy(p, &v, sizeof v);
}

ALWAYS lanes all(float value)
{
    return value - (lanes){0};
}

typedef int32_t mask __attribute__((vector_size(4 * LANES))); /* of a comparison: all bits or none */

ALWAYS mask pick(mask which, mask yes, mask no)
{
    return (which & yes) | (~which & no);
}

/* A NaN is neither below nor above. */
ALWAYS lanes clamp(lanes v, lanes low, lanes high)
{
    v = (lanes)pick(v < low, (mask)low, (mask)v);
    return (lanes)pick(v > high, (mask)high, (mask)v);
}

/* B' d for one row or column. Points +p and -p share their even and odd parts. */
ALWAYS void before(const lanes *d, lanes *out)
{
    const lanes even_p = d[4] - Q * Q * d[2], odd_p = P * (d[3] - Q * Q * d[1]);
    const lanes even_q = d[4] - P * P * d[2], odd_q = Q * (d[3] - P * P * d[1]);
    out[0] = P * P * Q * Q * d[0] - (P * P + Q * Q) * d[2] + d[4];
    out[1] = even_p + odd_p;
    out[2] = even_p - odd_p;
    out[3] = even_q + odd_q;
    out[4] = even_q - odd_q;
    out[5] = P * P * Q * Q * d[1] - (P * P + Q * Q) * d[3] + d[5];
}

/* A' m for one row or column. */
ALWAYS void after(const lanes *m, lanes *out)
{
    const lanes even_p = m[1] + m[2], odd_p = m[1] - m[2], even_q = m[3] + m[4], odd_q = m[3] - m[4];
    out[0] = m[0] + even_p + even_q;
    out[1] = P * odd_p + Q * odd_q;
    out[2] = P * P * even_p + Q * Q * even_q;
    out[3] = P * P * P * odd_p + Q * Q * Q * odd_q + m[5];
}

typedef struct place {
    int64_t photo, row, column; /* of a tile's first output */
} place;

static inline place place_of(const bcam_winograd *g, int64_t tile)
{
    int64_t a_photo = g->rows * g->columns, within = tile % a_photo;
    return (place){tile / a_photo, within / g->columns * TILE, within % g->columns * TILE};
}

static inline int64_t fewer(int64_t left)
{
    return left < TILE ? left : TILE;
}

#define stored float
#define NAME(name) name##_f32
#define LOAD get
#define STORE put
#include "cpu/winograd.inc"
#undef stored
#undef NAME
#undef LOAD
#undef STORE

/* bfloat16 is the upper half of a float; the nearest, ties to even, NaN stays NaN. */
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

ALWAYS lanes get_bf16(const uint16_t *p)
{
    halves h;
    memcpy(&h, p, sizeof h);
    return (lanes)(__builtin_convertvector(h, words) << 16);
}

ALWAYS void put_bf16(uint16_t *p, lanes v)
{
    const words bits = (words)v, nearest = bits + 0x7fff + (bits >> 16 & 1);
    const words kept = (words)pick(v == v, (mask)nearest, (mask)(bits | 0x400000)) >> 16;
    const halves h = __builtin_convertvector(kept, halves);
    memcpy(p, &h, sizeof h);
}

#define stored uint16_t
#define NAME(name) name##_bf16
#define LOAD get_bf16
#define STORE put_bf16
#include "cpu/winograd.inc"

void bcam_winograd_in(const bcam_winograd *g, int64_t first, int64_t count, int64_t depth, float *patch, float *out)
{
    (g->x.dtype == BCAM_BF16 ? in_bf16 : in_f32)(g, first, count, depth, patch, out);
}

void bcam_winograd_out(const bcam_winograd *g, int64_t first, int64_t count, const float *m)
{
    (g->y.dtype == BCAM_BF16 ? out_bf16 : out_f32)(g, first, count, m);
}

/* ---- weights, once, in double ---- */

/* G: of point a, (1, a, a^2) over the product of its differences to the other points. */
static void weight_rows(double g[SIDE][3])
{
    static const double point[SIDE - 1] = {0, P, -P, Q, -Q};
    for (int i = 0; i < SIDE - 1; i++) {
        double product = 1;
        for (int j = 0; j < SIDE - 1; j++)
            product *= i == j ? 1 : point[i] - point[j];
        for (int t = 0; t < 3; t++)
            g[i][t] = (t == 0 ? 1 : t == 1 ? point[i] : point[i] * point[i]) / product;
    }
    g[SIDE - 1][0] = g[SIDE - 1][1] = 0;
    g[SIDE - 1][2] = 1;
}

void bcam_winograd_weights(const bcam_tensor *w, bool turned, int64_t depth, int threads, float *out)
{
    double g[SIDE][3];
    (void)threads; /* without OpenMP */
    int64_t to = w->dim[0], from = w->dim[1];
    weight_rows(g);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t c = 0; c < from; c++)
        for (int64_t m = 0; m < to; m++) {
            const float *f = (const float *)w->data + m * w->stride[0] + c * w->stride[1];
            double half[SIDE][3] = {{0}};
            for (int r = 0; r < 3; r++)
                for (int s = 0; s < 3; s++) {
                    double value = f[(turned ? 2 - r : r) * w->stride[2] + (turned ? 2 - s : s) * w->stride[3]];
                    for (int i = 0; i < SIDE; i++)
                        half[i][s] += g[i][r] * value;
                }
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++)
                    out[((c / depth * PLACES + i * SIDE + j) * depth + c % depth) * to + m] =
                        (float)(half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2]);
        }
}
