/* dev.h - the boundary between the network and the machine: verbs, steps, plans, and the interface that every device fills.
 *
 * A *plan* is a straight list of steps over values. It knows shapes and lifetimes, no layout and no address; net/ and cam/ build it.
 * A *device* compiles a plan into a *program*: it lays the values out in memory once and prepares every step. Running a program allocates
 * nothing. The CPU device is linked in; others come as plug-ins and fill the same table.
 *
 * Gradient values ("each_k" in a value) have K times the photos in dimension 0, k slowest: (K*N, …). A step that reads an activation of N
 * photos beside a gradient has `each_k` set: the device runs it K times, the gradients' operands advanced by one k each time.
 */
#ifndef BCAM_DEV_H
#define BCAM_DEV_H

#include "base/base.h"

#define BCAM_MAX_RANK 6
#define BCAM_MAX_IN 4
#define BCAM_MAX_OUT 4

/* ---- tensors ---- */

/** A tensor in memory. Dimensions are logical; strides are in elements and say how it lies. Channels-last: rank 4, stride[1] == 1. */
typedef struct bcam_tensor {
    void *data;
    bcam_dtype dtype;
    int rank;
    int64_t dim[BCAM_MAX_RANK];
    int64_t stride[BCAM_MAX_RANK];
} bcam_tensor;

int64_t bcam_count(int rank, const int64_t *dim);                       /* product; 1 for rank 0 */
void bcam_strides_dense(int rank, const int64_t *dim, int64_t *stride); /* row-major */
void bcam_strides_channels_last(int rank, const int64_t *dim,
                                int64_t *stride); /* rank 4: N,H,W,C; any other rank: dense */
bool bcam_tensor_is_dense(const bcam_tensor *t);  /* row-major without gaps */
bool bcam_tensor_is_packed(const bcam_tensor *t); /* some order of axes without gaps */

/* ---- verbs and their attributes ---- */

typedef enum bcam_verb {
#define VERB(NAME, member, in, out) BCAM_VERB_##NAME,
#include "dev/verbs.def"
#undef VERB
    BCAM_VERB_COUNT
} bcam_verb;

const char *bcam_verb_name(bcam_verb verb); /* "CONV", "CONV_BWD", … */

/** f(x), with alpha and beta. */
typedef enum bcam_unary_kind {
    BCAM_UNARY_NONE = 0, /* x (as an epilogue: no activation) */
    BCAM_UNARY_RELU,
    BCAM_UNARY_CLIP, /* min(max(x, alpha), beta); derivative 1 strictly inside, 0 elsewhere, as PyTorch's hardtanh */
    BCAM_UNARY_LEAKY_RELU, /* x < 0 ? alpha x : x */
    BCAM_UNARY_SIGMOID,
    BCAM_UNARY_HARD_SIGMOID, /* min(max(alpha x + beta, 0), 1) */
    BCAM_UNARY_HARD_SWISH,   /* x min(max(x/6 + 1/2, 0), 1) */
    BCAM_UNARY_SILU,         /* x / (1 + e^-x) */
    BCAM_UNARY_TANH,
    BCAM_UNARY_ELU,      /* x < 0 ? alpha (e^x - 1) : x */
    BCAM_UNARY_SOFTPLUS, /* log(1 + e^x) */
    BCAM_UNARY_ERF,
    BCAM_UNARY_EXP,
    BCAM_UNARY_LOG,
    BCAM_UNARY_SQRT,
    BCAM_UNARY_ABS,
    BCAM_UNARY_NEG,
    BCAM_UNARY_RECIPROCAL,
    BCAM_UNARY_LINEAR, /* alpha x + beta */
    BCAM_UNARY_COUNT
} bcam_unary_kind;

typedef struct bcam_unary_attr {
    bcam_unary_kind kind;
    float alpha, beta;
} bcam_unary_attr;

/** What the backward step of a kind reads: nothing, its input x, or its output y. */
typedef enum bcam_reads { BCAM_READS_NOTHING, BCAM_READS_X, BCAM_READS_Y } bcam_reads;
bcam_reads bcam_unary_reads(bcam_unary_kind kind); /* the table is in tensor.c */
const char *bcam_unary_name(bcam_unary_kind kind);

typedef struct bcam_conv_attr {
    int64_t stride[2], dilation[2]; /* rows, columns */
    int64_t pad_begin[2], pad_end[2];
    int64_t groups;
} bcam_conv_attr;

