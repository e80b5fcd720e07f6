/* place.c - where the values of a plan lie, which of them share memory, and who lives when. The rules stand in place.h. */
#include "dev/place.h"

#include <string.h>

/* ---- the copy of the plan ---- */

static bool make_room(bcam_placement *p)
{
    p->values = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->values);
    p->tensors = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->tensors);
    p->root = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->root);
    p->shift = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->shift);
    p->last = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->last);
    p->spans = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->spans);
    p->birth = bcam_pool_alloc(&p->pool, p->value_count, sizeof *p->birth);
    p->steps = bcam_pool_alloc(&p->pool, p->step_count, sizeof *p->steps);
    p->alias = bcam_pool_alloc(&p->pool, p->step_count, sizeof *p->alias);
    return p->values && p->tensors && p->root && p->shift && p->last && p->spans && p->birth && p->steps && p->alias;
}

bcam_status bcam_placement_init(bcam_placement *p, const bcam_plan *plan, bcam_error *err)
{
    *p = (bcam_placement){.k = plan->k, .value_count = plan->value_count, .step_count = plan->step_count};
    if (!make_room(p))
        return bcam_fail_memory(err, p->pool.bytes, "a program");
    for (size_t v = 0; v < p->value_count; v++) {
        p->values[v] = plan->values[v];
        p->values[v].data = p->values[v].scale = NULL;
        if (!(p->values[v].name = bcam_pool_strdup(&p->pool, plan->values[v].name)))
            return bcam_fail_memory(err, p->pool.bytes, "a program");
    }
    for (size_t s = 0; s < p->step_count; s++) {
        p->steps[s] = plan->steps[s];
        if (!(p->steps[s].name = bcam_pool_strdup(&p->pool, plan->steps[s].name)))
            return bcam_fail_memory(err, p->pool.bytes, "a program");
    }
    return BCAM_OK;
}

void bcam_placement_fini(bcam_placement *p)
{
    bcam_pool_fini(&p->pool);
}

/* ---- layout ---- */

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
static void order_of_verb(const bcam_placement *p, const bcam_step *step, bcam_order weights, bcam_order *orders)
{
    switch (step->verb) {
    case BCAM_VERB_CONV:
    case BCAM_VERB_CONV_BWD:
        if (p->values[step->in[1]].role == BCAM_ROLE_CONST)
            orders[step->in[1]] = weights;
        break;
    case BCAM_VERB_CAM:
        orders[step->out[0]] = BCAM_ORDER_DENSE;
        break;
    case BCAM_VERB_UPSAMPLE:
        orders[step->in[0]] = orders[step->out[0]] = BCAM_ORDER_DENSE;
        break;
    case BCAM_VERB_COPY: {
        const bcam_value *x = &p->values[step->in[0]];
        if (x->role == BCAM_ROLE_INPUT && is_transposition(step, x, &p->values[step->out[0]], to_nchw))
            orders[step->in[0]] = BCAM_ORDER_DENSE;
        break;
    }
    default:
        break;
    }
}

static bool is_full_size(const bcam_placement *p, int x, int y)
{
    const bcam_value *a = &p->values[x], *b = &p->values[y];
    return a->rank == 4 && bcam_count(4, a->dim) == bcam_count(4, b->dim);
}

