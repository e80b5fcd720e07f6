/* bench_net.c - a network's maps a second: bytes in pinned memory to maps in pinned memory, as many batches under way as the device takes.
 *
 *   bench_net MODEL.onnx --device cuda --precision fp16 --batch 256            rounds, and their median
 *   bench_net MODEL.onnx … --contestant                                        part of an interleaved comparison (bench.h)
 *   bench_net MODEL.onnx … --segments | --steps | --roofline 798 3.0           see --help
 *
 * Before each round every pair's pixels are filled with other random bytes, outside the clock. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cpu/program.h"
#include "run/engine.h"

typedef struct net {
    bench_options options;
    bcam_engine *engine;
    bcam_engine_info info;
    bcam_layer_info layer;
    double ready_seconds;
    uint64_t random;
} net;

/* ---- running ---- */

static bcam_status start(net *n, int pair, bcam_error *err)
{
    bcam_batch batch = {.count = n->info.batch, .pixels = bcam_engine_pixels(n->engine, pair)};
    return bcam_engine_start(n->engine, &batch, pair, err);
}

static bcam_status finish(net *n, int pair, bcam_error *err)
{
    bcam_map map;
    bcam_status status = bcam_engine_finish(n->engine, pair, err);
    return status ? status : bcam_engine_map(n->engine, 0, 0, n->info.batch - 1, 0, &map, err);
}

/* Fills the pixels, then runs about `seconds` long, at least one batch a pair; *took is from the first start to the last result. */
static bcam_status go(net *n, double seconds, double *images, double *took, bcam_error *err)
{
    size_t bytes = (size_t)n->info.batch * (size_t)n->info.height * (size_t)n->info.width * 3;
    bcam_status status = BCAM_OK;
    int pairs = n->info.pairs;
    *images = 0;
    for (int pair = 0; pair < pairs; pair++)
        bench_random_bytes(bcam_engine_pixels(n->engine, pair), bytes, &n->random);
    double begin = bench_now();
    for (int pair = 0; pair < pairs && !status; pair++)
        status = start(n, pair, err);
    int pair = 0;
    for (; !status && bench_now() - begin < seconds; pair = (pair + 1) % pairs) {
        status = finish(n, pair, err);
        *images += n->info.batch;
        if (!status)
            status = start(n, pair, err);
    }
    for (int left = 0; left < pairs && !status; left++) {
        status = finish(n, (pair + left) % pairs, err);
        *images += n->info.batch;
    }
    *took = bench_now() - begin;
    return status;
}

/* Every pair often enough that nothing more is loaded, captured or chosen afterwards. */
static bcam_status warm_up(net *n, bcam_error *err)
{
    double images, took;
    bcam_status status = BCAM_OK;
    for (int i = 0; i < 4 && !status; i++)
        status = go(n, 0, &images, &took, err);
    return status;
}

/* Every multiplication that the arithmetic counts: products over pixels, or oneDNN's own convolutions. Weights that are written again have their
 * steps prepared again. */
static bcam_status do_directly(net *n, bcam_error *err)
{
    const bcam_device_api *api = n->engine->api;
    bcam_program *program = n->engine->program;
    bcam_status status = BCAM_OK;
    if (api != &bcam_cpu_device)
        return bcam_fail(err, BCAM_E_ARGUMENT, "--direct is for the CPU");
    bcam_cpu_dnnl_force(bcam_cpu_context(program->device), BCAM_CPU_PRODUCT);
    for (size_t v = 0; v < program->place.value_count && !status; v++) {
        const bcam_tensor *t = &program->place.tensors[v];
        if (program->place.values[v].role != BCAM_ROLE_CONST || t->rank != 4 || !t->data)
            continue;
        float *weights = malloc((size_t)bcam_count(4, t->dim) * sizeof *weights);
        status = weights ? api->read(program, (int)v, BCAM_F32, weights, err)
                         : bcam_fail_memory(err, (size_t)bcam_count(4, t->dim), "weights");
        if (!status)
            status = api->write(program, (int)v, BCAM_F32, weights, err);
        free(weights);
    }
    return status;
}

static bcam_status open_net(net *n, bcam_error *err)
{
    double begin = bench_now();
    bcam_engine_options options = bench_engine_options(&n->options);
    n->random = 0x2545f4914f6cdd1du;
    bcam_status status = bcam_engine_open(n->options.model, &options, &n->engine, err);
    if (!status)
        status = bcam_engine_get_info(n->engine, &n->info, err);
    if (!status)
        status = bcam_engine_get_layer(n->engine, 0, &n->layer, err);
    if (!status && n->options.direct)
        status = do_directly(n, err);
    if (!status)
        status = warm_up(n, err);
    n->ready_seconds = bench_now() - begin;
    return status;
}

