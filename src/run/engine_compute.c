/* engine_compute.c - a batch through an engine, and reading what came out. */
#include <math.h>
#include <string.h>

#include "run/engine.h"

/* ---- in ---- */

static bcam_status check_pair(const bcam_engine *e, int pair, bcam_error *err)
{
    if (!e)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no engine");
    if (pair < 0 || pair >= e->info.pairs)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no pair %d of buffers; this device has %d, counted from 0",
                         pair, e->info.pairs);
    return BCAM_OK;
}

/* `packed`: it has neither pixels nor input, for the photos lie in the pair's room. */
static bcam_status check_batch(const bcam_engine *e, const bcam_batch *b, bool packed, int pair, bcam_error *err)
{
    bcam_status status = check_pair(e, pair, err);
    if (status != BCAM_OK)
        return status;
    if (!b)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no batch");
    if (e->pair[pair].under_way)
        return bcam_fail(err, BCAM_E_ARGUMENT, "pair %d is still under way; call bcam_engine_finish first", pair);
    if (b->count < 1 || b->count > e->info.batch)
        return bcam_fail(err, BCAM_E_ARGUMENT, "a batch must have 1 to %d photos, not %d", e->info.batch, b->count);
    if (!packed && !b->pixels == !b->input)
        return bcam_fail(err, BCAM_E_ARGUMENT, "a batch has either pixels or input, not both and not neither");
    for (int i = 0; b->classes && i < b->count * e->info.classes; i++)
        if (b->classes[i] >= e->info.class_count)
            return bcam_fail(err, BCAM_E_CLASS, "class %d of photo %d is not there; the model has classes 0 to %d",
                             b->classes[i], i / e->info.classes, e->info.class_count - 1);
    return BCAM_OK;
}

/* Photos of a batch beyond the ones that are there repeat the last one; nothing is asked of them. */
static void fill_requests(bcam_engine *e, const bcam_batch *b, int pair)
{
    int32_t *request = e->api->host(e->program, e->selection.request, pair);
    int k = e->info.classes;
    for (int n = 0; n < e->info.batch; n++)
        for (int i = 0; i < k; i++)
            request[n * k + i] = n >= b->count ? BCAM_CLASS_NONE
                                 : b->classes  ? b->classes[n * k + i]
                                               : BCAM_CLASS_RANK(i);
}

static void fill_pixels(bcam_engine *e, const bcam_batch *b, int pair)
{
    uint8_t *pixels = bcam_engine_pixels(e, pair);
    size_t item = (size_t)e->info.height * (size_t)e->info.width * 3;
    if (b->pixels != pixels)
        memcpy(pixels, b->pixels, item * (size_t)b->count);
    if (e->recipe.grey)
        bcam_grey(pixels, item / 3 * (size_t)b->count);
    for (int n = b->count; n < e->info.batch; n++)
        memcpy(pixels + item * (size_t)n, pixels + item * (size_t)(b->count - 1), item);
}

