/* From a graph to a plan: shapes and constants, which batch is proven, what is folded and fused and what must not be.
 * Whole networks are held against PyTorch in test_run_golden.c; here are the rules, one small graph each. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net_fixture.h"

/* ---- graphs in a line or two ---- */

static void refuses(bytes g, const char *why)
{
    cr_assert_neq(open_net(g, 17, NULL, 2), BCAM_OK);
    cr_assert_not_null(strstr(err.message, why), "says: %s", err.message);
    done();
}

static int steps_of(bcam_verb verb)
{
    int count = 0;
    const bcam_plan *plan = bcam_net_plan(net);
    for (size_t s = 0; s < plan->step_count; s++)
        count += plan->steps[s].verb == verb;
    return count;
}

/* ---- the batch ---- */

static bool is_lifted(bytes g)
{
    opens(g, 3);
    bool fixed = bcam_net_get_info(net)->batch_fixed;
    cr_assert_eq(bcam_net_get_info(net)->batch, fixed ? 1 : 3);
    cr_assert_eq(bcam_net_get_info(net)->class_count, 2);
    cr_assert(!fixed || *bcam_net_get_info(net)->batch_note);
    done();
    return !fixed;
}

Test(net_lower, lifts_a_batch_of_one_out_of_reshapes)
{
    for (int k = 0; k < 3; k++) {
        static const char *const shapes[] = {"1,12", "1,-1", "-1,12"};
        bytes g = begin(1, 3, 2, 2);
        ints(&g, "shape", shapes[k]);
        ones(&g, "w", "12,2");
        op(&g, "", "Reshape", "x shape", "r", "");
        op(&g, "", "MatMul", "r w", "y", "");
        cr_assert(is_lifted(g), "%s", shapes[k]);
    }
}

Test(net_lower, keeps_a_batch_that_is_moved_or_dropped)
{
    static const char *const shapes[] = {"12", "12,1", "3,4", "2,2,3"}; /* each is put back by the second reshape */
    for (size_t k = 0; k < BCAM_COUNT(shapes); k++) {
        bytes g = begin(1, 3, 2, 2);
        ints(&g, "shape", shapes[k]);
        ints(&g, "back", "1,12");
        ones(&g, "w", "12,2");
        op(&g, "", "Reshape", "x shape", "r", "");
        op(&g, "", "Reshape", "r back", "s", "");
        op(&g, "", "MatMul", "s w", "y", "");
        cr_assert(!is_lifted(g), "%s", shapes[k]);
    }
}

Test(net_lower, a_dimension_that_is_the_batch_by_chance_is_not_the_batch)
{
    bytes g = begin(0, 3, 2, 2); /* opened for three photos: (3,12) either way */
    ints(&g, "shape", "3,-1");
    ints(&g, "back", "-1,12");
    ones(&g, "w", "12,2");
    op(&g, "", "Reshape", "x shape", "r", "");
    op(&g, "", "Reshape", "r back", "s", "");
    op(&g, "", "MatMul", "s w", "y", "");
    cr_assert(!is_lifted(g));
}

Test(net_lower, broadcasting_must_not_mix_photos)
{
    bytes g = begin(0, 3, 2, 2); /* (N,3) beside (N,1,3): the right one's batch would meet the left one's rows */
    ints(&g, "one", "1");
    ones(&g, "w", "3,2");
    op(&g, "", "GlobalAveragePool", "x", "p", "");
    op(&g, "", "Flatten", "p", "a", "");
    op(&g, "", "Unsqueeze", "a one", "b", "");
    op(&g, "", "Add", "b a", "c", "");
    op(&g, "", "Squeeze", "c one", "d", "");
    op(&g, "", "MatMul", "d w", "y", "");
    cr_assert(!is_lifted(g));
}

Test(net_lower, numbers_made_from_the_batch_are_noticed)
{
    bytes g = begin(0, 3, 2, 2); /* a mean over the batch, half of it */
    ints(&g, "zero", "0");
    op(&g, "", "Shape", "x", "shape", "");
    op(&g, "", "Gather", "shape zero", "n", "");
    op(&g, "", "Cast", "n", "f", "to=1");
    op(&g, "", "Div", "x f", "c", "");
    head(&g, "c");
    cr_assert(!is_lifted(g));
}

