/*
 * batchcam.h - Grad-CAM heatmaps for whole data sets.                                   SPDX-License-Identifier: Apache-2.0
 *
 * This header is the manual of libbatchcam. It is read from top to bottom:
 *
 *   1. Status and errors      how every call reports
 *   2. Settings               what can be chosen; a zeroed struct means "the defaults"
 *   3. The whole job          bcam_run(): a model and photos in, a run directory out
 *   4. An engine              bcam_engine_*: batches of pixels in, maps out, for programs of your own
 *   5. Looking at a model     bcam_inspect(): operators, layers, the default layer
 *   6. Checking a machine     bcam_selftest(): every verb against the plain C reference
 *   7. Measuring a machine    bcam_bench(): what each stage of a run takes, alone and in the run
 *
 * Words. *logit*: the class score before any softmax. *activations* A: the output of the *target layer*. *gradient* g: d logit / d A, or
 * d probability / d A where that is asked for.
 * *map*: the heatmap of one photo, class, layer and method. Shapes are written (N,C,H,W): photos, channels, rows, columns.
 *
 * Thread-safety. Functions that take no engine may be called from any thread. One engine is used by one thread at a time; two engines are
 * independent. The library starts OpenMP threads of its own, installs no signal handler, prints nothing and never ends the process.
 *
 * Strings are bytes with a terminating zero; file names are passed to the system as they are. Pointers in settings are borrowed for the
 * duration of the call that takes them.
 */
#ifndef BATCHCAM_H
#define BATCHCAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BCAM_API __attribute__((visibility("default")))
#define BCAM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BCAM_API
#define BCAM_PRINTF(fmt, args)
#endif

#define BCAM_VERSION_STRING "0.1.0"

/** The version of the library at run time, "major.minor.patch". */
BCAM_API const char *bcam_version(void);

/* ---- 1. Status and errors --------------------------------------------------------------------------------------------------------- */

/* X(NAME, value, "what it means") */
#define BCAM_STATUS_LIST(X)                                                                                            \
    X(OK, 0, "done")                                                                                                   \
    X(E_ARGUMENT, 1, "a setting or an argument will not do")                                                           \
    X(E_MEMORY, 2, "out of memory")                                                                                    \
    X(E_IO, 3, "a file could not be read or written")                                                                  \
    X(E_MODEL, 4, "the model file is damaged or not a valid ONNX classifier")                                          \
    X(E_UNSUPPORTED, 5, "the model or file uses something that is not supported")                                      \
    X(E_LAYER, 6, "no such target layer, or it cannot be explained")                                                   \
    X(E_CLASS, 7, "no such class, or the class list does not match the photos")                                        \
    X(E_INPUT, 8, "a list, names or preprocessing file, or a photo, will not do")                                      \
    X(E_OUTPUT, 9, "the output folder will not do")                                                                    \
    X(E_DEVICE, 10, "the device is not there or failed")                                                               \
    X(E_STOPPED, 11, "stopped on request; what was written is valid")                                                  \
    X(E_INTERNAL, 12, "a defect in batchcam")                                                                          \
    X(E_FULL, 13, "there is no room left for the output; what was written is valid")                                   \
    X(E_BUSY, 14, "the output folder is in use by another run")

typedef enum bcam_status {
#define BCAM_STATUS_ENUM(name, value, text) BCAM_##name = value,
    BCAM_STATUS_LIST(BCAM_STATUS_ENUM)
#undef BCAM_STATUS_ENUM
} bcam_status;

/** What went wrong, in the caller's own memory. `message` is one sentence without a line break that names the thing and says what to do. */
typedef struct bcam_error {
    bcam_status code;
    char message[1024];
} bcam_error;

/** A short phrase for a status ("done", "out of memory", …); never NULL. */
BCAM_API const char *bcam_status_text(bcam_status status);

typedef enum bcam_log_level { BCAM_LOG_INFO = 0, BCAM_LOG_WARNING = 1 } bcam_log_level;

/** Receives notices, one line each without a line break. Called on the thread that called the library; must not call back into it. */
typedef void (*bcam_log_fn)(void *data, bcam_log_level level, const char *line);

/* ---- 2. Settings ------------------------------------------------------------------------------------------------------------------ */

