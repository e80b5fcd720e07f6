/* place.c - where the values of a program lie: element types, padded channels, blocks of memory. The rules stand in cuda.h. */
#include <string.h>

#include "cuda/cuda.h"

static size_t round_up(size_t n)
{
    return (n + BCAM_CUDA_ALIGN - 1) / BCAM_CUDA_ALIGN * BCAM_CUDA_ALIGN;
}

/* ---- element types ---- */

static void keep_float(bcam_program *p, int value)
{
    if (value >= 0 && p->place.values[value].dtype == BCAM_F32)
        p->place.tensors[value].dtype = BCAM_F32;
}

/* Constants that only own kernels read lose nothing. */
static void keep_float_const(bcam_program *p, int value)
{
    if (value >= 0 && p->place.values[value].role == BCAM_ROLE_CONST)
        keep_float(p, value);
}

/* What kernels.h promises to be float, or takes as float, whatever the program's type is. */
static void find_floats(bcam_program *p)
{
    for (size_t s = 0; s < p->place.step_count; s++) {
        const bcam_step *step = &p->place.steps[s];
        if (step->verb == BCAM_VERB_SELECT) {
            keep_float(p, step->out[1]);
            keep_float(p, step->out[2]);
        } else if (step->verb == BCAM_VERB_PREP) {
            keep_float(p, step->in[1]);
        } else if (step->verb == BCAM_VERB_UPSAMPLE) {
            keep_float(p, step->in[0]);
            keep_float(p, step->in[1]);
            keep_float(p, step->out[0]);
        } else if (step->verb == BCAM_VERB_CAM) {
            for (int i = 0; i < 3; i++)
                keep_float(p, step->out[i]);
            if (step->u.cam.constant)
                keep_float_const(p, step->in[1]);
        } else if (step->verb == BCAM_VERB_NORM || step->verb == BCAM_VERB_NORM_BWD) {
            keep_float_const(p, step->in[1]);
            keep_float_const(p, step->in[2]);
        } else if (step->verb == BCAM_VERB_GEMM) {
            keep_float_const(p, step->in[2]);
        }
    }
}

/* ---- an input of 3 channels ---- */

static int count_readers(const bcam_program *p, int value)
{
    int readers = 0;
    for (size_t s = 0; s < p->place.step_count; s++)
        for (int i = 0; i < BCAM_MAX_IN; i++)
            readers += p->place.steps[s].in[i] == value;
    return readers;
}

/* Whether a step reads `x` as a convolution that takes a fourth channel of zeros. */
static bool takes_padding(const bcam_program *p, const bcam_step *step, int x)
{
    const bcam_value *values = p->place.values;
    return step->verb == BCAM_VERB_CONV && step->in[0] == x && step->in[3] != x && step->u.conv.groups == 1 &&
           values[step->in[1]].role == BCAM_ROLE_CONST && values[step->in[1]].dim[0] > 1 &&
           count_readers(p, step->in[1]) == 1;
}

static void pad_channels(bcam_tensor *t)
{
    static const int order[4] = {1, 3, 2, 0};
    int64_t step = 1;
    for (int i = 0; i < 4; i++) {
        t->stride[order[i]] = step;
        step *= order[i] == 1 ? 4 : t->dim[order[i]];
    }
}

/* Only values that share memory with no other: the fourth channel is zeroed once. */
static void pad_inputs(bcam_program *p)
{
    for (size_t v = 0; v < p->place.value_count; v++) {
        const bcam_value *value = &p->place.values[v];
        bcam_tensor *t = &p->place.tensors[v];
        bool fits = (value->role == BCAM_ROLE_INPUT || value->role == BCAM_ROLE_OUTPUT) && value->dtype == BCAM_F32 &&
                    t->rank == 4 && t->dim[1] == 3 && t->dim[2] * t->dim[3] > 1 && t->stride[1] == 1;
        for (size_t s = 0; s < p->place.step_count && fits; s++)
            for (int i = 0; i < BCAM_MAX_IN && fits; i++)
                fits = p->place.steps[s].in[i] != (int)v || takes_padding(p, &p->place.steps[s], (int)v);
        if (!fits || p->device->options.guard)
            continue;
        bool read = false;
        for (size_t s = 0; s < p->place.step_count; s++)
            if (p->place.steps[s].in[0] == (int)v) {
                pad_channels(&p->place.tensors[p->place.steps[s].in[1]]);
                read = true;
            }
        if (read)
            pad_channels(t);
    }
}

/* ---- ports ---- */

/* Segments that read or write a value, as bits. */
static unsigned segments_of(const bcam_program *p, int value, bool input)
{
    unsigned segments = 0;
    for (size_t s = 0; s < p->place.step_count; s++) {
        const bcam_step *step = &p->place.steps[s];
        const int *operand = input ? step->in : step->out;
        for (int i = 0; i < (input ? BCAM_MAX_IN : BCAM_MAX_OUT); i++)
            if (operand[i] == value)
                segments |= BCAM_SEGMENT_BIT(step->segment);
    }
    return segments;
}