/* What becomes of (N,H,W,C): a transposition begins it, elementwise verbs hand it on. */
static void order_handed_on(const bcam_placement *p, const bcam_step *step, bcam_order *orders)
{
    int x = step->in[0], y = step->out[0];
    if (p->values[y].rank != 4 || orders[y] != BCAM_ORDER_CHANNELS_LAST)
        return;
    switch (step->verb) {
    case BCAM_VERB_COPY:
        if (orders[x] == BCAM_ORDER_CHANNELS_LAST && is_transposition(step, &p->values[x], &p->values[y], to_nhwc))
            orders[y] = BCAM_ORDER_DENSE;
        break;
    case BCAM_VERB_COPY_BWD:
        if (orders[x] == BCAM_ORDER_CHANNELS_LAST && is_transposition(step, &p->values[y], &p->values[x], to_nchw))
            orders[y] = BCAM_ORDER_DENSE;
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

static void lay_value(bcam_placement *p, size_t v, bcam_order how, bcam_dtype real)
{
    static const int kernel_order[4] = {0, 1, 3, 2}; /* M runs fastest, then C/groups, kw, kh */
    bcam_tensor *t = &p->tensors[v];
    const bcam_value *value = &p->values[v];
    *t = (bcam_tensor){.dtype = value->dtype == BCAM_F32 ? real : value->dtype, .rank = value->rank};
    memcpy(t->dim, value->dim, sizeof t->dim);
    if (t->rank == 0) /* as bcam_step_operand has it */
        t->dim[t->rank++] = 1;
    if (how == BCAM_ORDER_CHANNELS_LAST)
        bcam_strides_channels_last(t->rank, t->dim, t->stride);
    else if (how == BCAM_ORDER_DENSE || t->rank != 4)
        bcam_strides_dense(t->rank, t->dim, t->stride);
    else
        for (int i = 0; i < 4; i++)
            t->stride[kernel_order[i]] = i ? t->stride[kernel_order[i - 1]] * t->dim[kernel_order[i - 1]] : 1;
}

bcam_status bcam_placement_lay(bcam_placement *p, bcam_order weights, bcam_dtype real, bcam_error *err)
{
    bcam_order *orders = bcam_alloc(p->value_count, sizeof *orders);
    if (!orders)
        return bcam_fail_memory(err, p->value_count * sizeof *orders, "a program");
    for (size_t s = 0; s < p->step_count; s++)
        order_of_verb(p, &p->steps[s], weights, orders);
    for (size_t s = 0; s < p->step_count; s++)
        order_handed_on(p, &p->steps[s], orders);
    for (size_t v = 0; v < p->value_count; v++)
        lay_value(p, v, orders[v], real);
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
static void find_aliases(bcam_placement *p, const int *writers)
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
        if (writers[y] == 1 && p->values[x].role != BCAM_ROLE_CONST && p->tensors[x].dtype == p->tensors[y].dtype &&
            (!step->each_k || p->values[x].each_k == p->values[y].each_k) && moves_nothing(&step->u.copy, from, to)) {
            p->alias[s] = true;
            p->root[y] = p->root[x];
        }
    }
}

/* ---- memory ---- */

bcam_status bcam_placement_bytes(const bcam_placement *p, size_t v, size_t *bytes, bcam_error *err)
{
    const bcam_tensor *t = &p->tensors[v];
    size_t total = 1;
    for (int a = 0; a < t->rank; a++)
        if (!bcam_mul_size(total, (size_t)t->dim[a], &total) || total > SIZE_MAX / 128)
            return bcam_fail(err, BCAM_E_MEMORY, "'%s' is too large", p->values[v].name);
    for (int a = 0; a < t->rank; a++) /* padded rows reach further than the elements */
        if (t->dim[a] > 1 && (size_t)(t->dim[a] * t->stride[a]) > total)
            total = (size_t)(t->dim[a] * t->stride[a]);
    *bytes = total * bcam_dtype_bytes(t->dtype);
    return BCAM_OK;
}

/* What crosses a segment's end lives on: later segments may run again and again. */
static void keep_across_segments(const bcam_placement *p, bcam_span *span)
{
    int end = (int)p->step_count - 1;
    if (span->first < span->last && p->steps[span->first].segment != p->steps[span->last].segment)
        span->last = end;
}

/* Spans of the roots, from the lives of all that share their memory. */
static bcam_status find_spans(bcam_placement *p, const int *first, bcam_error *err)
{
    for (size_t v = 0; v < p->value_count; v++)
        p->spans[v] = (bcam_span){.first = INT32_MAX, .last = -1};
    for (size_t v = 0; v < p->value_count; v++) {
        bcam_span *span = &p->spans[p->root[v]];
        if (p->values[v].role == BCAM_ROLE_CONST || (p->values[v].role == BCAM_ROLE_WORK && p->last[v] < 0))
            continue;
        if (first[v] < 0 && p->step_count > 0)
            return bcam_fail(err, BCAM_E_INTERNAL, "'%s' is read by step '%s' before any step has written it",
                             p->values[v].name, p->steps[p->last[v]].name);
        span->first = first[v] < span->first ? first[v] : span->first;
        span->last = p->last[v] > span->last ? p->last[v] : span->last;
    }
    for (size_t v = 0; v < p->value_count; v++) {
        bcam_span *span = &p->spans[v];
        if (span->first == INT32_MAX)
            continue;
        if (span->last < span->first) /* a plan without steps */
            span->last = span->first;
        bcam_status status = bcam_placement_bytes(p, v, &span->bytes, err);
        if (status)
            return status;
        keep_across_segments(p, span);
    }
    return BCAM_OK;
}

/* How many steps write each value. */
static void find_writers(const bcam_placement *p, int *writers)
{
    for (size_t v = 0; v < p->value_count; v++)
        writers[v] = 0;
    for (size_t s = 0; s < p->step_count; s++)
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (p->steps[s].out[i] >= 0)
                writers[p->steps[s].out[i]]++;
}

/* The first step to write into each root. */
static void find_births(bcam_placement *p)
{
    for (size_t v = 0; v < p->value_count; v++)
        p->birth[v] = -1;
    for (size_t s = p->step_count; s-- > 0;)
        for (int i = 0; i < BCAM_MAX_OUT && !p->alias[s]; i++)
            if (p->steps[s].out[i] >= 0)
                p->birth[p->root[p->steps[s].out[i]]] = (int)s;
}

bcam_status bcam_placement_share(bcam_placement *p, const bcam_plan *plan, bcam_error *err)
{
    int *numbers = bcam_alloc(2 * p->value_count, sizeof *numbers);
    if (!numbers)
        return bcam_fail_memory(err, 2 * p->value_count * sizeof *numbers, "a program");
    int *first = numbers, *writers = numbers + p->value_count;
    bcam_lifetimes(plan, first, p->last);
    find_writers(p, writers);
    find_aliases(p, writers);
    bcam_status status = p->join ? bcam_placement_join(p, writers, err) : BCAM_OK;
    find_births(p);
    if (status == BCAM_OK)
        status = find_spans(p, first, err);
    bcam_free(numbers);
    return status;
}

size_t bcam_placement_layout(bcam_placement *p, size_t align, size_t lead)
{
    size_t count = 0;
    bcam_span *spans = bcam_alloc(p->value_count, sizeof *spans);
    if (!spans)
        return SIZE_MAX;
    for (size_t v = 0; v < p->value_count; v++)
        if (p->spans[v].bytes > 0) {
            spans[count] = p->spans[v];
            spans[count++].bytes += lead;
        }
    size_t total = bcam_layout(spans, count, align, lead);
    count = 0;
    for (size_t v = 0; v < p->value_count; v++)
        if (p->spans[v].bytes > 0)
            p->spans[v].offset = spans[count++].offset + lead;
    bcam_free(spans);
    return total;
}

/* ---- constants ---- */

bcam_status bcam_placement_constant(const bcam_placement *p, const bcam_plan *plan, size_t v, void *memory,
                                    bcam_error *err)
{
    bcam_tensor t = p->tensors[v];
    bcam_dtype given = plan->values[v].dtype, as = given == BCAM_F32 && t.dtype == BCAM_F64 ? BCAM_F64 : given;
    if (given != BCAM_F32 && given != BCAM_I32 && given != BCAM_U8)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "constant '%s' is %s; only float32, int32 and uint8 are supported",
                         p->values[v].name, bcam_dtype_name(given));
    t.data = memory;
    if (as == t.dtype && bcam_tensor_is_dense(&t)) {
        bcam_const_read(&plan->values[v], as, memory);
        return BCAM_OK;
    }
    size_t count = (size_t)bcam_count(t.rank, t.dim);
    void *dense = bcam_alloc(count, bcam_dtype_bytes(as));
    if (!dense)
        return bcam_fail_memory(err, count * bcam_dtype_bytes(as), p->values[v].name);
    bcam_const_read(&plan->values[v], as, dense);
    bcam_elements_write(&t, as, dense);
    bcam_free(dense);
    return BCAM_OK;
}

bcam_status bcam_placement_access(const bcam_placement *p, int value, bcam_dtype as, bcam_error *err)
{
    if (value < 0 || (size_t)value >= p->value_count)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no value %d in a program of %zu", value, p->value_count);
    const bcam_value *v = &p->values[value];
    if (v->role == BCAM_ROLE_WORK)
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "'%s' is neither input, output nor constant; it cannot be read or written", v->name);
    if (as != v->dtype && !(v->dtype == BCAM_F32 && as == BCAM_F64))
        return bcam_fail(err, BCAM_E_ARGUMENT, "'%s' is %s; it cannot be taken as %s", v->name,
                         bcam_dtype_name(v->dtype), bcam_dtype_name(as));
    return BCAM_OK;
}