static void print_facts(const net *n)
{
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "name", n->options.name);
    bench_json_text(&json, "version", BCAM_VERSION_STRING);
    bench_json_text(&json, "model", n->options.model);
    bench_json_text(&json, "layer", n->layer.name);
    bench_json_text(&json, "constant_gradient", n->layer.constant_gradient ? "yes" : "no");
    bench_json_real(&json, "batch", n->info.batch);
    bench_json_real(&json, "classes", n->info.classes);
    bench_json_real(&json, "map_height", n->info.map_height);
    bench_json_text(&json, "device", n->info.device);
    bench_json_text(&json, "precision", bcam_engine_precision(n->engine));
    bench_json_real(&json, "ready_seconds", n->ready_seconds);
    bench_json_real(&json, "device_bytes", (double)bcam_engine_bytes(n->engine));
    bench_json_end(&json);
}

static bcam_status contest(net *n, bcam_error *err)
{
    char line[64];
    bcam_status status = BCAM_OK;
    while (!status && fgets(line, sizeof line, stdin)) {
        double seconds, images, took;
        if (sscanf(line, "go %lf", &seconds) != 1)
            continue;
        status = go(n, seconds, &images, &took, err);
        if (status)
            break;
        bench_json json;
        bench_json_begin(&json, stdout);
        bench_json_real(&json, "images", images);
        bench_json_real(&json, "seconds", took);
        bench_json_end(&json);
    }
    return status;
}

/* Images a second, the median of the rounds. */
static bcam_status rate(net *n, double *out, bcam_error *err)
{
    double *rates = calloc((size_t)n->options.rounds, sizeof *rates);
    bcam_status status = rates ? BCAM_OK : bcam_fail_memory(err, 8, "rounds");
    for (int r = 0; r < n->options.rounds && !status; r++) {
        double images, took;
        status = go(n, n->options.seconds, &images, &took, err);
        if (!status)
            rates[r] = images / took;
    }
    *out = rates ? bench_median(rates, (size_t)n->options.rounds) : 0;
    free(rates);
    return status;
}

/* ---- segments ---- */

static const char *const segment_names[] = {"resize", "prep", "forward", "backward", "cam"};

/* Runs of one segment on one pair after another; copies of what it reads and writes are part of it. */
static bcam_status time_segment(net *n, unsigned mask, double *out, bcam_error *err)
{
    enum { RUNS = 16, ROUNDS = 9 };
    double took[ROUNDS];
    const bcam_device_api *api = n->engine->api;
    bcam_program *program = n->engine->program;
    bcam_status status = BCAM_OK;
    for (int r = -1; r < ROUNDS && !status; r++) {
        double begin = bench_now();
        for (int i = 0; i < RUNS && !status; i++) {
            int pair = i % n->info.pairs;
            status = api->run(program, mask, pair, err);
            if (!status && n->info.pairs == 1)
                status = api->wait(program, pair, err);
        }
        for (int pair = 0; pair < n->info.pairs && !status; pair++)
            status = api->wait(program, pair, err);
        if (r >= 0)
            took[r] = (bench_now() - begin) / RUNS;
    }
    *out = bench_median(took, ROUNDS);
    return status;
}

static bcam_status print_segments(net *n, bcam_error *err)
{
    double each[BCAM_SEGMENT_COUNT] = {0}, whole = 0, sum = 0;
    bcam_status status = time_segment(n, BCAM_SEGMENTS_ALL, &whole, err);
    for (int s = 0; s < BCAM_SEGMENT_COUNT && !status; s++) {
        status = time_segment(n, BCAM_SEGMENT_BIT(s), &each[s], err);
        sum += each[s];
    }
    if (status)
        return status;
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "layer", n->layer.name);
    for (int s = 0; s < BCAM_SEGMENT_COUNT; s++)
        bench_json_real(&json, segment_names[s], each[s]);
    bench_json_real(&json, "all", whole);
    bench_json_real(&json, "cam_share_of_sum", each[BCAM_SEGMENT_CAM] / sum);
    bench_json_text(&json, "note", "seconds a batch, copies of each segment's inputs and results included");
    bench_json_end(&json);
    return BCAM_OK;
}

/* ---- steps and their limit ---- */

enum { STEP_ROUNDS = 9 };

/* Seconds of each step, the median of whole rounds: what a step finds in the caches is what it finds in a run. The CPU's steps alone can be
 * clocked from here; elsewhere all are NAN. */
