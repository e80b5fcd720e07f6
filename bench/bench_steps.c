/* bench_steps.c - on a card: the time of each step of a network, as they follow one another, between events of the card's own. A table, then one JSON
 * object with the time of each segment.
 *
 *   bench_steps MODEL.onnx --precision fp16 --batch 256 [--layer NAME] [--classes K] [--roofline TFLOPS TBPS]
 *
 * The events between steps keep them apart, so that the sum is a little more than a batch takes. */
#include <stdlib.h>
#include <string.h>

#include "bench_cuda.h"
#include "bench_engine.h"
#include "cuda/cuda.h"

enum { ROUNDS = 25 };
static const char *const segment_names[] = {"resize", "prep", "forward", "backward", "cam"};

/* Random pixels, and the classes of highest rank asked for. */
static bcam_status fill(bcam_engine *e, const bench_options *o, bcam_error *err)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    const bcam_device_api *api = e->api;
    uint8_t *pixels = e->pixels >= 0 ? api->host(e->program, e->pixels, 0) : NULL;
    int32_t *request = api->host(e->program, e->selection.request, 0);
    int32_t *first = api->host(e->program, e->selection.first, 0);
    if (!pixels || !request || !first)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "the model's input is not RGB, and pixels are what is measured");
    bench_random_bytes(pixels, (size_t)e->info.batch * (size_t)e->info.height * (size_t)e->info.width * 3, &state);
    for (int i = 0; i < e->info.batch * o->classes; i++)
        request[i] = BCAM_CLASS_RANK(i % o->classes);
    *first = 0;
    bcam_status status = BCAM_OK;
    for (int i = 0; i < 3 && !status; i++) {
        status = api->run(e->program, BCAM_SEGMENTS_ALL, 0, err);
        if (!status)
            status = api->wait(e->program, 0, err);
    }
    return status;
}

/* One round: an event before each step and one behind the last; what a step took goes to took[step * ROUNDS + round]. */
static bcam_status run_round(bcam_program *p, cudaEvent_t *events, double *took, int round, bcam_error *err)
{
    cudaStream_t stream = p->device->compute;
    size_t count = p->place.step_count;
    bcam_status status = BCAM_OK;
    for (size_t s = 0; s < count && !status; s++) {
        bench_cuda_check(cudaEventRecord(events[s], stream), "an event");
        if (!p->place.alias[s])
            status = bcam_cuda_step(p, (int)s, 0, err);
    }
    if (status)
        return status;
    bench_cuda_check(cudaEventRecord(events[count], stream), "an event");
    bench_cuda_check(cudaStreamSynchronize(stream), "waiting for a round");
    for (size_t s = 0; s < count; s++) {
        float ms = 0;
        bench_cuda_check(cudaEventElapsedTime(&ms, events[s], events[s + 1]), "an event's time");
        took[s * ROUNDS + (size_t)round] = (double)ms * 1e-3;
    }
    return BCAM_OK;
}

static void print(const bench_options *o, const bench_plan *plan, double *took, int batch)
{
    double segment[BCAM_SEGMENT_COUNT] = {0}, limits = 0, sum = 0;
    printf("step\tsegment\tverb\tus\tGFLOP\tMB\tTFLOP/s\tGB/s\tlimit_us\tshare\talgorithm\tname\n");
    for (size_t s = 0; s < plan->count; s++) {
        const bench_step *step = &plan->steps[s];
        double seconds = step->alias ? 0 : bench_median(took + s * ROUNDS, ROUNDS);
        double limit = o->roofline ? bench_step_limit(step, o->tflops * 1e12, o->tbps * 1e12) : 0;
        segment[step->segment] += seconds;
        limits += limit;
        sum += seconds;
        printf("%zu\t%s\t%s\t%.2f\t%.4f\t%.4f\t%.1f\t%.0f\t%.2f\t%.3f\t%s\t%s\n", s, segment_names[step->segment],
               step->verb, seconds * 1e6, step->flop * 1e-9, step->bytes * 1e-6,
               seconds > 0 ? step->flop / seconds * 1e-12 : 0, seconds > 0 ? step->bytes / seconds * 1e-9 : 0,
               limit * 1e6, seconds > 0 ? limit / seconds : 0, step->algorithm, step->name);
    }
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "model", o->model);
    bench_json_real(&json, "batch", batch);
    for (int s = 0; s < BCAM_SEGMENT_COUNT; s++)
        bench_json_real(&json, segment_names[s], segment[s]);
    bench_json_real(&json, "sum", sum);
    bench_json_real(&json, "cam_share", segment[BCAM_SEGMENT_CAM] / sum);
    bench_json_real(&json, "roofline_share", o->roofline ? limits / sum : 0);
    bench_json_end(&json);
}

static bcam_status measure(const bench_options *o, bcam_engine *e, bcam_error *err)
{
    bench_plan plan = {0};
    bcam_program *p = e->program;
    size_t count = p->place.step_count;
    cudaEvent_t *events = calloc(count + 1, sizeof *events);
    double *took = calloc(count * ROUNDS + 1, sizeof *took);
    bcam_status status = events && took ? fill(e, o, err) : bcam_fail_memory(err, count, "events");
    for (size_t i = 0; !status && i <= count; i++)
        bench_cuda_check(cudaEventCreateWithFlags(&events[i], cudaEventDefault), "making an event");
    for (int r = 0; r < ROUNDS && !status; r++)
        status = run_round(p, events, took, r, err);
    if (!status)
        status = bench_plan_read(o, e->info.batch, e, &plan, err);
    if (!status && plan.count != count)
        status = bcam_fail(err, BCAM_E_INTERNAL, "%zu steps were planned and %zu compiled", plan.count, count);
    if (!status)
        print(o, &plan, took, e->info.batch);
    for (size_t i = 0; events && i <= count; i++)
        if (events[i])
            cudaEventDestroy(events[i]);
    bench_plan_fini(&plan);
    free(events);
    free(took);
    return status;
}

int main(int argc, char **argv)
{
    bench_options options;
    bcam_engine engine = {0};
    bcam_error err = {0};
    int exit_status = 0;
    if (!bench_options_read(argc, argv, &options, &exit_status))
        return exit_status;
    bcam_status status = bcam_cuda_device.probe(&err);
    if (!status)
        status = bench_engine_open(&options, options.batch, &bcam_cuda_device, &engine, &err);
    if (!status) {
        status = measure(&options, &engine, &err);
        bench_engine_close(&engine);
    }
    if (status)
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
    return status ? 1 : 0;
}
