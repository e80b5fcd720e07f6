/* engine_plan.c - from a graph to a program: first a look at one photo (which layers, whose gradients are constant), then the real one. */
#include <string.h>

#include "cpu/cpu.h"
#include "run/engine.h"

static bcam_status out_of_memory(bcam_error *err)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory while planning");
}

/* ---- constant gradients: the same for all photos and all positions. They are computed here, once. ---- */

/* Takes class `first` … of gradients (K,C,h,w) as weights if every channel is one number; false if some is not. */
static bool take_weights(const float *g, int64_t k, int64_t channels, int64_t area, float *weights)
{
    for (int64_t c = 0; c < k * channels; c++) {
        for (int64_t i = 1; i < area; i++)
            if (g[c * area + i] != g[c * area])
                return false;
        weights[c] = g[c * area];
    }
    return true;
}

/* Runs the backward steps on one-hot seeds, a group of classes at a time. A layer whose gradient varies over positions is no longer constant. */
static bcam_status run_probe(bcam_engine *e, bcam_program *program, int seed, const int *gradient, int64_t k,
                             float *seeds, float *g, bcam_error *err)
{
    int64_t classes = e->info.class_count;
    for (int64_t first = 0; first < classes; first += k) {
        int64_t now = classes - first < k ? classes - first : k;
        memset(seeds, 0, (size_t)(k * classes) * sizeof *seeds);
        for (int64_t i = 0; i < now; i++)
            seeds[i * classes + first + i] = 1;
        bcam_status status = e->api->write(program, seed, BCAM_F32, seeds, err);
        if (status == BCAM_OK)
            status = e->api->run(program, BCAM_SEGMENT_BIT(BCAM_SEGMENT_BACKWARD), 0, err);
        if (status == BCAM_OK)
            status = e->api->wait(program, 0, err);
        for (int i = 0; status == BCAM_OK && i < e->info.layer_count; i++) {
            bcam_engine_layer *layer = &e->layers[i];
            int64_t channels = layer->target.channels, area = (int64_t)layer->target.height * layer->target.width;
            if (!layer->constant)
                continue;
            status = e->api->read(program, gradient[i], BCAM_F32, g, err);
            if (status == BCAM_OK)
                layer->constant = take_weights(g, now, channels, area, layer->weights + first * channels);
        }
        if (status != BCAM_OK)
            return status;
    }
    return BCAM_OK;
}

static bcam_status compile_probe(bcam_engine *e, bcam_plan *plan, int seed, const int *gradient, bcam_error *err)
{
    float *seeds = bcam_alloc((size_t)(plan->k * e->info.class_count), sizeof *seeds), *g = NULL;
    size_t most = 0;
    bcam_program *program = NULL;
    bcam_status status = BCAM_OK;
    for (int i = 0; i < e->info.layer_count; i++) {
        bcam_engine_layer *layer = &e->layers[i];
        size_t size = (size_t)layer->target.channels * (size_t)layer->target.height * (size_t)layer->target.width;
        if (!layer->constant)
            continue;
        plan->values[gradient[i]].role = BCAM_ROLE_OUTPUT;
        layer->weights =
            bcam_pool_alloc(&e->pool, (size_t)e->info.class_count * (size_t)layer->target.channels, sizeof(float));
        most = size > most ? size : most;
        if (!layer->weights)
            status = out_of_memory(err);
    }
    g = bcam_alloc(most * (size_t)plan->k, sizeof *g);
    if (!seeds || !g)
        status = out_of_memory(err);
    if (status == BCAM_OK)
        status = bcam_plan_tidy(plan, err);
    if (status == BCAM_OK)
        status = e->api->compile(e->device, plan, &program, err);
    if (status == BCAM_OK)
        status = run_probe(e, program, seed, gradient, plan->k, seeds, g, err);
    if (program)
        e->api->destroy(&program);
    bcam_free(seeds);
    bcam_free(g);
    return status;
}

static bcam_status resolve_layers(bcam_engine *e, bcam_net *net, int *targets, bcam_error *err)
{
    for (int i = 0; i < e->info.layer_count; i++) {
        const char *name = e->options.layer_count ? e->options.layers[i] : NULL;
        bcam_status status = bcam_net_target(net, name, &e->layers[i].target, err);
        if (status == BCAM_OK)
            status = bcam_net_turn_target(net, &e->layers[i].target, err);
        if (status != BCAM_OK)
            return status;
        targets[i] = e->layers[i].target.value;
    }
    return BCAM_OK;
}

