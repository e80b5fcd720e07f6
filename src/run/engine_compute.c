/* engine_compute.c - a batch through an engine, and reading what came out. */
#include <math.h>
#include <string.h>

#include "run/engine.h"

/* ---- in ---- */

static bcam_status check_batch(const bcam_engine *e, const bcam_batch *b, bcam_error *err)
{
    if (!e || !b)
        return bcam_fail(err, BCAM_E_ARGUMENT, "bcam_engine_compute needs an engine and a batch");
    if (b->count < 1 || b->count > e->info.batch)
        return bcam_fail(err, BCAM_E_ARGUMENT, "a batch must have 1 to %d photos, not %d", e->info.batch, b->count);
    if (!b->pixels == !b->input)
        return bcam_fail(err, BCAM_E_ARGUMENT, "a batch has either pixels or input, not both and not neither");
    if (b->pixels && e->pixels < 0)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "the model's input has %d channel; pixels need 3, give `input` instead", e->info.channels);
    for (int i = 0; b->classes && i < b->count * e->info.classes; i++)
        if (b->classes[i] >= e->info.class_count)
            return bcam_fail(err, BCAM_E_CLASS, "class %d of photo %d is not there; the model has classes 0 to %d",
                             b->classes[i], i / e->info.classes, e->info.class_count - 1);
    return BCAM_OK;
}

/* Photos of a batch beyond the ones that are there repeat the last one; nothing is asked of them. */
static void fill_requests(bcam_engine *e, const bcam_batch *b)
{
    int32_t *request = e->api->host(e->program, e->selection.request, 0);
    int k = e->info.classes;
    for (int n = 0; n < e->info.batch; n++)
        for (int i = 0; i < k; i++)
            request[n * k + i] = n >= b->count ? BCAM_CLASS_NONE
                                 : b->classes  ? b->classes[n * k + i]
                                               : BCAM_CLASS_RANK(i);
}

static void fill_pixels(bcam_engine *e, const bcam_batch *b)
{
    uint8_t *pixels = bcam_engine_pixels(e);
    size_t item = (size_t)e->info.height * (size_t)e->info.width * 3;
    if (b->pixels != pixels)
        memcpy(pixels, b->pixels, item * (size_t)b->count);
    for (int n = b->count; n < e->info.batch; n++)
        memcpy(pixels + item * (size_t)n, pixels + item * (size_t)(b->count - 1), item);
}

static bcam_status fill_input(bcam_engine *e, const bcam_batch *b, bcam_error *err)
{
    size_t c = (size_t)e->info.channels, area = (size_t)e->info.height * (size_t)e->info.width, item = c * area;
    for (int n = 0; n < e->info.batch; n++) {
        const float *from = b->input + item * (size_t)(n < b->count ? n : b->count - 1);
        float *to = e->staging + item * (size_t)n;
        for (size_t i = 0; i < item; i++) {
            to[e->nhwc ? i % c * area + i / c : i] = from[i];
            e->nan[n] |= isnan(from[i]);
        }
    }
    return e->api->write(e->program, e->input, BCAM_F32, e->staging, err);
}

/* ---- NaN: a device's fast ReLU may turn it into 0. What a photo with NaN in its input comes to is NaN on every device. ---- */

static void spoil(float *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = NAN;
}

static void spoil_given(const bcam_engine *e, void *given, size_t area)
{
    bcam_dtype dtype = e->options.map_dtype;
    for (size_t i = 0; dtype == BCAM_F16 && i < area; i++)
        ((uint16_t *)given)[i] = bcam_f32_to_f16(NAN);
    if (dtype == BCAM_F32)
        spoil(given, area);
    else if (dtype == BCAM_U8)
        memset(given, 0, area);
}

/* One map of a layer and method: place kn of what was gathered. */
static void spoil_map(const bcam_engine *e, const bcam_engine_layer *layer, const bcam_engine_maps *maps, size_t kn)
{
    size_t area = (size_t)layer->target.height * (size_t)layer->target.width,
           input_area = (size_t)e->info.height * (size_t)e->info.width;
    size_t given = e->options.map_size == BCAM_SIZE_INPUT ? input_area : area,
           channels = (size_t)layer->target.channels;
    spoil_given(e, (char *)maps->given + kn * given * bcam_dtype_bytes(e->options.map_dtype), given);
    spoil(maps->range + 2 * kn, 2);
    spoil(maps->raw + kn * area, area);
    if (maps->picture)
        spoil(maps->picture + kn * input_area, input_area);
    if (maps->weights && !layer->constant)
        spoil(maps->weights + kn * channels, channels);
}