static bcam_status time_steps(net *n, size_t count, double *seconds, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    bool on_cpu = n->engine->api == &bcam_cpu_device;
    double *took = calloc(count * STEP_ROUNDS + 1, sizeof *took);
    if (!took)
        return bcam_fail_memory(err, count * STEP_ROUNDS, "the steps' times");
    for (int round = 0; round < STEP_ROUNDS && on_cpu && !status; round++) {
        memset(seconds, 0, count * sizeof *seconds);
        bcam_cpu_time_steps(n->engine->program, seconds);
        status = n->engine->api->run(n->engine->program, BCAM_SEGMENTS_ALL, 0, err);
        for (size_t s = 0; s < count; s++)
            took[s * STEP_ROUNDS + (size_t)round] = seconds[s];
    }
    if (on_cpu)
        bcam_cpu_time_steps(n->engine->program, NULL);
    for (size_t s = 0; s < count; s++)
        seconds[s] = on_cpu ? bench_median(took + s * STEP_ROUNDS, STEP_ROUNDS) : NAN;
    free(took);
    return status;
}

static void print_steps(const bench_plan *plan, const double *seconds)
{
    double sum = 0;
    printf("step\tsegment\tverb\tms\tGFLOP\tMB\tGFLOP/s\tGB/s\talgorithm\tname\n");
    for (size_t s = 0; s < plan->count; s++) {
        const bench_step *step = &plan->steps[s];
        printf("%zu\t%s\t%s\t%.4f\t%.4f\t%.4f\t%.1f\t%.2f\t%s\t%s\n", s, segment_names[step->segment], step->verb,
               seconds[s] * 1e3, step->flop * 1e-9, step->bytes * 1e-6,
               step->alias ? 0 : step->flop / seconds[s] * 1e-9, step->alias ? 0 : step->bytes / seconds[s] * 1e-9,
               step->algorithm, step->name);
        sum += seconds[s];
    }
    printf("all\t\t\t%.4f\n", sum * 1e3);
}

static bcam_status measure_steps(net *n, const bench_plan *plan, bcam_error *err)
{
    double *seconds = calloc(plan->count + 1, sizeof *seconds);
    bcam_status status = seconds ? BCAM_OK : bcam_fail_memory(err, plan->count, "the steps' times");
    if (!status)
        status = time_steps(n, plan->count, seconds, err);
    if (!status)
        print_steps(plan, seconds);
    free(seconds);
    return status;
}

static bcam_status print_roofline(net *n, const bench_plan *plan, bcam_error *err)
{
    double limit = 0, flop = 0, bytes = 0, measured = 0;
    for (size_t s = 0; s < plan->count; s++) {
        limit += bench_step_limit(&plan->steps[s], n->options.tflops * 1e12, n->options.tbps * 1e12);
        flop += plan->steps[s].flop;
        bytes += plan->steps[s].alias ? 0 : plan->steps[s].bytes;
    }
    bcam_status status = rate(n, &measured, err);
    if (status)
        return status;
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_real(&json, "tflops", n->options.tflops);
    bench_json_real(&json, "tbps", n->options.tbps);
    bench_json_real(&json, "gflop_an_image", flop * 1e-9 / n->info.batch);
    bench_json_real(&json, "mb_an_image", bytes * 1e-6 / n->info.batch);
    bench_json_real(&json, "limit_images_a_second", n->info.batch / limit);
    bench_json_real(&json, "measured_images_a_second", measured);
    bench_json_real(&json, "share", measured * limit / n->info.batch);
    bench_json_end(&json);
    return BCAM_OK;
}

/* ---- */

static bcam_status measure(net *n, bcam_error *err)
{
    const bench_options *o = &n->options;
    bench_plan plan = {0};
    double images = 0;
    bcam_status status = BCAM_OK;
    print_facts(n);
    if (o->contestant)
        return contest(n, err);
    if (o->steps || o->roofline)
        status = bench_plan_read(o, n->info.batch, n->engine, &plan, err);
    if (!status && o->steps)
        status = measure_steps(n, &plan, err);
    if (!status && o->roofline)
        status = print_roofline(n, &plan, err);
    bench_plan_fini(&plan);
    if (!status && o->segments)
        status = print_segments(n, err);
    if (status || o->steps || o->roofline || o->segments)
        return status;
    status = rate(n, &images, err);
    if (!status) {
        bench_json json;
        bench_json_begin(&json, stdout);
        bench_json_real(&json, "images_a_second", images);
        bench_json_end(&json);
    }
    return status;
}

int main(int argc, char **argv)
{
    net n = {0};
    bcam_error err = {0};
    int exit_status = 0;
    if (!bench_options_read(argc, argv, &n.options, &exit_status))
        return exit_status;
    bcam_status status = open_net(&n, &err);
    if (!status)
        status = measure(&n, &err);
    if (status) {
        bench_json json;
        bench_json_begin(&json, stdout);
        bench_json_text(&json, "error", err.message);
        bench_json_end(&json);
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
    }
    bcam_engine_close(&n.engine);
    return status ? 1 : 0;
}