Test(net_lower, a_shape_that_passes_the_batch_on_is_lifted)
{
    bytes g = begin(0, 3, 2, 2);
    ints(&g, "zero", "0");
    ints(&g, "rest", "12");
    ones(&g, "w", "12,2");
    op(&g, "", "Shape", "x", "shape", "");
    op(&g, "", "Gather", "shape zero", "n", "");
    op(&g, "", "Concat", "n rest", "to", "axis=0");
    op(&g, "", "Reshape", "x to", "r", "");
    op(&g, "", "MatMul", "r w", "y", "");
    cr_assert(is_lifted(g));
}

/* As PyTorch's newer exporter ends ConvNeXt's pooling, for a batch of one. */
Test(net_lower, a_row_of_which_every_element_is_taken_in_order_keeps_the_batch)
{
    static const struct {
        const char *index, *also;
        bool lifted;
    } cases[] = {{"0,1,2", "", true}, {"0,2,1", "", false}, {"0,1", "", false}, {"0,1,2", "row", false}};
    for (size_t k = 0; k < BCAM_COUNT(cases); k++) {
        bytes g = begin(1, 3, 2, 2);
        ints(&g, "flat", "-1");
        ints(&g, "one", "0");
        ints(&g, "index", cases[k].index);
        ones(&g, "w", cases[k].index[3] ? "3,2" : "2,2");
        op(&g, "", "GlobalAveragePool", "x", "pooled", "");
        op(&g, "", "Reshape", "pooled flat", "row", "");
        op(&g, "", "Unsqueeze", "index one", "indices", "");
        op(&g, "", "Gather", "row indices", "taken", "axis=0");
        op(&g, "", "MatMul", "taken w", *cases[k].also ? "z" : "y", "");
        if (*cases[k].also) { /* somebody else reads the row */
            op(&g, "", "ReduceMean", "row", "mean", "");
            op(&g, "", "Add", "z mean", "y", "");
        }
        cr_assert_eq(is_lifted(g), cases[k].lifted, "case %zu", k);
    }
}

Test(net_lower, squeezing_everything_leaves_the_batch)
{
    bytes g = begin(1, 2, 2, 2);
    free(g.data);
    g = begin(0, 3, 2, 2);
    ones(&g, "w", "2,3,1,1");
    conv(&g, "c", "x w", "a");
    op(&g, "", "GlobalAveragePool", "a", "p", "");
    op(&g, "", "Squeeze", "p", "y", "");
    opens(g, 1);
    cr_assert_not(bcam_net_get_info(net)->batch_fixed);
    cr_assert_eq(bcam_net_get_info(net)->class_count, 2);
    done();
}

/* ---- operators ---- */

Test(net_lower, a_global_maximum_is_a_window)
{
    bytes g = begin(0, 3, 4, 5);
    op(&g, "", "GlobalMaxPool", "x", "pooled", "");
    op(&g, "", "Flatten", "pooled", "y", "");
    opens(g, 2);
    cr_assert_eq(steps_of(BCAM_VERB_POOL), 1); /* a tie's gradient goes to the first maximum; REDUCE would share it */
    cr_assert_eq(steps_of(BCAM_VERB_REDUCE), 0);
    done();
}

Test(net_lower, what_says_which_class_wins_is_left_out)
{
    static const char *const types[] = {"ArgMax", "TopK"};
    for (size_t k = 0; k < BCAM_COUNT(types); k++) {
        bytes g = begin(0, 3, 4, 5);
        ints(&g, "one", "1");
        op(&g, "", "GlobalAveragePool", "x", "pooled", "");
        op(&g, "", "Flatten", "pooled", "scores", "");
        op(&g, "", "Softmax", "scores", "shares", "");
        op(&g, "", types[k], k ? "shares one" : "shares", "y", "axis=1");
        opens(g, 2);
        cr_assert_eq(bcam_net_get_info(net)->class_count, 3);
        cr_assert_eq(bcam_net_get_info(net)->activation, BCAM_ACTIVATION_SOFTMAX);
        cr_assert_str_eq(bcam_net_get_info(net)->logits, "scores");
        done();
    }
}

Test(net_lower, what_is_refused_is_named_with_its_operator_set)
{
    bytes g = begin(0, 3, 8, 8);
    op(&g, "n", "MaxPool", "x", "y", "kernel_shape=2,2,2");
    refuses(g, "node 'n' (MaxPool): attribute 'kernel_shape' must be a list of at most 2 integers (operator set 17)");

    g = begin(0, 3, 8, 8);
    op(&g, "n", "Einsum", "x", "y", "equation=nchw->nc");
    refuses(g, "node 'n' (Einsum): this operator (operator set 17) is not supported");
}

