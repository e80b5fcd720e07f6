/* net_fixture.h - for tests/test_net_*.c: one network at a time, opened from a graph made by hand. */
#ifndef BCAM_TESTS_NET_FIXTURE_H
#define BCAM_TESTS_NET_FIXTURE_H

#include "graph_build.h"
#include "net/net.h"

static bytes model;
static bcam_graph *graph;
static bcam_net *net;
static bcam_error err;

/** Closes it; nothing may be left. */
static inline void done(void)
{
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    free(model.data);
    model = (bytes){0};
    cr_assert_eq(bcam_alloc_live(), 0);
}

/** Opens a graph, which is freed, for `batch` photos; output NULL: the first that holds scores. */
static inline bcam_status open_net(bytes g, int64_t opset, const char *output, int64_t batch)
{
    model = model_head(opset);
    put_message(&model, 7, g);
    err = (bcam_error){0};
    cr_assert_eq(bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err), BCAM_OK, "%s", err.message);
    bcam_status status = bcam_net_choose_output(graph, output, &err);
    return status == BCAM_OK ? bcam_net_open(graph, batch, &net, &err) : status;
}

/** A graph of operator set 17 that must open. */
static inline void opens(bytes g, int64_t batch)
{
    cr_assert_eq(open_net(g, 17, NULL, batch), BCAM_OK, "%s", err.message);
}

/* From a picture `from` of 3 channels to two scores y. */
static inline void head(bytes *g, const char *from)
{
    op(g, "gap", "GlobalAveragePool", from, "pooled", "");
    op(g, "flat", "Flatten", "pooled", "rows", "");
    ones(g, "head.weight", "2,3");
    op(g, "head", "Gemm", "rows head.weight", "y", "transB=1");
}

static inline void conv(bytes *g, const char *name, const char *inputs, const char *output)
{
    op(g, name, "Conv", inputs, output, "");
}

#endif
