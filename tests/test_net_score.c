/* test_net_score.c - which output of a graph is explained, which tensor holds its logits, and how many classes they make. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net_fixture.h"

/* Nodes one behind the other, from `from` to `to`, as "Type+constant:key=value Type …"; those in between make t0, t1, … */
static void chain(bytes *g, const char *from, const char *nodes, const char *to)
{
    char inputs[64], output[24] = "", type[24], constant[24], attrs[40];
    snprintf(inputs, sizeof inputs, "%s", from);
    for (int i = 0; *nodes; i++) {
        size_t size = strcspn(nodes, " ");
        *constant = *attrs = '\0';
        sscanf(nodes, "%23[^+: ]", type);
        if (memchr(nodes, '+', size))
            sscanf(strchr(nodes, '+'), "+%23[^: ]", constant);
        if (memchr(nodes, ':', size))
            sscanf(strchr(nodes, ':'), ":%39[^ ]", attrs);
        nodes += size + (nodes[size] == ' ');
        if (*nodes)
            snprintf(output, sizeof output, "t%d", i);
        else
            snprintf(output, sizeof output, "%s", to);
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), " %s", constant);
        op(g, type, type, inputs, output, attrs);
        snprintf(inputs, sizeof inputs, "%s", output);
    }
}

/* x (n,c,3,5) → pooled (n,c,1,1), and constants that nodes of a chain may want. */
static bytes pooled(int64_t n, int64_t c)
{
    bytes g = begin(n, c, 3, 5);
    ints(&g, "one", "1");
    ints(&g, "last", "2,3");
    ints(&g, "rows", "-1,2,2");
    ones(&g, "threshold", "1");
    ones(&g, "w", "4,3,1,1");
    ones(&g, "w1", "1,3,1,1");
    op(&g, "gap", "GlobalAveragePool", "x", "pooled", "");
    return g;
}

/* ---- the way from an output to the logits ---- */

typedef struct way {
    int opset;
    const char *nodes, *logits; /* nodes: from pooled to y */
    bcam_activation activation;
} way;

static const way ways[] = {
    {17, "Flatten", "y", BCAM_ACTIVATION_NONE},
    {17, "Squeeze+last Identity Cast:to=1", "y", BCAM_ACTIVATION_NONE},
    {17, "Flatten Softmax", "t0", BCAM_ACTIVATION_SOFTMAX},
    {17, "Flatten Softmax Cast:to=10", "t0", BCAM_ACTIVATION_SOFTMAX},
    {17, "Softmax:axis=1 Flatten Identity", "pooled", BCAM_ACTIVATION_SOFTMAX},
    {17, "Softmax:axis=-3 Squeeze+last Dropout", "pooled", BCAM_ACTIVATION_SOFTMAX},
    {12, "Softmax Reshape+rows", "pooled", BCAM_ACTIVATION_SOFTMAX}, /* over all from axis 1 on */
    {11, "Flatten Softmax:axis=-1", "t0", BCAM_ACTIVATION_SOFTMAX},
    {17, "Flatten LogSoftmax", "t0", BCAM_ACTIVATION_SOFTMAX},
    {17, "Sigmoid Transpose:perm=0,2,3,1 Flatten", "pooled", BCAM_ACTIVATION_SIGMOID},
    {17, "Sigmoid Squeeze+last Unsqueeze+one Cast:to=11", "pooled", BCAM_ACTIVATION_SIGMOID},
    {17, "Flatten Sigmoid Relu", "y", BCAM_ACTIVATION_NONE},
    {17, "Flatten Softmax Relu", "y", BCAM_ACTIVATION_NONE},
    {17, "Flatten Softmax ArgMax:axis=1", "t0", BCAM_ACTIVATION_SOFTMAX},
    {17, "Flatten Cast:to=1 TopK+one:axis=1", "t1", BCAM_ACTIVATION_NONE},
    {17, "Flatten Sigmoid Greater+threshold Cast:to=6", "t0", BCAM_ACTIVATION_SIGMOID},
    {17, "Flatten Round", "t0", BCAM_ACTIVATION_NONE},
    {17, "Softmax:axis=1 Flatten ArgMax:axis=1 Cast:to=6", "pooled", BCAM_ACTIVATION_SOFTMAX},
};

