/* bench_plan.c - the steps that a network comes to, with their arithmetic and memory traffic.
 *
 * The engine is built under the device's own table, but for compile: that looks at the plan and ends the building. What is counted is what the
 * device would get. */
#include <stdlib.h>
#include <string.h>

#include "bench_engine.h"

/* What the building is ended with. */
#define SEEN BCAM_E_STOPPED

static struct { /* compile has no argument for it */
    const bcam_device_api *real;
    bench_plan *plan;
    double real_bytes; /* of a stored "real" number */
} look;

static bool is_whole(const bcam_plan *plan)
{
    for (size_t s = 0; s < plan->step_count; s++)
        if (plan->steps[s].segment == BCAM_SEGMENT_FORWARD)
            return true;
    return false;
}

/* The look at one photo that finds constant gradients is a program of backward steps alone; that one has to run. */
static bcam_status spy(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    if (!is_whole(plan))
        return look.real->compile(device, plan, out, err);
    *out = NULL;
    bool *own = NULL;
    bench_step *steps = calloc(plan->step_count + 1, sizeof *steps);
    look.plan->steps = steps;
    bcam_status status = steps ? bcam_plan_own_types(plan, &own, err)
                               : bcam_fail_memory(err, plan->step_count * sizeof *steps, "a list of steps");
    if (status)
        return status;
    look.plan->count = plan->step_count;
    for (size_t s = 0; s < plan->step_count; s++) {
        const bcam_step *step = &plan->steps[s];
        snprintf(steps[s].name, sizeof steps[s].name, "%s", step->name);
        steps[s].verb = bcam_verb_name(step->verb);
        steps[s].segment = step->segment;
        steps[s].flop = bcam_step_flop(plan, step);
        steps[s].bytes = bcam_step_bytes(plan, own, look.real_bytes, step);
    }
    bcam_free(own);
    return bcam_fail(err, SEEN, "the plan was seen");
}

static void note_algorithm(void *data, size_t index, const char *step, const char *verb, const char *algorithm)
{
    bench_plan *plan = data;
    (void)step, (void)verb;
    if (index >= plan->count)
        return;
    snprintf(plan->steps[index].algorithm, sizeof plan->steps[index].algorithm, "%s", algorithm);
    plan->steps[index].alias = strcmp(algorithm, "alias") == 0;
}

/* ---- an engine by hand, under a table of our own ---- */

bcam_status bench_engine_open(const bench_options *o, int batch, const bcam_device_api *api, bcam_engine *e,
                              bcam_error *err)
{
    bcam_graph *graph = NULL;
    bcam_device_options device = {.threads = o->threads, .precision = o->precision, .deterministic = o->deterministic};
    *e = (bcam_engine){.api = api, .options = bench_engine_options(o)};
    e->options.batch = batch;
    e->info.classes = o->classes;
    e->info.layer_count = o->layer_count ? o->layer_count : 1;
    e->info.method_count = 1;
    e->info.pairs = api->pairs;
    e->layers = bcam_pool_alloc(&e->pool, (size_t)e->info.layer_count, sizeof *e->layers);
    bcam_status status = e->layers ? BCAM_OK : bcam_fail_memory(err, sizeof *e->layers, "the layers");
    if (!status)
        status = bcam_method_find("gradcam", &e->methods[0], err);
    if (!status)
        status = bcam_onnx_open(o->model, &graph, err);
    if (!status)
        status = api->open(&device, &e->device, err);
    if (!status)
        status = bcam_engine_build(e, graph, err);
    bcam_onnx_close(&graph);
    if (status)
        bench_engine_close(e);
    return status;
}

void bench_engine_close(bcam_engine *e)
{
    if (e->program)
        e->api->destroy(&e->program);
    if (e->device)
        e->api->close(&e->device);
    bcam_pool_fini(&e->pool);
}

bcam_status bench_plan_read(const bench_options *o, int batch, const bcam_engine *engine, bench_plan *out,
                            bcam_error *err)
{
    bcam_engine e = {0};
    bcam_error why = {0};
    bcam_device_options device = {.precision = o->precision};
    *out = (bench_plan){0};
    look.plan = out;
    if (engine)
        look.real = engine->api;
    bcam_status status = engine ? BCAM_OK : bcam_device_find(o->device, &device, &look.real, err);
    if (status)
        return status;
    bcam_precision precision = o->precision == BCAM_PRECISION_DEFAULT ? look.real->precision : o->precision;
    look.real_bytes = precision == BCAM_PRECISION_FP16 || precision == BCAM_PRECISION_BF16 ? 2 : 4;
    bcam_device_api api = *look.real;
    api.compile = spy;
    status = bench_engine_open(o, batch, &api, &e, &why);
    if (!status)
        bench_engine_close(&e);
    if (status != SEEN) {
        bench_plan_fini(out);
        return bcam_fail(err, status ? status : BCAM_E_INTERNAL, "%s", status ? why.message : "no plan came by");
    }
    if (engine)
        bcam_engine_algorithms(engine, note_algorithm, out);
    return BCAM_OK;
}

void bench_plan_fini(bench_plan *plan)
{
    free(plan->steps);
    *plan = (bench_plan){0};
}

double bench_step_limit(const bench_step *step, double flops, double bytes_a_second)
{
    double arithmetic = step->flop / flops, moving = step->bytes / bytes_a_second;
    return step->alias ? 0 : arithmetic > moving ? arithmetic : moving;
}