typedef struct bcam_pool_attr {
    int64_t kernel[2], stride[2], dilation[2];
    /* as declared; with ceil mode the last window may reach past pad_end and is cut there */
    int64_t pad_begin[2], pad_end[2];
    bool max;       /* else average */
    bool count_pad; /* average: divide by the window within the padded input, else by the pixels inside the photo */
} bcam_pool_attr;

typedef enum bcam_binary_kind {
    BCAM_BINARY_ADD,
    BCAM_BINARY_SUB,
    BCAM_BINARY_MUL,
    BCAM_BINARY_DIV,
    BCAM_BINARY_MAX,
    BCAM_BINARY_MIN,
    BCAM_BINARY_POW
} bcam_binary_kind;

typedef struct bcam_binary_attr {
    bcam_binary_kind kind;
    int which; /* BINARY_BWD: 0 = gradient of a, 1 = of b */
} bcam_binary_attr;

typedef enum bcam_reduce_kind { BCAM_REDUCE_MEAN, BCAM_REDUCE_SUM, BCAM_REDUCE_MAX, BCAM_REDUCE_L2 } bcam_reduce_kind;

typedef struct bcam_reduce_attr {
    bcam_reduce_kind kind;
    unsigned axes; /* bit a set: axis a is reduced */
} bcam_reduce_attr;

typedef struct bcam_softmax_attr {
    int axis;
    bool log;
} bcam_softmax_attr;

/** COPY. `reshape`: x and y hold the same elements in the same row-major logical order (the fields below are unused).
 *  Otherwise, for every index i of a box of size extent[]:  y[to[a] + i[a]] = x[from[axis[a]] + i[a] * step[axis[a]]], a over y's axes.
 *  axis[a] is the axis of x that moves with axis a of y, or -1: x does not move with it (expand). Axes of x that no a names stay at from[].
 *  `fill`: elements of y outside the box are set to fill_value; otherwise they are left alone (another part of a concat writes them). */
typedef struct bcam_copy_attr {
    bool reshape, fill;
    float fill_value;
    int64_t extent[BCAM_MAX_RANK], to[BCAM_MAX_RANK]; /* per axis of y */
    int axis[BCAM_MAX_RANK];                          /* per axis of y */
    int64_t from[BCAM_MAX_RANK], step[BCAM_MAX_RANK]; /* per axis of x; step may be negative */
} bcam_copy_attr;

/** RESIZE: what `frames` says of each photo. Along each side, a pixel of the window is a weighted sum of source pixels; sums of the first pass are
 *  rounded to bytes before the second. A side's table has a row for each pixel of the window: the first source pixel, how many there are, and room
 *  for `taps` weights, multiples of 2^-BCAM_RESIZE_BITS. A row without source pixels is black. */
typedef enum bcam_frame {
    BCAM_FRAME_PHOTO,  /* where its pixels begin in `photos`: three bytes each, rows end to end */
    BCAM_FRAME_STRIDE, /* pixels of a row */
    BCAM_FRAME_X,      /* the window of the result that the photo fills; the rest is black */
    BCAM_FRAME_Y,
    BCAM_FRAME_W,
    BCAM_FRAME_H,
    BCAM_FRAME_X_TAPS, /* 0: this side keeps its length, and has no table */
    BCAM_FRAME_Y_TAPS,
    BCAM_FRAME_X_TABLE, /* where they begin in `tables` */
    BCAM_FRAME_Y_TABLE,
    BCAM_FRAME_COLUMNS_FIRST, /* the first pass is along y */
    BCAM_FRAME_COUNT
} bcam_frame;
enum {
    BCAM_RESIZE_BITS = 22,
    BCAM_RESIZE_HALF = 1 << (BCAM_RESIZE_BITS - 1),
    BCAM_RESIZE_ROW = 2
}; /* ROW: numbers before the weights */

typedef struct bcam_prep_attr {
    int channel[4]; /* out channel c is made from byte channel[c] of the pixel; C is out's */
} bcam_prep_attr;

typedef struct bcam_select_attr {
    bcam_activation activation; /* resolved, not AUTO */
} bcam_select_attr;

typedef enum bcam_cam_kind {
    BCAM_CAM_POOLED,     /* w = mean of g over (h,w) */
    BCAM_CAM_ELEMENTWISE /* sum over c of g A */
} bcam_cam_kind;