Test(net_score, the_logits_stand_before_what_ends_the_file)
{
    for (size_t i = 0; i < BCAM_COUNT(ways); i++) {
        bytes g = pooled(0, 3);
        op(&g, "conv", "Conv", "pooled w", "four", ""); /* (N,4,1,1) */
        chain(&g, strstr(ways[i].nodes, "rows") ? "four" : "pooled", ways[i].nodes, "y");
        bcam_status status = open_net(g, ways[i].opset, NULL, 2);
        cr_assert_eq(status, BCAM_OK, "%s: %s", ways[i].nodes, err.message);
        const bcam_net_info *info = bcam_net_get_info(net);
        bool four = strstr(ways[i].nodes, "rows") != NULL;
        cr_assert_str_eq(info->output, "y");
        cr_assert_str_eq(info->logits, four ? "four" : ways[i].logits, "%s", ways[i].nodes);
        cr_assert_eq(info->activation, ways[i].activation, "%s", ways[i].nodes);
        cr_assert(info->class_count == (four ? 4 : 3) && info->units == info->class_count);
        const bcam_value *v = &bcam_net_plan(net)->values[info->logits_value];
        cr_assert(v->rank == 2 && v->dim[0] == 2 && v->dim[1] == info->class_count, "%s", ways[i].nodes);
        done();
    }
}

typedef struct refusal {
    int opset, batch;
    const char *nodes, *why; /* nodes: from four (N,4,1,1) to y */
} refusal;

static const refusal refusals[] = {
    {17, 0, "Softmax",
     "node 'Softmax' (Softmax): it runs over one number of 'four' (N,4,1,1), so that its result is always 1"},
    {17, 0, "LogSoftmax:axis=2 Flatten", "node 'LogSoftmax' (LogSoftmax): it runs over one number of 'four'"},
    {12, 0, "Softmax:axis=3 Flatten", "it runs over one number of 'four'"},
    {17, 0, "Reshape+rows Softmax Flatten", "it runs over a part of 't0' (N,2,2)"},
    {12, 0, "Reshape+rows Softmax:axis=2", "it runs over a part of 't0' (N,2,2)"},
    {17, 0, "Flatten Softmax:axis=0", "it runs over the batch of 't0' (N,4)"},
    {12, 0, "Flatten Softmax:axis=0", "it runs over the batch of 't0' (N,4)"},
    {17, 1, "Flatten Softmax:axis=0", "it runs over the batch of 't0' (N,4)"},
    {17, 0, "Flatten Softmax:axis=5", "node 'Softmax' (Softmax): axis 5 is outside a tensor of rank 2"},
    {17, 0, "Reshape+rows Sigmoid Transpose:perm=0,2,1 Flatten", "its result (N,2,2) is transposed behind it"},
};

Test(net_score, a_softmax_that_is_not_over_the_classes_is_refused)
{
    for (size_t i = 0; i < BCAM_COUNT(refusals); i++) {
        bytes g = pooled(refusals[i].batch, 3);
        op(&g, "conv", "Conv", "pooled w", "four", "");
        chain(&g, "four", refusals[i].nodes, "y");
        cr_assert_eq(open_net(g, refusals[i].opset, NULL, 2), BCAM_E_UNSUPPORTED, "%s", refusals[i].nodes);
        cr_assert_not_null(strstr(err.message, refusals[i].why), "%s: %s", refusals[i].nodes, err.message);
        done();
    }
}

/* Until operator set 12 a softmax from axis 0 on takes the whole batch, which for a file of one photo is the photo. */
Test(net_score, a_softmax_over_a_batch_of_one_is_over_the_photo)
{
    bytes g = pooled(1, 3);
    chain(&g, "pooled", "Flatten Softmax:axis=0", "y");
    cr_assert_eq(open_net(g, 11, NULL, 2), BCAM_OK, "%s", err.message);
    cr_assert(bcam_net_get_info(net)->batch == 2 && bcam_net_get_info(net)->class_count == 3);
    done();
}

/* ---- one unit ---- */