static bcam_status fill_input(bcam_engine *e, const bcam_batch *b, int pair, bcam_error *err)
{
    size_t c = (size_t)e->info.channels, area = (size_t)e->info.height * (size_t)e->info.width, item = c * area;
    for (int n = 0; n < e->info.batch; n++) {
        const float *from = b->input + item * (size_t)(n < b->count ? n : b->count - 1);
        float *to = e->staging + item * (size_t)n;
        for (size_t i = 0; i < item; i++) {
            to[e->nhwc ? i % c * area + i / c : i] = from[i];
            e->pair[pair].nan[n] |= isnan(from[i]);
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

/* One map of a layer and method: place kn of what was found. */
static void spoil_map(const bcam_engine *e, const bcam_engine_layer *layer, const bcam_engine_found *found, size_t kn)
{
    size_t area = (size_t)layer->target.height * (size_t)layer->target.width,
           input_area = (size_t)e->info.height * (size_t)e->info.width;
    size_t given = e->options.map_size == BCAM_SIZE_INPUT ? input_area : area,
           channels = (size_t)layer->target.channels;
    spoil_given(e, (char *)found->given + kn * given * bcam_dtype_bytes(e->options.map_dtype), given);
    spoil(found->range + 2 * kn, 2);
    spoil(found->raw + kn * area, area);
    if (found->picture)
        memset(found->picture + 3 * kn * input_area, 0, 3 * input_area);
    if (found->weights && !layer->constant)
        spoil(found->weights + kn * channels, channels);
}

static void spoil_photo(bcam_engine *e, int pair, int n)
{
    const bcam_engine_pair *on = &e->pair[pair];
    spoil((float *)e->api->host(e->program, e->logits, pair) + n * e->info.class_count, (size_t)e->info.class_count);
    for (int k = 0; k < e->info.classes; k++) {
        size_t kn = (size_t)k * (size_t)e->info.batch + (size_t)n;
        spoil(on->logit + kn, 1);
        spoil(on->probability + kn, 1);
        for (int i = 0; i < e->info.layer_count * e->info.method_count; i++)
            spoil_map(e, &e->layers[i / e->info.method_count], &on->found[i], kn);
    }
}

/* ---- out: where the classes are computed in several runs, what one run of `chunk` classes gave, into the places of all K ---- */

static void gather_into(bcam_engine *e, int pair, int value, void *all, size_t item, int first, int now)
{
    size_t row = (size_t)e->info.batch * item;
    if (all)
        memcpy((char *)all + row * (size_t)first, e->api->host(e->program, value, pair), row * (size_t)now);
}

static void gather(bcam_engine *e, int pair, int first)
{
    const bcam_engine_pair *on = &e->pair[pair];
    int now = e->info.classes - first < e->chunk ? e->info.classes - first : e->chunk;
    size_t input_area = (size_t)e->info.height * (size_t)e->info.width;
    gather_into(e, pair, e->selection.ids, on->ids, sizeof *on->ids, first, now);
    gather_into(e, pair, e->selection.logit, on->logit, sizeof *on->logit, first, now);
    gather_into(e, pair, e->selection.probability, on->probability, sizeof *on->probability, first, now);
    for (int i = 0; i < e->info.layer_count; i++)
        for (int m = 0; m < e->info.method_count; m++) {
            const bcam_target *target = &e->layers[i].target;
            const bcam_cam_maps *value = &e->layers[i].maps[m];
            const bcam_engine_found *found = bcam_engine_find(e, pair, i, m);
            size_t area = (size_t)target->height * (size_t)target->width;
            size_t given = e->options.map_size == BCAM_SIZE_INPUT ? input_area : area;
            gather_into(e, pair, value->given, found->given, given * bcam_dtype_bytes(e->options.map_dtype), first,
                        now);
            gather_into(e, pair, value->range, found->range, 2 * sizeof(float), first, now);
            gather_into(e, pair, value->raw, found->raw, area * sizeof(float), first, now);
            gather_into(e, pair, value->picture, found->picture, 3 * input_area, first, now);
            gather_into(e, pair, value->weights, found->weights, (size_t)target->channels * sizeof(float), first, now);
        }
}

/* ---- runs ---- */

enum {
    FORWARD = BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD),
    BACKWARD = BCAM_SEGMENT_BIT(BCAM_SEGMENT_BACKWARD) | BCAM_SEGMENT_BIT(BCAM_SEGMENT_CAM)
};

static void set_first(bcam_engine *e, int pair, int first)
{
    *(int32_t *)e->api->host(e->program, e->selection.first, pair) = first;
}

/* A device that computes here and now does so segment by segment, under the clock; any other gets all of them at once. */
static bcam_status run_segments(bcam_engine *e, unsigned segments, int pair, bcam_error *err)
{
    if (e->info.pairs > 1)
        return e->api->run(e->program, segments, pair, err);
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < BCAM_SEGMENT_COUNT; i++) {
        double begin = bcam_clock_seconds();
        if (segments & BCAM_SEGMENT_BIT(i))
            status = e->api->run(e->program, BCAM_SEGMENT_BIT(i), pair, err);
        e->seconds[i] += bcam_clock_seconds() - begin;
    }
    return status;
}

/* Each run's classes overwrite those of the one before, so only the last is left to be waited for. */
static bcam_status start_chunks(bcam_engine *e, unsigned forward, int pair, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int run = 0; status == BCAM_OK && run < e->chunks; run++) {
        set_first(e, pair, run * e->chunk);
        status = run_segments(e, run == 0 ? forward | BACKWARD : BACKWARD, pair, err);
        if (status != BCAM_OK || run == e->chunks - 1)
            break;
        if ((status = e->api->wait(e->program, pair, err)) == BCAM_OK)
            gather(e, pair, run * e->chunk);
    }
    return status;
}

