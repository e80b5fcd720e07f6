/* cam.h - the maps' room: which methods there are, and the steps that turn activations and gradients into maps. */
#ifndef BCAM_CAM_H
#define BCAM_CAM_H

#include "dev/dev.h"

/** A method: how activations and gradients become a map. One file each, with its paper. */
typedef struct bcam_method {
    const char *name;
    bcam_cam_kind kind;
    const char *paper;
} bcam_method;

extern const bcam_method bcam_method_gradcam, bcam_method_hirescam;

/** The method of a name; E_ARGUMENT lists what there is. */
bcam_status bcam_method_find(const char *name, const bcam_method **out, bcam_error *err);

/** What the classes' side of a plan consists of (value ids). */
typedef struct bcam_selection {
    int request;     /* INPUT i32 (N,Kall): class ids, ranks, or none */
    int first;       /* INPUT i32 (1): which of the Kall places are the K of this run */
    int ids;         /* OUTPUT i32 (K,N) */
    int logit;       /* OUTPUT (K,N) */
    int probability; /* OUTPUT (K,N) */
    int seed;        /* (K*N,M), the gradient of the chosen scores */
} bcam_selection;

/** Appends the step that makes probabilities (N,M) of logits, to be explained in their place. `activation`: SOFTMAX or SIGMOID. */
bcam_status bcam_cam_probability(bcam_plan *plan, int logits, bcam_activation activation, int *out, bcam_error *err);

/** Appends the step that chooses classes. `k_all`: places per photo; the plan's k of them are done in one run. */
bcam_status bcam_cam_select(bcam_plan *plan, int logits, int64_t k_all, bcam_activation activation, bcam_selection *out,
                            bcam_error *err);

/** Where a layer's maps come from: its activations, and either a gradient value or per-class weights (M,C) of a constant gradient (else NULL). */
typedef struct bcam_cam_source {
    const char *name;
    int activations, gradient;
    const float *weights;
    int64_t class_count;
} bcam_cam_source;

typedef struct bcam_cam_output {
    bool signed_maps;
    bcam_dtype dtype;
    int height, width; /* of the maps to be given out; 0: native */
    int colours;       /* of pictures (bcam_cam_colours), which are made as well; -1: no pictures */
    int picture_height, picture_width;
} bcam_cam_output;

/** The values of one layer's and method's maps. */
typedef struct bcam_cam_maps {
    int raw;     /* OUTPUT (K,N,h,w) */
    int range;   /* OUTPUT (K,N,2), before ReLU */
    int weights; /* OUTPUT (K,N,C), pooled gradients; -1 for elementwise methods */
    int given;   /* OUTPUT: what is given out; may be raw */
    int picture; /* OUTPUT u8 (K,N,H,W,3), the map in colours, or -1 */
} bcam_cam_maps;

/** Adds the colour map, a CONST u8 (256,3); -1 means memory is out. */
int bcam_cam_colours(bcam_plan *plan);

bcam_status bcam_cam_map(bcam_plan *plan, const bcam_method *method, const bcam_cam_source *source,
                         const bcam_selection *selection, const bcam_cam_output *output, bcam_cam_maps *out,
                         bcam_error *err);

#endif