/** Element types of maps and of tensors that are read or written. */
typedef enum bcam_dtype {
    BCAM_F32 = 0,
    BCAM_F16,
    BCAM_U8, /* maps: round(255 * L / raw_max) */
    BCAM_F64,
    BCAM_I32,
    BCAM_I64,
    BCAM_BF16
} bcam_dtype;

/** How a device stores and multiplies. The CPU has fp32, and bf16 where the processor multiplies bfloat16. */
typedef enum bcam_precision {
    BCAM_PRECISION_DEFAULT = 0, /* the device's own: fp32 on the CPU, tf32 on CUDA */
    BCAM_PRECISION_FP32,
    BCAM_PRECISION_FP64, /* plain C only, for checks */
    BCAM_PRECISION_TF32, /* stored as float, multiplied with 10 bits of mantissa */
    BCAM_PRECISION_BF16,
    BCAM_PRECISION_FP16,
    /* bcam_run only: the fastest whose maps agree with fp32's on the first 64 photos, see docs/formats.md */
    BCAM_PRECISION_AUTO
} bcam_precision;

/** How probabilities are made from logits. A model of one output unit has two classes, whose probabilities are always sigmoids. */
typedef enum bcam_activation {
    BCAM_ACTIVATION_AUTO = 0, /* what the model ends with; softmax where it ends with logits */
    BCAM_ACTIVATION_SOFTMAX,
    BCAM_ACTIVATION_SIGMOID,
    BCAM_ACTIVATION_NONE /* the probability is the logit itself */
} bcam_activation;

/** What is explained: whose gradient makes the map. `logit` and `probability` of a map, and ranks, are the same either way. */
typedef enum bcam_score {
    BCAM_SCORE_LOGIT = 0,
    BCAM_SCORE_PROBABILITY /* as `activation` makes it; where it is next to 0 or 1 its gradient vanishes */
} bcam_score;

/** Who brings the photos of a run to the network's size. The bytes are the same. */
typedef enum bcam_resizer {
    BCAM_RESIZER_AUTO = 0, /* a card, while it would wait for the processor otherwise; else the processor */
    BCAM_RESIZER_CPU,      /* the processor, while it decodes */
    BCAM_RESIZER_DEVICE    /* the device, for all photos that it has room for */
} bcam_resizer;

typedef enum bcam_map_size {
    BCAM_SIZE_INPUT =
        0, /* upsampled to the network's input: bilinear, half-pixel centres, clamped edges, not antialiased */
    BCAM_SIZE_NATIVE /* as computed, at the target layer's own resolution */
} bcam_map_size;

/** How an engine is opened. Every field's zero is its default. */
typedef struct bcam_engine_options {
    /* "auto" (CUDA where there is a card, else the CPU), "cpu", "cuda", "cuda:1" (the second card), "reference"
     * (plain C, slow, for checks); NULL: "auto" */
    const char *device;
    bcam_precision precision; /* DEFAULT: fp32 on the CPU, tf32 on CUDA; AUTO: bcam_run only */
    int batch; /* N, photos computed at once; 0: chosen from the machine. A model whose batch cannot be lifted runs at 1 */
    int threads;               /* total; 0: all cores */
    bool deterministic;        /* no choice of algorithm by timing */
    const char *const *layers; /* target layers by name (see bcam_inspect); layer_count 0: the default layer */
    int layer_count;
    const char *const *methods; /* "gradcam", "hirescam"; method_count 0: "gradcam" */
    int method_count;
    int classes; /* K, classes explained per photo; 0: 1 */
    bcam_map_size map_size;
    bcam_dtype map_dtype; /* BCAM_F32, BCAM_F16 or BCAM_U8 */
    const char *output;   /* of the model, which has the scores; NULL: the first one that holds scores */
    bcam_score score;
    bcam_activation activation;
    bool signed_maps; /* keep what ReLU would cut off (as Captum does by default) */
    /* a preset's name or a JSON file, see docs/preprocessing.md; NULL: beside the model, or "torchvision" */
    const char *preprocess;
    bcam_log_fn log; /* NULL: silent */
    void *log_data;
} bcam_engine_options;

/* ---- 3. The whole job -------------------------------------------------------------------------------------------------------------- */