static bcam_status start(bcam_engine *e, const bcam_batch *batch, const bcam_engine_room *used, int pair,
                         bcam_error *err)
{
    bcam_status status = check_batch(e, batch, used != NULL, pair, err);
    if (status != BCAM_OK)
        return status;
    bcam_engine_pair *on = &e->pair[pair];
    if (e->shown == pair)
        e->shown = -1;
    on->count = 0;
    memset(on->nan, 0, (size_t)e->info.batch * sizeof *on->nan);
    fill_requests(e, batch, pair);
    unsigned forward = FORWARD;
    if (used) {
        bcam_engine_fill_room(e, batch->count, used, pair);
        forward |= BCAM_SEGMENT_BIT(BCAM_SEGMENT_RESIZE) | BCAM_SEGMENT_BIT(BCAM_SEGMENT_PREP);
    } else if (batch->pixels) {
        fill_pixels(e, batch, pair);
        forward |= BCAM_SEGMENT_BIT(BCAM_SEGMENT_PREP);
    } else {
        status = fill_input(e, batch, pair, err);
    }
    e->last = pair;
    if (status == BCAM_OK)
        status = start_chunks(e, forward, pair, err);
    if (status == BCAM_OK) {
        on->count = batch->count;
        on->under_way = true;
    }
    return status;
}

bcam_status bcam_engine_start(bcam_engine *e, const bcam_batch *batch, int pair, bcam_error *err)
{
    return start(e, batch, NULL, pair, err);
}

bcam_status bcam_engine_start_room(bcam_engine *e, const bcam_engine_room *used, int count, const int32_t *classes,
                                   int pair, bcam_error *err)
{
    bcam_batch batch = {.count = count, .classes = classes};
    return start(e, &batch, used, pair, err);
}

bcam_status bcam_engine_finish(bcam_engine *e, int pair, bcam_error *err)
{
    bcam_status status = check_pair(e, pair, err);
    if (status != BCAM_OK)
        return status;
    bcam_engine_pair *on = &e->pair[pair];
    if (!on->under_way)
        return bcam_fail(err, BCAM_E_ARGUMENT, "nothing was started on pair %d", pair);
    on->under_way = false;
    if ((status = e->api->wait(e->program, pair, err)) != BCAM_OK) {
        on->count = 0;
        return status;
    }
    if (e->chunks > 1)
        gather(e, pair, (e->chunks - 1) * e->chunk);
    for (int n = 0; n < on->count; n++)
        if (on->nan[n])
            spoil_photo(e, pair, n);
    e->shown = pair;
    return BCAM_OK;
}

bcam_status bcam_engine_compute(bcam_engine *e, const bcam_batch *batch, bcam_error *err)
{
    bcam_status status = bcam_engine_start(e, batch, 0, err);
    return status != BCAM_OK ? status : bcam_engine_finish(e, 0, err);
}

/* ---- reading ---- */

uint8_t *bcam_engine_pixels(bcam_engine *engine, int pair)
{
    if (check_pair(engine, pair, NULL) != BCAM_OK)
        return NULL;
    return engine->api->host(engine->program, engine->pixels, pair);
}

const float *bcam_engine_logits(const bcam_engine *engine)
{
    return engine && engine->shown >= 0 ? engine->api->host(engine->program, engine->logits, engine->shown) : NULL;
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
    return e && e->shown >= 0 && layer >= 0 && layer < e->info.layer_count && method >= 0 &&
           method < e->info.method_count && n >= 0 && n < e->pair[e->shown].count && k >= 0 && k < e->info.classes;
}

