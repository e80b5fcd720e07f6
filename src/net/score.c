/* score.c - which output of a file is explained, the logits behind it, and how they become a list of at least two classes. */
#include <stdio.h>
#include <string.h>

#include "net/net_private.h"

/* ---- from an output back to the logits ---- */

int bcam_score_maker(const bcam_graph *graph, const char *tensor)
{
    for (int i = graph->node_count - 1; i >= 0; i--)
        for (int o = 0; o < graph->nodes[i].output_count; o++)
            if (strcmp(graph->nodes[i].outputs[o], tensor) == 0)
                return i;
    return -1;
}

typedef enum kind {
    MOVES,    /* or renames: stays where no activation stands before it */
    PACKS,    /* the scores up, which nobody needs */
    DECIDES,  /* which classes win, which nobody needs either */
    ACTIVATES /* what is before it are logits */
} kind;

/* What may stand between the logits and an output. */
static const struct {
    const char *op;
    kind kind;
    bcam_activation activation;
} behind_logits[] = {
    {"Softmax", ACTIVATES, BCAM_ACTIVATION_SOFTMAX}, {"LogSoftmax", ACTIVATES, BCAM_ACTIVATION_SOFTMAX},
    {"Sigmoid", ACTIVATES, BCAM_ACTIVATION_SIGMOID}, {"ArgMax", DECIDES, BCAM_ACTIVATION_NONE},
    {"Greater", DECIDES, BCAM_ACTIVATION_NONE},      {"GreaterOrEqual", DECIDES, BCAM_ACTIVATION_NONE},
    {"Round", DECIDES, BCAM_ACTIVATION_NONE},        {"TopK", DECIDES, BCAM_ACTIVATION_NONE},
    {"ZipMap", PACKS, BCAM_ACTIVATION_NONE}, /* of the domain ai.onnx.ml */
    {"Cast", MOVES, BCAM_ACTIVATION_NONE},           {"Dropout", MOVES, BCAM_ACTIVATION_NONE},
    {"Flatten", MOVES, BCAM_ACTIVATION_NONE},        {"Identity", MOVES, BCAM_ACTIVATION_NONE},
    {"Reshape", MOVES, BCAM_ACTIVATION_NONE},        {"Squeeze", MOVES, BCAM_ACTIVATION_NONE},
    {"Transpose", MOVES, BCAM_ACTIVATION_NONE},      {"Unsqueeze", MOVES, BCAM_ACTIVATION_NONE},
};

static int row_of(const bcam_node *node)
{
    for (size_t i = 0; node && node->input_count > 0 && i < BCAM_COUNT(behind_logits); i++)
        if (strcmp(behind_logits[i].op, node->op) == 0 &&
            strcmp(behind_logits[i].kind == PACKS ? "ai.onnx.ml" : "", node->domain) == 0)
            return (int)i;
    return -1;
}

bcam_score_path bcam_score_find(const bcam_graph *graph, const bcam_onnx_value *output)
{
    enum { MOST = 16 }; /* nodes on the way; real files have two or three */
    bcam_score_path path = {.logits = output->name, .activation = BCAM_ACTIVATION_NONE};
    const char *tensor = output->name;
    bool transposed = false;
    for (int steps = 0; steps < MOST; steps++) {
        int maker = bcam_score_maker(graph, tensor);
        const bcam_node *node = maker < 0 ? NULL : &graph->nodes[maker];
        int row = row_of(node);
        if (row < 0)
            break;
        tensor = node->inputs[0];
        transposed |= strcmp(node->op, "Transpose") == 0;
        path.ids |= behind_logits[row].kind == DECIDES;
        if (behind_logits[row].kind != MOVES)
            path.logits = tensor;
        if (behind_logits[row].kind != ACTIVATES)
            continue;
        path.activation = behind_logits[row].activation;
        path.final = node;
        path.transposed = transposed;
        break;
    }
    return path;
}

/* ---- which output ---- */