/** How photos are decoded. Fast is for large photos: those of 2000 x 1500 for 224 x 224 take 62 to 72% of the time to decode and resize. */
typedef enum bcam_decode {
    BCAM_DECODE_EXACT = 0, /* the bytes that Pillow decodes */
    /* As Pillow's draft() does it: a JPEG that preprocessing makes at least twice as small is decoded at a half, a quarter or an eighth of its size,
     * the smallest that is not below what it is resized to. On 216 photos the network's input changed by half a grey level in the mean and by 36
     * at most, no highest class, and no map by more than to a cosine of 0.996. All other photos stay as they are. */
    BCAM_DECODE_FAST
} bcam_decode;

/** The main job: every photo explained, everything written into one folder. Every field's zero is its default. */
typedef struct bcam_run_options {
    const char *model; /* ONNX file; required */
    /* folders (searched in depth), files, .csv/.txt lists, tar files in WebDataset's layout, and "-", one of these on
     * standard input; at least one */
    const char *const *images;
    int image_count;
    const char *out_dir; /* required; made if absent, refused if it exists unless `overwrite` */
    /* which classes: "top1", "topK" (K a number), "label", a class name or number, a CSV file; the union of all;
     * target_count 0: "top1" */
    const char *const *targets;
    int target_count;
    /* file of class names, one a line, in the model's order; NULL: names.txt beside the model, or numbers */
    const char *names;
    bcam_engine_options engine; /* engine.classes is set by the run from `targets` */
    bool exif;                  /* apply EXIF orientation (PIL and torchvision do not) */
    bcam_decode decode;
    bcam_resizer resize;
    bool overlay;       /* write a JPEG overlay per map */
    bool no_files;      /* compute everything and write nothing, to measure: out_dir is not needed then */
    bool overwrite;     /* replace an earlier run in out_dir; a folder that is not a run of batchcam is never touched */
    int64_t limit;      /* stop after so many photos; 0: all */
    int64_t max_pixels; /* larger photos are a row `too_large`; 0: 89478485, Pillow's limit */
} bcam_run_options;

/** How far a run is. `total` is -1 where it is not known, since photos come from standard input. */
typedef struct bcam_progress {
    int64_t done, total;
    double seconds; /* since the first photo */
    int64_t ok, failed;
} bcam_progress;

/** Called about ten times a second and once at the end, on the thread that called bcam_run. Returning false stops the run after the batch in
 *  hand: the run directory is then valid, and bcam_run returns BCAM_E_STOPPED. */
typedef bool (*bcam_progress_fn)(void *data, const bcam_progress *progress);

/** What a run came to. */
typedef struct bcam_run_summary {
    int64_t images;                                                    /* rows written */
    int64_t ok, missing, unreadable, unsupported, too_large, no_label; /* by outcome; they add up to `images` */
    int64_t maps, maps_all_zero, maps_constant, maps_not_finite; /* maps written, and those that are not plain "ok" */
    int64_t left_out;         /* files in folders and archives that were not photos, hidden, or loops */
    double seconds;           /* photos only, without loading the model */
    double labelled_accuracy; /* top-1 over labelled photos; NAN where there is no label */
    char default_layer[256];  /* the first target layer */
    char device[128];
} bcam_run_summary;

/** Explains every photo. Errors: any of the list above; a photo that cannot be read is a row with its outcome, never an error.
 *  `summary` and `err` may be NULL. */
BCAM_API bcam_status bcam_run(const bcam_run_options *options, bcam_progress_fn progress, void *progress_data,
                              bcam_run_summary *summary, bcam_error *err);

/* ---- 4. An engine ------------------------------------------------------------------------------------------------------------------ */

typedef struct bcam_engine bcam_engine;

/** What an opened engine is. Strings belong to the engine. */
typedef struct bcam_engine_info {
    int batch;                   /* N */
    int height, width, channels; /* of the network's input */
    int class_count;             /* M, logits per photo */
    bool one_unit; /* the model has one number z per photo: class 1 is it, class 0 its negation (logits z and -z) */
    int classes;   /* K, classes explained per photo */
    int layer_count, method_count;
    int pairs; /* batches that can be under way at once: 1 on the CPU, 2 on CUDA (see bcam_engine_start) */
    int map_height, map_width;  /* of the maps of layer 0, as bcam_engine_map gives them */
    const char *device;         /* "cpu (oneDNN 2.6.3, 2 threads)" */
    bcam_activation activation; /* resolved */
    bcam_score score;
} bcam_engine_info;

/** One target layer of an engine. `tensor` is the ONNX tensor it stands for; `note` says what its name means where that is not plain (a batch
 *  norm folded into it by the exporter, the default's reason), else "". */