bcam_status bcam_engine_map(const bcam_engine *e, int layer, int method, int n, int k, bcam_map *map, bcam_error *err)
{
    if (!map || !is_place(e, layer, method, n, k))
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "there is no map of photo %d, class place %d, layer %d, method %d in the last batch", n, k,
                         layer, method);
    const bcam_engine_pair *on = &e->pair[e->shown];
    const bcam_engine_found *found = bcam_engine_find(e, e->shown, layer, method);
    const bcam_target *target = &e->layers[layer].target;
    size_t at = place(e, n, k);
    bool native = e->options.map_size == BCAM_SIZE_NATIVE;
    *map = (bcam_map){.class_id = on->ids[at],
                      .logit = on->logit[at],
                      .probability = on->probability[at],
                      .raw_min = found->range[2 * at],
                      .raw_max = found->range[2 * at + 1],
                      .height = native ? target->height : e->info.height,
                      .width = native ? target->width : e->info.width,
                      .dtype = e->options.map_dtype};
    map->outcome = outcome_of(map->class_id, map->raw_min, map->raw_max);
    map->data =
        (const char *)found->given + at * (size_t)map->height * (size_t)map->width * bcam_dtype_bytes(map->dtype);
    return BCAM_OK;
}

const uint8_t *bcam_engine_picture(const bcam_engine *e, int layer, int method, int n, int k)
{
    const uint8_t *pictures = bcam_engine_find(e, e->shown, layer, method)->picture;
    return pictures ? pictures + 3 * place(e, n, k) * (size_t)e->info.height * (size_t)e->info.width : NULL;
}

/* Copies (K,N,item) as (K,count,item): the photos that only fill up the batch are left out. */
static void copy_real(const bcam_engine *e, const float *all, size_t item, float *out)
{
    size_t count = (size_t)e->pair[e->shown].count;
    for (int k = 0; k < e->info.classes; k++)
        memcpy(out + (size_t)k * count * item, all + place(e, 0, k) * item, count * item * sizeof *out);
}

/* Activations and gradients stand in the program in the device's own layout; they are read whole and cut to the batch. */
static bcam_status read_program(bcam_engine *e, int value, int64_t k, size_t item, float *out, bcam_error *err)
{
    size_t row = (size_t)e->info.batch * item, count = (size_t)e->pair[e->shown].count;
    if (e->last != e->shown)
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "another batch was started since; activations and gradients are the last batch's only");
    float *all = bcam_alloc((size_t)k * row, sizeof *all);
    if (!all)
        return bcam_fail_memory(err, (size_t)k * row * sizeof *all, "reading a tensor");
    bcam_status status = e->api->read(e->program, value, BCAM_F32, all, err);
    for (int64_t i = 0; status == BCAM_OK && i < k; i++)
        memcpy(out + (size_t)i * count * item, all + (size_t)i * row, count * item * sizeof *out);
    bcam_free(all);
    return status;
}

bcam_status bcam_engine_read(bcam_engine *e, bcam_tensor_kind kind, int layer, int method, float *out, size_t capacity,
                             size_t *count, bcam_error *err)
{
    if (!is_place(e, layer, method, 0, 0) || !count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no layer %d, method %d in the last batch", layer, method);
    const bcam_engine_layer *l = &e->layers[layer];
    const bcam_engine_found *found = bcam_engine_find(e, e->shown, layer, method);
    size_t area = (size_t)l->target.height * (size_t)l->target.width, channels = (size_t)l->target.channels;
    size_t item = kind == BCAM_TENSOR_RAW ? area : kind == BCAM_TENSOR_WEIGHTS ? channels : channels * area;
    *count = item * (size_t)e->pair[e->shown].count * (kind == BCAM_TENSOR_ACTIVATIONS ? 1 : (size_t)e->info.classes);
    if (kind == BCAM_TENSOR_GRADIENTS && l->gradient < 0)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "the gradient of layer '%s' is constant and was never spread over a batch; read its weights",
                         l->target.name);
    if (kind == BCAM_TENSOR_GRADIENTS && e->chunks > 1)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "gradients can be read for at most %d classes per photo", BCAM_CHUNK);
    if (kind == BCAM_TENSOR_WEIGHTS && !found->weights)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "method '%s' has no channel weights", e->methods[method]->name);
    if (!out || capacity < *count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%zu numbers are there, room is for %zu", *count, out ? capacity : 0);
    if (kind == BCAM_TENSOR_ACTIVATIONS)
        return read_program(e, l->target.value, 1, item, out, err);
    if (kind == BCAM_TENSOR_GRADIENTS)
        return read_program(e, l->gradient, e->info.classes, item, out, err);
    copy_real(e, kind == BCAM_TENSOR_RAW ? found->raw : found->weights, item, out);
    return BCAM_OK;
}