static void spoil_photo(bcam_engine *e, int n)
{
    spoil((float *)e->api->host(e->program, e->logits, 0) + n * e->info.class_count, (size_t)e->info.class_count);
    for (int k = 0; k < e->info.classes; k++) {
        size_t kn = (size_t)k * (size_t)e->info.batch + (size_t)n;
        spoil(e->logit + kn, 1);
        spoil(e->probability + kn, 1);
        for (int i = 0; i < e->info.layer_count * e->info.method_count; i++) {
            const bcam_engine_layer *layer = &e->layers[i / e->info.method_count];
            spoil_map(e, layer, &layer->maps[i % e->info.method_count], kn);
        }
    }
}

/* ---- out: what one run of `chunk` classes gave, into the places of all K ---- */

static void gather_into(bcam_engine *e, int value, void *all, size_t item, int first, int now)
{
    size_t row = (size_t)e->info.batch * item;
    if (all)
        memcpy((char *)all + row * (size_t)first, e->api->host(e->program, value, 0), row * (size_t)now);
}

static void gather(bcam_engine *e, int first)
{
    int now = e->info.classes - first < e->chunk ? e->info.classes - first : e->chunk;
    size_t input_area = (size_t)e->info.height * (size_t)e->info.width;
    gather_into(e, e->selection.ids, e->ids, sizeof *e->ids, first, now);
    gather_into(e, e->selection.logit, e->logit, sizeof *e->logit, first, now);
    gather_into(e, e->selection.probability, e->probability, sizeof *e->probability, first, now);
    for (int i = 0; i < e->info.layer_count; i++)
        for (int m = 0; m < e->info.method_count; m++) {
            const bcam_target *target = &e->layers[i].target;
            bcam_engine_maps *maps = &e->layers[i].maps[m];
            size_t area = (size_t)target->height * (size_t)target->width;
            size_t given = e->options.map_size == BCAM_SIZE_INPUT ? input_area : area;
            gather_into(e, maps->value.given, maps->given, given * bcam_dtype_bytes(e->options.map_dtype), first, now);
            gather_into(e, maps->value.range, maps->range, 2 * sizeof(float), first, now);
            gather_into(e, maps->value.raw, maps->raw, area * sizeof(float), first, now);
            gather_into(e, maps->value.picture, maps->picture, input_area * sizeof(float), first, now);
            gather_into(e, maps->value.weights, maps->weights, (size_t)target->channels * sizeof(float), first, now);
        }
}

static bcam_status run_segments(bcam_engine *e, unsigned segments, bcam_error *err)
{
    bcam_status status = e->api->run(e->program, segments, 0, err);
    return status != BCAM_OK ? status : e->api->wait(e->program, 0, err);
}

bcam_status bcam_engine_compute(bcam_engine *e, const bcam_batch *batch, bcam_error *err)
{
    bcam_status status = check_batch(e, batch, err);
    if (status != BCAM_OK)
        return status;
    e->count = 0;
    memset(e->nan, 0, (size_t)e->info.batch * sizeof *e->nan);
    fill_requests(e, batch);
    unsigned forward = BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD);
    if (batch->pixels) {
        fill_pixels(e, batch);
        forward |= BCAM_SEGMENT_BIT(BCAM_SEGMENT_PREP);
    } else {
        status = fill_input(e, batch, err);
    }
    if (status == BCAM_OK)
        status = run_segments(e, forward, err);
    for (int run = 0; status == BCAM_OK && run < e->chunks; run++) {
        *(int32_t *)e->api->host(e->program, e->selection.first, 0) = run * e->chunk;
        status = run_segments(e, BCAM_SEGMENT_BIT(BCAM_SEGMENT_BACKWARD) | BCAM_SEGMENT_BIT(BCAM_SEGMENT_CAM), err);
        if (status == BCAM_OK)
            gather(e, run * e->chunk);
    }
    for (int n = 0; status == BCAM_OK && n < batch->count; n++)
        if (e->nan[n])
            spoil_photo(e, n);
    if (status == BCAM_OK)
        e->count = batch->count;
    return status;
}

/* ---- reading ---- */

uint8_t *bcam_engine_pixels(bcam_engine *engine)
{
    return engine->pixels < 0 ? NULL : engine->api->host(engine->program, engine->pixels, 0);
}

const float *bcam_engine_logits(const bcam_engine *engine)
{
    return engine && engine->count ? engine->api->host(engine->program, engine->logits, 0) : NULL;
}

static size_t place(const bcam_engine *e, int n, int k)
{
    return (size_t)k * (size_t)e->info.batch + (size_t)n;
}

static bcam_map_outcome outcome_of(int class_id, float low, float high)
{
    if (class_id < 0)
        return BCAM_MAP_NONE;
    if (!isfinite(low) || !isfinite(high))
        return BCAM_MAP_NOT_FINITE;
    if (high <= 0)
        return BCAM_MAP_ALL_ZERO;
    return low == high ? BCAM_MAP_CONSTANT : BCAM_MAP_OK;
}

