/* place.c - where the values of a program lie. The rules stand in cpu.h. */
#include <string.h>

#include "cpu/program.h"

enum { ALIGN = 64 };

bcam_dtype bcam_cpu_stored_dtype(const bcam_device *device, bcam_dtype dtype)
{
    return dtype == BCAM_F32 && device->options.precision == BCAM_PRECISION_FP64 ? BCAM_F64 : dtype;
}

/* ---- layout ---- */

typedef enum order { ORDER_CHANNELS_LAST, ORDER_DENSE, ORDER_KERNEL /* kh, kw, C/groups, M */ } order;

static const int to_nhwc[4] = {0, 2, 3, 1}, to_nchw[4] = {0, 3, 1, 2};

/* Whether a copy moves the axes of all of x (rank 4) to those of y, in this order. */
static bool is_transposition(const bcam_step *step, const bcam_value *x, const bcam_value *y, const int axis[4])
{
    const bcam_copy_attr *c = &step->u.copy;
    if (c->reshape || x->rank != 4 || y->rank != 4)
        return false;
    for (int a = 0; a < 4; a++)
        if (c->axis[a] != axis[a] || c->to[a] != 0 || c->from[a] != 0 || c->step[axis[a]] != 1 ||
            c->extent[a] != y->dim[a] || y->dim[a] != x->dim[axis[a]])
            return false;
    return true;
}

/* Operands whose order the verb decides. */
static void order_of_verb(const bcam_program *p, const bcam_step *step, order *orders)
{
    switch (step->verb) {
    case BCAM_VERB_CONV:
    case BCAM_VERB_CONV_BWD:
        if (p->values[step->in[1]].role == BCAM_ROLE_CONST)
            orders[step->in[1]] = p->device->options.reference ? ORDER_KERNEL : ORDER_DENSE;
        break;
    case BCAM_VERB_CAM:
        orders[step->out[0]] = ORDER_DENSE;
        break;
    case BCAM_VERB_UPSAMPLE:
        orders[step->in[0]] = orders[step->out[0]] = ORDER_DENSE;
        break;
    case BCAM_VERB_PREP:
        if (step->u.prep.nhwc)
            orders[step->out[0]] = ORDER_DENSE;
        break;
    case BCAM_VERB_COPY: {
        const bcam_value *x = &p->values[step->in[0]];
        if (x->role == BCAM_ROLE_INPUT && is_transposition(step, x, &p->values[step->out[0]], to_nchw))
            orders[step->in[0]] = ORDER_DENSE;
        break;
    }
    default:
        break;
    }
}

static bool is_full_size(const bcam_program *p, int x, int y)
{
    const bcam_value *a = &p->values[x], *b = &p->values[y];
    return a->rank == 4 && bcam_count(4, a->dim) == bcam_count(4, b->dim);
}

/* What becomes of (N,H,W,C): a transposition begins it, elementwise verbs hand it on. */
static void order_handed_on(const bcam_program *p, const bcam_step *step, order *orders)
{
    int x = step->in[0], y = step->out[0];
    if (p->values[y].rank != 4 || orders[y] != ORDER_CHANNELS_LAST)
        return;
    switch (step->verb) {
    case BCAM_VERB_COPY:
        if (orders[x] == ORDER_CHANNELS_LAST && is_transposition(step, &p->values[x], &p->values[y], to_nhwc))
            orders[y] = ORDER_DENSE;
        break;
    case BCAM_VERB_COPY_BWD:
        if (orders[x] == ORDER_CHANNELS_LAST && is_transposition(step, &p->values[y], &p->values[x], to_nchw))
            orders[y] = ORDER_DENSE;
        break;
    case BCAM_VERB_UNARY:
    case BCAM_VERB_UNARY_BWD:
    case BCAM_VERB_NORM:
    case BCAM_VERB_NORM_BWD:
    case BCAM_VERB_BINARY:
    case BCAM_VERB_BINARY_BWD:
    case BCAM_VERB_SOFTMAX:
    case BCAM_VERB_SOFTMAX_BWD:
        if (is_full_size(p, x, y))
            orders[y] = orders[x];
        else if (step->verb == BCAM_VERB_BINARY && is_full_size(p, step->in[1], y))
            orders[y] = orders[step->in[1]];
        break;
    default:
        break;
    }
}

