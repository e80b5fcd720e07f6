/* bench_verbs.c - the CPU's verbs alone, forward and backward: as the reference does them (plain C) and as the device does.
 *
 *   bench_verbs [--network | --tables] [--verb NAME] [--threads N]     a table: one row a case
 *   bench_verbs --peak [--threads N]                                   one JSON object: what the machine can do at most
 *
 * --network: cases of the size that networks have (bench_cases.c), whose operands come from memory: the caches are swept before each run. --tables:
 * the cases that the tests and the self-test go over, as they lie in the caches. Both, where neither is named. Shares are of the peaks
 * measured in the same run: arithmetic in fp32; bytes, each operand read once and each result written once, of the memory's. */
#include <getopt.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_cases.h"
#include "bench_peak.h"
#include "check/bind.h"
#include "cpu/cpu.h"

enum { ROUNDS = 9, SIDES = 2 /* the reference, the device */, SWEPT = 64 << 20 };

typedef struct options {
    bool network, tables, peak;
    const char *verb;
    int threads;
} options;

typedef struct bench {
    options options;
    bench_peak peak;
    bcam_check_side side[SIDES];
    char *swept;
} bench;

/* ---- what a case comes to ---- */

static double flop_of(const bcam_check_case *c)
{
    bool backward = c->verb == BCAM_VERB_CONV_BWD || c->verb == BCAM_VERB_GEMM_BWD;
    if (!backward && c->verb != BCAM_VERB_CONV && c->verb != BCAM_VERB_GEMM)
        return 0;
    const bcam_check_operand *y = backward ? &c->in[0] : &c->out[0], *w = &c->in[1];
    return 2.0 * (double)bcam_check_count(y, c->batch, c->k) * (double)bcam_count(w->rank - 1, w->dim + 1);
}

static double bytes_of(const bcam_check_case *c)
{
    double bytes = 0;
    for (int i = 0; i < BCAM_MAX_IN + BCAM_MAX_OUT; i++) {
        const bcam_check_operand *o = i < BCAM_MAX_IN ? &c->in[i] : &c->out[i - BCAM_MAX_IN];
        if (o->present)
            bytes += (double)bcam_check_count(o, c->batch, c->k) * (double)bcam_dtype_bytes(o->dtype);
    }
    bool part = c->verb == BCAM_VERB_COPY && !c->step.u.copy.reshape && !c->step.u.copy.fill;
    if (part) /* of a whole that others write, too */
        bytes = 2.0 * sizeof(float) * (double)bcam_count(c->out[0].rank, c->step.u.copy.extent + 1) * (double)c->batch;
    return bytes;
}

/* ---- timing ---- */

static bcam_status time_run(const bench *b, bcam_program *program, bool cold, double *seconds, bcam_error *err)
{
    static const double SHORTEST = 2e-4;
    bcam_status status = BCAM_OK;
    int runs = 0;
    if (cold)
        for (size_t at = 0; at < SWEPT; at += 64)
            b->swept[at]++;
    double begin = bench_now();
    do {
        status = bcam_cpu_device.run(program, BCAM_SEGMENTS_ALL, 0, err);
        runs++;
        *seconds = (bench_now() - begin) / runs;
    } while (!status && !cold && *seconds * runs < SHORTEST);
    return status;
}

static void print_row(const bench *b, const bcam_check_case *c, const double seconds[SIDES], const char *algorithm)
{
    double flop = flop_of(c), bytes = bytes_of(c);
    printf("%s\t%s\t%.1f\t%.1f\t%.2f\t%.1f\t%.3f\t%.2f\t%.3f\t%s\n", bcam_verb_name(c->verb), c->name, seconds[0] * 1e6,
           seconds[1] * 1e6, seconds[0] / seconds[1], flop / seconds[1] * 1e-9, flop / seconds[1] / b->peak.fp32,
           bytes / seconds[1] * 1e-9, bytes / seconds[1] / bench_peak_bytes(&b->peak), algorithm);
    fflush(stdout);
}

