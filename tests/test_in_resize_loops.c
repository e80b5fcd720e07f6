/* The inner loops of resizing, all that this processor has, against sums written down as they are. */
#include "in/resize_axis.h"
#include "in_fixture.h"
#include "seed.h"

static int below(uint64_t *seed, int end)
{
    return (int)(bcam_random(seed) % (uint64_t)end);
}

static void fill_bytes(uint8_t *out, size_t bytes, uint64_t *seed)
{
    int kind = below(seed, 3); /* extremes bring the largest sums */
    for (size_t i = 0; i < bytes; i++)
        out[i] = kind == 0 ? 255 : kind == 1 ? (uint8_t)(bcam_random(seed) & 1 ? 255 : 0) : (uint8_t)bcam_random(seed);
}

/** Taps with weights as no filter makes them: up to the largest, of both signs, of sums far outside of a byte. */
static bcam_taps random_taps(int length, int source, const bcam_resize_loops *loops, uint64_t *seed)
{
    int most = 1 + below(seed, source < 40 ? source : 40),
        taps = (most + BCAM_LOOP_TAPS - 1) / BCAM_LOOP_TAPS * BCAM_LOOP_TAPS;
    size_t count = (size_t)length * (size_t)taps;
    int *first = bcam_alloc((size_t)length, sizeof *first), *counts = bcam_alloc((size_t)length, sizeof *counts);
    int32_t *weight = bcam_alloc(count, sizeof *weight), *packed = bcam_alloc(count, sizeof *packed);
    int limit = below(seed, 2) ? BCAM_WEIGHT_MOST : (1 << BCAM_WEIGHT_BITS) / most;
    memset(weight, 0, count * sizeof *weight);
    for (int i = 0; i < length; i++) {
        counts[i] = 1 + below(seed, most);
        first[i] = below(seed, source - counts[i] + 1);
        for (int t = 0; t < counts[i]; t++)
            weight[i * taps + t] = below(seed, 8)   ? below(seed, 2 * limit + 1) - limit
                                   : below(seed, 2) ? limit
                                                    : -limit;
    }
    for (size_t i = 0; loops->pack && i < count; i += BCAM_LOOP_TAPS)
        loops->pack(weight + i, packed + i);
    return (bcam_taps){length, taps, first, counts, weight, packed};
}

static void free_taps(bcam_taps *taps)
{
    bcam_free((void *)taps->first);
    bcam_free((void *)taps->count);
    bcam_free((void *)taps->weight);
    bcam_free((void *)taps->packed);
}