typedef struct bcam_layer_info {
    const char *name, *tensor, *note;
    int channels, height, width; /* C, h, w of its activations */
    bool constant_gradient;      /* g does not depend on the photo: computed once, no backward pass */
} bcam_layer_info;

/** Opens a model. On failure *out is NULL. Everything is allocated here: bcam_engine_compute allocates nothing. */
BCAM_API bcam_status bcam_engine_open(const char *model, const bcam_engine_options *options, bcam_engine **out,
                                      bcam_error *err);
/** Closes; accepts NULL and sets *engine to NULL. */
BCAM_API void bcam_engine_close(bcam_engine **engine);
BCAM_API bcam_status bcam_engine_get_info(const bcam_engine *engine, bcam_engine_info *info, bcam_error *err);
BCAM_API bcam_status bcam_engine_get_layer(const bcam_engine *engine, int layer, bcam_layer_info *info,
                                           bcam_error *err);

#define BCAM_CLASS_NONE (-1)          /* nothing to explain in this place */
#define BCAM_CLASS_RANK(r) (-2 - (r)) /* the class of rank r, 0 = highest logit */

/** A batch. Give either `pixels` or `input`, never both. */
typedef struct bcam_batch {
    int count; /* photos, 1 … N; fewer than N are padded inside, so a map never depends on its neighbours */
    /* (count, H, W, 3) RGB bytes of the network's input size; normalised by the preset inside, and made grey for a
     * network with one channel */
    const uint8_t *pixels;
    /* the model's input as it is, in the model's own layout: (count, C, H, W) or (count, H, W, C) */
    const float *input;
    /* (count, K): class ids, BCAM_CLASS_RANK(r) or BCAM_CLASS_NONE; a class named twice for a photo is explained
     * once; NULL: ranks 0 … K-1 */
    const int32_t *classes;
} bcam_batch;

/** Computes logits and maps of a batch. Results stay readable until the next call on this engine. Errors: E_ARGUMENT, E_CLASS, E_DEVICE. */
BCAM_API bcam_status bcam_engine_compute(bcam_engine *engine, const bcam_batch *batch, bcam_error *err);

/** The same in two halves, for devices that compute while the host does something else: two batches under way, in pairs 0 and 1 of buffers
 *  (info.pairs of them), hide copying, and what the caller does, behind computing.
 *
 *      start(0)  start(1)  finish(0) read…  start(0)  finish(1) read…  start(1)  …
 *
 *  Start reads the batch before it returns. Batches are computed in the order in which they were started. A batch given as `input`, and one of more
 *  than 8 classes per photo, is waited for in part. Errors: as bcam_engine_compute; E_ARGUMENT where the pair is still under way. */
BCAM_API bcam_status bcam_engine_start(bcam_engine *engine, const bcam_batch *batch, int pair, bcam_error *err);
/** Waits for a pair. What the calls below give is this pair's from now on, until another finish, or a start on this pair. */
BCAM_API bcam_status bcam_engine_finish(bcam_engine *engine, int pair, bcam_error *err);
/** A pair's own memory for a batch's pixels, (N,H,W,3), pinned for a GPU: filling it while the pair is not under way, and passing it as
 *  bcam_batch.pixels, spares a copy. NULL where there is no such pair. Owned by the engine. */
BCAM_API uint8_t *bcam_engine_pixels(bcam_engine *engine, int pair);

typedef enum bcam_map_outcome {
    BCAM_MAP_NONE = 0,
    BCAM_MAP_OK,
    BCAM_MAP_ALL_ZERO,
    BCAM_MAP_CONSTANT,
    BCAM_MAP_NOT_FINITE
} bcam_map_outcome;

/** One map. `data` is (height, width) of `dtype`, owned by the engine until its next call. */
typedef struct bcam_map {
    /* NONE: no class in this place; ALL_ZERO: raw_max <= 0; CONSTANT: raw_min == raw_max > 0 */
    bcam_map_outcome outcome;
    int class_id; /* -1 where outcome is NONE */
    float logit, probability;
    float raw_min, raw_max; /* range before ReLU, at the target layer's resolution */
    int height, width;
    bcam_dtype dtype;
    const void *data;
} bcam_map;

/** The map of photo n (0 … count-1), place k (0 … K-1) of its classes, layer and method (indices into the options). */
BCAM_API bcam_status bcam_engine_map(const bcam_engine *engine, int layer, int method, int n, int k, bcam_map *map,
                                     bcam_error *err);

