/* results.c - what became of a batch of photos becomes pictures and rows. */
#include "run/results.h"

#include <math.h>

enum { PREDICTIONS = 5 };

static int best_predictions(const bcam_job *job, const float *logits, bcam_out_prediction *out)
{
    int count = 0, most = job->info.class_count < PREDICTIONS ? job->info.class_count : PREDICTIONS;
    double sum = 0;
    for (int c = 0; c < job->info.class_count; c++) {
        if (isnan(logits[c]) || (count == most && logits[c] <= out[count - 1].logit))
            continue;
        int at = count < most ? count++ : count - 1;
        for (; at > 0 && out[at - 1].logit < logits[c]; at--)
            out[at] = out[at - 1];
        out[at] = (bcam_out_prediction){c, logits[c], 0};
    }
    for (int c = 0; count && c < job->info.class_count; c++)
        sum += exp((double)logits[c] - (double)out[0].logit);
    for (int i = 0; i < count; i++) {
        double x = (double)out[i].logit;
        out[i].probability = job->info.activation == BCAM_ACTIVATION_SOFTMAX
                                 ? (float)(exp(x - (double)out[0].logit) / sum)
                             : job->info.activation == BCAM_ACTIVATION_SIGMOID ? (float)(1 / (1 + exp(-x)))
                                                                               : (float)x;
    }
    return count;
}

static size_t picture_bytes(const bcam_job *job)
{
    return (size_t)job->info.height * (size_t)job->info.width * 3;
}

bool bcam_results_map(const bcam_job *job, int at, int index, bcam_out_map *out)
{
    int k = index % job->info.classes, method = index / job->info.classes % job->info.method_count;
    int layer = index / job->info.classes / job->info.method_count;
    bcam_map map;
    bcam_layer_info facts;
    if (bcam_engine_map(job->engine, layer, method, at, k, &map, NULL) != BCAM_OK || map.outcome == BCAM_MAP_NONE)
        return false;
    bcam_engine_get_layer(job->engine, layer, &facts, NULL);
    *out = (bcam_out_map){.layer = facts.name,
                          .method = bcam_engine_method(job->engine, method),
                          .class_id = map.class_id,
                          .outcome = map.outcome,
                          .logit = map.logit,
                          .probability = map.probability,
                          .raw_min = map.raw_min,
                          .raw_max = map.raw_max,
                          .height = map.height,
                          .width = map.width,
                          .dtype = map.dtype,
                          .data = map.data,
                          .colours = bcam_engine_picture(job->engine, layer, method, at, k)};
    return true;
}

static int collect_maps(bcam_results *s, int at)
{
    bcam_run_summary *summary = &s->job->summary;
    int count = 0;
    for (int i = 0; i < s->map_count; i++) {
        bcam_out_map *map = &s->maps[count];
        if (!bcam_results_map(s->job, at, i, map))
            continue;
        if (s->pictures) {
            map->jpeg = s->pictures[at * s->map_count + i].jpeg;
            map->jpeg_bytes = s->pictures[at * s->map_count + i].bytes;
        }
        summary->maps_all_zero += map->outcome == BCAM_MAP_ALL_ZERO;
        summary->maps_constant += map->outcome == BCAM_MAP_CONSTANT;
        summary->maps_not_finite += map->outcome == BCAM_MAP_NOT_FINITE;
        count++;
    }
    summary->maps += count;
    return count;
}

static void count_outcome(bcam_job *job, const bcam_photo_slot *slot)
{
    int64_t *counters[BCAM_OUTCOME_COUNT] = {
        [BCAM_OUTCOME_OK] = &job->summary.ok,
        [BCAM_OUTCOME_MISSING] = &job->summary.missing,
        [BCAM_OUTCOME_UNREADABLE] = &job->summary.unreadable,
        [BCAM_OUTCOME_UNSUPPORTED] = &job->summary.unsupported,
        [BCAM_OUTCOME_TOO_LARGE] = &job->summary.too_large,
        [BCAM_OUTCOME_NO_LABEL] = &job->summary.no_label,
    };
    job->summary.images++;
    ++*counters[slot->outcome];
    job->rotated += slot->orientation > 1;
    job->resized[slot->packed] += slot->outcome == BCAM_OUTCOME_OK;
}

