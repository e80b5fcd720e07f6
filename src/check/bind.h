/* bind.h - a case on one side: plan, program, numbers in and out. Private to the room. All numbers travel as double. */
#ifndef BCAM_CHECK_BIND_H
#define BCAM_CHECK_BIND_H

#include "check/check.h"

/** The numbers of a case's operands, NULL where absent. */
typedef struct bcam_check_data {
    double *in[BCAM_MAX_IN], *out[BCAM_MAX_OUT];
} bcam_check_data;

bcam_status bcam_check_data_init(const bcam_check_case *c, bcam_check_data *data, bcam_error *err);
void bcam_check_data_fini(bcam_check_data *data);

/** The whole dimensions of an operand for N photos; returns the rank. */
int bcam_check_dims(const bcam_check_operand *o, int64_t batch, int64_t k, int64_t dim[BCAM_MAX_RANK]);
int64_t bcam_check_count(const bcam_check_operand *o, int64_t batch, int64_t k);

/** fill.c: numbers for all inputs of a case. `reference` computes what a backward step reads of the forward result.
 * Reals are floats. */
bcam_status bcam_check_fill_data(const bcam_check_case *c, bcam_check_fill fill, const bcam_check_side *reference,
                                 uint64_t seed, bcam_check_data *data, bcam_error *err);
const char *bcam_check_fill_name(bcam_check_fill fill);

typedef struct bcam_check_bound {
    const bcam_check_case *c;
    const bcam_check_side *side;
    bcam_program *program;
    int in[BCAM_MAX_IN], out[BCAM_MAX_OUT];
} bcam_check_bound;

/** Compiles a one-step plan; constants are taken from `data`. E_UNSUPPORTED where the device refuses the step. */
bcam_status bcam_check_bind(const bcam_check_case *c, const bcam_check_side *side, const bcam_check_data *data,
                            bcam_check_bound *bound, bcam_error *err);
void bcam_check_unbind(bcam_check_bound *bound);
/** Writes data->in, runs, reads data->out. */
bcam_status bcam_check_compute(const bcam_check_bound *bound, const bcam_check_data *data, bcam_error *err);
/** Reads input `index` as it is now on the device into `out`. */
bcam_status bcam_check_read_input(const bcam_check_bound *bound, int index, double *out, bcam_error *err);

#endif
