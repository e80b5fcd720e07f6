/* test_net_names.c - which layer a name means, which one is the default, and in which order its axes may be: one small graph each. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net_fixture.h"
#include "net_sweep.h"

/* ---- the order of axes ---- */

Test(net_names, axes_are_followed_through_transposes)
{
    bytes g = begin(0, 4, 5, 3);
    ones(&g, "w", "3,3,1,1");
    op(&g, "", "Transpose", "x", "t", "perm=0,3,1,2");
    conv(&g, "conv", "t w", "c");
    op(&g, "", "Transpose", "c", "last", "perm=0,2,3,1");
    op(&g, "", "Relu", "last", "still", "");
    op(&g, "", "Transpose", "still", "again", "perm=0,3,1,2");
    head(&g, "again");
    opens(g, 2);
    bcam_target target;
    const char *const names[] = {"last", "still", "again"};
    for (size_t i = 0; i < BCAM_COUNT(names); i++) {
        cr_assert_eq(bcam_net_target(net, names[i], &target, &err), BCAM_OK);
        cr_assert(target.channels == 3 && target.height == 4 && target.width == 5, "%s: %d,%d,%d", names[i],
                  target.channels, target.height, target.width);
    }
    cr_assert_eq(bcam_net_target(net, NULL, &target, &err), BCAM_OK);
    cr_assert_str_eq(target.tensor, "again");
    bcam_candidate *list = NULL;
    size_t count = 0;
    cr_assert_eq(bcam_net_candidates(net, &list, &count, &err), BCAM_OK);
    cr_assert_eq(count, 3); /* c, still and again; the first copy is c under another name */
    bcam_free(list);
    done();
}

Test(net_names, the_default_may_be_channels_last)
{
    bytes g = begin(0, 3, 4, 5); /* a head that averages (N,H,W,C) */
    ones(&g, "w", "3,3,1,1");
    ones(&g, "v", "3,2");
    conv(&g, "conv", "x w", "c");
    op(&g, "", "Transpose", "c", "last", "perm=0,2,3,1");
    op(&g, "", "Relu", "last", "still", "");
    op(&g, "", "ReduceMean", "still", "rows", "axes=1,2 keepdims=0");
    op(&g, "", "MatMul", "rows v", "y", "");
    opens(g, 2);
    bcam_target target;
    cr_assert_eq(bcam_net_target(net, NULL, &target, &err), BCAM_OK, "%s", err.message);
    cr_assert_str_eq(target.tensor, "still");
    done();
}

Test(net_names, other_orders_of_axes_are_no_layers)
{
    bytes g = begin(0, 3, 4, 5);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "conv", "x w", "c");
    op(&g, "", "Transpose", "c", "turned", "perm=0,3,2,1");
    op(&g, "", "Relu", "turned", "still", "");
    op(&g, "", "Transpose", "still", "again", "perm=0,3,2,1");
    head(&g, "again");
    opens(g, 2);
    bcam_target target;
    cr_assert_eq(bcam_net_target(net, "still", &target, &err), BCAM_E_LAYER);
    cr_assert_not_null(strstr(err.message, "transposed"), "%s", err.message);
    cr_assert_eq(bcam_net_target(net, NULL, &target, &err), BCAM_OK);
    cr_assert_str_eq(target.tensor, "again");
    done();
}

/* ---- names ---- */

/* Blocks as the older exporter names them; b's first convolution had its batch norm folded in. */
static bytes named_net(void)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "a.conv1.weight", "3,3,1,1");
    ones(&g, "onnx::Conv_9", "3,3,1,1");
    ones(&g, "plain.weight", "3,3,1,1");
    conv(&g, "/a/conv1/Conv", "x a.conv1.weight", "a1");
    op(&g, "/a/relu/Relu", "Relu", "a1", "a2", "");
    op(&g, "/a/tanh/Tanh", "Tanh", "a1", "a3", "");
    op(&g, "/b/Add", "Add", "a2 a3", "b0", "");
    conv(&g, "/b/conv1/Conv", "b0 onnx::Conv_9", "b1");
    op(&g, "/b/relu/Relu", "Relu", "b1", "b2", "");
    conv(&g, "Conv_7", "b2 plain.weight", "p");
    head(&g, "p");
    return g;
}

