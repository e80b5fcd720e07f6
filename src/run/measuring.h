/* measuring.h - measuring a run, in parts. Private to run/bench*.c. */
#ifndef BCAM_RUN_MEASURING_H
#define BCAM_RUN_MEASURING_H

#include "run/engine.h"
#include "run/job.h"

/** A call of bcam_bench on its way. */
typedef struct bcam_measuring {
    const bcam_bench_options *options;
    bcam_run_options run; /* of the row in hand */
    char *folder;         /* everything temporary lies in it */
    char *photos, *out;   /* in it: photos that are made, a run that is thrown away */
    const char *images[1];
    int width, height; /* of photos that are made */
    int threads;
    bcam_progress_fn progress;
    void *data;
    double peak_memory, peak_disk;
} bcam_measuring;

/** Whether to go on: asked for between measurements. */
static inline bool bcam_bench_goes_on(const bcam_measuring *b)
{
    const bcam_progress none = {.total = -1};
    return !b->progress || b->progress(b->data, &none);
}

/* ---- bench_files.c ---- */

/** A new folder in `where`, or in $TMPDIR or /tmp. */
bcam_status bcam_bench_make_folder(const char *where, char **out, bcam_error *err);
/** Removes a folder with all that is in it; returns the bytes of its files. One that is not there is fine. */
double bcam_bench_remove(const char *folder);
/** Adds photos until there are `count`: JPEGs of width x height, a few different ones under many names. */
bcam_status bcam_bench_make_photos(const bcam_measuring *b, int64_t count, bcam_error *err);
/** Bytes a second of writing a large file in one go, until they are on the disk. */
bcam_status bcam_bench_disk(const char *folder, double *rate, bcam_error *err);

/* ---- bench_alone.c ---- */

/** Each stage by itself, on the photos and the engine of a job that is open. */
bcam_status bcam_bench_alone(bcam_measuring *b, bcam_job *job, bcam_bench_row *row, bcam_error *err);
/** bench_write.c: the writer by itself, with the maps of the batch that the engine has finished. */
bcam_status bcam_bench_write(bcam_measuring *b, bcam_job *job, bcam_bench_row *row, bcam_error *err);

/* ---- bench_card.c ---- */

/** Sets peak_flops, peak_pcie_in and peak_pcie_out: by products of (size,size), and `count` floats moved each way. */
bcam_status bcam_bench_card(const bcam_device_api *api, bcam_device *device, int64_t size, int64_t count,
                            bcam_bench_row *row, bcam_error *err);

/* ---- bench_bound.c ---- */

/** Sets efficiency and bound. `beside`: the stages run beside each other, on a card and on the processor. */
void bcam_bench_judge(bcam_bench_row *row, bool beside);

#endif