Test(net_score, one_unit_makes_two_classes)
{
    static const char *const ends[] = {"Flatten",
                                       "Sigmoid",
                                       "Sigmoid Flatten",
                                       "Flatten Squeeze+one",
                                       "Squeeze+one Sigmoid",
                                       "Sigmoid Cast:to=1 Squeeze+one"};
    for (size_t i = 0; i < 2 * BCAM_COUNT(ends); i++) {
        bytes g = pooled(i % 2, 3);
        op(&g, "conv", "Conv", "pooled w1", "unit", "");
        chain(&g, "unit", ends[i / 2], "y");
        cr_assert_eq(open_net(g, 17, NULL, 2), BCAM_OK, "%s: %s", ends[i / 2], err.message);
        const bcam_net_info *info = bcam_net_get_info(net);
        bcam_plan *plan = bcam_net_plan(net);
        const bcam_value *v = &plan->values[info->logits_value];
        cr_assert(info->units == 1 && info->class_count == 2);
        cr_assert(v->rank == 2 && v->dim[0] == 2 && v->dim[1] == 2, "%s", ends[i / 2]);
        const bcam_step *last = &plan->steps[plan->step_count - 1];
        cr_assert(last->verb == BCAM_VERB_BINARY && last->out[0] == info->logits_value);
        done();
    }
}

/* A head with a map of its own for the one unit is no layer to choose, as it is none for many classes. */
Test(net_score, the_default_layer_stands_before_the_unit_s_own_map)
{
    bytes g = begin(0, 3, 6, 5);
    bcam_target target;
    ones(&g, "w", "2,3,1,1");
    ones(&g, "w1", "1,2,1,1");
    op(&g, "features", "Conv", "x w", "features", "");
    op(&g, "score", "Conv", "features w1", "score", "");
    op(&g, "gap", "GlobalAveragePool", "score", "unit", "");
    chain(&g, "unit", "Flatten Sigmoid", "y");
    cr_assert_eq(open_net(g, 17, NULL, 2), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_net_target(net, NULL, &target, &err), BCAM_OK, "%s", err.message);
    cr_assert_str_eq(target.tensor, "features");
    done();
}

/* ---- several outputs ---- */

enum { FLOAT = 1, INT64 = 7, UNTYPED = -1 };

static void put_output(bytes *g, const char *name, int type, const char *dims)
{
    bytes shape = {0}, tensor = {0}, kind = {0}, value = {0};
    for (const char *at = dims; *at;) {
        bytes d = {0};
        char *end;
        int64_t dim = strtoll(at, &end, 10);
        if (dim)
            put_int(&d, 1, dim);
        put_message(&shape, 1, d);
        at = end + (*end == ',');
    }
    put_int(&tensor, 1, type);
    put_message(&tensor, 2, shape);
    put_message(&kind, 1, tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, type == UNTYPED ? (free(kind.data), (bytes){0}) : kind);
    put_message(g, 12, value);
}

/* The same graph with one output y, which `begin` makes; the others are declared here. y is features (N,3,3,5), declared without a type. */
static bytes several(void)
{
    bytes g = pooled(0, 3);
    op(&g, "relu", "Relu", "x", "y", "");
    chain(&g, "pooled", "Flatten", "flat");
    op(&g, "shares", "Softmax", "flat", "shares", "axis=1");
    op(&g, "label", "ArgMax", "shares", "label", "axis=1 keepdims=0");
    op(&g, "best", "TopK", "shares one", "best which", "axis=1");
    op(&g, "unit", "ReduceMean", "flat", "mean", "axes=1,");
    op(&g, "on", "Cast", "mean", "on", "to=7");
    return g;
}

typedef struct choice {
    const char *outputs[3]; /* of the graph, beside y */
    int types[3];
    const char *dims[3];
    const char *asked, *output, *logits; /* asked: by name, or NULL */
} choice;

static const choice choices[] = {
    {{"label", "shares"}, {INT64, FLOAT}, {"0", "0,3"}, NULL, "shares", "flat"},
    {{"shares", "label"}, {FLOAT, INT64}, {"0,3", "0"}, NULL, "shares", "flat"},
    {{"best", "which", "shares"}, {FLOAT, INT64, FLOAT}, {"0,1", "0,1", "0,3"}, NULL, "shares", "flat"},
    {{"mean", "shares"}, {FLOAT, FLOAT}, {"0,1", "0,3"}, NULL, "mean", "mean"}, /* the first of several lists */
    {{"mean", "shares"}, {FLOAT, FLOAT}, {"0,1", "0,3"}, "shares", "shares", "flat"},
    {{"on", "label", "shares"}, {INT64, INT64, FLOAT}, {"0,1", "0", "0,3"}, NULL, "shares", "flat"},
    {{"label", "shares"}, {INT64, FLOAT}, {"0", "0,3"}, "label", "label", "flat"}, /* as asked: the scores behind it */
    {{"label", "flat"}, {INT64, FLOAT}, {"0", "0,3"}, NULL, "flat", "flat"},
};

