/* run.h - the room that sees all others: devices by name, the engine, the job. */
#ifndef BCAM_RUN_H
#define BCAM_RUN_H

#include "dev/dev.h"
#include "in/in.h"

/* ---- devices.c ---- */

/** The device of a name ("auto", "cpu", "cuda", "cuda:1", "reference"; NULL: "auto"); fills options->reference and index. E_DEVICE says what there
 *  is, or why it is not. "auto" says by options->log where it takes CUDA. */
bcam_status bcam_device_find(const char *name, bcam_device_options *options, const bcam_device_api **out,
                             bcam_error *err);

/* ---- engine.c, engine_plan.c, engine_compute.c: what the run needs of an engine beside the public calls ---- */

/** What an engine can do beside the public calls. */
typedef struct bcam_engine_extras {
    bool pictures; /* maps in colours, of the network's input size, are made as well (bcam_engine_picture) */
    int resizes;   /* a device of so many pairs or more may be given photos packed (bcam_engine_get_room); 0: none */
} bcam_engine_extras;

/** As bcam_engine_open. */
bcam_status bcam_engine_make(const char *model, const bcam_engine_options *options, bcam_engine_extras extras,
                             bcam_engine **out, bcam_error *err);

/** A pair's own memory for photos that the device resizes. */
typedef struct bcam_engine_room {
    uint8_t *photos;
    int32_t *tables, *frames; /* frames: (N,BCAM_FRAME_COUNT), see bcam_frame */
    size_t bytes, numbers;    /* of photos and of tables: room, or how much of it is used */
} bcam_engine_room;

/** What is taken of `photos` for so many bytes: a multiple of 16. Every photo of a batch has its network's pixels' worth. */
static inline size_t bcam_frame_bytes(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}
/** False where the engine, or the pair, has none. */
bool bcam_engine_get_room(bcam_engine *engine, int pair, bcam_engine_room *room);
/** As bcam_engine_start with the photos that lie in the pair's room, and frames of the first `count`. The network's pixels stand in
 *  bcam_engine_pixels once the pair is finished. */
bcam_status bcam_engine_start_room(bcam_engine *engine, const bcam_engine_room *used, int count, const int32_t *classes,
                                   int pair, bcam_error *err);

/** The (H,W,3) map in colours; indices as of bcam_engine_map. */
const uint8_t *bcam_engine_picture(const bcam_engine *engine, int layer, int method, int n, int k);
const bcam_recipe *bcam_engine_recipe(const bcam_engine *engine);
const char *bcam_engine_method(const bcam_engine *engine, int method);
const char *bcam_engine_precision(const bcam_engine *engine); /* as computed: "fp32", "tf32", … */
const char *bcam_precision_name(bcam_precision precision);    /* "fp32"; of the ones that an engine computes in */
/** Seconds by the wall clock that the device's segments have taken since the engine was made: their sum, and each of them where `each` is not NULL
 *  (BCAM_SEGMENT_COUNT). 0 for devices that compute beside the caller. */
double bcam_engine_seconds(const bcam_engine *engine, double *each);
size_t bcam_engine_bytes(const bcam_engine *engine); /* memory held by the device */
enum { BCAM_USUAL_BATCH = 16 };                      /* where none is asked for */

/** Calls back with the algorithm of every step, in order. */
typedef void (*bcam_algorithm_fn)(void *data, size_t index, const char *step, const char *verb, const char *algorithm);
void bcam_engine_algorithms(const bcam_engine *engine, bcam_algorithm_fn fn, void *data);

/** What a photo costs, as planned: 2 x multiply-adds, bytes of operands and results, the network's convolutions and those that have a step in the
 *  backward pass. */
typedef struct bcam_engine_work {
    double flop, bytes;
    int convs, convs_backward;
} bcam_engine_work;
bcam_engine_work bcam_engine_get_work(const bcam_engine *engine);

#endif
