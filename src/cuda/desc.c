/* desc.c - making cuDNN's descriptors, and saying what went wrong. */
#include "cuda/desc.h"

/* ---- errors ---- */

bcam_status bcam_cudnn_fail(cudnnStatus_t code, const char *call, bcam_error *err)
{
    char why[400] = "";
    cudnnGetLastErrorString(why, sizeof why);
    bcam_status status = CUDNN_STATUS_CATEGORY(code) == CUDNN_STATUS_NOT_SUPPORTED ||
                                 CUDNN_STATUS_CATEGORY(code) == CUDNN_STATUS_BAD_PARAM
                             ? BCAM_E_UNSUPPORTED
                         : code == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                                 code == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
                             ? BCAM_E_MEMORY
                             : BCAM_E_DEVICE;
    return bcam_fail(err, status, "%s failed with %s%s%s", call, cudnnGetErrorString(code), why[0] ? ": " : "", why);
}

/* ---- descriptors ---- */

void bcam_desc_note(bcam_builder *b, cudnnStatus_t code, const char *call)
{
    if (b->code == CUDNN_STATUS_SUCCESS && code != CUDNN_STATUS_SUCCESS) {
        b->code = code;
        b->call = call;
    }
}

bcam_desc bcam_desc_make(bcam_builder *b, cudnnBackendDescriptorType_t type)
{
    bcam_desc made = NULL;
    if (b->code != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (b->graph->made_count == (int)BCAM_COUNT(b->graph->made))
        bcam_desc_note(b, CUDNN_STATUS_INTERNAL_ERROR, "making a descriptor");
    else
        bcam_desc_note(b, cudnnBackendCreateDescriptor(type, &made), "cudnnBackendCreateDescriptor");
    if (made)
        b->graph->made[b->graph->made_count++] = made;
    return made;
}

void bcam_desc_set(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t count, const void *data)
{
    if (b->code == CUDNN_STATUS_SUCCESS)
        bcam_desc_note(b, cudnnBackendSetAttribute(d, name, type, count, data), "cudnnBackendSetAttribute");
}

void bcam_desc_set_number(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, int64_t number)
{
    bcam_desc_set(b, d, name, CUDNN_TYPE_INT64, 1, &number);
}

void bcam_desc_set_double(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, double number)
{
    bcam_desc_set(b, d, name, CUDNN_TYPE_DOUBLE, 1, &number);
}

void bcam_desc_set_part(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, bcam_desc other)
{
    bcam_desc_set(b, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
}

void bcam_desc_finish(bcam_builder *b, bcam_desc d)
{
    if (b->code == CUDNN_STATUS_SUCCESS)
        bcam_desc_note(b, cudnnBackendFinalize(d), "cudnnBackendFinalize");
}

/* ---- tensors ---- */

int64_t bcam_stored_channels(const bcam_tensor *t)
{
    return t->rank == 4 && t->stride[1] == 1 && t->dim[1] < t->stride[3] && t->stride[3] == 4 ? 4 : t->dim[1];
}

int64_t bcam_address_alignment(const void *data)
{
    int64_t align = 16;
    while ((uintptr_t)data % (uintptr_t)align)
        align /= 2;
    return align;
}

static cudnnDataType_t data_type(bcam_dtype dtype)
{
    return dtype == BCAM_F16 ? CUDNN_DATA_HALF : dtype == BCAM_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* A virtual tensor stands between two operations and is never in memory; it is float. */
bcam_desc bcam_desc_tensor(bcam_builder *b, const bcam_tensor *t, int64_t uid)
{
    bool is_virtual = uid >= BCAM_UID_VIRTUAL;
    cudnnDataType_t type = is_virtual ? CUDNN_DATA_FLOAT : data_type(t->dtype);
    int64_t dim[4] = {t->dim[0], bcam_stored_channels(t), t->dim[2], t->dim[3]};
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bcam_desc_set(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    bcam_desc_set(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    bcam_desc_set(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t->stride);
    bcam_desc_set_number(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    bcam_desc_set_number(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, is_virtual ? 16 : bcam_address_alignment(t->data));
    bcam_desc_set(b, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    bcam_desc_finish(b, d);
    return d;
}

void bcam_desc_drop(bcam_desc *d)
{
    if (*d)
        cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}