/* The layers again, in the net for all N photos. A hostile file may have other shapes there than the ones that room was made for. */
static bcam_status resolve_again(bcam_engine *e, bcam_net *net, int *targets, bcam_error *err)
{
    bcam_target before[BCAM_MAX_LAYERS];
    for (int i = 0; i < e->info.layer_count; i++)
        before[i] = e->layers[i].target;
    bcam_status status = resolve_layers(e, net, targets, err);
    bool same = bcam_net_get_info(net)->class_count == e->info.class_count;
    for (int i = 0; status == BCAM_OK && i < e->info.layer_count; i++) {
        const bcam_target *now = &e->layers[i].target;
        same &= now->channels == before[i].channels && now->height == before[i].height && now->width == before[i].width;
    }
    if (status == BCAM_OK && !same)
        status =
            bcam_fail(err, BCAM_E_UNSUPPORTED,
                      "the model has other shapes for %d photos than for one; run it with a batch of 1", e->info.batch);
    return status;
}

/* The probabilities of two classes that are one unit z and its negation are sigmoids and add up to 1; a softmax of -z and z would be sigmoids of
 * 2z and -2z. */
static bcam_status resolve_activation(bcam_engine *e, const bcam_graph *graph, const bcam_net_info *info,
                                      bcam_error *err)
{
    bcam_activation asked = e->options.activation;
    e->info.one_unit = info->units == 1;
    e->info.score = e->options.score;
    e->info.activation = asked != BCAM_ACTIVATION_AUTO              ? asked
                         : e->info.one_unit                         ? BCAM_ACTIVATION_SIGMOID
                         : info->activation != BCAM_ACTIVATION_NONE ? info->activation
                                                                    : BCAM_ACTIVATION_SOFTMAX;
    if (e->info.one_unit && asked == BCAM_ACTIVATION_SOFTMAX)
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "output '%s' of '%s' is one number per photo, whose probability is its sigmoid; choose "
                         "activation sigmoid or none",
                         info->output, graph->path);
    return BCAM_OK;
}

/* One photo's plan with nothing but the backward steps of constant gradients. */
bcam_status bcam_engine_probe(bcam_engine *e, const bcam_graph *graph, bcam_error *err)
{
    enum { GROUP = 64 };
    int targets[BCAM_MAX_LAYERS], gradient[BCAM_MAX_LAYERS], seed = -1;
    bool constant[BCAM_MAX_LAYERS], any = false;
    bcam_net *net = NULL;
    bcam_status status = bcam_net_open(graph, 1, &net, err);
    if (status == BCAM_OK)
        status = resolve_activation(e, graph, bcam_net_get_info(net), err);
    if (status == BCAM_OK)
        status = resolve_layers(e, net, targets, err);
    if (status == BCAM_OK) {
        const bcam_net_info *info = bcam_net_get_info(net);
        bcam_plan *plan = bcam_net_plan(net);
        e->info.class_count = info->class_count;
        plan->k = info->class_count < GROUP ? info->class_count : GROUP;
        int64_t dim[2] = {plan->k, info->class_count};
        seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
        if (seed < 0)
            status = out_of_memory(err);
        else
            plan->values[seed].each_k = true;
        if (status == BCAM_OK)
            status = bcam_plan_fold(plan, targets, e->info.layer_count, err);
        if (status == BCAM_OK)
            status = bcam_plan_differentiate(plan, info->logits_value, seed, targets, e->info.layer_count,
                                             !info->batch_fixed, gradient, constant, err);
        for (int i = 0; status == BCAM_OK && i < e->info.layer_count; i++) /* a probability's depends on the photo */
            any |= e->layers[i].constant = constant[i] && e->info.score == BCAM_SCORE_LOGIT;
        if (status == BCAM_OK && any)
            status = compile_probe(e, plan, seed, gradient, err);
    }
    bcam_net_close(&net);
    return status;
}

/* ---- the program ---- */

