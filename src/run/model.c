/* model.c - a model file as it is asked for: which output is explained, whether its weights are numbers, and how large its photos are where the
 * file leaves that open. */
#include "run/engine.h"

static bcam_status fit_size(bcam_graph *graph, const char *preprocess, bcam_error *err)
{
    int64_t *height, *width;
    if (!bcam_net_size(graph, &height, &width) || (*height != BCAM_ONNX_FREE && *width != BCAM_ONNX_FREE))
        return BCAM_OK;
    bool fits = *height <= 1 << 16 && *width <= 1 << 16; /* else it is refused later, with a better sentence */
    int h = fits && *height > 0 ? (int)*height : 0, w = fits && *width > 0 ? (int)*width : 0;
    bcam_status status = bcam_recipe_size(preprocess, graph->path, &h, &w, err);
    if (status == BCAM_OK && *height == BCAM_ONNX_FREE && h)
        *height = h;
    if (status == BCAM_OK && *width == BCAM_ONNX_FREE && w)
        *width = w;
    return status;
}

bcam_status bcam_model_open(const char *path, const char *output, const char *preprocess, bcam_graph **out,
                            bcam_error *err)
{
    bcam_status status = bcam_onnx_open(path, out, err);
    if (status == BCAM_OK)
        status = bcam_net_choose_output(*out, output, err);
    if (status == BCAM_OK)
        status = fit_size(*out, preprocess, err);
    return status == BCAM_OK ? bcam_net_check_weights(*out, err) : status;
}
