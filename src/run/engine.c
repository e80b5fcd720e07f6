/* engine.c - opening and closing an engine, and what it is. */
#include "run/engine.h"

#include <string.h>

static bool has_all(const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (!names || !names[i])
            return false;
    return true;
}

static bcam_status check_choices(const bcam_engine_options *o, bcam_error *err)
{
    if (o->map_dtype != BCAM_F32 && o->map_dtype != BCAM_F16 && o->map_dtype != BCAM_U8)
        return bcam_fail(err, BCAM_E_ARGUMENT, "maps can be float32, float16 or uint8");
    if (o->signed_maps && o->map_dtype == BCAM_U8)
        return bcam_fail(err, BCAM_E_ARGUMENT, "signed maps cannot be uint8; choose float32 or float16");
    if (o->map_size != BCAM_SIZE_INPUT && o->map_size != BCAM_SIZE_NATIVE)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no map size %d; choose input or native", (int)o->map_size);
    if ((unsigned)o->activation > BCAM_ACTIVATION_NONE)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no activation %d; choose softmax, sigmoid or none",
                         (int)o->activation);
    if ((unsigned)o->score > BCAM_SCORE_PROBABILITY)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no score %d; choose logit or probability", (int)o->score);
    if (o->score == BCAM_SCORE_PROBABILITY && o->activation == BCAM_ACTIVATION_NONE)
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "with activation none there is no probability to explain; choose score logit, or activation "
                         "softmax or sigmoid");
    if (o->precision == BCAM_PRECISION_FP64)
        return bcam_fail(err, BCAM_E_ARGUMENT, "precision fp64 is there for self-tests only; choose fp32");
    if (o->precision == BCAM_PRECISION_AUTO)
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "precision auto is found out on the photos of a run; choose fp32, tf32, bf16 or fp16");
    if ((unsigned)o->precision > BCAM_PRECISION_AUTO)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no precision %d; choose fp32, tf32, bf16 or fp16",
                         (int)o->precision);
    return BCAM_OK;
}

static bcam_status check_options(const bcam_engine_options *o, bcam_error *err)
{
    if (o->batch < 0 || o->batch > 4096)
        return bcam_fail(err, BCAM_E_ARGUMENT, "a batch of %d will not do; 1 to 4096", o->batch);
    if (o->threads < 0 || o->threads > 1024)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%d threads will not do; 1 to 1024", o->threads);
    if (o->layer_count < 0 || o->layer_count > BCAM_MAX_LAYERS)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%d target layers are too many; at most %d", o->layer_count,
                         BCAM_MAX_LAYERS);
    if (o->method_count < 0 || o->method_count > BCAM_MAX_METHODS)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%d methods are too many; at most %d", o->method_count,
                         BCAM_MAX_METHODS);
    if (o->classes < 0 || o->classes > 1 << 20)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%d classes per photo will not do", o->classes);
    if (!has_all(o->layers, o->layer_count))
        return bcam_fail(err, BCAM_E_ARGUMENT, "layer_count is %d, and a layer's name is missing", o->layer_count);
    if (!has_all(o->methods, o->method_count))
        return bcam_fail(err, BCAM_E_ARGUMENT, "method_count is %d, and a method's name is missing", o->method_count);
    return check_choices(o, err);
}

static bcam_status choose_methods(bcam_engine *e, bcam_error *err)
{
    static const char *const usual[] = {"gradcam"};
    const char *const *names = e->options.method_count ? e->options.methods : usual;
    e->info.method_count = e->options.method_count ? e->options.method_count : 1;
    bcam_status status = BCAM_OK;
    for (int m = 0; status == BCAM_OK && m < e->info.method_count; m++)
        status = bcam_method_find(names[m], &e->methods[m], err);
    return status;
}

static bcam_status open_device(bcam_engine *e, bcam_error *err)
{
    bcam_device_options o = {.threads = e->options.threads,
                             .precision = e->options.precision,
                             .deterministic = e->options.deterministic,
                             .log = e->log};
    bcam_status status = bcam_device_find(e->options.device, &o, &e->api, err);
    if (status == BCAM_OK)
        status = e->api->open(&o, &e->device, err);
    if (status == BCAM_OK) {
        strncpy(e->device_name, e->api->describe(e->device), sizeof e->device_name - 1);
        e->info.device = e->device_name;
    }
    return status;
}

/* ---- where results lie ---- */

