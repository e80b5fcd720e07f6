/* load.h - a batch of photos on its way: from the list to bytes that the device takes. Private to run/. */
#ifndef BCAM_RUN_LOAD_H
#define BCAM_RUN_LOAD_H

#include "run/job.h"

/** A photo of a load. */
typedef struct bcam_photo_slot {
    char *path, *shown; /* path: NULL where the photo came as bytes */
    uint8_t *room;      /* for bytes; kept from batch to batch */
    size_t room_bytes, bytes;
    int label;
    bcam_outcome outcome;
    char message[320];
    int width, height, orientation;
    bcam_box crop;
    bool packed; /* the device resizes it */
    int at;      /* its place among those that are computed, -1: none */
} bcam_photo_slot;

typedef struct bcam_load {
    bcam_photo_slot *slots; /* N */
    int filled, count;      /* photos; those of them that are computed */
    int32_t *classes;       /* (N,K) */
    uint8_t *pixels;        /* (N,H,W,3); not where photos are packed */
    int pair;               /* of the device's buffers */
    bool packed;            /* photos go into the pair's room, those that were resized here, too */
    bcam_engine_room room, used;
    size_t spare; /* of the room: what photos may take beyond their network's pixels' worth */
} bcam_load;

/** What one thread decodes with, and the seconds that it took. */
typedef struct bcam_worker {
    bcam_photo photo;
    double seconds[BCAM_STAGE_COUNT];
} bcam_worker;

/** The photos of a run, batch by batch. */
typedef struct bcam_source {
    bcam_list *list;
    int64_t given; /* photos taken from the list */
    bool end;
} bcam_source;

/** False: memory is out. bcam_load_fini is due in any case. */
bool bcam_load_init(bcam_load *load, const bcam_job *job);
void bcam_load_fini(bcam_load *load, const bcam_job *job);
/** Takes the next photos from the list. What came before an error is in the load. */
bcam_status bcam_load_fill(bcam_load *load, bcam_job *job, bcam_source *source, bcam_error *err);
/** Asks the system to have the files ready. Returns at once. */
void bcam_load_ask(const bcam_load *load);
/** Before decoding: from here on photos go into the room of a pair that nothing is under way on, where it has one. */
void bcam_load_pack(bcam_load *load, const bcam_job *job, int pair);
/** The network's pixels (count,H,W,3), once the engine has finished the load, until its pair is started again. */
const uint8_t *bcam_load_pixels(const bcam_load *load, const bcam_job *job);
/** With what photos of a run are decoded. */
bcam_photo_limits bcam_load_limits(const bcam_job *job);
/** Decodes photo i into its place. Loads of one job by several threads at once, each with a worker of its own. */
void bcam_load_decode(bcam_load *load, int i, const bcam_job *job, bcam_worker *worker);
/** After all are decoded: those that can be computed move up, so that there are no holes, and get their classes. */
void bcam_load_gather(bcam_load *load, bcam_job *job);
void bcam_load_empty(bcam_load *load);

#endif
