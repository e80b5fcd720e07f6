/* check.h - one case table per verb, for tests, self-test, gradient check and benchmark.
 *
 * A *case* is one step: the shapes of its operands, its attributes, its epilogue. It is run on two *sides* (an opened
 * device each) with the same numbers, and the candidate is held against the reference:
 *
 *   - |a - b| is within what the verb's rule allows (bcam_check_rule); the same NaN mask; integers exactly
 *   - the candidate run twice gives the same bytes
 *   - a photo alone gives the bytes it gives in its batch (products of other people's libraries excepted)
 *   - inputs are unchanged after the run; open the sides with `guard`, and writing outside an output is an error, too
 *
 * Backward cases are made from the rows of their forward verb, which is what the gradient check differentiates
 * numerically. Knows devices through bcam_device_api only.
 */
#ifndef BCAM_CHECK_CHECK_H
#define BCAM_CHECK_CHECK_H

#include "dev/dev.h"

/** What stands before the dimensions of one photo. */
typedef enum bcam_check_lead {
    BCAM_LEAD_NONE, /* nothing: the same for all photos */
    BCAM_LEAD_N,    /* (N, …) */
    BCAM_LEAD_KN,   /* (K*N, …), a gradient */
    BCAM_LEAD_K_N   /* (K, N, …) */
} bcam_check_lead;

/** Which numbers make sense in an operand. */
typedef enum bcam_check_domain {
    BCAM_DOMAIN_ANY,
    BCAM_DOMAIN_POSITIVE, /* [0.3, 2] */
    BCAM_DOMAIN_BASE,     /* [1.1, 3], of a power */
    BCAM_DOMAIN_AWAY,     /* 0.05 or more away from 0, 1, -3 and 3, where piecewise functions have their corners */
    BCAM_DOMAIN_DISTINCT, /* no two alike, 1/64 or more apart: for maxima */
    BCAM_DOMAIN_CLASS,    /* ids 0 … limit-1, or -1 */
    BCAM_DOMAIN_REQUEST,  /* ids, ranks (-2 - r), -1, duplicates, and both out of range */
    BCAM_DOMAIN_FIRST,    /* the number `limit` */
    BCAM_DOMAIN_BYTE,
    BCAM_DOMAIN_COLOURS, /* (256,3): neighbours differ by 1 at most, as a value's row may between devices */
    BCAM_DOMAIN_RELU,    /* a map after ReLU; the BCAM_DOMAIN_RANGE behind it is of the map before */
    BCAM_DOMAIN_RANGE,   /* (K,N,2): minimum and maximum of each map of the operand before it */
    BCAM_DOMAIN_TABLES,  /* of RESIZE, filled with the BCAM_DOMAIN_FRAMES behind it */
    BCAM_DOMAIN_FRAMES,
    BCAM_DOMAIN_FORWARD /* an operand or the result of the forward verb, see `source` */
} bcam_check_domain;

typedef struct bcam_check_operand {
    bool present;
    bcam_check_lead lead;
    bcam_role role;
    bcam_dtype dtype;
    bcam_check_domain domain;
    int64_t limit; /* DOMAIN_CLASS, DOMAIN_REQUEST: how many classes; DOMAIN_FRAMES: taps */
    int source;    /* DOMAIN_FORWARD: index of the forward verb's operand; -1: its result */
    int rank;      /* of one photo's part */
    int64_t dim[BCAM_MAX_RANK];
} bcam_check_operand;

/** How near is near enough, with e = 2^-24 and n the `depth` of a case. */
typedef enum bcam_check_rule {
    BCAM_RULE_EXACT, /* equal */
    BCAM_RULE_VALUE, /* 16 e |a| */
    BCAM_RULE_LOCAL, /* 16 e (|a| + |first operand, same element|): functions that cancel near a zero; of UNARY_BWD both gradients */
    /* e (8 |a| + (8 + 2 sqrt(n)) S): S is the sum of the terms' magnitudes, found by running the reference on magnitudes.
       Sharper than a multiple of the largest |a|, and fair where terms cancel. */
    BCAM_RULE_SUM,
    /* e (8 |a| + (8 + n) F): F is the largest magnitude of the first operand. Partial sums grow as sqrt(n) F, and n roundings
       of them add up to n F. */
    BCAM_RULE_FIRST,
} bcam_check_rule;

typedef enum bcam_check_fill {
    BCAM_FILL_RANDOM,
    BCAM_FILL_EXTREME,  /* 1e-30, 1e30, -0, large negatives among random numbers */
    BCAM_FILL_CONSTANT, /* one number an operand; few bits, so that sums are exact and ties are many */
    BCAM_FILL_SPECIAL,  /* NaN and both infinities among random numbers */
    BCAM_FILL_COUNT
} bcam_check_fill;

typedef struct bcam_check_case {
    char name[160]; /* "conv 3x7x5x5 m13 k3x3 …" */
    bcam_verb verb;
    size_t row;
    bcam_step step; /* attributes, epilogue, each_k; operands are bound by the check */
    bcam_check_operand in[BCAM_MAX_IN], out[BCAM_MAX_OUT];
    int64_t batch, k;
    double depth; /* how many terms are summed into one element */
    bcam_check_rule rule;
    unsigned fills; /* bit f: bcam_check_fill f makes sense */
} bcam_check_case;

/* cases.c */
size_t bcam_check_case_count(bcam_verb verb);
void bcam_check_case_get(bcam_verb verb, size_t index, bcam_check_case *out);
bool bcam_check_is_backward(bcam_verb verb);
/** The forward case that a backward case was made from, and which of its operands the gradient is of. */
void bcam_check_forward(const bcam_check_case *backward, bcam_check_case *forward, int *which);

/** One side: a device opened by the caller. */
typedef struct bcam_check_side {
    const bcam_device_api *api;
    bcam_device *device;
    bcam_precision precision; /* of a candidate that is coarser than float: TF32, BF16, FP16; else DEFAULT */
    /* Its products are those of libraries that choose another way for another batch: a photo alone is not compared with it in its batch. */
    bool libraries;
} bcam_check_side;

typedef enum bcam_check_outcome { BCAM_CHECK_PASSED, BCAM_CHECK_FAILED, BCAM_CHECK_REFUSED } bcam_check_outcome;

typedef struct bcam_check_result {
    bcam_check_outcome outcome;
    double worst;      /* largest error as a share of what is allowed */
    char message[512]; /* of a failure or a refusal, else "" */
} bcam_check_result;

/** Runs a case with all its fills on both sides. `exact`: results must be equal whatever the rule says (the same device
 * with other threads). A candidate that errs is a failed case; other errors (out of memory, the reference) are
 * returned. */
bcam_status bcam_check_run(const bcam_check_case *c, const bcam_check_side *reference, const bcam_check_side *candidate,
                           uint64_t seed, bool exact, bcam_check_result *result, bcam_error *err);

/** A backward case on one side, opened with FP64: <dy, f(x + h v) - f(x - h v)> / 2h against <dx, v> for random
 * directions v, and for every entry where the operand is small. `worst` is the largest relative error over 1e-6. */
bcam_status bcam_check_gradient(const bcam_check_case *backward, const bcam_check_side *side, uint64_t seed,
                                bcam_check_result *result, bcam_error *err);

/** All cases of all verbs, a row a verb. E_DEVICE where one failed. */
bcam_status bcam_check_selftest(const bcam_check_side *reference, const bcam_check_side *candidate, uint64_t seed,
                                bcam_selftest_fn row, void *data, bcam_error *err);

#endif
