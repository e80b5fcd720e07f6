/* map.c - the steps from logits to class choices, and from activations and gradients to maps. */
#include <string.h>

#include "cam/cam.h"

static bcam_status out_of_memory(bcam_error *err)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory while planning the maps");
}

bcam_status bcam_cam_probability(bcam_plan *plan, int logits, bcam_activation activation, int *out, bcam_error *err)
{
    const int64_t dim[2] = {plan->values[logits].dim[0], plan->values[logits].dim[1]};
    bool softmax = activation == BCAM_ACTIVATION_SOFTMAX;
    *out = bcam_plan_value(plan, "scores", BCAM_ROLE_WORK, BCAM_F32, 2, dim);
    bcam_step *step = *out < 0 ? NULL
                               : bcam_plan_step(plan, softmax ? BCAM_VERB_SOFTMAX : BCAM_VERB_UNARY,
                                                BCAM_SEGMENT_FORWARD, "probability");
    if (!step)
        return out_of_memory(err);
    step->in[0] = logits;
    step->out[0] = *out;
    if (softmax)
        step->u.softmax.axis = 1;
    else
        step->u.unary.kind = BCAM_UNARY_SIGMOID;
    return BCAM_OK;
}

bcam_status bcam_cam_select(bcam_plan *plan, int logits, int64_t k_all, bcam_activation activation, bcam_selection *out,
                            bcam_error *err)
{
    int64_t n = plan->batch, k = plan->k, classes = plan->values[logits].dim[1];
    const int64_t one[1] = {1}, requests[2] = {n, k_all}, places[2] = {k, n}, seeds[2] = {k * n, classes};
    out->request = bcam_plan_value(plan, "request", BCAM_ROLE_INPUT, BCAM_I32, 2, requests);
    out->first = bcam_plan_value(plan, "first", BCAM_ROLE_INPUT, BCAM_I32, 1, one);
    out->ids = bcam_plan_value(plan, "ids", BCAM_ROLE_OUTPUT, BCAM_I32, 2, places);
    out->logit = bcam_plan_value(plan, "logit", BCAM_ROLE_OUTPUT, BCAM_F32, 2, places);
    out->probability = bcam_plan_value(plan, "probability", BCAM_ROLE_OUTPUT, BCAM_F32, 2, places);
    out->seed = bcam_plan_value(plan, "seed", BCAM_ROLE_WORK, BCAM_F32, 2, seeds);
    bcam_step *step = out->seed < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_SELECT, BCAM_SEGMENT_BACKWARD, "select");
    if (!step || out->request < 0 || out->first < 0 || out->ids < 0 || out->logit < 0 || out->probability < 0)
        return out_of_memory(err);
    plan->values[out->seed].each_k = true;
    step->u.select.activation = activation;
    step->in[0] = logits;
    step->in[1] = out->request;
    step->in[2] = out->first;
    step->out[0] = out->ids;
    step->out[1] = out->logit;
    step->out[2] = out->probability;
    step->out[3] = out->seed;
    return BCAM_OK;
}

/* (K,N,h,w) upsampled to (K,N,H,W), or only cast; with colours (K,N,H,W,3). */
static int upsample(bcam_plan *plan, const char *name, const bcam_cam_maps *maps, int height, int width,
                    bcam_dtype dtype, int colours)
{
    const int64_t *raw = plan->values[maps->raw].dim, dim[5] = {raw[0], raw[1], height, width, 3};
    int value = bcam_plan_value(plan, name, BCAM_ROLE_OUTPUT, dtype, colours < 0 ? 4 : 5, dim);
    bcam_step *step = value < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_UPSAMPLE, BCAM_SEGMENT_CAM, name);
    if (!step)
        return -1;
    step->in[0] = maps->raw;
    step->in[1] = maps->range;
    step->in[2] = colours;
    step->out[0] = value;
    return value;
}

static bcam_status give_out(bcam_plan *plan, const char *name, const bcam_cam_output *output, bcam_cam_maps *out,
                            bcam_error *err)
{
    int64_t h = plan->values[out->raw].dim[2], w = plan->values[out->raw].dim[3];
    int height = output->height ? output->height : (int)h, width = output->width ? output->width : (int)w;
    bool as_is = output->dtype == BCAM_F32 && height == h && width == w;
    bool pictures = output->colours >= 0;
    out->given = as_is ? out->raw : upsample(plan, name, out, height, width, output->dtype, -1);
    out->picture = -1;
    if (pictures && out->given >= 0)
        out->picture =
            upsample(plan, name, out, output->picture_height, output->picture_width, BCAM_U8, output->colours);
    return out->given < 0 || (pictures && out->picture < 0) ? out_of_memory(err) : BCAM_OK;
}

bcam_status bcam_cam_map(bcam_plan *plan, const bcam_method *method, const bcam_cam_source *source,
                         const bcam_selection *selection, const bcam_cam_output *output, bcam_cam_maps *out,
                         bcam_error *err)
{
    const bcam_value a = plan->values[source->activations];
    int64_t n = plan->batch, k = plan->k;
    const int64_t raw[4] = {k, n, a.dim[2], a.dim[3]}, range[3] = {k, n, 2}, pooled[3] = {k, n, a.dim[1]},
                  table[2] = {source->class_count, a.dim[1]};
    bool pools = method->kind == BCAM_CAM_POOLED;
    int g =
        source->weights ? bcam_plan_const_f32(plan, source->name, 2, table, source->weights, NULL) : source->gradient;
    out->raw = bcam_plan_value(plan, source->name, BCAM_ROLE_OUTPUT, BCAM_F32, 4, raw);
    out->range = bcam_plan_value(plan, source->name, BCAM_ROLE_OUTPUT, BCAM_F32, 3, range);
    out->weights = pools ? bcam_plan_value(plan, source->name, BCAM_ROLE_OUTPUT, BCAM_F32, 3, pooled) : -1;
    bcam_step *step = out->raw < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_CAM, BCAM_SEGMENT_CAM, source->name);
    if (!step || g < 0 || out->range < 0 || (pools && out->weights < 0))
        return out_of_memory(err);
    step->u.cam =
        (bcam_cam_attr){.kind = method->kind, .constant = source->weights != NULL, .signed_map = output->signed_maps};
    step->in[0] = source->activations;
    step->in[1] = g;
    step->in[2] = selection->ids;
    step->out[0] = out->raw;
    step->out[1] = out->range;
    step->out[2] = out->weights;
    return give_out(plan, source->name, output, out, err);
}