/** Sums as 32-bit numbers go round; then a byte. */
static uint8_t plainly(const bcam_taps *taps, int i, const uint8_t *src, size_t step)
{
    uint32_t sum = BCAM_WEIGHT_HALF;
    for (int t = 0; t < taps->count[i]; t++)
        sum += (uint32_t)src[(size_t)t * step] * (uint32_t)taps->weight[i * taps->taps + t];
    int32_t value = (int32_t)sum >> BCAM_WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Rows end where their block does: what is read beyond BCAM_LOOP_BEYOND is found by the sanitizer. */
static void check_rows(const bcam_resize_loops *loops, uint64_t *seed)
{
    int source = 1 + below(seed, 90), length = 1 + below(seed, 70);
    bcam_taps taps = random_taps(length, source, loops, seed);
    size_t bytes = (size_t)source * 3 + BCAM_LOOP_BEYOND, out_bytes = (size_t)length * 3 + BCAM_LOOP_BEYOND;
    uint8_t *src[BCAM_LOOP_ROWS], *out[BCAM_LOOP_ROWS];
    for (int r = 0; r < BCAM_LOOP_ROWS; r++) {
        src[r] = bcam_alloc(bytes, 1);
        out[r] = bcam_alloc(out_bytes, 1);
        fill_bytes(src[r], bytes, seed);
        memset(out[r], 0xA5, out_bytes);
    }
    loops->rows(&taps, (const uint8_t *const *)src, out);
    for (int r = 0; r < BCAM_LOOP_ROWS; r++) {
        for (int i = 0; i < length; i++)
            for (int c = 0; c < 3; c++)
                cr_assert_eq(out[r][3 * i + c], plainly(&taps, i, src[r] + 3 * taps.first[i] + c, 3),
                             "%s: row %d, pixel %d of %d, colour %d, %d taps", loops->name, r, i, length, c,
                             taps.count[i]);
        bcam_free(src[r]);
        bcam_free(out[r]);
    }
    free_taps(&taps);
}

static void check_columns(const bcam_resize_loops *loops, uint64_t *seed)
{
    int source = 1 + below(seed, 60), length = 1 + below(seed, 5);
    size_t bytes = 1 + (size_t)below(seed, 300), stride = bytes + (size_t)below(seed, 9);
    bcam_taps taps = random_taps(length, source, loops, seed);
    uint8_t *src = bcam_alloc((size_t)(source - 1) * stride + bytes, 1), *out = bcam_alloc(bytes, 1);
    fill_bytes(src, (size_t)(source - 1) * stride + bytes, seed);
    for (int i = 0; i < length; i++) {
        const uint8_t *from = src + (size_t)taps.first[i] * stride;
        memset(out, 0xA5, bytes);
        bcam_resize_column(loops, &taps, i, from, stride, bytes, out);
        for (size_t j = 0; j < bytes; j++)
            cr_assert_eq(out[j], plainly(&taps, i, from + j, stride), "%s: byte %zu of %zu, %d taps", loops->name, j,
                         bytes, taps.count[i]);
    }
    bcam_free(src);
    bcam_free(out);
    free_taps(&taps);
}

Test(in_resize_loops, all_give_the_same_bytes)
{
    uint64_t seed = test_seed();
    const bcam_resize_loops *loops;
    for (int i = 0; (loops = bcam_resize_loops_at(i)); i++) {
        fprintf(stderr, "%s\n", loops->name);
        for (int round = 0; round < 400; round++) {
            check_rows(loops, &seed);
            check_columns(loops, &seed);
        }
    }
    cr_assert_eq(bcam_resize_loops_at(-1), NULL);
    cr_assert_eq(bcam_alloc_live(), 0);
}

/* What makes the plain loops superfluous: no filter has weights that the others cannot take. */
Test(in_resize_loops, weights_of_filters_fit)
{
    uint64_t seed = test_seed();
    int32_t largest = 0;
    for (int round = 0; round < 3000; round++) {
        int longest = below(&seed, 2) ? 12 : 3000, source = 1 + below(&seed, longest),
            result = 1 + below(&seed, longest);
        for (int f = BCAM_FILTER_BOX; f <= BCAM_FILTER_LANCZOS; f++) {
            int at = below(&seed, result), length = 1 + below(&seed, result - at < 8 ? result - at : 8);
            bcam_axis a = {.source = source, .result = result, .at = at, .length = length};
            bcam_axis_measure(&a, (bcam_filter)f);
            if (!a.taps)
                continue;
            size_t weights = (size_t)length * (size_t)a.taps;
            a.first = bcam_alloc((size_t)length, sizeof *a.first);
            a.count = bcam_alloc((size_t)length, sizeof *a.count);
            a.weight = bcam_alloc(weights, sizeof *a.weight);
            a.packed = bcam_alloc(weights, sizeof *a.packed);
            a.exact = bcam_alloc((size_t)a.taps, sizeof *a.exact);
            cr_assert(bcam_axis_fill(&a, (bcam_filter)f, bcam_resize_loops_at(0)));
            for (size_t i = 0; i < weights; i++)
                largest = abs(a.weight[i]) > largest ? abs(a.weight[i]) : largest;
            for (int i = 0; i < length; i++)
                cr_assert(a.first[i] >= 0 && a.count[i] >= 1 && a.count[i] <= a.taps &&
                              a.begin + a.first[i] + a.count[i] <= a.end && a.begin >= 0 && a.end <= source,
                          "%d to %d, filter %d, pixel %d", source, result, f, at + i);
            bcam_free(a.first);
            bcam_free(a.count);
            bcam_free(a.weight);
            bcam_free(a.packed);
            bcam_free(a.exact);
        }
    }
    fprintf(stderr, "largest weight %.3f\n", largest / (double)(1 << BCAM_WEIGHT_BITS));
    cr_assert_leq(largest, BCAM_WEIGHT_MOST);
}