static bool is_place(const bcam_engine *e, int layer, int method, int n, int k)
{
    return e && layer >= 0 && layer < e->info.layer_count && method >= 0 && method < e->info.method_count && n >= 0 &&
           n < e->count && k >= 0 && k < e->info.classes;
}

bcam_status bcam_engine_map(const bcam_engine *e, int layer, int method, int n, int k, bcam_map *map, bcam_error *err)
{
    if (!map || !is_place(e, layer, method, n, k))
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "there is no map of photo %d, class place %d, layer %d, method %d in the last batch", n, k,
                         layer, method);
    const bcam_engine_maps *maps = &e->layers[layer].maps[method];
    const bcam_target *target = &e->layers[layer].target;
    size_t at = place(e, n, k);
    bool native = e->options.map_size == BCAM_SIZE_NATIVE;
    *map = (bcam_map){.class_id = e->ids[at],
                      .logit = e->logit[at],
                      .probability = e->probability[at],
                      .raw_min = maps->range[2 * at],
                      .raw_max = maps->range[2 * at + 1],
                      .height = native ? target->height : e->info.height,
                      .width = native ? target->width : e->info.width,
                      .dtype = e->options.map_dtype};
    map->outcome = outcome_of(map->class_id, map->raw_min, map->raw_max);
    map->data =
        (const char *)maps->given + at * (size_t)map->height * (size_t)map->width * bcam_dtype_bytes(map->dtype);
    return BCAM_OK;
}

const float *bcam_engine_picture(const bcam_engine *e, int layer, int method, int n, int k)
{
    const float *pictures = e->layers[layer].maps[method].picture;
    return pictures ? pictures + place(e, n, k) * (size_t)e->info.height * (size_t)e->info.width : NULL;
}

/* Copies (K,N,item) as (K,count,item): the photos that only fill up the batch are left out. */
static void copy_real(const bcam_engine *e, const float *all, size_t item, float *out)
{
    for (int k = 0; k < e->info.classes; k++)
        memcpy(out + (size_t)k * (size_t)e->count * item, all + place(e, 0, k) * item,
               (size_t)e->count * item * sizeof *out);
}

/* Activations and gradients stand in the program in the device's own layout; they are read whole and cut to the batch. */
static bcam_status read_program(bcam_engine *e, int value, int64_t k, size_t item, float *out, bcam_error *err)
{
    size_t row = (size_t)e->info.batch * item;
    float *all = bcam_alloc((size_t)k * row, sizeof *all);
    if (!all)
        return bcam_fail_memory(err, (size_t)k * row * sizeof *all, "reading a tensor");
    bcam_status status = e->api->read(e->program, value, BCAM_F32, all, err);
    for (int64_t i = 0; status == BCAM_OK && i < k; i++)
        memcpy(out + (size_t)i * (size_t)e->count * item, all + (size_t)i * row, (size_t)e->count * item * sizeof *out);
    bcam_free(all);
    return status;
}

bcam_status bcam_engine_read(bcam_engine *e, bcam_tensor_kind kind, int layer, int method, float *out, size_t capacity,
                             size_t *count, bcam_error *err)
{
    if (!is_place(e, layer, method, 0, 0) || !count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no layer %d, method %d in the last batch", layer, method);
    const bcam_engine_layer *l = &e->layers[layer];
    const bcam_engine_maps *maps = &l->maps[method];
    size_t area = (size_t)l->target.height * (size_t)l->target.width, channels = (size_t)l->target.channels;
    size_t item = kind == BCAM_TENSOR_RAW ? area : kind == BCAM_TENSOR_WEIGHTS ? channels : channels * area;
    *count = item * (size_t)e->count * (kind == BCAM_TENSOR_ACTIVATIONS ? 1 : (size_t)e->info.classes);
    if (kind == BCAM_TENSOR_GRADIENTS && l->gradient < 0)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "the gradient of layer '%s' is constant and was never spread over a batch; read its weights",
                         l->target.name);
    if (kind == BCAM_TENSOR_GRADIENTS && e->chunks > 1)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "gradients can be read for at most %d classes per photo", BCAM_CHUNK);
    if (kind == BCAM_TENSOR_WEIGHTS && !maps->weights)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "method '%s' has no channel weights", e->methods[method]->name);
    if (!out || capacity < *count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%zu numbers are there, room is for %zu", *count, out ? capacity : 0);
    if (kind == BCAM_TENSOR_ACTIVATIONS)
        return read_program(e, l->target.value, 1, item, out, err);
    if (kind == BCAM_TENSOR_GRADIENTS)
        return read_program(e, l->gradient, e->info.classes, item, out, err);
    copy_real(e, kind == BCAM_TENSOR_RAW ? maps->raw : maps->weights, item, out);
    return BCAM_OK;
}