Test(net_lower, an_upsampled_picture_is_a_picture)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "2,3,1,1");
    conv(&g, "conv", "x w", "c");
    ints(&g, "sizes", "1,2,8,8");
    op(&g, "up", "Resize", "c - - sizes", "u", "mode=nearest");
    op(&g, "gap", "GlobalAveragePool", "u", "pooled", "");
    op(&g, "flat", "Flatten", "pooled", "y", "");
    bytes named = g;
    bcam_target target;
    cr_assert_neq(open_net(named, 17, NULL, 1), BCAM_E_UNSUPPORTED, "%s", err.message);
    cr_assert_eq(bcam_net_target(net, "u", &target, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(target.height, 8);
    cr_assert_eq(target.channels, 2);
    done();
}

Test(net_lower, constants_are_folded)
{
    bytes g = begin(0, 3, 4, 4); /* slices rows 1 … 2 by numbers that are computed */
    ints(&g, "a", "5,7,-9,2");
    ints(&g, "i", "3");
    ints(&g, "one", "1");
    ints(&g, "axis", "2");
    op(&g, "", "Gather", "a i", "two", "");
    op(&g, "", "Add", "two one", "three", "");
    op(&g, "", "Slice", "x one three axis", "s", "");
    head(&g, "s");
    opens(g, 2);
    const bcam_plan *plan = bcam_net_plan(net);
    cr_assert_eq(steps_of(BCAM_VERB_COPY), 2); /* the slice and the flatten */
    cr_assert_eq(plan->values[plan->steps[0].out[0]].dim[2], 2);
    cr_assert_eq(plan->steps[0].u.copy.from[2], 1);
    done();
}

Test(net_lower, what_is_not_valid_is_refused_by_name)
{
    bytes g = begin(0, 3, 2, 2);
    ints(&g, "shape", "");
    op(&g, "n", "Reshape", "x", "y", "");
    refuses(g, "shape is missing");

    g = begin(0, 3, 2, 2);
    ones(&g, "one", "1");
    op(&g, "n", "Reshape", "one", "c", "");
    op(&g, "n2", "Add", "x c", "y", "");
    refuses(g, "node 'n' (Reshape): its shape is missing");

    g = begin(0, 3, 2, 2);
    ones(&g, "none", "0");
    op(&g, "n", "Clip", "x none", "y", "");
    refuses(g, "node 'n' (Clip)");

    g = begin(0, 3, 2, 2);
    ones(&g, "w", "2,3,0,1");
    conv(&g, "n", "x w", "y");
    refuses(g, "its window of 0 x 1");

    g = begin(0, 3, 2, 2);
    ones(&g, "w", "2,3,1,1");
    op(&g, "n", "Conv", "x w", "y", "group=6148914691236517206"); /* times 3 is 2 modulo 2^64 */
    refuses(g, "do not fit 3 channels");

    g = begin(0, 3, 8, 8);
    op(&g, "n", "MaxPool", "x", "y", "kernel_shape=2,2 pads=2,0,0,0");
    refuses(g, "a padding of 2");

    g = begin(0, 3, 8, 8);
    ones(&g, "ratio", "1");
    ones(&g, "training", "1");
    op(&g, "n", "Dropout", "x ratio training", "y", "");
    refuses(g, "training mode");
}

Test(net_lower, a_small_file_cannot_ask_for_gigabytes)
{
    bytes g = begin(0, 3, 2, 2);
    ints(&g, "shape", "1048576,1048576");
    op(&g, "n", "ConstantOfShape", "shape", "c", "");
    op(&g, "n2", "MatMul", "x c", "y", "");
    refuses(g, "node 'n' (ConstantOfShape): it asks for constants of 1099511627776 numbers");

    g = begin(0, 3, 2, 2); /* each of them within bounds, all of them not */
    ints(&g, "shape", "16384,8192");
    for (int k = 0; k < 3; k++) {
        char name[8], sum[8];
        snprintf(name, sizeof name, "c%d", k);
        snprintf(sum, sizeof sum, "s%d", k);
        op(&g, name, "ConstantOfShape", "shape", name, "");
    }
    op(&g, "a", "Concat", "x c0 c1 c2", "y", "axis=0");
    refuses(g, "which is too much");

    g = begin(0, 3, 2, 2);
    ints(&g, "shape", "1,3,32768,32768");
    op(&g, "n", "Expand", "x shape", "y", "");
    refuses(g, "dimension of 2 cannot be expanded");

    g = begin(0, 3, 8192, 8192);
    ones(&g, "w", "64,3,1,1");
    conv(&g, "n", "x w", "y");
    refuses(g, "more than 2^28 numbers per photo");
}

/* ---- folding and fusing ---- */

/* Conv, a scale a channel, Relu; `extra` reads what stands between them. */
static bytes conv_norm_relu(const char *extra)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    ones(&g, "v", "3");
    conv(&g, "conv", "x w", "c");
    op(&g, "norm", "BatchNormalization", "c v v v v", "n", "");
    op(&g, "relu", "Relu", "n", "r", "");
    if (*extra)
        op(&g, "join", "Add", extra, "j", "");
    head(&g, *extra ? "j" : "r");
    return g;
}