static bool is_real(bcam_onnx_type type)
{
    return type == BCAM_ONNX_FLOAT || type == BCAM_ONNX_FLOAT16 || type == BCAM_ONNX_BFLOAT16 ||
           type == BCAM_ONNX_DOUBLE;
}

/* One number after another for each photo, as far as the file says. */
static bool is_list(const bcam_onnx_value *output)
{
    int long_axes = 0;
    for (int a = 1; a < output->rank; a++)
        long_axes += output->dim[a] != 1;
    return long_axes <= 1;
}

enum { OTHER, IDS, MAYBE, SCORES }; /* what an output may hold, the best last */

static int worth(const bcam_graph *graph, const bcam_onnx_value *output)
{
    if (bcam_score_find(graph, output).ids)
        return IDS;
    if (!is_real(output->type))
        return output->type == BCAM_ONNX_UNDEFINED ? MAYBE : OTHER; /* sequences of maps have no element type */
    return is_list(output) ? SCORES : MAYBE;
}

const bcam_onnx_value *bcam_net_output(const bcam_graph *graph)
{
    enum { MOST = 32 }; /* looked at: each look goes through all nodes */
    const bcam_onnx_value *best = NULL;
    int best_worth = -1;
    if (graph->explained)
        return graph->explained;
    for (int i = 0; i < graph->output_count && i < MOST && best_worth < SCORES; i++) {
        int now = worth(graph, &graph->outputs[i]);
        if (now > best_worth)
            best = &graph->outputs[i];
        best_worth = now > best_worth ? now : best_worth;
    }
    return best;
}