static bcam_status plan_input(bcam_engine *e, const bcam_net_info *info, bcam_plan *plan, bcam_error *err)
{
    const int64_t pixels[4] = {plan->batch, 3, info->height, info->width}, lut[2] = {info->channels, 256};
    float *table, colours[3 * 256];
    e->input = info->input_value;
    int lut_value = bcam_plan_const_f32(plan, "lut", 2, lut, NULL, &table);
    e->pixels = bcam_plan_value(plan, "pixels", BCAM_ROLE_INPUT, BCAM_U8, 4, pixels);
    bcam_step *step =
        e->pixels < 0 || lut_value < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_PREP, BCAM_SEGMENT_PREP, "prep");
    if (!step)
        return out_of_memory(err);
    plan->values[e->input].role = BCAM_ROLE_OUTPUT; /* written by this step, or by the host in its place */
    bcam_recipe_lut(&e->recipe, colours);
    memcpy(table, colours, (size_t)info->channels * 256 * sizeof *table);
    for (int c = 0; c < info->channels; c++)
        step->u.prep.channel[c] = bcam_recipe_channel(&e->recipe, c);
    step->in[0] = e->pixels;
    step->in[1] = lut_value;
    step->out[0] = e->input;
    return bcam_engine_plan_room(e, plan, err);
}

/* Backward steps only to layers whose gradient is not constant. */
static bcam_status plan_gradients(bcam_engine *e, const bcam_net_info *info, bcam_plan *plan, bcam_error *err)
{
    int targets[BCAM_MAX_LAYERS], gradient[BCAM_MAX_LAYERS], which[BCAM_MAX_LAYERS], count = 0;
    bool constant[BCAM_MAX_LAYERS];
    for (int i = 0; i < e->info.layer_count; i++) {
        e->layers[i].gradient = -1;
        if (!e->layers[i].constant) {
            which[count] = i;
            targets[count++] = e->layers[i].target.value;
        }
    }
    if (!count)
        return BCAM_OK;
    bcam_status status = bcam_plan_differentiate(plan, e->scores, e->selection.seed, targets, count, !info->batch_fixed,
                                                 gradient, constant, err);
    for (int i = 0; status == BCAM_OK && i < count; i++) {
        e->layers[which[i]].gradient = gradient[i];
        plan->values[gradient[i]].role = BCAM_ROLE_OUTPUT;
    }
    return status;
}

static bcam_status plan_maps(bcam_engine *e, bcam_plan *plan, bcam_error *err)
{
    bcam_cam_output output = {.signed_maps = e->options.signed_maps, .dtype = e->options.map_dtype, .colours = -1};
    if (e->extras.pictures && (output.colours = bcam_cam_colours(plan)) < 0)
        return out_of_memory(err);
    output.picture_height = e->info.height;
    output.picture_width = e->info.width;
    if (e->options.map_size == BCAM_SIZE_INPUT) {
        output.height = e->info.height;
        output.width = e->info.width;
    }
    for (int i = 0; i < e->info.layer_count; i++) {
        bcam_engine_layer *layer = &e->layers[i];
        bcam_cam_source source = {layer->target.name, layer->target.value, layer->gradient,
                                  layer->constant ? layer->weights : NULL, e->info.class_count};
        plan->values[layer->target.value].role = BCAM_ROLE_OUTPUT;
        for (int m = 0; m < e->info.method_count; m++) {
            bcam_status status =
                bcam_cam_map(plan, e->methods[m], &source, &e->selection, &output, &layer->maps[m], err);
            if (status != BCAM_OK)
                return status;
        }
    }
    return BCAM_OK;
}

static bcam_status keep_steps(bcam_engine *e, const bcam_plan *plan, bcam_error *err)
{
    bcam_precision p = e->options.precision == BCAM_PRECISION_DEFAULT ? e->api->precision : e->options.precision;
    double real_bytes = p == BCAM_PRECISION_BF16 || p == BCAM_PRECISION_FP16 ? 2 : 4;
    bool *own = NULL;
    bcam_status status = bcam_plan_own_types(plan, &own, err);
    e->steps = bcam_pool_alloc(&e->pool, plan->step_count + 1, sizeof *e->steps);
    e->step_count = plan->step_count;
    for (size_t s = 0; status == BCAM_OK && e->steps && s < plan->step_count; s++) {
        const bcam_step *step = &plan->steps[s];
        e->steps[s] = (struct bcam_step_name){.name = bcam_pool_strdup(&e->pool, step->name),
                                              .verb = bcam_verb_name(step->verb),
                                              .segment = step->segment,
                                              .conv = step->verb == BCAM_VERB_CONV || step->verb == BCAM_VERB_CONV_BWD,
                                              .flop = bcam_step_flop(plan, step),
                                              .bytes = bcam_step_bytes(plan, own, real_bytes, step)};
        if (!e->steps[s].name)
            e->steps = NULL;
    }
    bcam_free(own);
    return status != BCAM_OK || e->steps ? status : out_of_memory(err);
}