static void passes(int target)
{
    bcam_plan *plan = bcam_net_plan(net);
    plan->values[bcam_net_get_info(net)->logits_value].role = BCAM_ROLE_OUTPUT;
    if (target >= 0)
        plan->values[target].role = BCAM_ROLE_OUTPUT;
    cr_assert_eq(bcam_plan_fold(plan, &target, target >= 0, &err), BCAM_OK);
    cr_assert_eq(bcam_plan_fuse(plan, &err), BCAM_OK);
    cr_assert_eq(bcam_plan_tidy(plan, &err), BCAM_OK);
}

static int value_named(const char *name)
{
    bcam_target target;
    cr_assert_eq(bcam_net_target(net, name, &target, &err), BCAM_OK, "%s", err.message);
    return target.value;
}

Test(net_lower, folds_and_fuses_what_nobody_else_reads)
{
    opens(conv_norm_relu(""), 2);
    passes(-1);
    cr_assert_eq(steps_of(BCAM_VERB_NORM), 0);
    cr_assert_eq(steps_of(BCAM_VERB_UNARY), 0);
    cr_assert_eq(bcam_net_plan(net)->steps[0].act.kind, BCAM_UNARY_RELU);
    done();
}

Test(net_lower, a_target_is_a_barrier)
{
    static const struct {
        const char *target;
        int norms, unaries;
    } cases[] = {{"c", 1, 0}, {"n", 0, 1}, {"r", 0, 0}};
    for (size_t k = 0; k < BCAM_COUNT(cases); k++) {
        opens(conv_norm_relu(""), 2);
        passes(value_named(cases[k].target));
        cr_assert_eq(steps_of(BCAM_VERB_NORM), cases[k].norms, "%s", cases[k].target);
        cr_assert_eq(steps_of(BCAM_VERB_UNARY), cases[k].unaries, "%s", cases[k].target);
        done();
    }
}

Test(net_lower, what_is_read_twice_is_a_barrier)
{
    opens(conv_norm_relu("r c"), 2);
    passes(-1);
    cr_assert_eq(steps_of(BCAM_VERB_NORM), 1);
    done();
    opens(conv_norm_relu("r n"), 2);
    passes(-1);
    cr_assert_eq(steps_of(BCAM_VERB_NORM), 0);
    cr_assert_eq(steps_of(BCAM_VERB_UNARY), 1);
    done();
}

Test(net_lower, what_a_backward_step_reads_is_a_barrier)
{
    bytes g = begin(0, 3, 4, 4); /* the derivative of LeakyRelu reads its input */
    ones(&g, "w", "3,3,1,1");
    conv(&g, "one", "x w", "a");
    conv(&g, "two", "a w", "b");
    op(&g, "", "LeakyRelu", "b", "c", "");
    head(&g, "c");
    opens(g, 2);
    bcam_plan *plan = bcam_net_plan(net);
    const int64_t dim[2] = {2, 2};
    int target = value_named("a"), gradient, seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    bool constant = true;
    cr_assert_eq(bcam_plan_differentiate(plan, bcam_net_get_info(net)->logits_value, seed, &target, 1, true, &gradient,
                                         &constant, &err),
                 BCAM_OK);
    cr_assert_not(constant);
    plan->values[gradient].role = BCAM_ROLE_OUTPUT;
    passes(target);
    cr_assert_eq(steps_of(BCAM_VERB_UNARY), 1);
    done();
}

