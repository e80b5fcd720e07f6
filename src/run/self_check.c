/* self_check.c - one map of a run made again by other means: a device that computes nonsense is seen at the first batch. */
#include <math.h>

#include "run/job.h"

/* What the device gave of a kind, allocated; NULL and OK where there is none (a method without weights). */
static bcam_status read_all(bcam_engine *engine, bcam_tensor_kind kind, float **out, bcam_error *err)
{
    size_t count = 0;
    bcam_status status = bcam_engine_read(engine, kind, 0, 0, NULL, 0, &count, NULL);
    *out = NULL;
    if (status != BCAM_E_ARGUMENT || !count)
        return BCAM_OK;
    *out = bcam_alloc(count, sizeof **out);
    return *out ? bcam_engine_read(engine, kind, 0, 0, *out, count, &count, err)
                : bcam_fail_memory(err, count * sizeof **out, "the self-check");
}

/* The largest |ReLU(sum w A) - map| as a share of the largest |map|, of photo 0 and class place 0. */
static double worst_error(const float *a, const float *w, const float *map, size_t channels, size_t area,
                          bool is_signed)
{
    double worst = 0, scale = 0;
    for (size_t i = 0; i < area; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)w[c] * (double)a[c * area + i];
        double expected = is_signed ? sum : fmax(sum, 0);
        worst = fmax(worst, fabs(expected - (double)map[i]));
        scale = fmax(scale, fabs(expected));
    }
    return scale > 0 ? worst / scale : worst;
}

bcam_status bcam_job_self_check(bcam_job *job, bcam_error *err)
{
    enum { ALLOWED_PERCENT = 1 };
    bcam_map map;
    bcam_layer_info layer;
    if (bcam_engine_get_layer(job->engine, 0, &layer, NULL) != BCAM_OK ||
        bcam_engine_map(job->engine, 0, 0, 0, 0, &map, NULL) != BCAM_OK ||
        (map.outcome != BCAM_MAP_OK && map.outcome != BCAM_MAP_CONSTANT))
        return BCAM_OK;
    float *a = NULL, *w = NULL, *raw = NULL;
    bcam_status status = read_all(job->engine, BCAM_TENSOR_ACTIVATIONS, &a, err);
    if (status == BCAM_OK)
        status = read_all(job->engine, BCAM_TENSOR_WEIGHTS, &w, err);
    if (status == BCAM_OK)
        status = read_all(job->engine, BCAM_TENSOR_RAW, &raw, err);
    if (status == BCAM_OK && a && w && raw)
        job->self_check = worst_error(a, w, raw, (size_t)layer.channels, (size_t)layer.height * (size_t)layer.width,
                                      job->options->engine.signed_maps);
    if (job->self_check > ALLOWED_PERCENT / 100.0)
        bcam_log_line(&job->log, BCAM_LOG_WARNING,
                      "self-check: the first map differs by %.2g of its maximum from the one made again from its "
                      "weights and activations; run `batchcam selftest`",
                      job->self_check);
    bcam_free(a);
    bcam_free(w);
    bcam_free(raw);
    return status;
}
