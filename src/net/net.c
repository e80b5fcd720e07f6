/* net.c - opening a network: which nodes the score needs, for how many photos it can run. */
#include <string.h>

#include "net/net_private.h"

/* ---- which nodes the score needs ---- */

static bcam_status mark_needed(const bcam_graph *graph, const char *score, bool **out, bcam_error *err)
{
    bcam_name_map wanted = {0};
    bool *needed = bcam_alloc((size_t)graph->node_count + 1, sizeof *needed);
    bool fits = needed && bcam_map_put(&wanted, score, 1);
    for (int i = graph->node_count - 1; fits && i >= 0; i--) {
        const bcam_node *node = &graph->nodes[i];
        for (int o = 0; o < node->output_count; o++)
            needed[i] |= bcam_map_get(&wanted, node->outputs[o]) >= 0;
        for (int k = 0; fits && needed[i] && k < node->input_count; k++)
            fits = !*node->inputs[k] || bcam_map_put(&wanted, node->inputs[k], 1);
    }
    bcam_map_fini(&wanted);
    *out = needed;
    return fits ? BCAM_OK : bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", graph->path);
}

int bcam_net_unsupported(const bcam_graph *graph, bcam_unsupported_fn fn, void *data)
{
    bool *needed = NULL;
    int found = 0;
    const char *score = bcam_score_find(graph, bcam_net_output(graph)).logits;
    if (mark_needed(graph, score, &needed, NULL) == BCAM_OK)
        for (int i = 0; i < graph->node_count; i++)
            if (needed[i] && !bcam_op_find(&graph->nodes[i], graph->opset)) {
                found++;
                if (fn)
                    fn(data, &graph->nodes[i], "this operator is not supported");
            }
    bcam_free(needed);
    return found;
}

bcam_status bcam_net_check_weights(const bcam_graph *graph, bcam_error *err)
{
    bool *needed = NULL;
    bcam_status status = mark_needed(graph, bcam_score_find(graph, bcam_net_output(graph)).logits, &needed, err);
    if (status == BCAM_OK)
        status = bcam_weights_check(graph, needed, err);
    bcam_free(needed);
    return status;
}

/* ---- input ---- */

/* The dimension of the height, before that of the width: 2 of (N,C,H,W), 1 of (N,H,W,C); 0 where it is neither. */
static int rows_of(const bcam_onnx_value *input)
{
    bool nchw = input->dim[1] == 3 || input->dim[1] == 1, nhwc = input->dim[3] == 3 || input->dim[3] == 1;
    return input->rank != 4 ? 0 : nchw ? 2 : nhwc ? 1 : 0;
}

bool bcam_net_size(bcam_graph *graph, int64_t **height, int64_t **width)
{
    int first = graph->input_count == 1 ? rows_of(&graph->inputs[0]) : 0;
    *height = first ? &graph->inputs[0].dim[first] : NULL;
    *width = first ? &graph->inputs[0].dim[first + 1] : NULL;
    return first > 0;
}