static void lay_value(bcam_program *p, size_t v, order how)
{
    static const int kernel_order[4] = {0, 1, 3, 2}; /* M runs fastest, then C/groups, kw, kh */
    bcam_tensor *t = &p->tensors[v];
    const bcam_value *value = &p->values[v];
    *t = (bcam_tensor){.dtype = bcam_cpu_stored_dtype(p->device, value->dtype), .rank = value->rank};
    memcpy(t->dim, value->dim, sizeof t->dim);
    if (how == ORDER_CHANNELS_LAST)
        bcam_strides_channels_last(t->rank, t->dim, t->stride);
    else if (how == ORDER_DENSE || t->rank != 4)
        bcam_strides_dense(t->rank, t->dim, t->stride);
    else
        for (int i = 0; i < 4; i++)
            t->stride[kernel_order[i]] = i ? t->stride[kernel_order[i - 1]] * t->dim[kernel_order[i - 1]] : 1;
}

static bcam_status lay_values(bcam_program *p, bcam_error *err)
{
    order *orders = bcam_alloc(p->value_count, sizeof *orders);
    if (!orders)
        return bcam_fail_memory(err, p->value_count * sizeof *orders, "a program");
    for (size_t s = 0; s < p->step_count; s++)
        order_of_verb(p, &p->steps[s], orders);
    for (size_t s = 0; s < p->step_count; s++)
        order_handed_on(p, &p->steps[s], orders);
    for (size_t v = 0; v < p->value_count; v++)
        lay_value(p, v, orders[v]);
    bcam_free(orders);
    return BCAM_OK;
}

/* ---- aliases ---- */

/* Whether x and y put the same row-major sequence of elements in the same places: both plainly row-major, or alike axis by axis. */
static bool same_sequence(const bcam_tensor *x, const bcam_tensor *y)
{
    int a = 0, b = 0;
    if (bcam_tensor_is_dense(x) && bcam_tensor_is_dense(y))
        return true;
    for (;;) { /* axes of length 1 do not count */
        while (a < x->rank && x->dim[a] == 1)
            a++;
        while (b < y->rank && y->dim[b] == 1)
            b++;
        if (a == x->rank || b == y->rank)
            return a == x->rank && b == y->rank;
        if (x->dim[a] != y->dim[b] || x->stride[a] != y->stride[b])
            return false;
        a++, b++;
    }
}

static bool moves_nothing(const bcam_copy_attr *c, const bcam_tensor *x, const bcam_tensor *y)
{
    if (c->reshape)
        return same_sequence(x, y);
    if (bcam_count(x->rank, x->dim) != bcam_count(y->rank, y->dim))
        return false;
    for (int a = 0; a < y->rank; a++) {
        if (c->to[a] != 0 || c->extent[a] != y->dim[a])
            return false;
        if (y->dim[a] > 1 &&
            (c->axis[a] < 0 || c->from[c->axis[a]] != 0 || c->step[c->axis[a]] * x->stride[c->axis[a]] != y->stride[a]))
            return false;
    }
    return true;
}

/* A copy that moves nothing and is the only writer of its output gives the output its input's memory. */
static void find_aliases(bcam_program *p, const int *writers)
{
    for (size_t v = 0; v < p->value_count; v++)
        p->root[v] = (int)v;
    for (size_t s = 0; s < p->step_count; s++) {
        const bcam_step *step = &p->steps[s];
        int x = step->in[0], y = step->out[0];
        if (step->verb != BCAM_VERB_COPY && step->verb != BCAM_VERB_COPY_BWD)
            continue;
        const bcam_tensor *from = &p->tensors[step->verb == BCAM_VERB_COPY ? x : y];
        const bcam_tensor *to = &p->tensors[step->verb == BCAM_VERB_COPY ? y : x];
        if (writers[y] == 1 && p->values[x].role != BCAM_ROLE_CONST && p->values[x].dtype == p->values[y].dtype &&
            (!step->each_k || p->values[x].each_k == p->values[y].each_k) && moves_nothing(&step->u.copy, from, to)) {
            p->alias[s] = true;
            p->root[y] = p->root[x];
        }
    }
}