/* Of a value of K times N items: the device's own memory or, where only a chunk of the K is there at a time, a copy for all. NULL for no value. */
static void *results_of(bcam_engine *e, int pair, int value, int64_t item, size_t size, bool *fits)
{
    if (value < 0)
        return NULL;
    void *found = e->chunks == 1
                      ? e->api->host(e->program, value, pair)
                      : bcam_pool_alloc(&e->pool, (size_t)(e->info.classes * (int64_t)e->info.batch * item), size);
    *fits &= found != NULL;
    return found;
}

static bool place_found(bcam_engine *e, int pair, int layer, int method)
{
    const bcam_target *target = &e->layers[layer].target;
    const bcam_cam_maps *value = &e->layers[layer].maps[method];
    int64_t input_area = (int64_t)e->info.height * e->info.width, area = (int64_t)target->height * target->width;
    int64_t given = e->options.map_size == BCAM_SIZE_INPUT ? input_area : area;
    bool fits = true;
    *bcam_engine_find(e, pair, layer, method) = (bcam_engine_found){
        .given = results_of(e, pair, value->given, given, bcam_dtype_bytes(e->options.map_dtype), &fits),
        .range = results_of(e, pair, value->range, 2, sizeof(float), &fits),
        .picture = results_of(e, pair, value->picture, 3 * input_area, 1, &fits),
        .raw = results_of(e, pair, value->raw, area, sizeof(float), &fits),
        .weights = results_of(e, pair, value->weights, target->channels, sizeof(float), &fits)};
    return fits;
}

static bool place_pair(bcam_engine *e, int pair)
{
    bcam_engine_pair *on = &e->pair[pair];
    bool fits = true;
    on->ids = results_of(e, pair, e->selection.ids, 1, sizeof *on->ids, &fits);
    on->logit = results_of(e, pair, e->selection.logit, 1, sizeof *on->logit, &fits);
    on->probability = results_of(e, pair, e->selection.probability, 1, sizeof *on->probability, &fits);
    on->nan = bcam_pool_alloc(&e->pool, (size_t)e->info.batch, sizeof *on->nan);
    on->found = bcam_pool_alloc(&e->pool, (size_t)(e->info.layer_count * e->info.method_count), sizeof *on->found);
    fits &= on->nan && on->found;
    for (int i = 0; fits && i < e->info.layer_count * e->info.method_count; i++)
        fits = place_found(e, pair, i / e->info.method_count, i % e->info.method_count);
    return fits;
}

static bcam_status place_results(bcam_engine *e, bcam_error *err)
{
    int64_t input_area = (int64_t)e->info.height * e->info.width;
    e->staging =
        bcam_pool_alloc(&e->pool, (size_t)(e->info.batch * (int64_t)e->info.channels * input_area), sizeof *e->staging);
    bool fits = e->staging;
    e->info.pairs = e->api->pairs;
    e->shown = e->last = -1;
    for (int pair = 0; fits && pair < e->info.pairs; pair++)
        fits = place_pair(e, pair);
    return fits ? BCAM_OK
                : bcam_fail(err, BCAM_E_MEMORY,
                            "out of memory for the maps of %d photos and %d classes; take a smaller batch",
                            e->info.batch, e->info.classes);
}

bcam_status bcam_engine_make(const char *model, const bcam_engine_options *options, bcam_engine_extras extras,
                             bcam_engine **out, bcam_error *err)
{
    if (!out)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no place for the engine");
    *out = NULL;
    if (!model)
        return bcam_fail(err, BCAM_E_ARGUMENT, "name a model (an ONNX file)");
    bcam_graph *graph = NULL;
    bcam_engine *e = bcam_alloc(1, sizeof *e);
    if (!e)
        return bcam_fail_memory(err, sizeof *e, "the engine");
    if (options)
        e->options = *options;
    e->options.batch = e->options.batch ? e->options.batch : BCAM_USUAL_BATCH;
    e->info.classes = e->options.classes ? e->options.classes : 1;
    e->info.layer_count = e->options.layer_count ? e->options.layer_count : 1;
    e->log = (bcam_log){e->options.log, e->options.log_data};
    e->extras = extras;
    e->photos = -1;
    bcam_status status = check_options(&e->options, err);
    if (status == BCAM_OK)
        status = choose_methods(e, err);
    if (status == BCAM_OK && !(e->layers = bcam_pool_alloc(&e->pool, (size_t)e->info.layer_count, sizeof *e->layers)))
        status = bcam_fail_memory(err, sizeof *e->layers, "the layers");
    if (status == BCAM_OK)
        status = bcam_model_open(model, e->options.output, e->options.preprocess, &graph, err);
    if (status == BCAM_OK)
        status = open_device(e, err);
    if (status == BCAM_OK)
        status = bcam_engine_build(e, graph, err);
    if (status == BCAM_OK)
        status = place_results(e, err);
    bcam_onnx_close(&graph);
    bool native = e->options.map_size == BCAM_SIZE_NATIVE && e->layers;
    e->info.map_height = native ? e->layers[0].target.height : e->info.height;
    e->info.map_width = native ? e->layers[0].target.width : e->info.width;
    if (status != BCAM_OK)
        bcam_engine_close(&e);
    *out = e;
    return status;
}

