/* bind.c - a case becomes a plan of one step, and its numbers go in and out through the device interface. */
#include <stdio.h>
#include <string.h>

#include "check/bind.h"

int bcam_check_dims(const bcam_check_operand *o, int64_t batch, int64_t k, int64_t dim[BCAM_MAX_RANK])
{
    int rank = 0;
    if (o->lead == BCAM_LEAD_N)
        dim[rank++] = batch;
    else if (o->lead == BCAM_LEAD_KN)
        dim[rank++] = k * batch;
    else if (o->lead == BCAM_LEAD_K_N) {
        dim[rank++] = k;
        dim[rank++] = batch;
    }
    memcpy(dim + rank, o->dim, (size_t)o->rank * sizeof *dim);
    return rank + o->rank;
}

int64_t bcam_check_count(const bcam_check_operand *o, int64_t batch, int64_t k)
{
    int64_t dim[BCAM_MAX_RANK];
    int rank = bcam_check_dims(o, batch, k, dim);
    return bcam_count(rank, dim);
}

bcam_status bcam_check_data_init(const bcam_check_case *c, bcam_check_data *data, bcam_error *err)
{
    memset(data, 0, sizeof *data);
    for (int i = 0; i < BCAM_MAX_IN + BCAM_MAX_OUT; i++) {
        const bcam_check_operand *o = i < BCAM_MAX_IN ? &c->in[i] : &c->out[i - BCAM_MAX_IN];
        double **slot = i < BCAM_MAX_IN ? &data->in[i] : &data->out[i - BCAM_MAX_IN];
        if (!o->present)
            continue;
        size_t count = (size_t)bcam_check_count(o, c->batch, c->k);
        *slot = bcam_alloc(count, sizeof **slot);
        if (!*slot) {
            bcam_check_data_fini(data);
            return bcam_fail_memory(err, count * sizeof **slot, "the numbers of a check");
        }
    }
    return BCAM_OK;
}

void bcam_check_data_fini(bcam_check_data *data)
{
    for (int i = 0; i < BCAM_MAX_IN; i++)
        bcam_free(data->in[i]);
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        bcam_free(data->out[i]);
    memset(data, 0, sizeof *data);
}

static int add_value(const bcam_check_case *c, bcam_plan *plan, const bcam_check_operand *o, const char *name,
                     const double *numbers)
{
    int64_t dim[BCAM_MAX_RANK] = {0};
    int rank = bcam_check_dims(o, c->batch, c->k, dim);
    if (o->role == BCAM_ROLE_CONST && o->dtype == BCAM_U8) {
        uint8_t *slot = NULL;
        int id = bcam_plan_const_u8(plan, name, rank, dim, NULL, &slot);
        for (int64_t i = 0; id >= 0 && i < bcam_count(rank, dim); i++)
            slot[i] = (uint8_t)numbers[i];
        return id;
    }
    if (o->role == BCAM_ROLE_CONST) {
        float *slot = NULL;
        int id = bcam_plan_const_f32(plan, name, rank, dim, NULL, &slot);
        for (int64_t i = 0; id >= 0 && i < bcam_count(rank, dim); i++)
            slot[i] = (float)numbers[i];
        return id;
    }
    int id = bcam_plan_value(plan, name, o->role, o->dtype, rank, dim);
    if (id >= 0)
        plan->values[id].each_k = o->lead == BCAM_LEAD_KN;
    return id;
}

static bcam_status build_plan(const bcam_check_case *c, const bcam_check_data *data, bcam_plan *plan,
                              bcam_check_bound *bound, bcam_error *err)
{
    char name[8];
    for (int i = 0; i < BCAM_MAX_IN + BCAM_MAX_OUT; i++) {
        bool in = i < BCAM_MAX_IN;
        int place = in ? i : i - BCAM_MAX_IN;
        const bcam_check_operand *o = in ? &c->in[place] : &c->out[place];
        int *id = in ? &bound->in[place] : &bound->out[place];
        *id = -1;
        if (!o->present)
            continue;
        snprintf(name, sizeof name, "%s%d", in ? "in" : "out", place);
        *id = add_value(c, plan, o, name, in ? data->in[place] : NULL);
        if (*id < 0)
            return bcam_fail_memory(err, sizeof(bcam_value), "a check's plan");
    }
    bcam_step *step = bcam_plan_step(plan, c->verb, c->step.segment, c->step.name);
    if (!step)
        return bcam_fail_memory(err, sizeof *step, "a check's plan");
    const char *kept = step->name;
    *step = c->step;
    step->name = kept;
    memcpy(step->in, bound->in, sizeof step->in);
    memcpy(step->out, bound->out, sizeof step->out);
    if (c->verb == BCAM_VERB_COPY) /* the box always spans all photos */
        step->u.copy.extent[0] = plan->values[bound->out[0]].dim[0];
    else if (c->verb == BCAM_VERB_COPY_BWD)
        step->u.copy.extent[0] = plan->values[bound->in[0]].dim[0];
    return BCAM_OK;
}

