/* job.h - a run from the inside: what the settings come to once everything is opened. Private to run/. */
#ifndef BCAM_RUN_JOB_H
#define BCAM_RUN_JOB_H

#include "in/in.h"
#include "out/out.h"
#include "run/run.h"

/* ---- targets.c: which classes of a photo are explained ---- */

typedef struct bcam_target_row { /* a photo's class in a --target CSV */
    const char *path, *file;     /* file: the CSV */
    int class_id;
    bool used;
    size_t line, order; /* order: among the rows of all files */
} bcam_target_row;

typedef struct bcam_targets {
    int ranks;    /* the first so many classes by logit */
    bool label;   /* the photo's label */
    int *classes; /* the same for every photo */
    size_t class_count, class_capacity;
    bcam_target_row *rows; /* sorted by path, then order */
    size_t row_count, row_capacity;
    int row_most; /* most rows of one photo */
    bcam_table *tables;
    size_t table_count, table_capacity;
} bcam_targets;

/** Reads "top1", "topK", "label", class names or numbers, FILE.csv, and comma-separated lists of them. E_CLASS, E_INPUT name what will not do. */
bcam_status bcam_targets_read(const char *const *specs, int count, const bcam_names *names, bcam_targets *out,
                              bcam_error *err);
void bcam_targets_fini(bcam_targets *targets);
int bcam_targets_most(const bcam_targets *targets); /* places per photo */
/** Fills the places of a photo: ids, BCAM_CLASS_RANK(r), BCAM_CLASS_NONE. Marks the CSV's rows as used. False: its label is all that was asked
 *  for, and it has none. */
bool bcam_targets_fill(bcam_targets *targets, const char *shown, int label, int32_t *places);
/** Whether a CSV (if there is one) has this photo; E_CLASS naming it otherwise. */
bcam_status bcam_targets_check(bcam_targets *targets, const char *shown, bcam_error *err);
/** After every photo was checked: E_CLASS naming the first row of the CSV that no photo has. */
bcam_status bcam_targets_check_rows(const bcam_targets *targets, bcam_error *err);

/* ---- labels.c: the class of a folder or of a list's column ---- */

typedef struct bcam_labels {
    char **folders; /* in the order they came, which is sorted by name within a root */
    int *classes;   /* of each folder, -1: none */
    size_t count, capacity, class_capacity;
    bool told; /* of a list's label that is no class */
} bcam_labels;

bcam_status bcam_labels_add(bcam_labels *labels, const char *folder,
                            bcam_error *err); /* during listing; "" is passed over */
/** Matches folders with names; says in one line what it did where that is not plain. */
void bcam_labels_match(bcam_labels *labels, const bcam_names *names, const bcam_log *log);
/** The label of a photo, -1: none. Says once where a list's label is no class. */
int bcam_labels_of(bcam_labels *labels, const bcam_names *names, const bcam_item *item, const bcam_log *log);
void bcam_labels_fini(bcam_labels *labels);

/* ---- job.c ---- */

/** What a photo goes through while a run goes on. */
typedef enum bcam_stage {
    BCAM_STAGE_LIST,
    BCAM_STAGE_READ,
    BCAM_STAGE_DECODE,
    BCAM_STAGE_RESIZE,
    BCAM_STAGE_COPY_IN,
    BCAM_STAGE_FORWARD,
    BCAM_STAGE_BACKWARD,
    BCAM_STAGE_CAM,
    BCAM_STAGE_COPY_OUT,
    BCAM_STAGE_ENCODE,
    BCAM_STAGE_WRITE,
    BCAM_STAGE_COUNT
} bcam_stage;

const char *bcam_stage_name(bcam_stage stage); /* "copy_in" */

/** Seconds by the clock on the wall, one after the other. */
typedef struct bcam_stage_times {
    double load, list, trial, decode, compute, write;
} bcam_stage_times;

/** What a precision came to on the first photos, beside fp32. */
typedef struct bcam_trial {
    bcam_precision precision;
    char refused[320]; /* why it could not be tried; else "" */
    double images_per_second;
    double median, worst;                 /* cosine of its maps with fp32's */
    int same_top1, other_top1, near_ties; /* photos; near_ties: of other_top1 */
    bool agrees;
} bcam_trial;

typedef struct bcam_trials { /* count 0: none were asked for */
    int count, chosen, photos;
    bcam_trial row[4]; /* the first is fp32 */
} bcam_trials;

typedef struct bcam_job {
    const bcam_run_options *options;
    bcam_log log;
    bcam_engine_extras extras; /* what its engines are made with */
    bcam_engine *engine;
    bcam_engine_info info;
    char *output;     /* of the model: the one that is explained */
    bcam_names names; /* always class_count of them; numbers where no names were given */
    bool named;
    bcam_targets targets;
    bcam_labels labels;
    int64_t total; /* photos to come; -1: not known, for some come from standard input */
    bcam_list_counts counts;
    bcam_out *out;
    bcam_out_settings settings;
    bcam_out_fact facts[8];
    char layer_text[600];
    bcam_run_summary summary;
    int64_t labelled, correct, rotated, resized[2]; /* resized: by the processor, by the device */
    double
        self_check; /* largest error of a map made again from weights and activations, as a share of its largest value; -1: none made */
    bcam_trials trials;
    bcam_stage_times times;
    double stages[BCAM_STAGE_COUNT]; /* seconds of one core, added up over the threads */
    double started;                  /* clock when the first photo was begun */
} bcam_job;

/** Opens everything; nothing is written before everything that can be refused was looked at. */
bcam_status bcam_job_open(bcam_job *job, const bcam_run_options *options, bcam_error *err);
void bcam_job_close(bcam_job *job);
/** Opens, streams and finishes; what it came to stands in the job until it is closed, which must be done on failure, too. */
bcam_status bcam_job_run(bcam_job *job, const bcam_run_options *options, bcam_progress_fn progress, void *progress_data,
                         bcam_error *err);
const char *bcam_score_name(bcam_score score); /* "logit" */
/** The text of run.json; `status`: "complete", "stopped" or "failed", with why. NULL when memory is out. */
char *bcam_job_json(const bcam_job *job, const char *status, const char *why);

/* ---- precision.c ---- */

/** Puts the fastest engine whose maps agree with those of job->engine, which computes in fp32, in its place; fills job->trials. */
bcam_status bcam_job_try_precisions(bcam_job *job, const bcam_engine_options *options, bcam_error *err);

/* ---- self_check.c ---- */

/** Makes the first map of the batch in hand again, in double, from its weights and activations, and sets job->self_check. Warns where it differs. */
bcam_status bcam_job_self_check(bcam_job *job, bcam_error *err);

/* ---- load.c ---- */

/** Takes over what a list has left out. */
void bcam_job_count_left_out(bcam_job *job, const bcam_list_counts *counts);

/* ---- stream.c ---- */

/** Every photo through the engine into the run directory. */
bcam_status bcam_job_stream(bcam_job *job, bcam_progress_fn progress, void *progress_data, bcam_error *err);
/** The first photos that can be computed, `most` of them or fewer: pixels (count,H,W,3) and classes (count,K). */
bcam_status bcam_job_sample(bcam_job *job, int most, uint8_t *pixels, int32_t *classes, int *count, bcam_error *err);

#endif
