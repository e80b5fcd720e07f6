/* desc.h - cuDNN's descriptors, for those who make graphs and plans of them: cudnn.c, pool.c, plans.c. The one place where cuDNN's own header is
 * included; everybody else sees cudnn.h.
 */
#ifndef BCAM_CUDA_DESC_H
#define BCAM_CUDA_DESC_H

#include <cudnn_graph.h>

#include "cuda/cudnn.h"

/* The tensors of a graph by number. From BCAM_UID_VIRTUAL on they stand between two operations and are never in memory. */
enum { BCAM_UID_X = 1, BCAM_UID_W, BCAM_UID_BIAS, BCAM_UID_RESIDUAL, BCAM_UID_Y, BCAM_UID_VIRTUAL };

/** Makes descriptors one after the other: the first failure is kept, and what comes after it does nothing. */
typedef struct bcam_builder {
    bcam_conv_graph *graph; /* owns what is made */
    cudnnStatus_t code;
    const char *call;
} bcam_builder;

bcam_status bcam_cudnn_fail(cudnnStatus_t code, const char *call, bcam_error *err);
void bcam_desc_note(bcam_builder *b, cudnnStatus_t code, const char *call);
bcam_desc bcam_desc_make(bcam_builder *b, cudnnBackendDescriptorType_t type);
void bcam_desc_set(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t count, const void *data);
void bcam_desc_set_number(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, int64_t number);
void bcam_desc_set_double(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, double number);
void bcam_desc_set_part(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, bcam_desc other);
void bcam_desc_finish(bcam_builder *b, bcam_desc d);
/** A tensor as it lies; virtual ones are float. */
bcam_desc bcam_desc_tensor(bcam_builder *b, const bcam_tensor *t, int64_t uid);
void bcam_desc_drop(bcam_desc *d);

/** pool.c: the one operation of a POOL or POOL_BWD. */
bcam_desc bcam_pool_operation(bcam_builder *b, const bcam_conv_problem *problem);

#endif