/** Logits of the last batch, (count, M), owned by the engine; NULL before the first. */
BCAM_API const float *bcam_engine_logits(const bcam_engine *engine);

typedef enum bcam_tensor_kind {
    BCAM_TENSOR_ACTIVATIONS, /* A (N,C,h,w) */
    BCAM_TENSOR_GRADIENTS, /* g (K,N,C,h,w), k slowest; not there where the layer's gradient is constant (E_UNSUPPORTED) */
    BCAM_TENSOR_WEIGHTS, /* w (K,N,C), Grad-CAM's channel weights */
    BCAM_TENSOR_RAW      /* the map before upsampling (K,N,h,w), after ReLU unless signed_maps */
} bcam_tensor_kind;

/** Copies what lies behind the maps of the last batch, dense and row-major, as float. `capacity` is in elements; *count receives how many
 *  there are (also when capacity is too small: E_ARGUMENT). `method` matters for RAW only. */
BCAM_API bcam_status bcam_engine_read(bcam_engine *engine, bcam_tensor_kind kind, int layer, int method, float *out,
                                      size_t capacity, size_t *count, bcam_error *err);

/* ---- 5. Looking at a model ---------------------------------------------------------------------------------------------------------- */

typedef struct bcam_inspection bcam_inspection;

typedef struct bcam_model_info {
    const char *path, *producer, *sha256; /* sha256: 64 hexadecimal digits */
    int64_t bytes;
    int opset;
    const char *input, *output; /* names; output: the one that is explained */
    const char *logits; /* the tensor of the scores: the output's own, or the one before its softmax or sigmoid */
    int height, width, channels, class_count;
    bool one_unit;                  /* one number per photo, which makes two classes */
    bool nhwc;                      /* the input is (N,H,W,C) */
    bool batch_lifted, batch_fixed; /* a fixed batch of 1 was lifted; the batch cannot be changed (then 1) */
    const char *batch_note;         /* why, where fixed */
    bcam_activation activation;     /* what the model ends with */
    int64_t parameters;
    double forward_gflop; /* per photo, 2 x multiply-adds of convolutions and products */
    int output_count, operator_count, layer_count, unsupported_count;
    int default_layer; /* index into the layers; -1: none */
} bcam_model_info;

typedef struct bcam_output_info {
    const char *name;
    const char *shape; /* as the file declares it: "(N,1000)", "(N,?,7)", "" where it does not */
    const char *type;  /* "float32", "int64", …; "" for what is no tensor */
    bool explained;    /* by default, or as asked for */
} bcam_output_info;

typedef struct bcam_operator_info {
    const char *type;
    int count;
    bool supported;
} bcam_operator_info;

typedef struct bcam_candidate_info {
    const char *name, *tensor, *type; /* a name that --layer takes; the tensor; the operator that makes it */
    int channels, height, width;
    bool is_default;
    bool constant_gradient;
    double backward_gflop; /* per photo and class, from the score to this layer */
    const char *note;
} bcam_candidate_info;

typedef struct bcam_unsupported_info {
    const char *node, *type;
    int opset;
    const char *reason;
} bcam_unsupported_info;

/** Reads a model and says what batchcam makes of it. A model with unsupported operators is still listed (unsupported_count > 0). */
BCAM_API bcam_status bcam_inspect(const char *model, bcam_inspection **out, bcam_error *err);
/** The same with another output than the first that holds scores; NULL: that one. E_ARGUMENT lists the model's outputs. */
BCAM_API bcam_status bcam_inspect_output(const char *model, const char *output, bcam_inspection **out, bcam_error *err);
BCAM_API void bcam_inspection_close(bcam_inspection **inspection);
BCAM_API const bcam_model_info *bcam_inspection_model(const bcam_inspection *inspection);
BCAM_API const bcam_output_info *bcam_inspection_output(const bcam_inspection *inspection,
                                                        int index); /* NULL past the end */
BCAM_API const bcam_operator_info *bcam_inspection_operator(const bcam_inspection *inspection,
                                                            int index); /* NULL past the end */
BCAM_API const bcam_candidate_info *bcam_inspection_layer(const bcam_inspection *inspection,
                                                          int index); /* NULL past the end */
BCAM_API const bcam_unsupported_info *bcam_inspection_unsupported(const bcam_inspection *inspection,
                                                                  int index); /* NULL past the end */