static bcam_status build_program(bcam_engine *e, bcam_net *net, bcam_error *err)
{
    const bcam_net_info *info = bcam_net_get_info(net);
    bcam_plan *plan = bcam_net_plan(net);
    int targets[BCAM_MAX_LAYERS];
    bcam_status status = resolve_again(e, net, targets, err);
    if (status != BCAM_OK)
        return status;
    plan->k = e->chunk;
    e->logits = info->logits_value;
    plan->values[e->logits].role = BCAM_ROLE_OUTPUT;
    status = plan_input(e, info, plan, err);
    if (status == BCAM_OK)
        status = bcam_plan_fold(plan, targets, e->info.layer_count, err);
    e->scores = e->logits;
    if (status == BCAM_OK && e->info.score == BCAM_SCORE_PROBABILITY)
        status = bcam_cam_probability(plan, e->logits, e->info.activation, &e->scores, err);
    if (status == BCAM_OK)
        status = bcam_cam_select(plan, e->logits, e->info.classes, e->info.activation, &e->selection, err);
    if (status == BCAM_OK)
        status = plan_gradients(e, info, plan, err);
    if (status == BCAM_OK)
        status = plan_maps(e, plan, err);
    if (status == BCAM_OK)
        status = bcam_plan_fuse(plan, err);
    if (status == BCAM_OK)
        status = bcam_plan_tidy(plan, err);
    if (status == BCAM_OK)
        status = keep_steps(e, plan, err);
    return status != BCAM_OK ? status : e->api->compile(e->device, plan, &e->program, err);
}

static bcam_status read_input_facts(bcam_engine *e, const char *model, const bcam_net_info *info, bcam_error *err)
{
    e->info.height = info->height;
    e->info.width = info->width;
    e->info.channels = info->channels;
    e->nhwc = info->nhwc;
    e->info.batch = (int)info->batch;
    if (info->batch_fixed)
        bcam_log_line(&e->log, BCAM_LOG_WARNING, "the model runs one photo at a time: %s", info->batch_note);
    return (info->channels == 1 ? bcam_recipe_read_grey : bcam_recipe_read)(e->options.preprocess, model, info->height,
                                                                            info->width, &e->recipe, err);
}

static bcam_status build_with_batch(bcam_engine *e, const bcam_graph *graph, bcam_error *err)
{
    bcam_net *net = NULL;
    bcam_status status = bcam_net_open(graph, e->options.batch, &net, err);
    if (status == BCAM_OK)
        status = read_input_facts(e, graph->path, bcam_net_get_info(net), err);
    if (status == BCAM_OK)
        status = build_program(e, net, err);
    bcam_net_close(&net);
    return status;
}

/* A card has what memory it has: where a batch does not fit, it is tried without room for photos that nobody has asked for, then half of it. (The CPU's
 * memory is the machine's; running short of it is not mended by a smaller batch alone.) */
static bool try_less(bcam_engine *e, const bcam_error *why)
{
    if (e->api == &bcam_cpu_device)
        return false;
    if (e->photos >= 0 && e->extras.resizes > 1) {
        e->extras.resizes = 0;
        return true;
    }
    if (e->info.batch < 2)
        return false;
    e->options.batch = e->info.batch / 2;
    bcam_log_line(&e->log, BCAM_LOG_WARNING, "a batch of %d does not fit, so %d is tried (%s)", e->info.batch,
                  e->options.batch, why->message);
    return true;
}

bcam_status bcam_engine_build(bcam_engine *e, const bcam_graph *graph, bcam_error *err)
{
    bcam_error why = {0};
    bcam_status status = bcam_engine_probe(e, graph, err);
    if (status != BCAM_OK)
        return status;
    e->chunk = e->info.classes < BCAM_CHUNK ? e->info.classes : BCAM_CHUNK;
    e->chunks = (e->info.classes + e->chunk - 1) / e->chunk;
    do
        status = build_with_batch(e, graph, &why);
    while (status == BCAM_E_MEMORY && try_less(e, &why));
    if (status == BCAM_E_MEMORY && e->api != &bcam_cpu_device)
        return bcam_fail(err, status, "not even one photo fits: %s", why.message);
    return status == BCAM_OK ? BCAM_OK : bcam_fail(err, status, "%s", why.message);
}