/* Both sides, in turn. */
static bcam_status time_case(const bench *b, const bcam_check_case *c, bool cold, bcam_error *err)
{
    bcam_check_data data;
    bcam_check_bound bound[SIDES] = {0};
    double took[SIDES][ROUNDS], seconds[SIDES];
    bcam_status status = bcam_check_data_init(c, &data, err);
    if (status)
        return status;
    status = bcam_check_fill_data(c, BCAM_FILL_RANDOM, NULL, 1, &data, err);
    for (int side = 0; side < SIDES && !status; side++) {
        status = bcam_check_bind(c, &b->side[side], &data, &bound[side], err);
        if (!status)
            status = bcam_check_compute(&bound[side], &data, err);
    }
    for (int round = 0; round < ROUNDS && !status; round++)
        for (int side = 0; side < SIDES && !status; side++)
            status = time_run(b, bound[side].program, cold, &took[side][round], err);
    for (int side = 0; side < SIDES; side++)
        seconds[side] = bench_median(took[side], ROUNDS);
    if (!status)
        print_row(b, c, seconds, bcam_cpu_device.algorithm(bound[1].program, 0));
    for (int side = 0; side < SIDES; side++)
        bcam_check_unbind(&bound[side]);
    bcam_check_data_fini(&data);
    return status;
}

/* ---- the cases ---- */

static bool is_asked_for(const options *o, bcam_verb verb)
{
    return !o->verb || strcmp(o->verb, bcam_verb_name(verb)) == 0;
}

static bcam_status time_network(const bench *b, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    bcam_check_case c;
    for (size_t i = 0; i < bench_case_count() && !status; i++) {
        bench_case_get(i, &c);
        if (is_asked_for(&b->options, c.verb))
            status = time_case(b, &c, true, err);
    }
    return status;
}

static bcam_status time_tables(const bench *b, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    bcam_check_case c;
    for (int verb = 0; verb < BCAM_VERB_COUNT; verb++)
        for (size_t i = 0;
             is_asked_for(&b->options, (bcam_verb)verb) && i < bcam_check_case_count((bcam_verb)verb) && !status; i++) {
            bcam_check_case_get((bcam_verb)verb, i, &c);
            for (int in = 0; in < BCAM_MAX_IN; in++)
                if (c.in[in].domain == BCAM_DOMAIN_FORWARD) /* any numbers will do */
                    c.in[in].domain = BCAM_DOMAIN_ANY;
            status = time_case(b, &c, false, err);
        }
    return status;
}

/* ---- */

static bool read_options(int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"network", no_argument, NULL, 'n'},       {"tables", no_argument, NULL, 't'},
        {"peak", no_argument, NULL, 'p'},          {"verb", required_argument, NULL, 'v'},
        {"threads", required_argument, NULL, 'T'}, {NULL, 0, NULL, 0}};
    *o = (options){.threads = omp_get_num_procs()};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        o->network |= option == 'n';
        o->tables |= option == 't';
        o->peak |= option == 'p';
        if (option == 'v')
            o->verb = optarg;
        if (option == 'T')
            o->threads = atoi(optarg);
        if (option == '?')
            return false;
    }
    if (!o->network && !o->tables)
        o->network = o->tables = true;
    return optind == argc && o->threads > 0;
}

static void print_peak(const bench_peak *peak)
{
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_real(&json, "threads", peak->threads);
    bench_json_real(&json, "gflops_fp32", peak->fp32 * 1e-9);
    bench_json_real(&json, "gflops_bf16", peak->bf16 * 1e-9);
    bench_json_real(&json, "gbytes", bench_peak_bytes(peak) * 1e-9);
    bench_json_end(&json);
}

static bcam_status open_devices(bench *b, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int side = 0; side < SIDES && !status; side++) {
        bcam_device_options device = {.threads = b->options.threads, .reference = side == 0};
        b->side[side].api = &bcam_cpu_device;
        status = bcam_cpu_device.open(&device, &b->side[side].device, err);
    }
    b->swept = calloc(SWEPT, 1);
    return status || b->swept ? status : bcam_fail_memory(err, SWEPT, "sweeping caches");
}

int main(int argc, char **argv)
{
    bench b = {0};
    bcam_error err = {0};
    if (!read_options(argc, argv, &b.options)) {
        fputs("Usage: bench_verbs [--network | --tables] [--verb NAME] [--threads N]\n"
              "       bench_verbs --peak [--threads N]\n",
              stderr);
        return 2;
    }
    bcam_status status = bench_peak_measure(b.options.threads, &b.peak, &err);
    if (!status)
        print_peak(&b.peak);
    if (!status && !b.options.peak)
        status = open_devices(&b, &err);
    if (!status && !b.options.peak)
        puts("verb\tcase\treference_us\tus\ttimes\tGFLOP/s\tshare\tGB/s\tshare\talgorithm");
    if (!status && !b.options.peak && b.options.network)
        status = time_network(&b, &err);
    if (!status && !b.options.peak && b.options.tables)
        status = time_tables(&b, &err);
    for (int side = 0; side < SIDES; side++)
        if (b.side[side].device)
            bcam_cpu_device.close(&b.side[side].device);
    free(b.swept);
    if (status)
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
    return status ? 1 : 0;
}