static bcam_status check_input(const bcam_graph *graph, bcam_net_info *info, bcam_error *err)
{
    enum { USUAL_SIZE = 224 };
    if (graph->input_count != 1)
        return bcam_fail(err, BCAM_E_MODEL, "'%s' has %d inputs; a classifier of photos has one", graph->path,
                         graph->input_count);
    const bcam_onnx_value *input = &graph->inputs[0];
    if (input->rank != 4)
        return bcam_fail(err, BCAM_E_MODEL,
                         "input '%s' of '%s' has %d dimensions; photos, (N,C,H,W) or (N,H,W,C), have four", input->name,
                         graph->path, input->rank);
    int first = rows_of(input);
    bool nhwc = first == 1;
    if (!first)
        return bcam_fail(err, BCAM_E_MODEL,
                         "input '%s' of '%s' is (%lld,%lld,%lld,%lld): neither dimension 1 nor 3 is 3 or 1 channels",
                         input->name, graph->path, (long long)input->dim[0], (long long)input->dim[1],
                         (long long)input->dim[2], (long long)input->dim[3]);
    int64_t h = input->dim[first], w = input->dim[first + 1];
    h = h == BCAM_ONNX_FREE ? USUAL_SIZE : h;
    w = w == BCAM_ONNX_FREE ? USUAL_SIZE : w;
    if (h < 1 || w < 1 || h > 8192 || w > 8192)
        return bcam_fail(err, BCAM_E_MODEL, "input '%s' of '%s' is %lld x %lld pixels large; 1 to 8192 will do",
                         input->name, graph->path, (long long)w, (long long)h);
    if (input->dim[0] > 1 << 16) /* what is counted per photo must not overflow times this */
        return bcam_fail(err, BCAM_E_MODEL, "input '%s' of '%s' is for %lld photos at once; export it for 1",
                         input->name, graph->path, (long long)input->dim[0]);
    if (input->type != BCAM_ONNX_UNDEFINED && !bcam_onnx_type_bytes(input->type))
        return bcam_fail(err, BCAM_E_MODEL, "input '%s' of '%s' has elements (%s) that are no numbers", input->name,
                         graph->path, bcam_onnx_type_name(input->type));
    info->input = input->name;
    info->nhwc = nhwc;
    info->channels = (int)input->dim[nhwc ? 3 : 1];
    info->height = (int)h;
    info->width = (int)w;
    return BCAM_OK;
}

/* ---- lowering, for N photos where that can be proven right, else for the file's own number ---- */

static bcam_status lower_at(bcam_net *net, int64_t batch, bool lift, bcam_error *err)
{
    bcam_plan_fini(&net->plan);
    bcam_lower_fini(&net->lower);
    bcam_plan_init(&net->plan, batch, 1);
    net->lower.graph = net->graph;
    net->lower.plan = &net->plan;
    net->lower.lift = lift;
    net->lower.declared_batch = net->graph->inputs[0].dim[0];
    net->info.batch = batch;
    return bcam_lower_graph(&net->lower, net->needed, net->info.height, net->info.width, err);
}

/* Whether a constant holds the same numbers in both plans. Long ones do: no arithmetic on the number of photos makes them. */
static bool same_numbers(const bcam_value *a, const bcam_value *b)
{
    enum { MOST = 512 };
    double x[MOST], y[MOST];
    int64_t count = bcam_count(a->rank, a->dim);
    if (a->data == b->data || count > MOST)
        return true;
    bcam_const_read(a, BCAM_F64, x);
    bcam_const_read(b, BCAM_F64, y);
    return memcmp(x, y, (size_t)count * sizeof *x) == 0;
}

static bool same_value(const bcam_value *a, const bcam_value *b)
{
    int first = a->role == BCAM_ROLE_CONST ? 0 : 1; /* dimension 0 of the others is the batch */
    if (a->role != b->role || a->rank != b->rank)
        return false;
    for (int d = first; d < a->rank; d++)
        if (a->dim[d] != b->dim[d])
            return false;
    return true;
}

static bool same_step(const bcam_plan *p, const bcam_plan *q, size_t s)
{
    const bcam_step *a = &p->steps[s], *b = &q->steps[s];
    if (a->verb != b->verb || memcmp(a->in, b->in, sizeof a->in) != 0 || memcmp(a->out, b->out, sizeof a->out) != 0)
        return false;
    for (int i = 0; i < BCAM_MAX_IN; i++) {
        const bcam_value *x = a->in[i] < 0 ? NULL : &p->values[a->in[i]], *y = x ? &q->values[a->in[i]] : NULL;
        if (x && (!same_value(x, y) || (x->role == BCAM_ROLE_CONST && !same_numbers(x, y))))
            return false;
    }
    const bcam_copy_attr *c = &a->u.copy, *d = &b->u.copy;
    if (a->verb == BCAM_VERB_UNARY)
        return a->u.unary.kind == b->u.unary.kind && memcmp(&a->u.unary, &b->u.unary, sizeof a->u.unary) == 0;
    return a->verb != BCAM_VERB_COPY ||
           (memcmp(c->to, d->to, sizeof c->to) == 0 && memcmp(c->from, d->from, sizeof c->from) == 0 &&
            memcmp(c->step, d->step, sizeof c->step) == 0 && memcmp(c->axis, d->axis, sizeof c->axis) == 0);
}