bcam_status bcam_engine_open(const char *model, const bcam_engine_options *options, bcam_engine **out, bcam_error *err)
{
    return bcam_engine_make(model, options, (bcam_engine_extras){0}, out, err);
}

void bcam_engine_close(bcam_engine **engine)
{
    bcam_engine *e = engine ? *engine : NULL;
    if (!e)
        return;
    if (e->program)
        e->api->destroy(&e->program);
    if (e->device)
        e->api->close(&e->device);
    bcam_pool_fini(&e->pool);
    bcam_free(e);
    *engine = NULL;
}

bcam_status bcam_engine_get_info(const bcam_engine *engine, bcam_engine_info *info, bcam_error *err)
{
    if (!engine || !info)
        return bcam_fail(err, BCAM_E_ARGUMENT, "bcam_engine_get_info needs an engine and a place for the facts");
    *info = engine->info;
    return BCAM_OK;
}

bcam_status bcam_engine_get_layer(const bcam_engine *engine, int layer, bcam_layer_info *info, bcam_error *err)
{
    if (!engine || !info || layer < 0 || layer >= engine->info.layer_count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no layer %d in this engine", layer);
    const bcam_engine_layer *l = &engine->layers[layer];
    *info = (bcam_layer_info){l->target.name,   l->target.tensor, l->target.note, l->target.channels,
                              l->target.height, l->target.width,  l->constant};
    return BCAM_OK;
}

const bcam_recipe *bcam_engine_recipe(const bcam_engine *engine)
{
    return &engine->recipe;
}

const char *bcam_engine_method(const bcam_engine *engine, int method)
{
    return engine->methods[method]->name;
}

const char *bcam_precision_name(bcam_precision precision)
{
    static const char *const names[] = {
        [BCAM_PRECISION_FP32] = "fp32", [BCAM_PRECISION_FP64] = "fp64", [BCAM_PRECISION_TF32] = "tf32",
        [BCAM_PRECISION_BF16] = "bf16", [BCAM_PRECISION_FP16] = "fp16",
    };
    return names[precision];
}

const char *bcam_engine_precision(const bcam_engine *engine)
{
    bcam_precision asked = engine->options.precision;
    return bcam_precision_name(asked == BCAM_PRECISION_DEFAULT ? engine->api->precision : asked);
}

double bcam_engine_seconds(const bcam_engine *engine, double *each)
{
    double sum = 0;
    for (int i = 0; i < BCAM_SEGMENT_COUNT; i++) {
        sum += engine->seconds[i];
        if (each)
            each[i] = engine->seconds[i];
    }
    return sum;
}

size_t bcam_engine_bytes(const bcam_engine *engine)
{
    return engine->api->bytes(engine->program);
}

void bcam_engine_algorithms(const bcam_engine *engine, bcam_algorithm_fn fn, void *data)
{
    for (size_t s = 0; s < engine->step_count; s++)
        fn(data, s, engine->steps[s].name, engine->steps[s].verb, engine->api->algorithm(engine->program, s));
}

/* The runs of all K repeat what comes behind the forward pass; a step that only looks at memory otherwise moves nothing. Resizing is not the network's. */
bcam_engine_work bcam_engine_get_work(const bcam_engine *e)
{
    bcam_engine_work work = {0};
    for (size_t s = 0; s < e->step_count; s++) {
        const struct bcam_step_name *step = &e->steps[s];
        double runs = step->segment == BCAM_SEGMENT_RESIZE ? 0 : step->segment >= BCAM_SEGMENT_BACKWARD ? e->chunks : 1;
        work.flop += runs * step->flop / e->info.batch;
        if (strcmp(e->api->algorithm(e->program, s), "alias") != 0)
            work.bytes += runs * step->bytes / e->info.batch;
        work.convs += step->conv && step->segment == BCAM_SEGMENT_FORWARD;
        work.convs_backward += step->conv && step->segment == BCAM_SEGMENT_BACKWARD;
    }
    return work;
}