typedef struct bcam_cam_attr {
    bcam_cam_kind kind;
    /* in[1] is (M,C): g of every class, the same for all photos and positions; then both kinds are the same sum */
    bool constant;
    bool signed_map; /* no ReLU */
} bcam_cam_attr;

/* ---- plans ---- */

typedef enum bcam_segment {
    BCAM_SEGMENT_RESIZE, /* only where photos may come packed; left out, the host gives what PREP reads */
    BCAM_SEGMENT_PREP,
    BCAM_SEGMENT_FORWARD,
    BCAM_SEGMENT_BACKWARD,
    BCAM_SEGMENT_CAM,
    BCAM_SEGMENT_COUNT
} bcam_segment;
#define BCAM_SEGMENT_BIT(s) (1u << (s))
#define BCAM_SEGMENTS_ALL ((1u << BCAM_SEGMENT_COUNT) - 1)

typedef enum bcam_role {
    BCAM_ROLE_WORK,  /* lives from its first writer to its last reader */
    BCAM_ROLE_CONST, /* given at compile time; the device keeps its own copy */
    BCAM_ROLE_INPUT, /* written by the host before a run; kept */
    BCAM_ROLE_OUTPUT /* readable by the host after a run; kept to the end */
} bcam_role;

typedef struct bcam_value {
    const char *name; /* for messages; never NULL */
    bcam_role role;
    bcam_dtype dtype; /* F32 means "real": the device's own precision */
    int rank;
    int64_t dim[BCAM_MAX_RANK]; /* logical */
    bool each_k;                /* dimension 0 is K*N */
    /* CONST only. Elements may lie unaligned, in another dtype, in any strides (elements): read them through bcam_const_read. */
    const void *data;
    bcam_dtype data_dtype;
    int64_t data_stride[BCAM_MAX_RANK];
    /* NULL, or one factor per index of dimension 0, multiplied in when read (a folded batch norm) */
    const float *scale;
} bcam_value;

typedef struct bcam_step {
    const char *name; /* the ONNX node it came from, for messages; never NULL */
    bcam_verb verb;
    bcam_segment segment;
    bool each_k;                            /* run once per k, gradients advanced */
    int in[BCAM_MAX_IN], out[BCAM_MAX_OUT]; /* value ids, -1 where absent */
    bcam_unary_attr act;                    /* epilogue of CONV, GEMM, NORM, BINARY */
    union {
        bcam_conv_attr conv;
        bcam_pool_attr pool;
        bcam_unary_attr unary;
        bcam_binary_attr binary;
        bcam_reduce_attr reduce;
        bcam_softmax_attr softmax;
        bcam_copy_attr copy;
        bcam_prep_attr prep;
        bcam_select_attr select;
        bcam_cam_attr cam;
    } u;
} bcam_step;

typedef struct bcam_plan {
    bcam_value *values;
    size_t value_count, value_capacity;
    bcam_step *steps; /* in the order of their segments */
    size_t step_count, step_capacity;
    int64_t batch;  /* N */
    int64_t k;      /* K */
    bcam_pool pool; /* names and small constants */
} bcam_plan;

/* plan.c: building. Ids are indices; -1 means memory is out. */
void bcam_plan_init(bcam_plan *plan, int64_t batch, int64_t k);
void bcam_plan_fini(bcam_plan *plan);
int bcam_plan_value(bcam_plan *plan, const char *name, bcam_role role, bcam_dtype dtype, int rank, const int64_t *dim);
/** A CONST of dense float32 data that the plan copies; data NULL: zeroed, and *slot (may be NULL) points to it to be filled. */
int bcam_plan_const_f32(bcam_plan *plan, const char *name, int rank, const int64_t *dim, const float *data,
                        float **slot);
/** The same for bytes. */
int bcam_plan_const_u8(bcam_plan *plan, const char *name, int rank, const int64_t *dim, const uint8_t *data,
                       uint8_t **slot);
/** Appends a zeroed step with all operands -1; NULL when memory is out. The pointer holds until the next append. */
bcam_step *bcam_plan_step(bcam_plan *plan, bcam_verb verb, bcam_segment segment, const char *name);
/** 2 x multiply-adds of a step, for tables; 0 for verbs that move or compare. */
double bcam_step_flop(const bcam_plan *plan, const bcam_step *step);
/** traffic.c: bytes of a step's operands and results, "real" ones stored in real_bytes each. *own (freed with bcam_free) says which values keep a
 *  type of their own: maps, scores and tables. */