/* Two plans of different batches that do the same with every photo. */
static bool same_per_photo(const bcam_plan *p, const bcam_plan *q)
{
    if (p->step_count != q->step_count || p->value_count != q->value_count)
        return false;
    for (size_t s = 0; s < p->step_count; s++)
        if (!same_step(p, q, s) || !same_value(&p->values[p->steps[s].out[0]], &q->values[p->steps[s].out[0]]))
            return false;
    return true;
}

/* Lowers for N photos where dimension 0 is the batch throughout. That a dimension is N may be chance (N is 1, or a number of the file), so the
 * same must come out for a number that no file holds. */
static bcam_status lower_lifted(bcam_net *net, int64_t batch, bcam_error *why)
{
    enum { ODD = 4099 }; /* a prime */
    bcam_status status = lower_at(net, ODD, true, why);
    if (status != BCAM_OK)
        return status;
    bcam_plan odd = net->plan;
    net->plan = (bcam_plan){0};
    status = lower_at(net, batch, true, why);
    if (status == BCAM_OK && !same_per_photo(&odd, &net->plan))
        status = bcam_fail(why, BCAM_E_UNSUPPORTED, "what it computes for one photo depends on how many there are");
    bcam_plan_fini(&odd);
    return status;
}

static bcam_status lower_net(bcam_net *net, int64_t batch, bcam_error *err)
{
    int64_t declared = net->graph->inputs[0].dim[0];
    bcam_error why = {0}, fixed_why = {0};
    bcam_status status = lower_lifted(net, batch, &why);
    net->info.batch_lifted = status == BCAM_OK && declared > 0 && declared != batch;
    if (status == BCAM_E_UNSUPPORTED) {
        status = lower_at(net, declared > 0 ? declared : 1, false, &fixed_why);
        net->info.batch_fixed = status == BCAM_OK;
        memcpy(net->info.batch_note, why.message, sizeof net->info.batch_note - 1);
        why = fixed_why; /* an operator that is not supported fails in both */
    }
    if (status != BCAM_OK) {
        if (err)
            *err = why;
        return status;
    }
    if (net->info.batch != 1 && net->info.batch_fixed)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "'%s' is fixed at %lld photos at once (%s); export it with a batch of 1 or a free one",
                         net->graph->path, (long long)net->info.batch, net->info.batch_note);
    return bcam_score_shape(net, err);
}

bcam_status bcam_net_open(const bcam_graph *graph, int64_t batch, bcam_net **out, bcam_error *err)
{
    *out = NULL;
    bcam_net *net = bcam_alloc(1, sizeof *net);
    if (!net)
        return bcam_fail_memory(err, sizeof *net, "the network");
    net->graph = graph;
    bcam_status status = check_input(graph, &net->info, err);
    if (status == BCAM_OK) {
        const bcam_onnx_value *output = bcam_net_output(graph);
        net->path = bcam_score_find(graph, output);
        net->score_maker = bcam_score_maker(graph, net->path.logits);
        net->info.output = output->name;
        net->info.logits = net->path.logits;
        net->info.activation = net->path.activation;
        status = mark_needed(graph, net->path.logits, &net->needed, err);
    }
    if (status == BCAM_OK)
        status = lower_net(net, batch, err);
    if (status == BCAM_OK) {
        net->info.input_value = net->lower.input;
        status = bcam_names_prepare(net, err);
    }
    if (status != BCAM_OK)
        bcam_net_close(&net);
    *out = net;
    return status;
}

void bcam_net_close(bcam_net **net)
{
    if (!*net)
        return;
    bcam_lower_fini(&(*net)->lower);
    bcam_plan_fini(&(*net)->plan);
    bcam_free((*net)->needed);
    bcam_free((*net)->paths);
    bcam_free((*net)->edges);
    bcam_free((*net)->spatial);
    bcam_free((*net)->order);
    bcam_map_fini(&(*net)->modules);
    bcam_free(*net);
    *net = NULL;
}

const bcam_net_info *bcam_net_get_info(const bcam_net *net)
{
    return &net->info;
}

bcam_plan *bcam_net_plan(bcam_net *net)
{
    return &net->plan;
}
