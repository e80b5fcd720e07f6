/* tensor.c - shapes, strides, names of verbs and functions. */
#include "dev/dev.h"

int64_t bcam_count(int rank, const int64_t *dim)
{
    int64_t count = 1;
    for (int a = 0; a < rank; a++)
        count *= dim[a];
    return count;
}

static void strides_in_order(int rank, const int64_t *dim, const int *order, int64_t *stride)
{
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[order[i]] = step;
        step *= dim[order[i]];
    }
}

void bcam_strides_dense(int rank, const int64_t *dim, int64_t *stride)
{
    static const int order[BCAM_MAX_RANK] = {0, 1, 2, 3, 4, 5};
    strides_in_order(rank, dim, order, stride);
}

void bcam_strides_channels_last(int rank, const int64_t *dim, int64_t *stride)
{
    static const int order[4] = {0, 2, 3, 1};
    if (rank == 4)
        strides_in_order(rank, dim, order, stride);
    else
        bcam_strides_dense(rank, dim, stride);
}

bool bcam_tensor_is_dense(const bcam_tensor *t)
{
    int64_t step = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        if (t->dim[a] != 1 && t->stride[a] != step)
            return false;
        step *= t->dim[a];
    }
    return true;
}

bool bcam_tensor_is_packed(const bcam_tensor *t)
{
    /* Axes of length 1 lie anywhere. The others, taken from the smallest stride up, must each begin where the last one ended. */
    bool taken[BCAM_MAX_RANK] = {false};
    int64_t step = 1;
    for (int round = 0; round < t->rank; round++) {
        int next = -1;
        for (int a = 0; a < t->rank; a++)
            if (!taken[a] && t->dim[a] != 1 && (next < 0 || t->stride[a] < t->stride[next]))
                next = a;
        if (next < 0)
            return true;
        if (t->stride[next] != step)
            return false;
        step *= t->dim[next];
        taken[next] = true;
    }
    return true;
}

static const char *const verb_names[] = {
#define VERB(NAME, member, in, out) [BCAM_VERB_##NAME] = #NAME,
#include "dev/verbs.def"
#undef VERB
};

const char *bcam_verb_name(bcam_verb verb)
{
    return (size_t)verb < BCAM_COUNT(verb_names) ? verb_names[verb] : "?";
}

static const struct {
    const char *name;
    bcam_reads reads;
} unaries[BCAM_UNARY_COUNT] = {
    [BCAM_UNARY_NONE] = {"none", BCAM_READS_NOTHING},
    [BCAM_UNARY_RELU] = {"relu", BCAM_READS_Y},
    [BCAM_UNARY_CLIP] = {"clip", BCAM_READS_Y},
    [BCAM_UNARY_LEAKY_RELU] = {"leaky_relu", BCAM_READS_X},
    [BCAM_UNARY_SIGMOID] = {"sigmoid", BCAM_READS_Y},
    [BCAM_UNARY_HARD_SIGMOID] = {"hard_sigmoid", BCAM_READS_Y},
    [BCAM_UNARY_HARD_SWISH] = {"hard_swish", BCAM_READS_X},
    [BCAM_UNARY_SILU] = {"silu", BCAM_READS_X},
    [BCAM_UNARY_TANH] = {"tanh", BCAM_READS_Y},
    [BCAM_UNARY_ELU] = {"elu", BCAM_READS_X},
    [BCAM_UNARY_SOFTPLUS] = {"softplus", BCAM_READS_X},
    [BCAM_UNARY_ERF] = {"erf", BCAM_READS_X},
    [BCAM_UNARY_EXP] = {"exp", BCAM_READS_Y},
    [BCAM_UNARY_LOG] = {"log", BCAM_READS_X},
    [BCAM_UNARY_SQRT] = {"sqrt", BCAM_READS_Y},
    [BCAM_UNARY_ABS] = {"abs", BCAM_READS_X},
    [BCAM_UNARY_NEG] = {"neg", BCAM_READS_NOTHING},
    [BCAM_UNARY_RECIPROCAL] = {"reciprocal", BCAM_READS_Y},
    [BCAM_UNARY_LINEAR] = {"linear", BCAM_READS_NOTHING},
};

bcam_reads bcam_unary_reads(bcam_unary_kind kind)
{
    return unaries[kind].reads;
}

const char *bcam_unary_name(bcam_unary_kind kind)
{
    return unaries[kind].name;
}