bcam_status bcam_plan_own_types(const bcam_plan *plan, bool **own, bcam_error *err);
double bcam_step_bytes(const bcam_plan *plan, const bool *own, double real_bytes, const bcam_step *step);
/** Reads a CONST dense and row-major (`as`: BCAM_F32, BCAM_F64, BCAM_I32, BCAM_I64, BCAM_U8), floating-point ones with their scale. */
void bcam_const_read(const bcam_value *value, bcam_dtype as, void *out);

/* layout.c: the one routine that lays out memory. */

/** A piece of memory needed from step `first` to step `last` (inclusive). */
typedef struct bcam_span {
    size_t bytes;
    int first, last;
    size_t offset; /* result */
} bcam_span;

/** Assigns offsets so that spans alive together do not overlap; every offset is a multiple of `align`, `gap` bytes are left behind each span.
 *  Returns the total, or SIZE_MAX when memory is out. */
size_t bcam_layout(bcam_span *spans, size_t count, size_t align, size_t gap);
/** First writer and last reader of every value of a plan (INPUT, OUTPUT: the whole run), as step indices; first = -1: never written. */
void bcam_lifetimes(const bcam_plan *plan, int *first, int *last);

/* ---- the device interface ---- */

typedef struct bcam_device bcam_device;
typedef struct bcam_program bcam_program;

typedef struct bcam_device_options {
    int index;                /* which card */
    int threads;              /* 0: all cores */
    bcam_precision precision; /* DEFAULT: the device's own */
    bool reference;           /* CPU: plain C only */
    bool deterministic;
    /* canaries between values, outputs poisoned before each run, checked after it: a step that writes outside is
     * named */
    bool guard;
    bcam_log log;
} bcam_device_options;

#define BCAM_DEVICE_ABI 3u

typedef struct bcam_device_api {
    unsigned abi;             /* BCAM_DEVICE_ABI */
    const char *name;         /* "cpu" */
    bcam_precision precision; /* what DEFAULT comes to */
    int pairs;                /* batches that can be under way at once, 1 or 2: host memory exists so many times */
    /** Whether it can be opened here; NULL err is fine. */
    bcam_status (*probe)(bcam_error *err);
    bcam_status (*open)(const bcam_device_options *options, bcam_device **out, bcam_error *err);
    void (*close)(bcam_device **device);
    const char *(*describe)(const bcam_device *device); /* "cpu (oneDNN 2.6.3, 2 threads)" */
    /** Whether a step can be run; E_UNSUPPORTED with the reason. */
    bcam_status (*query)(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err);
    /** Lays out memory, copies constants, prepares every step. The plan may be closed afterwards. */
    bcam_status (*compile)(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err);
    void (*destroy)(bcam_program **program);
    /** Host memory of an INPUT or OUTPUT, dense and row-major in its dtype (pixels: N,H,W,3), of a buffer pair (0 … pairs-1). */
    void *(*host)(bcam_program *program, int value, int pair);
    /** How much of an INPUT's host memory counts in runs of a pair from now on; all of it at first. What lies behind may be anything. */
    void (*used)(bcam_program *program, int value, int pair, size_t bytes);
    /** Starts segments (BCAM_SEGMENT_BIT, in order) on a pair; wait returns when its outputs can be read, and reports what went wrong. */
    bcam_status (*run)(bcam_program *program, unsigned segments, int pair, bcam_error *err);
    bcam_status (*wait)(bcam_program *program, int pair, bcam_error *err);
    /** Reads or writes any INPUT, OUTPUT or CONST dense and row-major as F32, F64 (for F32 values), or its own integer type. Slow. */
    bcam_status (*read)(bcam_program *program, int value, bcam_dtype as, void *out, bcam_error *err);
    bcam_status (*write)(bcam_program *program, int value, bcam_dtype as, const void *data, bcam_error *err);
    size_t (*bytes)(const bcam_program *program);                       /* device memory held */
    const char *(*algorithm)(const bcam_program *program, size_t step); /* of a step, "direct avx512" or "plain" */
} bcam_device_api;

#endif