static bcam_status write_slot(bcam_results *s, const bcam_load *l, const bcam_photo_slot *slot, bcam_error *err)
{
    bcam_job *job = s->job;
    bcam_out_prediction predictions[PREDICTIONS];
    bcam_out_item item = {.id = job->summary.images + 1,
                          .path = slot->shown,
                          .outcome = bcam_outcome_name(slot->outcome),
                          .message = slot->message};
    item.width = slot->width;
    item.height = slot->height;
    item.orientation = slot->orientation;
    item.label = slot->label;
    item.in_height = job->info.height;
    item.in_width = job->info.width;
    if (slot->at >= 0) {
        const float *logits = bcam_engine_logits(job->engine) + (size_t)slot->at * (size_t)job->info.class_count;
        item.crop_x = slot->crop.x;
        item.crop_y = slot->crop.y;
        item.crop_w = slot->crop.w;
        item.crop_h = slot->crop.h;
        item.predictions = predictions;
        item.prediction_count = best_predictions(job, logits, predictions);
        item.maps = s->maps;
        item.map_count = collect_maps(s, slot->at);
        item.pixels = bcam_load_pixels(l, job) + (size_t)slot->at * picture_bytes(job);
        if (slot->label >= 0 && item.prediction_count) {
            job->labelled++;
            job->correct += predictions[0].class_id == slot->label;
        }
    }
    bcam_status status = bcam_out_write(job->out, &item, err);
    if (status == BCAM_OK)
        count_outcome(job, slot);
    return status;
}

int bcam_results_pictures(const bcam_results *s, const bcam_load *l)
{
    return s->pictures ? l->count * s->map_count : 0;
}

bcam_status bcam_results_encode(bcam_results *s, const bcam_load *l, int index, bcam_worker *w, bcam_error *err)
{
    const bcam_job *job = s->job;
    int at = index / s->map_count;
    double begin = bcam_clock_seconds();
    bcam_picture *to = &s->pictures[index];
    bcam_out_map map;
    bcam_status status = BCAM_OK;
    if (bcam_results_map(job, at, index % s->map_count, &map) && map.colours)
        status = bcam_overlay_encode(bcam_load_pixels(l, job) + (size_t)at * picture_bytes(job), map.colours,
                                     job->info.height, job->info.width, &to->jpeg, &to->bytes, err);
    w->seconds[BCAM_STAGE_ENCODE] += bcam_clock_seconds() - begin;
    return status;
}

static void drop_pictures(bcam_results *s)
{
    for (int i = 0; s->pictures && i < s->job->info.batch * s->map_count; i++) {
        bcam_free(s->pictures[i].jpeg);
        s->pictures[i] = (bcam_picture){0};
    }
}

bcam_status bcam_results_write(bcam_results *s, const bcam_load *l, bcam_error *err)
{
    double begin = bcam_clock_seconds();
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < l->filled; i++)
        status = write_slot(s, l, &l->slots[i], err);
    s->job->stages[BCAM_STAGE_WRITE] += bcam_clock_seconds() - begin;
    drop_pictures(s);
    return status;
}

/* ---- memory ---- */

bool bcam_results_init(bcam_results *s, bcam_job *job)
{
    s->job = job;
    s->map_count = job->info.layer_count * job->info.method_count * job->info.classes;
    s->maps = bcam_alloc((size_t)s->map_count, sizeof *s->maps);
    if (job->options->overlay)
        s->pictures = bcam_alloc((size_t)job->info.batch * (size_t)s->map_count, sizeof *s->pictures);
    return s->maps && (s->pictures || !job->options->overlay);
}

void bcam_results_fini(bcam_results *s)
{
    drop_pictures(s);
    bcam_free(s->maps);
    bcam_free(s->pictures);
    *s = (bcam_results){0};
}
