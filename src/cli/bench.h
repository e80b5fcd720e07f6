/* bench.h - what `batchcam bench` found, and the forms in which it is shown. */
#ifndef BCAM_CLI_BENCH_H
#define BCAM_CLI_BENCH_H

#include <stdio.h>

#include "cli.h"

enum { BENCH_MOST_ROWS = 64 };

typedef struct bench_rows {
    bcam_bench_row row[BENCH_MOST_ROWS];
    char layer[BENCH_MOST_ROWS][256], device[BENCH_MOST_ROWS][256]; /* what the rows' strings point to */
    int count;
} bench_rows;

/** A stage's photos a second, were it all that there is to do; 0 where it has nothing to do. */
static inline double bench_rate(const bcam_bench_stage *stage, double seconds)
{
    return seconds > 0 ? stage->threads / seconds : 0;
}

/** Stages that stand neither alone nor in the run for anything (encoding without --overlay) are not shown to people. */
static inline bool bench_shown(const bcam_bench_stage *stage)
{
    return stage->alone > 0 || stage->stream > 0;
}

/** Share of a ceiling, 0 where it was not measured. */
static inline double bench_share(double value, double ceiling)
{
    return ceiling > 0 ? value / ceiling : 0;
}

/** What tells rows of one batch apart. */
const char *bench_kind(const bcam_bench_row *row, char text[64]); /* "fp32", "fp32 deterministic" */
bool bench_same_kind(const bcam_bench_row *a, const bcam_bench_row *b);
/** Photos a second of the network alone: forward, backward, maps. */
double bench_network_rate(const bcam_bench_row *row);
/** Of the run that counts: with files, or without where there was none with. */
double bench_run_rate(const bcam_bench_row *row);

void bench_print_table(const bench_rows *rows);
void bench_print_json(const bench_rows *rows);
void bench_print_csv(const bench_rows *rows);
/** bench_page.c: bars of the stages and a curve over batch sizes, one HTML page that needs nothing else. */
void bench_write_page(FILE *file, const bench_rows *rows);

#endif
