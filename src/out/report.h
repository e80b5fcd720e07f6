/* report.h - private to out/: what report.c collects while a run goes on, and page.c turns into report.html. */
#ifndef BCAM_OUT_REPORT_H
#define BCAM_OUT_REPORT_H

#include "out/writer.h"

#define REPORT_PER_CLASS 12
#define REPORT_WRONG_PER_CLASS 4 /* of them kept for wrong ones, where the first ones were right */
#define REPORT_IN_ALL 300
#define REPORT_FAILURES 50

/** One picture of the page. */
typedef struct report_card {
    char *path;
    uint8_t *jpeg; /* the photo, and beside it the photo under its map where there is one */
    size_t bytes;
    int width, height;
    int64_t id;
    int label, predicted; /* -1: none */
    float probability;
    int explained; /* the map's class; -1: no map */
    bcam_map_outcome outcome;
} report_card;

/** The photos of one class: of its label where they have one, else of the class they were taken for. */
typedef struct report_group {
    int64_t photos, labelled, right;
    int class_id, count;
    report_card cards[REPORT_PER_CLASS];
} report_group;

typedef struct report_failure {
    char *path, *outcome, *message;
} report_failure;

typedef struct report_count {
    char name[24];
    int64_t count;
} report_count;

typedef struct report {
    bcam_out_shared *shared;
    char *path;
    report_group **groups; /* in the order of their first photo */
    size_t group_count, group_capacity;
    int cards; /* in all groups */
    report_count outcomes[16];
    size_t outcome_count;
    report_failure failures[REPORT_FAILURES];
    size_t failure_count;
    int64_t photos, failed, labelled, right, maps, flat_maps[BCAM_MAP_NOT_FINITE + 1]; /* flat_maps: by outcome */
    char *layer, *method; /* of the pictures; NULL before the first */
} report;

/** The page, as text. `failed` of it is set where memory ran out. */
void bcam_report_page(const report *self, bcam_text *page);

/** thumb.c: the photo (and, where `colours` is not NULL, the photo under them to its right) as a small JPEG. */
bcam_status bcam_report_thumb(const uint8_t *pixels, const uint8_t *colours, int height, int width, report_card *card,
                              bcam_error *err);

#endif
