/* engine.h - an engine from the inside. Private to run/engine*.c. */
#ifndef BCAM_RUN_ENGINE_H
#define BCAM_RUN_ENGINE_H

#include "cam/cam.h"
#include "net/net.h"
#include "run/run.h"

enum {
    BCAM_MAX_LAYERS = 16,
    BCAM_MAX_PAIRS = 2,
    BCAM_MAX_METHODS = 8,
    BCAM_CHUNK = 8 /* classes computed in one backward run */
};

/** What a batch gave for one layer and method, k slowest: the device's own host memory or, where the classes are computed in several runs, a copy
 *  that the runs are gathered into. */
typedef struct bcam_engine_found {
    void *given;      /* (K,N,height,width) */
    float *range;     /* (K,N,2) */
    uint8_t *picture; /* (K,N,H,W,3) or NULL */
    float *raw;       /* (K,N,h,w) */
    float *weights;   /* (K,N,C) or NULL */
} bcam_engine_found;

/** A batch on its way: what was started on one of the device's buffer pairs, and what came of it. */
typedef struct bcam_engine_pair {
    bool under_way;
    int count;                /* photos of the batch; 0: none yet */
    bool *nan;                /* (N): the photo's input holds NaN */
    int32_t *ids;             /* (K,N) */
    float *logit;             /* (K,N) */
    float *probability;       /* (K,N) */
    bcam_engine_found *found; /* layers x methods */
} bcam_engine_pair;

typedef struct bcam_engine_layer {
    bcam_target target;
    bool constant;                        /* its gradient does not depend on the photo */
    float *weights;                       /* then (M,C); else NULL */
    int gradient;                         /* value in the program, or -1 */
    bcam_cam_maps maps[BCAM_MAX_METHODS]; /* values in the program */
} bcam_engine_layer;

struct bcam_engine {
    bcam_engine_options options; /* with defaults filled in; strings are not used after opening */
    bcam_engine_info info;
    bcam_recipe recipe;
    bcam_engine_extras extras;
    bool nhwc;
    bcam_log log;
    const bcam_device_api *api;
    bcam_device *device;
    bcam_program *program;
    bcam_pool pool; /* names, copies of results */
    char device_name[128];

    const bcam_method *methods[BCAM_MAX_METHODS];
    bcam_engine_layer *layers;       /* info.layer_count */
    int pixels, input, logits;       /* values */
    int photos, tables, frames;      /* what pixels are made of; -1: the host gives them */
    size_t room_bytes, room_numbers; /* of photos and tables */
    int scores;                      /* the value that is explained: the logits, or their probabilities */
    bcam_selection selection;
    int chunk, chunks; /* K of one run, and how many runs make K */

    double seconds[BCAM_SEGMENT_COUNT]; /* see bcam_engine_seconds */

    float *staging;                        /* (N,C,H,W): an input given as numbers */
    bcam_engine_pair pair[BCAM_MAX_PAIRS]; /* info.pairs of them */
    int shown, last; /* the pair that results are read from, and the last that was started; -1: none */
    struct bcam_step_name {
        const char *name, *verb;
        bcam_segment segment;
        bool conv;          /* a convolution, or its gradient */
        double flop, bytes; /* of one run */
    } * steps;
    size_t step_count;
};

/** What a pair's batch gave for a layer and method. */
static inline bcam_engine_found *bcam_engine_find(const bcam_engine *e, int pair, int layer, int method)
{
    return &e->pair[pair].found[layer * e->info.method_count + method];
}

/** Opens a model and settles which output is explained (NULL: the usual one) and, where the file leaves it open, the size of its photos: that of the
 *  preprocessing file. *out may be set on failure, too. */
bcam_status bcam_model_open(const char *path, const char *output, const char *preprocess, bcam_graph **out,
                            bcam_error *err);
/** The first half of it: resolves layers, finds constant gradients and their weights. Needs options, layers, api and device. */
bcam_status bcam_engine_probe(bcam_engine *engine, const bcam_graph *graph, bcam_error *err);
/** Resolves layers, finds constant gradients, makes the program. The graph is only read. */
bcam_status bcam_engine_build(bcam_engine *engine, const bcam_graph *graph, bcam_error *err);

/** engine_room.c: makes the step that resizes, where photos may come packed; left out of a run, the host writes `pixels`. */
bcam_status bcam_engine_plan_room(bcam_engine *engine, bcam_plan *plan, bcam_error *err);
/** Completes the room of a pair before it is started. */
void bcam_engine_fill_room(bcam_engine *engine, int count, const bcam_engine_room *used, int pair);

#endif