/* ---- memory ---- */

static bcam_status value_bytes(const bcam_program *p, size_t v, size_t *bytes, bcam_error *err)
{
    const bcam_tensor *t = &p->tensors[v];
    size_t total = bcam_dtype_bytes(t->dtype);
    for (int a = 0; a < t->rank; a++)
        if (!bcam_mul_size(total, (size_t)t->dim[a], &total) || total > SIZE_MAX / 64)
            return bcam_fail(err, BCAM_E_MEMORY, "'%s' is too large", p->values[v].name);
    *bytes = total;
    return BCAM_OK;
}

/* What crosses a segment's end lives on: later segments may run again and again. */
static void keep_across_segments(const bcam_program *p, bcam_span *span)
{
    int end = (int)p->step_count - 1;
    if (span->first < span->last && p->steps[span->first].segment != p->steps[span->last].segment)
        span->last = end;
}

/* Spans of the roots, from the lives of all that share their memory. */
static bcam_status find_spans(bcam_program *p, const int *first, const int *last, bcam_error *err)
{
    for (size_t v = 0; v < p->value_count; v++)
        p->spans[v] = (bcam_span){.first = INT32_MAX, .last = -1};
    for (size_t v = 0; v < p->value_count; v++) {
        bcam_span *span = &p->spans[p->root[v]];
        if (p->values[v].role == BCAM_ROLE_CONST || (p->values[v].role == BCAM_ROLE_WORK && last[v] < 0))
            continue;
        if (first[v] < 0 && p->step_count > 0)
            return bcam_fail(err, BCAM_E_INTERNAL, "'%s' is read by step '%s' before any step has written it",
                             p->values[v].name, p->steps[last[v]].name);
        span->first = first[v] < span->first ? first[v] : span->first;
        span->last = last[v] > span->last ? last[v] : span->last;
    }
    for (size_t v = 0; v < p->value_count; v++) {
        bcam_span *span = &p->spans[v];
        if (span->first == INT32_MAX)
            continue;
        if (span->last < span->first) /* a plan without steps */
            span->last = span->first;
        bcam_status status = value_bytes(p, v, &span->bytes, err);
        if (status)
            return status;
        keep_across_segments(p, span);
    }
    return BCAM_OK;
}

/* Lays out the arena; with the guard, canaries lie around each value. */
static bcam_status place_arena(bcam_program *p, bcam_error *err)
{
    bool guard = p->device->options.guard;
    size_t lead = guard ? BCAM_CPU_CANARY : 0, count = 0;
    bcam_span *spans = bcam_alloc(p->value_count, sizeof *spans);
    if (!spans)
        return bcam_fail_memory(err, p->value_count * sizeof *spans, "a program");
    for (size_t v = 0; v < p->value_count; v++)
        if (p->spans[v].bytes > 0) {
            spans[count] = p->spans[v];
            spans[count++].bytes += lead;
        }
    p->arena_bytes = bcam_layout(spans, count, ALIGN, lead);
    count = 0;
    for (size_t v = 0; v < p->value_count; v++)
        if (p->spans[v].bytes > 0)
            p->spans[v].offset = spans[count++].offset + lead;
    bcam_free(spans);
    if (p->arena_bytes == SIZE_MAX || !(p->arena = bcam_alloc_aligned(p->arena_bytes)))
        return bcam_fail_memory(err, p->arena_bytes, "the values of a program; a smaller batch needs less");
    for (size_t v = 0; v < p->value_count; v++) {
        const bcam_span *root = &p->spans[p->root[v]];
        if (root->bytes == 0)
            continue;
        p->tensors[v].data = p->arena + root->offset;
        if (p->values[v].role == BCAM_ROLE_INPUT)
            memset(p->tensors[v].data, 0, root->bytes);
    }
    return BCAM_OK;
}