static void expect(const char *name, const char *tensor)
{
    bcam_target target;
    cr_assert_eq(bcam_net_target(net, name, &target, &err), BCAM_OK, "%s: %s", name ? name : "(default)", err.message);
    cr_assert_str_eq(target.tensor, tensor, "%s is %s", name ? name : "(default)", target.tensor);
}

Test(net_names, names_mean_tensors_nodes_modules_and_weights)
{
    opens(named_net(), 2);
    expect("b1", "b1");           /* a tensor */
    expect("/b/relu/Relu", "b2"); /* a node */
    expect("a.conv1", "a1");      /* a module, read by two nodes */
    expect("b", "b2");            /* the one tensor that leaves it */
    expect("plain", "p");         /* by its weights */
    expect("b.bn1", "b1");        /* folded into b.conv1 */
    expect(NULL, "p");            /* the default */
    bcam_target target;
    cr_assert_eq(bcam_net_target(net, "b.bn1", &target, &err), BCAM_OK);
    cr_assert_not_null(strstr(target.note, "batch norm"));
    cr_assert_eq(bcam_net_target(net, "a", &target, &err), BCAM_E_LAYER);
    cr_assert(strstr(err.message, "'a2'") && strstr(err.message, "'a3'"), "%s", err.message);
    cr_assert_eq(bcam_net_target(net, "b.rleu", &target, &err), BCAM_E_LAYER);
    cr_assert_not_null(strstr(err.message, "did you mean"), "%s", err.message);
    cr_assert_eq(bcam_net_target(net, "rows", &target, &err), BCAM_E_LAYER);
    cr_assert_not_null(strstr(err.message, "no rows and columns"), "%s", err.message);
    done();
}

Test(net_names, the_default_passes_over_an_activation_outside_all_modules)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "/features/conv/Conv", "x w", "c");
    op(&g, "/Relu", "Relu", "c", "r", "");
    head(&g, "r");
    opens(g, 2);
    expect(NULL, "c");
    done();
}

Test(net_names, a_node_without_a_module_belongs_where_its_neighbours_are)
{
    bytes g = begin(0, 3, 4, 4); /* an optimiser put them in, once in a block and once between two */
    ones(&g, "w", "3,3,1,1");
    conv(&g, "/a/conv1/Conv", "x w", "c");
    op(&g, "", "Tanh", "c", "inner", "");
    conv(&g, "/a/conv2/Conv", "inner w", "d");
    op(&g, "", "Tanh", "d", "outer", "");
    conv(&g, "/b/conv1/Conv", "outer w", "e");
    head(&g, "e");
    opens(g, 2);
    expect("a", "d");
    done();
}

Test(net_names, candidates_are_listed_once_each_by_their_shortest_names)
{
    static const char *const names[] = {"a.conv1", "a.relu", "a.tanh", "b0", "b.conv1", "b", "p"};
    opens(named_net(), 2);
    bcam_candidate *list = NULL;
    size_t count = 0;
    cr_assert_eq(bcam_net_candidates(net, &list, &count, &err), BCAM_OK);
    cr_assert_eq(count, BCAM_COUNT(names));
    for (size_t i = 0; i < count; i++) {
        cr_assert_str_eq(list[i].target.name, names[i]);
        cr_assert_eq(list[i].is_default, i + 1 == count);
    }
    bcam_free(list);
    done();
}

Test(net_names, a_tensor_of_which_only_the_shape_is_read_is_no_candidate)
{
    bytes g = begin(0, 3, 4, 4);
    ones(&g, "w", "3,3,1,1");
    conv(&g, "conv", "x w", "c");
    op(&g, "", "Tanh", "c", "only", "");
    op(&g, "", "Shape", "only", "shape", "");
    op(&g, "", "Reshape", "c shape", "same", "");
    head(&g, "same");
    opens(g, 2);
    expect(NULL, "c");
    bcam_candidate *list = NULL;
    size_t count = 0;
    cr_assert_eq(bcam_net_candidates(net, &list, &count, &err), BCAM_OK);
    cr_assert_eq(count, 1);
    bcam_free(list);
    done();
}

Test(net_names, every_failed_allocation_is_an_error_and_leaves_nothing)
{
    bytes g = named_net();
    model = model_head(17);
    put_message(&model, 7, g);
    cr_assert_eq(bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err), BCAM_OK);
    open_short_of_memory(graph, "names", &net);
    done();
}