static bool made_by_cam(const bcam_program *p, int value)
{
    for (size_t s = 0; s < p->place.step_count; s++)
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (p->place.steps[s].out[i] == value &&
                (p->place.steps[s].verb == BCAM_VERB_CAM || p->place.steps[s].verb == BCAM_VERB_UPSAMPLE))
                return true;
    return false;
}

/* Whether a value crosses, and how. Activations and gradients (real, rank 4) stay on the card: read() and write() are for them. */
static bool is_port(const bcam_program *p, size_t v, bcam_cuda_port *port)
{
    const bcam_value *value = &p->place.values[v];
    const bcam_tensor *t = &p->place.tensors[v];
    bool real = value->dtype == BCAM_F32;
    bool input = value->role == BCAM_ROLE_INPUT;
    *port = (bcam_cuda_port){.value = (int)v};
    if (input ? real : value->role != BCAM_ROLE_OUTPUT)
        return false;
    if (real && value->rank == 4 && !made_by_cam(p, (int)v))
        return false;
    port->converted = t->dtype != value->dtype;
    port->writes = segments_of(p, (int)v, false);
    if (input || value->dtype == BCAM_U8) /* pixels may be resized, or given by the host in place of that */
        port->reads = segments_of(p, (int)v, true);
    port->bytes = (size_t)bcam_count(value->rank, value->dim) * bcam_dtype_bytes(value->dtype);
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++)
        port->used[pair] = port->bytes;
    return true;
}

static bcam_status place_ports(bcam_program *p, bcam_error *err)
{
    bcam_placement *place = &p->place;
    p->ports = bcam_pool_alloc(&place->pool, place->value_count, sizeof *p->ports);
    p->port_offset = bcam_pool_alloc(&place->pool, place->value_count, sizeof *p->port_offset);
    if (!p->ports || !p->port_offset)
        return bcam_fail_memory(err, place->pool.bytes, "a program");
    for (size_t v = 0; v < place->value_count; v++)
        p->port_offset[v] = SIZE_MAX;
    for (size_t v = 0; v < place->value_count; v++) {
        bcam_cuda_port port;
        size_t root = (size_t)place->root[v];
        if (!is_port(p, v, &port))
            continue;
        if (!port.converted && p->port_offset[root] != SIZE_MAX) {
            port.offset = p->port_offset[root];
        } else {
            port.offset = p->port_bytes;
            p->port_bytes += round_up(port.bytes);
        }
        if (!port.converted) { /* the value itself lies there, not in the arena */
            p->port_offset[root] = port.offset;
            place->spans[root].bytes = 0;
        }
        p->ports[p->port_count++] = port;
    }
    return BCAM_OK;
}

const bcam_cuda_port *bcam_cuda_find_port(const bcam_program *p, int value)
{
    for (size_t i = 0; i < p->port_count; i++)
        if (p->ports[i].value == value)
            return &p->ports[i];
    return NULL;
}

bcam_tensor bcam_cuda_tensor(const bcam_program *p, int value, int pair)
{
    bcam_tensor t = p->place.tensors[value];
    size_t offset = p->port_offset[p->place.root[value]];
    if (offset != SIZE_MAX)
        t.data = p->pair[pair].device + offset;
    return t;
}

/* ---- blocks ---- */

bcam_status bcam_cuda_malloc(size_t bytes, const char *what, void *out, bcam_error *err)
{
    void *data = NULL;
    memcpy(out, &data, sizeof data);
    cudaError_t code = bytes ? cudaMalloc(&data, bytes) : cudaSuccess;
    if (code == cudaErrorMemoryAllocation) {
        size_t there = 0, all = 0;
        cudaGetLastError();
        if (cudaMemGetInfo(&there, &all) == cudaSuccess)
            return bcam_fail(err, BCAM_E_MEMORY, "the card has %zu MiB free of %zu, too little for %s of %zu MiB",
                             there >> 20, all >> 20, what, (bytes >> 20) + 1);
        cudaGetLastError();
    }
    bcam_status status = bcam_cuda_check(code, "cudaMalloc", what, err);
    memcpy(out, &data, sizeof data);
    return status;
}

static bcam_status set_bytes(const bcam_program *p, void *data, int byte, size_t bytes, bcam_error *err)
{
    if (!bytes)
        return BCAM_OK;
    return bcam_cuda_check(cudaMemsetAsync(data, byte, bytes, p->device->compute), "cudaMemsetAsync", "clearing memory",
                           err);
}