Test(net_lower, shared_weights_get_factors_of_their_own)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    ones(&g, "v", "3");
    conv(&g, "one", "x w", "a");
    op(&g, "", "BatchNormalization", "a v v v v", "b", "");
    conv(&g, "two", "b w", "c");
    head(&g, "c");
    opens(g, 2);
    passes(-1);
    const bcam_plan *plan = bcam_net_plan(net);
    cr_assert_not_null(plan->values[plan->steps[0].in[1]].scale);
    cr_assert_null(plan->values[plan->steps[1].in[1]].scale);
    done();
}

Test(net_lower, an_addition_goes_into_the_later_convolution)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "one", "x w", "a");
    conv(&g, "two", "x w", "b");
    op(&g, "", "Add", "b a", "c", "");
    op(&g, "", "Relu", "c", "d", "");
    head(&g, "d");
    opens(g, 2);
    passes(-1);
    const bcam_plan *plan = bcam_net_plan(net);
    cr_assert_eq(steps_of(BCAM_VERB_BINARY) + steps_of(BCAM_VERB_UNARY), 0);
    cr_assert_str_eq(plan->steps[1].name, "two");
    cr_assert_eq(plan->steps[1].in[3], plan->steps[0].out[0]);
    cr_assert_eq(plan->steps[1].act.kind, BCAM_UNARY_RELU);
    done();
}

/* A convolution and x * sigmoid(x); `extra` reads one of its parts as well. */
static bytes conv_silu(const char *extra)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "conv", "x w", "c");
    op(&g, "sigmoid", "Sigmoid", "c", "s", "");
    op(&g, "product", "Mul", "s c", "m", "");
    if (*extra)
        op(&g, "join", "Add", extra, "j", "");
    head(&g, *extra ? "j" : "m");
    return g;
}

Test(net_lower, x_times_its_sigmoid_is_one_function)
{
    opens(conv_silu(""), 2);
    passes(-1);
    cr_assert_eq(steps_of(BCAM_VERB_UNARY) + steps_of(BCAM_VERB_BINARY), 0);
    cr_assert_eq(bcam_net_plan(net)->steps[0].act.kind, BCAM_UNARY_SILU);
    done();
    opens(conv_silu("m s"), 2); /* somebody reads the sigmoid */
    passes(-1);
    cr_assert_eq(steps_of(BCAM_VERB_BINARY), 2);
    done();
    opens(conv_silu(""), 2); /* it is a target */
    passes(value_named("s"));
    cr_assert_eq(steps_of(BCAM_VERB_BINARY), 1);
    done();
}

Test(net_lower, two_gradients_are_added_by_the_derivative_behind_them)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "one", "x w", "a");
    op(&g, "relu", "Relu", "a", "b", "");
    conv(&g, "two", "b w", "c");
    op(&g, "sum", "Add", "c b", "d", "");
    head(&g, "d");
    opens(g, 2);
    bcam_plan *plan = bcam_net_plan(net);
    const int64_t dim[2] = {2, 2};
    int target = value_named("a"), gradient, seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    bool constant;
    cr_assert_eq(bcam_plan_differentiate(plan, bcam_net_get_info(net)->logits_value, seed, &target, 1, true, &gradient,
                                         &constant, &err),
                 BCAM_OK);
    plan->values[gradient].role = BCAM_ROLE_OUTPUT;
    passes(target);
    cr_assert_eq(steps_of(BCAM_VERB_BINARY), 0);
    cr_assert_eq(steps_of(BCAM_VERB_UNARY_BWD), 1);
    const bcam_step *last = &plan->steps[plan->step_count - 1];
    cr_assert(last->verb == BCAM_VERB_UNARY_BWD && last->in[2] >= 0 && last->in[0] != last->in[2]);
    done();
}

/* ---- the input as (N,H,W,C) ---- */

Test(net_lower, a_transposed_input_costs_nothing)
{
    bytes g = begin(0, 4, 5, 3);
    ones(&g, "w", "3,3,1,1");
    op(&g, "", "Transpose", "x", "t", "perm=0,3,1,2");
    conv(&g, "conv", "t w", "c");
    head(&g, "c");
    opens(g, 2);
    const bcam_net_info *info = bcam_net_get_info(net);
    cr_assert(info->nhwc && info->channels == 3 && info->height == 4 && info->width == 5);
    cr_assert_eq(bcam_net_plan(net)->steps[0].verb, BCAM_VERB_CONV);
    done();
}
