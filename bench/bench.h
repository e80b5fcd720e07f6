/* bench.h - what the programs that measure share: options, clock, medians, random numbers, one JSON object a line.
 *
 * The protocol of a *contestant*. A program that takes part in an interleaved comparison first prints one line of facts,
 *     {"name": "...", "model": "...", "batch": 256, "device": "...", "ready_seconds": 1.5, ...}
 * and then, for each line "go SECONDS" that it reads, works about that long and prints
 *     {"images": 12800, "seconds": 1.003}
 * End of input ends it. Only what stands between is timed: making ready, random inputs and the first runs are not. A contestant that cannot go
 * on prints {"error": "..."} and ends with status 1.
 */
#ifndef BCAM_BENCH_H
#define BCAM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "batchcam.h"

#define BENCH_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- clock and numbers ---- */

double bench_now(void);
/** Sorts `values` and returns the middle one (NAN for none). */
double bench_median(double *values, size_t count);
/** Random bytes, the same for the same state (never 0), which it moves on. */
void bench_random_bytes(void *out, size_t bytes, uint64_t *state);
/** The number after the last one of a state, evenly in [-1, 1). */
float bench_random(uint64_t *state);

/* ---- one JSON object a line ---- */

typedef struct bench_json {
    FILE *file;
    bool first;
} bench_json;

void bench_json_begin(bench_json *json, FILE *file);
void bench_json_text(bench_json *json, const char *key, const char *value);
void bench_json_real(bench_json *json, const char *key, double value); /* not finite: null */
void bench_json_end(bench_json *json);

/* ---- options of the programs that run a network ---- */

typedef struct bench_options {
    const char *model, *device, *name;
    const char *layers[16];
    int layer_count, classes, batch, rounds, threads;
    double seconds; /* of a round */
    bcam_precision precision;
    bcam_map_size map_size;
    bcam_dtype map_dtype;
    bool deterministic, direct;
    bool contestant, segments, steps, roofline;
    double tflops, tbps;
} bench_options;

/** False: usage or what is wrong was said on stderr, and *exit_status is to be returned. */
bool bench_options_read(int argc, char **argv, bench_options *out, int *exit_status);
bcam_engine_options bench_engine_options(const bench_options *o);
const char *bench_precision_name(bcam_precision precision);

/* ---- bench_plan.c: the steps that a network comes to, without running it ---- */

typedef struct bench_step {
    char name[128], algorithm[64];
    const char *verb;
    int segment; /* bcam_segment */
    double flop,
        bytes; /* of the batch; bytes: each operand read once and each result written once, in the type it is stored in */
    bool alias; /* moves nothing */
} bench_step;

typedef struct bench_plan {
    bench_step *steps; /* by malloc */
    size_t count;
} bench_plan;

/** `engine`: the same network opened, whose algorithms are noted; NULL: none are. */
bcam_status bench_plan_read(const bench_options *o, int batch, const bcam_engine *engine, bench_plan *out,
                            bcam_error *err);
void bench_plan_fini(bench_plan *plan);
/** Seconds that the step cannot be faster than: the longer of its arithmetic and its memory traffic. */
double bench_step_limit(const bench_step *step, double flops, double bytes_a_second);

#endif