static bcam_status make_pairs(bcam_program *p, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int i = 0; i < BCAM_CUDA_PAIRS && !status; i++) {
        bcam_cuda_pair *pair = &p->pair[i];
        cudaEvent_t *const events[] = {&pair->copied_in, &pair->computed, &pair->copied_out};
        for (size_t e = 0; e < BCAM_COUNT(events) && !status; e++)
            status = bcam_cuda_check(cudaEventCreateWithFlags(events[e], cudaEventDisableTiming),
                                     "cudaEventCreateWithFlags", "making a program", err);
        if (status || !p->port_bytes)
            continue;
        if ((status = bcam_cuda_malloc(p->port_bytes, "what goes in and comes out", &pair->device, err)) ||
            (status = bcam_cuda_check(cudaHostAlloc((void **)&pair->host, p->port_bytes, cudaHostAllocDefault),
                                      "cudaHostAlloc", "pinned host memory", err)))
            continue;
        memset(pair->host, 0, p->port_bytes);
        status = set_bytes(p, pair->device, 0, p->port_bytes, err);
    }
    return status;
}

/* Inputs and what is padded begin as zeros; everything else as small numbers, so that engines are timed on something. */
static bcam_status make_arena(bcam_program *p, bcam_error *err)
{
    enum { SMALL = 0x3c }; /* 1.06 as half, 0.011 as float and bfloat16 */
    bcam_placement *place = &p->place;
    size_t lead = p->device->options.guard ? BCAM_CUDA_CANARY : 0;
    p->arena_bytes = bcam_placement_layout(place, BCAM_CUDA_ALIGN, lead);
    if (p->arena_bytes == SIZE_MAX)
        return bcam_fail_memory(err, place->value_count * sizeof(bcam_span), "a program");
    bcam_status status = bcam_cuda_malloc(p->arena_bytes, "the values of a batch", &p->arena, err);
    if (!status)
        status = set_bytes(p, p->arena, SMALL, p->arena_bytes, err);
    for (size_t v = 0; v < place->value_count && !status; v++) {
        const bcam_span *root = &place->spans[place->root[v]];
        if (root->bytes == 0)
            continue;
        place->tensors[v].data = p->arena + root->offset;
        if (place->values[v].role == BCAM_ROLE_INPUT || !bcam_tensor_is_packed(&place->tensors[v]))
            status = set_bytes(p, place->tensors[v].data, 0, root->bytes, err);
    }
    return status;
}

/* The constants that some step reads, made in host memory and copied in one piece. */
static bcam_status fill_constants(bcam_program *p, const bcam_plan *plan, char *host, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    size_t at = 0;
    for (size_t v = 0; v < p->place.value_count && !status; v++) {
        size_t bytes = 0;
        if (p->place.values[v].role != BCAM_ROLE_CONST || p->place.last[v] < 0)
            continue;
        status = bcam_placement_bytes(&p->place, v, &bytes, err);
        if (!status && host) {
            p->place.tensors[v].data = p->constants + at;
            status = bcam_placement_constant(&p->place, plan, v, host + at, err);
        }
        at += round_up(bytes);
    }
    p->constant_bytes = at;
    return status;
}

static bcam_status make_constants(bcam_program *p, const bcam_plan *plan, bcam_error *err)
{
    char *host = NULL;
    cudaStream_t stream = p->device->compute;
    bcam_status status = fill_constants(p, plan, NULL, err);
    if (status || !p->constant_bytes)
        return status;
    if ((status = bcam_cuda_malloc(p->constant_bytes, "the weights", &p->constants, err)))
        return status;
    if (!(host = bcam_alloc(p->constant_bytes, 1)))
        return bcam_fail_memory(err, p->constant_bytes, "the weights");
    if ((status = fill_constants(p, plan, host, err)))
        goto out;
    status = bcam_cuda_check(cudaMemcpyAsync(p->constants, host, p->constant_bytes, cudaMemcpyHostToDevice, stream),
                             "cudaMemcpyAsync", "copying the weights to the card", err);
    if (!status)
        status = bcam_cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize",
                                 "copying the weights to the card", err);
out:
    bcam_free(host);
    return status;
}

bcam_status bcam_cuda_lay(bcam_program *program, bcam_error *err)
{
    bcam_status status = bcam_placement_lay(&program->place, BCAM_ORDER_CHANNELS_LAST, program->device->real, err);
    if (status)
        return status;
    find_floats(program);
    pad_inputs(program);
    return BCAM_OK;
}

bcam_status bcam_cuda_place(bcam_program *program, const bcam_plan *plan, bcam_error *err)
{
    bcam_status status;
    if ((status = bcam_cuda_lay(program, err)) || (status = bcam_placement_share(&program->place, plan, err)) ||
        (status = place_ports(program, err)) || (status = make_constants(program, plan, err)) ||
        (status = make_arena(program, err)))
        return status;
    return make_pairs(program, err);
}