/* ---- 6. Checking a machine ------------------------------------------------------------------------------------------------------------ */

/** One line of a self-test: a verb's cases on a device. `worst` is the largest error as a share of what is allowed (<= 1 passes). */
typedef struct bcam_selftest_row {
    const char *verb;
    int cases, failed, refused; /* refused: the device does not take the case; never counted as passed */
    double worst;
    const char *message; /* of the first failure, else "" */
} bcam_selftest_row;

typedef void (*bcam_selftest_fn)(void *data, const bcam_selftest_row *row);

/** Runs every verb's case table on `device` (NULL: "auto") against the plain C reference, a row a verb. `precision`: as the device is opened, DEFAULT
 *  for fp32; what is allowed follows it. `seed` 0: from the clock; the seed used is returned in *seed. Returns E_DEVICE where a case failed. */
BCAM_API bcam_status bcam_selftest(const char *device, bcam_precision precision, uint64_t *seed, bcam_selftest_fn row,
                                   void *data, bcam_error *err);

/* ---- 7. Measuring a machine ----------------------------------------------------------------------------------------------------------- */

enum { BCAM_BENCH_STAGES = 11 };

/** What is measured. Every field's zero is its default. */
typedef struct bcam_bench_options {
    /* model, photos and everything else as for bcam_run; out_dir and overwrite are not used, and no_files leaves out the runs that write. Without
     * photos (image_count 0) JPEGs of 500 x 375 are made for the time of the call. limit 0: photos for about a second and a half of each run */
    bcam_run_options run;
    const int *batches; /* one row each; batch_count 0: run.engine.batch */
    int batch_count;
    const bcam_precision *precisions; /* and for each of these; precision_count 0: run.engine.precision */
    int precision_count;
    const char *folder; /* where temporary files are made and removed; NULL: $TMPDIR, or /tmp */
    uint64_t seed;      /* of the photos that are made */
} bcam_bench_options;

/** A stage of a run. Seconds are of one core, summed over threads, for one photo; on a card, of the card. */
typedef struct bcam_bench_stage {
    const char *
        name; /* "list", "read", "decode", "resize", "copy_in", "forward", "backward", "cam", "copy_out", "encode", "write" */
    int threads;          /* that share it */
    double alone, stream; /* seconds: measured by itself, and in the run; 0: it has nothing to do */
} bcam_bench_stage;

/** What one batch size and precision came to. With engine.deterministic every row is measured without it, too, to tell what it costs. Strings hold until the callback returns, names of stages and precisions for ever. Rates are medians. */
typedef struct bcam_bench_row {
    const char *model, *layer, *device, *precision;
    int batch, threads;
    bool deterministic;            /* no algorithm was chosen by timing */
    int64_t images;                /* photos of each run */
    int photo_width, photo_height; /* of the first one */
    bool synthetic;
    bcam_bench_stage stage[BCAM_BENCH_STAGES];
    double images_per_second;          /* photos to saved maps; 0 with no_files */
    double images_per_second_no_files; /* the same without writing */
    double ready_seconds;              /* opening the model */
    /* of what the stages measured alone would allow: all cores busy with them (CPU), or the slowest of those that run beside each other (CUDA) */
    double efficiency;
    double gflop, bytes;              /* a photo: 2 x multiply-adds; operands and results of all steps */
    double bytes_read, bytes_written; /* a photo's file; what a run leaves behind for it */
    int convs, convs_left_out;        /* the network's convolutions; those of them that the backward pass leaves out */
    /* ceilings, measured in the same call: arithmetic a second in this precision, bytes a second (read and written together for memory; pcie: to and
     * from a card, else 0) */
    double peak_flops, peak_memory, peak_disk, peak_pcie_in, peak_pcie_out;
    char bound[256]; /* a sentence: what bounds the run, and how far the next one is */
} bcam_bench_row;

typedef void (*bcam_bench_fn)(void *data, const bcam_bench_row *row);

/** Measures, a row for each precision and batch, twice as many with engine.deterministic. `progress` is called as in bcam_run; returning false ends with E_STOPPED. No file is left behind. */
BCAM_API bcam_status bcam_bench(const bcam_bench_options *options, bcam_bench_fn row, bcam_progress_fn progress,
                                void *data, bcam_error *err);

#ifdef __cplusplus
}
#endif
#endif
