/* place.c - the memory of a program: the arena and the constants. dev/place.h says how values lie in it. */
#include <string.h>

#include "cpu/program.h"

enum { ALIGN = 64 };

static bcam_status refuse_arena(const bcam_program *p, bcam_error *err)
{
    const bcam_placement *place = &p->place;
    size_t largest = 0;
    for (size_t v = 1; v < place->value_count; v++)
        largest = place->spans[v].bytes > place->spans[largest].bytes ? v : largest;
    return bcam_fail(err, BCAM_E_MEMORY,
                     "the network's values take %zu MiB, the largest of them, '%s', %zu MiB, and so much memory cannot "
                     "be had; take a smaller batch",
                     p->arena_bytes >> 20, place->values[largest].name, place->spans[largest].bytes >> 20);
}

/* With the guard, canaries lie around each value. */
static bcam_status place_arena(bcam_program *p, bcam_error *err)
{
    bcam_placement *place = &p->place;
    p->arena_bytes = bcam_placement_layout(place, ALIGN, p->device->options.guard ? BCAM_CPU_CANARY : 0);
    if (p->arena_bytes == SIZE_MAX)
        return bcam_fail_memory(err, place->value_count * sizeof *place->spans, "a program");
    if (p->arena_bytes > bcam_memory_of_machine() || !(p->arena = bcam_alloc_aligned(p->arena_bytes)))
        return refuse_arena(p, err);
    for (size_t v = 0; v < place->value_count; v++) {
        const bcam_span *root = &place->spans[place->root[v]];
        if (root->bytes == 0)
            continue;
        place->tensors[v].data = p->arena + root->offset + place->shift[v];
        if (place->values[v].role == BCAM_ROLE_INPUT)
            memset(place->tensors[v].data, 0, root->bytes);
    }
    return BCAM_OK;
}

/* The constants that some step reads, in one block. */
static bcam_status place_constants(bcam_program *p, const bcam_plan *plan, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    const bcam_placement *place = &p->place;
    for (int pass = 0; pass < 2 && !status; pass++) {
        size_t at = 0;
        for (size_t v = 0; v < place->value_count && !status; v++) {
            size_t bytes = 0;
            if (place->values[v].role != BCAM_ROLE_CONST || place->last[v] < 0)
                continue;
            status = bcam_placement_bytes(place, v, &bytes, err);
            if (pass == 1) {
                place->tensors[v].data = p->constants + at;
                status = bcam_placement_constant(place, plan, v, p->constants + at, err);
            }
            at += (bytes + ALIGN - 1) / ALIGN * ALIGN;
        }
        p->constant_bytes = at;
        if (pass == 0 && !status && at > 0 && !(p->constants = bcam_alloc_aligned(at)))
            status = bcam_fail_memory(err, at, "the weights");
    }
    return status;
}

static void keep_float(bcam_program *p, int value)
{
    if (p->place.tensors[value].dtype == BCAM_BF16)
        p->place.tensors[value].dtype = BCAM_F32;
}

/* Activations and gradients that are pictures become bfloat16; maps stay what they are, and constants are packed by whoever reads them. */
static void shorten(bcam_program *p)
{
    for (size_t v = 0; v < p->place.value_count; v++) {
        const bcam_value *value = &p->place.values[v];
        if (value->rank == 4 && value->dtype == BCAM_F32 && value->role != BCAM_ROLE_CONST)
            p->place.tensors[v].dtype = BCAM_BF16;
    }
    for (size_t s = 0; s < p->place.step_count; s++) {
        const bcam_step *step = &p->place.steps[s];
        if (step->verb == BCAM_VERB_CAM || step->verb == BCAM_VERB_UPSAMPLE)
            keep_float(p, step->out[0]);
        if (step->verb == BCAM_VERB_UPSAMPLE)
            keep_float(p, step->in[0]);
    }
}

bcam_status bcam_cpu_place(bcam_program *program, const bcam_plan *plan, bcam_error *err)
{
    const bcam_device_options *options = &program->device->options;
    bcam_order weights = options->reference ? BCAM_ORDER_KERNEL : BCAM_ORDER_DENSE;
    bcam_dtype real = options->precision == BCAM_PRECISION_FP64 ? BCAM_F64 : BCAM_F32;
    bcam_status status = bcam_placement_lay(&program->place, weights, real, err);
    if (status)
        return status;
    if (options->precision == BCAM_PRECISION_BF16)
        shorten(program);
    /* The reference keeps to the plain way, and so do steps in bfloat16, which go through photos as through rows of numbers. */
    program->place.join = !options->reference && options->precision == BCAM_PRECISION_FP32;
    if ((status = bcam_placement_share(&program->place, plan, err)) || (status = bcam_cpu_passes(program, err)) ||
        (status = place_arena(program, err)))
        return status;
    return place_constants(program, plan, err);
}