static void list_outputs(const bcam_graph *graph, char *out, size_t size)
{
    enum { MOST = 8 };
    size_t used = 0;
    for (int i = 0; i < graph->output_count && i < MOST && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s'%.60s'", i ? ", " : "", graph->outputs[i].name);
    if (graph->output_count > MOST && used < size)
        snprintf(out + used, size - used, ", …");
}

bcam_status bcam_net_choose_output(bcam_graph *graph, const char *name, bcam_error *err)
{
    char list[640], near[256] = "";
    graph->explained = NULL;
    for (int i = 0; name && i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            graph->explained = &graph->outputs[i];
    if (!name || graph->explained)
        return BCAM_OK;
    const char **names = bcam_alloc((size_t)graph->output_count, sizeof *names);
    for (int i = 0; names && i < graph->output_count; i++)
        names[i] = graph->outputs[i].name;
    if (names)
        bcam_nearest(name, names, (size_t)graph->output_count, near, sizeof near);
    bcam_free(names);
    list_outputs(graph, list, sizeof list);
    return bcam_fail(err, BCAM_E_ARGUMENT, "'%s' has no output '%.100s'%s%s%s outputs are %s", graph->path, name,
                     *near ? "; did you mean " : "", near, *near ? "? Its" : "; its", list);
}

/* ---- the logits as (N,M) ---- */

static void shape_text(const bcam_value *v, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "(N");
    for (int a = 1; a < v->rank && used < size; a++)
        used += (size_t)snprintf(out + used, size - used, ",%lld", (long long)v->dim[a]);
    if (used < size)
        snprintf(out + used, size - used, ")");
}

/* How many numbers a final softmax makes probabilities of together. Until operator set 12 it runs over all axes from its own on, as one. */
static bcam_status softmax_length(const bcam_net *net, const bcam_value *v, int64_t *length, bcam_error *err)
{
    const bcam_node *node = net->path.final;
    bool joined = net->graph->opset < 13, alone = v->rank == 1 || (joined && net->lower.declared_batch == 1);
    int axis = 0;
    bcam_status status = bcam_axis(node, bcam_attr_int(node, "axis", joined ? 1 : -1), v->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    *length = joined ? bcam_count(v->rank - axis, v->dim + axis) : v->dim[axis];
    if (axis == 0)
        *length = alone ? *length / (v->rank == 1 ? 1 : net->info.batch) : 0;
    return BCAM_OK;
}

/* A softmax must run over all scores of a photo and nothing else, or the logits would not say what the file's output says. */
static bcam_status check_softmax(const bcam_net *net, const bcam_value *v, int64_t count, bcam_error *err)
{
    int64_t length;
    char shape[128];
    bcam_status status = softmax_length(net, v, &length, err);
    if (status != BCAM_OK || (length == count && count > 1))
        return status;
    shape_text(v, shape, sizeof shape);
    return bcam_op_fail(
        net->path.final, err,
        "it runs over %s of '%s' %s%s; export the model with the softmax over the classes, or without it",
        length == 1  ? "one number"
        : length > 1 ? "a part"
                     : "the batch",
        net->path.logits, shape, length == 1 ? ", so that its result is always 1" : "");
}

/* Behind the logits, axes may change places only where that leaves their order as it is. */
static bcam_status check_order(const bcam_net *net, const bcam_value *v, bcam_error *err)
{
    int long_axes = 0;
    char shape[128];
    for (int a = 1; a < v->rank; a++)
        long_axes += v->dim[a] != 1;
    if (!net->path.transposed || long_axes <= 1)
        return BCAM_OK;
    shape_text(v, shape, sizeof shape);
    return bcam_op_fail(net->path.final, err, "its result %s is transposed behind it; one list of scores was expected",
                        shape);
}

static bcam_status out_of_memory(const bcam_net *net, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", net->graph->path);
}

/* A step from the value that stands for the logits to one of (N,columns), which then stands for them. */
static bcam_step *next_logits(bcam_net *net, bcam_verb verb, int64_t columns)
{
    const int64_t dim[2] = {net->info.batch, columns};
    const char *name = net->path.logits;
    int value = bcam_plan_value(&net->plan, name, BCAM_ROLE_WORK, BCAM_F32, 2, dim);
    bcam_step *step = value < 0 ? NULL : bcam_plan_step(&net->plan, verb, BCAM_SEGMENT_FORWARD, name);
    if (!step)
        return NULL;
    step->in[0] = net->info.logits_value;
    step->out[0] = value;
    net->info.logits_value = value;
    return step;
}

/* One unit z says how much speaks for class 1: the logits of the two classes are -z and z. */
static bcam_status split_unit(bcam_net *net, bcam_error *err)
{
    static const float signs[2] = {-1, 1};
    static const int64_t two[1] = {2};
    int value = bcam_plan_const_f32(&net->plan, "signs", 1, two, signs, NULL);
    bcam_step *step = value < 0 ? NULL : next_logits(net, BCAM_VERB_BINARY, 2);
    if (!step)
        return out_of_memory(net, err);
    step->in[1] = value;
    step->u.binary.kind = BCAM_BINARY_MUL;
    return BCAM_OK;
}

bcam_status bcam_score_shape(bcam_net *net, bcam_error *err)
{
    const char *output = net->info.output, *file = net->graph->path;
    int score = bcam_map_get(&net->lower.map, net->path.logits);
    if (score < 0 || net->plan.values[score].role != BCAM_ROLE_WORK)
        return bcam_fail(err, BCAM_E_MODEL, "output '%s' of '%s' does not depend on the photo", output, file);
    const bcam_value v = net->plan.values[score];
    int64_t n = net->info.batch, count = bcam_count(v.rank, v.dim) / n;
    bcam_status status = check_order(net, &v, err);
    if (status == BCAM_OK && net->path.activation == BCAM_ACTIVATION_SOFTMAX)
        status = check_softmax(net, &v, count, err);
    if (status != BCAM_OK)
        return status;
    if (count > 1 << 20)
        return bcam_fail(err, BCAM_E_MODEL,
                         "output '%s' of '%s' has %lld numbers per photo; that is no list of classes", output, file,
                         (long long)count);
    net->info.logits_value = score;
    net->info.units = (int)count;
    net->info.class_count = count == 1 ? 2 : (int)count;
    if (v.rank != 2 || v.dim[0] != n) {
        bcam_step *step = next_logits(net, BCAM_VERB_COPY, count);
        if (!step)
            return out_of_memory(net, err);
        step->u.copy.reshape = true;
    }
    return count == 1 ? split_unit(net, err) : BCAM_OK;
}