Test(net_score, the_output_is_the_first_that_holds_scores_or_the_one_asked_for)
{
    for (size_t i = 0; i < BCAM_COUNT(choices); i++) {
        const choice *c = &choices[i];
        bytes g = several();
        for (int o = 0; o < 3 && c->outputs[o]; o++)
            put_output(&g, c->outputs[o], c->types[o], c->dims[o]);
        cr_assert_eq(open_net(g, 17, c->asked, 2), BCAM_OK, "choice %zu: %s", i, err.message);
        cr_assert_str_eq(bcam_net_get_info(net)->output, c->output, "choice %zu", i);
        cr_assert_str_eq(bcam_net_get_info(net)->logits, c->logits, "choice %zu", i);
        cr_assert_str_eq(bcam_net_output(graph)->name, c->output);
        done();
    }
}

Test(net_score, features_are_passed_over_and_ids_are_the_last_resort)
{
    bytes g = several();
    put_output(&g, "label", INT64, "0");
    cr_assert_eq(open_net(g, 17, NULL, 2), BCAM_OK, "%s", err.message);
    cr_assert_str_eq(bcam_net_get_info(net)->output, "y"); /* without a type: it may be scores */
    done();
    bytes typed = {0}, picture = several();
    put_output(&typed, "z", FLOAT, "0,3,3,5");
    put_output(&typed, "shares", FLOAT, "0,3");
    op(&picture, "copy", "Relu", "y", "z", "");
    put(&picture, typed.data, typed.size);
    free(typed.data);
    cr_assert_eq(open_net(picture, 17, NULL, 2), BCAM_OK, "%s", err.message);
    cr_assert_str_eq(bcam_net_get_info(net)->output, "shares");
    done();
}

/* What other exporters put behind a classifier: a list of names with their shares. */
Test(net_score, scores_packed_up_by_zipmap)
{
    bytes g = pooled(0, 3), node = {0};
    chain(&g, "pooled", "Flatten Softmax", "shares");
    put_text(&node, 1, "shares");
    put_text(&node, 2, "y");
    put_text(&node, 4, "ZipMap");
    put_text(&node, 7, "ai.onnx.ml");
    put_message(&g, 1, node);
    cr_assert_eq(open_net(g, 17, NULL, 2), BCAM_OK, "%s", err.message);
    cr_assert_str_eq(bcam_net_get_info(net)->logits, "t0");
    cr_assert_eq(bcam_net_get_info(net)->activation, BCAM_ACTIVATION_SOFTMAX);
    cr_assert_eq(bcam_net_unsupported(graph, NULL, NULL), 0);
    done();
}

Test(net_score, an_unknown_output_is_refused_with_those_there_are)
{
    bytes g = several();
    put_output(&g, "label", INT64, "0");
    put_output(&g, "shares", FLOAT, "0,3");
    cr_assert_eq(open_net(g, 17, "share", 2), BCAM_E_ARGUMENT);
    cr_assert_str_eq(err.message,
                     "'m.onnx' has no output 'share'; did you mean 'shares'? Its outputs are 'y', 'label', 'shares'");
    cr_assert_eq(bcam_net_choose_output(graph, "flat", &err), BCAM_E_ARGUMENT); /* a tensor, but no output */
    cr_assert_str_eq(err.message, "'m.onnx' has no output 'flat'; its outputs are 'y', 'label', 'shares'");
    cr_assert_eq(bcam_net_choose_output(graph, "", &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_net_choose_output(graph, NULL, &err), BCAM_OK);
    cr_assert_null(graph->explained);
    done();
}

Test(net_score, an_output_that_knows_no_photo_is_refused)
{
    bytes g = pooled(0, 3);
    chain(&g, "one", "Cast:to=1", "y");
    cr_assert_eq(open_net(g, 17, NULL, 2), BCAM_E_MODEL);
    cr_assert_str_eq(err.message, "output 'y' of 'm.onnx' does not depend on the photo");
    done();
}