bcam_status bcam_check_bind(const bcam_check_case *c, const bcam_check_side *side, const bcam_check_data *data,
                            bcam_check_bound *bound, bcam_error *err)
{
    bcam_plan plan;
    bcam_plan_init(&plan, c->batch, c->k);
    *bound = (bcam_check_bound){.c = c, .side = side};
    bcam_status status = build_plan(c, data, &plan, bound, err);
    if (status == BCAM_OK)
        status = side->api->query(side->device, &plan, &plan.steps[0], err);
    if (status == BCAM_OK)
        status = side->api->compile(side->device, &plan, &bound->program, err);
    bcam_plan_fini(&plan);
    return status;
}

void bcam_check_unbind(bcam_check_bound *bound)
{
    if (bound->program)
        bound->side->api->destroy(&bound->program);
}

static int64_t operand_count(const bcam_check_bound *bound, const bcam_check_operand *o)
{
    return bcam_check_count(o, bound->c->batch, bound->c->k);
}

/* Half floats and bytes that are no constants have no read() or write() of their own: they lie in host memory. */
static bcam_status host_memory(const bcam_check_bound *bound, int id, void **host, bcam_error *err)
{
    *host = bound->side->api->host(bound->program, id, 0);
    return *host ? BCAM_OK : bcam_fail(err, BCAM_E_INTERNAL, "value %d has no host memory", id);
}

static bcam_status write_value(const bcam_check_bound *bound, int id, const bcam_check_operand *o,
                               const double *numbers, bcam_error *err)
{
    const bcam_device_api *api = bound->side->api;
    int64_t count = operand_count(bound, o);
    if (o->dtype == BCAM_F32)
        return api->write(bound->program, id, BCAM_F64, numbers, err);
    if (o->dtype == BCAM_U8) {
        void *host = NULL;
        bcam_status status = host_memory(bound, id, &host, err);
        for (int64_t i = 0; status == BCAM_OK && i < count; i++)
            ((uint8_t *)host)[i] = (uint8_t)numbers[i];
        return status;
    }
    int32_t *whole = bcam_alloc((size_t)count, sizeof *whole);
    if (!whole)
        return bcam_fail_memory(err, (size_t)count * sizeof *whole, "the numbers of a check");
    for (int64_t i = 0; i < count; i++)
        whole[i] = (int32_t)numbers[i];
    bcam_status status = api->write(bound->program, id, BCAM_I32, whole, err);
    bcam_free(whole);
    return status;
}

static bcam_status read_bytes(const bcam_check_bound *bound, int id, int64_t count, double *numbers, bcam_error *err)
{
    uint8_t *bytes = bcam_alloc((size_t)count, 1);
    if (!bytes)
        return bcam_fail_memory(err, (size_t)count, "the numbers of a check");
    bcam_status status = bound->side->api->read(bound->program, id, BCAM_U8, bytes, err);
    for (int64_t i = 0; status == BCAM_OK && i < count; i++)
        numbers[i] = bytes[i];
    bcam_free(bytes);
    return status;
}

static bcam_status read_value(const bcam_check_bound *bound, int id, const bcam_check_operand *o, double *numbers,
                              bcam_error *err)
{
    const bcam_device_api *api = bound->side->api;
    int64_t count = operand_count(bound, o);
    if (o->dtype == BCAM_F32)
        return api->read(bound->program, id, BCAM_F64, numbers, err);
    if (o->dtype == BCAM_U8 && o->role == BCAM_ROLE_CONST)
        return read_bytes(bound, id, count, numbers, err);
    if (o->dtype == BCAM_U8 || o->dtype == BCAM_F16) {
        void *host = NULL;
        bcam_status status = host_memory(bound, id, &host, err);
        for (int64_t i = 0; status == BCAM_OK && i < count; i++)
            numbers[i] = o->dtype == BCAM_U8 ? ((uint8_t *)host)[i] : (double)bcam_f16_to_f32(((uint16_t *)host)[i]);
        return status;
    }
    int32_t *whole = bcam_alloc((size_t)count, sizeof *whole);
    if (!whole)
        return bcam_fail_memory(err, (size_t)count * sizeof *whole, "the numbers of a check");
    bcam_status status = api->read(bound->program, id, BCAM_I32, whole, err);
    for (int64_t i = 0; status == BCAM_OK && i < count; i++)
        numbers[i] = whole[i];
    bcam_free(whole);
    return status;
}

bcam_status bcam_check_read_input(const bcam_check_bound *bound, int index, double *out, bcam_error *err)
{
    return read_value(bound, bound->in[index], &bound->c->in[index], out, err);
}

bcam_status bcam_check_compute(const bcam_check_bound *bound, const bcam_check_data *data, bcam_error *err)
{
    const bcam_device_api *api = bound->side->api;
    bcam_status status = BCAM_OK;
    for (int i = 0; i < BCAM_MAX_IN && status == BCAM_OK; i++)
        if (bound->in[i] >= 0 && bound->c->in[i].role == BCAM_ROLE_INPUT)
            status = write_value(bound, bound->in[i], &bound->c->in[i], data->in[i], err);
    if (status == BCAM_OK)
        status = api->run(bound->program, BCAM_SEGMENTS_ALL, 0, err);
    if (status == BCAM_OK)
        status = api->wait(bound->program, 0, err);
    for (int i = 0; i < BCAM_MAX_OUT && status == BCAM_OK; i++)
        if (bound->out[i] >= 0)
            status = read_value(bound, bound->out[i], &bound->c->out[i], data->out[i], err);
    return status;
}
