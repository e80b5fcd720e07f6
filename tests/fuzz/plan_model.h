/* plan_model.h - everything that happens to a model before a device computes: reading, lowering, layers, derivatives, passes, steps checked, memory
 * laid out. Whatever fails says why; nothing that this program made itself may be found wrong on the way. */
#ifndef BCAM_TESTS_PLAN_MODEL_H
#define BCAM_TESTS_PLAN_MODEL_H

#include "dev/place.h"
#include "fuzz.h"
#include "net/net.h"

/* A model may ask for more memory than there is; that is said, and nothing was allocated for it. */
static void check_plan_status(bcam_status status, const bcam_error *err)
{
    FUZZ_CHECK((status == BCAM_OK) == (err->message[0] == 0));
    FUZZ_CHECK(status == BCAM_OK || status == BCAM_E_MODEL || status == BCAM_E_UNSUPPORTED || status == BCAM_E_LAYER ||
               status == BCAM_E_MEMORY || status == BCAM_E_IO);
}

static void check_place(const bcam_plan *plan)
{
    bcam_error err = {0};
    bcam_placement place = {0};
    bcam_status status = bcam_placement_init(&place, plan, &err);
    for (size_t s = 0; status == BCAM_OK && s < plan->step_count; s++)
        if ((status = bcam_step_check(plan, &plan->steps[s], &err)) != BCAM_OK)
            fuzz_fail(err.message); /* lowering has to refuse what no device can run */
        else
            FUZZ_CHECK(bcam_step_flop(plan, &plan->steps[s]) >= 0);
    if (status == BCAM_OK)
        status = bcam_placement_lay(&place, BCAM_ORDER_KERNEL, BCAM_F32, &err);
    if (status == BCAM_OK)
        status = bcam_placement_share(&place, plan, &err);
    if (status == BCAM_OK)
        bcam_placement_layout(&place, 64, 0);
    check_plan_status(status, &err);
    bcam_placement_fini(&place);
}

static bcam_status add_target(bcam_net *net, bcam_target *target, int *targets, int *count, bcam_error *err)
{
    bcam_status status = bcam_net_turn_target(net, target, err);
    if (status == BCAM_OK)
        targets[(*count)++] = target->value;
    return status;
}

/* Maps are asked for at the default layer and at the last of all. */
static bcam_status choose_targets(bcam_net *net, int *targets, int *count, bcam_error *err)
{
    bcam_candidate *list = NULL;
    bcam_target target;
    size_t candidates = 0;
    *count = 0;
    bcam_status status = bcam_net_candidates(net, &list, &candidates, err);
    if (status == BCAM_OK)
        status = bcam_net_target(net, NULL, &target, err);
    if (status == BCAM_OK && candidates > 0 && list[candidates - 1].target.value != target.value)
        status = add_target(net, &list[candidates - 1].target, targets, count, err);
    if (status == BCAM_OK)
        status = add_target(net, &target, targets, count, err);
    bcam_free(list);
    return status;
}

static bcam_status run_passes(bcam_net *net, const int *targets, int count, bcam_error *err)
{
    enum { K = 2 };
    const bcam_net_info *info = bcam_net_get_info(net);
    bcam_plan *plan = bcam_net_plan(net);
    const int64_t dim[2] = {K * plan->batch, info->class_count};
    int gradients[2];
    bool constant[2];
    plan->k = K;
    plan->values[info->logits_value].role = BCAM_ROLE_OUTPUT;
    int seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    plan->values[seed].each_k = true;
    bcam_status status = bcam_plan_fold(plan, targets, count, err);
    if (status == BCAM_OK)
        status = bcam_plan_differentiate(plan, info->logits_value, seed, targets, count, !info->batch_fixed, gradients,
                                         constant, err);
    for (int i = 0; status == BCAM_OK && i < count; i++) {
        plan->values[gradients[i]].role = BCAM_ROLE_OUTPUT;
        plan->values[targets[i]].role = BCAM_ROLE_OUTPUT;
    }
    if (status == BCAM_OK)
        status = bcam_plan_fuse(plan, err);
    return status == BCAM_OK ? bcam_plan_tidy(plan, err) : status;
}

static void plan_graph(const bcam_graph *graph, int64_t batch)
{
    int targets[2], count;
    bcam_error err = {0};
    bcam_net *net = NULL;
    bcam_status status = bcam_net_check_weights(graph, &err);
    if (status == BCAM_OK)
        status = bcam_net_open(graph, batch, &net, &err);
    FUZZ_CHECK((status == BCAM_OK) == (net != NULL));
    if (status == BCAM_OK)
        status = choose_targets(net, targets, &count, &err);
    if (status == BCAM_OK)
        status = run_passes(net, targets, count, &err);
    check_plan_status(status, &err);
    if (status == BCAM_OK)
        check_place(bcam_net_plan(net));
    bcam_net_close(&net);
}

static void plan_model(const uint8_t *data, size_t size)
{
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    int64_t *height, *width;
    if (bcam_onnx_parse("m.onnx", data, size, &graph, &err) == BCAM_OK) {
        FUZZ_CHECK(bcam_net_choose_output(graph, NULL, &err) == BCAM_OK);
        bcam_net_unsupported(graph, NULL, NULL);
        if (bcam_net_size(graph, &height, &width) && *width == BCAM_ONNX_FREE)
            *width = 24;
        plan_graph(graph, 3);
    }
    bcam_onnx_close(&graph);
    FUZZ_CHECK(bcam_alloc_live() == 0);
}

#endif