static bcam_status fill_constant(bcam_program *p, const bcam_plan *plan, size_t v, bcam_error *err)
{
    const bcam_tensor *t = &p->tensors[v];
    if (p->values[v].dtype != BCAM_F32 && p->values[v].dtype != BCAM_I32)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "constant '%s' is %s; only float32 and int32 are supported",
                         p->values[v].name, bcam_dtype_name(p->values[v].dtype));
    if (bcam_tensor_is_dense(t)) {
        bcam_const_read(&plan->values[v], t->dtype, t->data);
        return BCAM_OK;
    }
    size_t count = (size_t)bcam_count(t->rank, t->dim);
    void *dense = bcam_alloc(count, bcam_dtype_bytes(t->dtype));
    if (!dense)
        return bcam_fail_memory(err, count * bcam_dtype_bytes(t->dtype), p->values[v].name);
    bcam_const_read(&plan->values[v], t->dtype, dense);
    bcam_cpu_elements_write(t, t->dtype, dense);
    bcam_free(dense);
    return BCAM_OK;
}

/* The constants that some step reads (last[v] >= 0), in one block. */
static bcam_status place_constants(bcam_program *p, const bcam_plan *plan, const int *last, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int pass = 0; pass < 2 && !status; pass++) {
        size_t at = 0;
        for (size_t v = 0; v < p->value_count && !status; v++) {
            size_t bytes = 0;
            if (p->values[v].role != BCAM_ROLE_CONST || last[v] < 0)
                continue;
            status = value_bytes(p, v, &bytes, err);
            if (pass == 1) {
                p->tensors[v].data = p->constants + at;
                status = fill_constant(p, plan, v, err);
            }
            at += (bytes + ALIGN - 1) / ALIGN * ALIGN;
        }
        p->constant_bytes = at;
        if (pass == 0 && !status && at > 0 && !(p->constants = bcam_alloc_aligned(at)))
            status = bcam_fail_memory(err, at, "the weights");
    }
    return status;
}

/* How many steps write each value, and which is the first to write into each root. */
static void find_writers(bcam_program *p, int *writers)
{
    for (size_t v = 0; v < p->value_count; v++)
        writers[v] = 0;
    for (size_t s = 0; s < p->step_count; s++)
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (p->steps[s].out[i] >= 0)
                writers[p->steps[s].out[i]]++;
}

static void find_births(bcam_program *p)
{
    for (size_t v = 0; v < p->value_count; v++)
        p->birth[v] = -1;
    for (size_t s = p->step_count; s-- > 0;)
        for (int i = 0; i < BCAM_MAX_OUT && !p->alias[s]; i++)
            if (p->steps[s].out[i] >= 0)
                p->birth[p->root[p->steps[s].out[i]]] = (int)s;
}

bcam_status bcam_cpu_place(bcam_program *program, const bcam_plan *plan, bcam_error *err)
{
    bcam_status status;
    int *numbers = bcam_alloc(3 * program->value_count, sizeof *numbers);
    if (!numbers)
        return bcam_fail_memory(err, 3 * program->value_count * sizeof *numbers, "a program");
    int *first = numbers, *last = first + program->value_count, *writers = last + program->value_count;
    bcam_lifetimes(plan, first, last);
    if ((status = lay_values(program, err)))
        goto out;
    find_writers(program, writers);
    find_aliases(program, writers);
    find_births(program);
    if ((status = find_spans(program, first, last, err)) || (status = place_arena(program, err)))
        goto out;
    status = place_constants(program, plan, last, err);
out:
    bcam_free(numbers);
    return status;
}
