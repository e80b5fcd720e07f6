/* results.h - what became of a load: pictures encoded, rows written. Private to run/. */
#ifndef BCAM_RUN_RESULTS_H
#define BCAM_RUN_RESULTS_H

#include "run/load.h"

/** A map's picture, encoded. */
typedef struct bcam_picture {
    uint8_t *jpeg; /* NULL: none */
    size_t bytes;
} bcam_picture;

typedef struct bcam_results {
    bcam_job *job;
    bcam_out_map *maps;     /* of one photo: layers x methods x K */
    int map_count;          /* so many */
    bcam_picture *pictures; /* of a load: N x map_count; NULL where none are wanted */
} bcam_results;

/** Map `index` of photo `at` of the batch that the engine has finished, of layers x methods x K; false where there is none. */
bool bcam_results_map(const bcam_job *job, int at, int index, bcam_out_map *map);

/** False: memory is out. bcam_results_fini is due in any case. */
bool bcam_results_init(bcam_results *results, bcam_job *job);
void bcam_results_fini(bcam_results *results);
/** How many pictures a load, which the engine has just finished, may have. */
int bcam_results_pictures(const bcam_results *results, const bcam_load *load);
/** Encodes one of them; by several threads at once, each with a worker of its own. */
bcam_status bcam_results_encode(bcam_results *results, const bcam_load *load, int picture, bcam_worker *worker,
                                bcam_error *err);
/** Writes the rows of a load's photos in order, then drops the pictures. */
bcam_status bcam_results_write(bcam_results *results, const bcam_load *load, bcam_error *err);

#endif
