/* fake_cudnn.c - the stand-in for cuDNN. The real library, loaded beside it, does all graph work: descriptors, checks, heuristics, plans, for the
 * card that is described; where the caller names no card, the described one is set before a descriptor is finalized. Handles and execution are
 * this file's own: a plan is executed from what it says of itself once it is finalized.
 */
#include "fake_cudnn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef BCAM_REAL_CUDNN
#define BCAM_REAL_CUDNN "/usr/local/cuda/lib64/libcudnn.so.9"
#endif

struct cudnnContext {
    cudaStream_t stream;
};

typedef cudnnBackendDescriptor_t descriptor;

static struct {
    cudnnStatus_t (*create)(cudnnBackendDescriptorType_t, descriptor *);
    cudnnStatus_t (*destroy)(descriptor);
    cudnnStatus_t (*finalize)(descriptor);
    cudnnStatus_t (*set)(descriptor, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t, const void *);
    cudnnStatus_t (*get)(descriptor, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t, int64_t *,
                         void *);
    const char *(*error)(cudnnStatus_t);
    void (*last_error)(char *, size_t);
    size_t (*version)(void);
} real;

/* What is known of a descriptor beside what the real library knows. Variant packs cannot be read back from it. */
enum { MOST_POINTERS = 32, BUCKETS = 1024 };
typedef struct entry {
    descriptor handle;
    cudnnBackendDescriptorType_t type;
    bool has_card, finalized;
    bcam_fake_graph *graph; /* a plan's, read when it is first executed */
    int64_t uid[MOST_POINTERS], uid_count, pointer_count;
    void *pointer[MOST_POINTERS], *workspace;
    struct entry *next;
} entry;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static entry *table[BUCKETS];
static char *card_json;
static descriptor card;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- the real library ---- */

static void find(void *library, const char *name, void *out)
{
    void *symbol = dlsym(library, name);
    if (!symbol) {
        fprintf(stderr, "stand-ins: the real cuDNN has no %s\n", name);
        abort();
    }
    memcpy(out, &symbol, sizeof symbol);
}

static void load(void)
{
    const char *given = getenv("BCAM_FAKE_CUDNN");
    void *library = dlopen(given ? given : BCAM_REAL_CUDNN, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "stand-ins: the real cuDNN: %s\n", dlerror());
        abort();
    }
#if defined(__SANITIZE_ADDRESS__) && defined(BCAM_NVRTC)
    /* Else it comes and goes, and what it leaves behind is of an unknown module. */
    dlopen(BCAM_NVRTC, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
#endif
    find(library, "cudnnBackendCreateDescriptor", &real.create);
    find(library, "cudnnBackendDestroyDescriptor", &real.destroy);
    find(library, "cudnnBackendFinalize", &real.finalize);
    find(library, "cudnnBackendSetAttribute", &real.set);
    find(library, "cudnnBackendGetAttribute", &real.get);
    find(library, "cudnnGetErrorString", &real.error);
    find(library, "cudnnGetLastErrorString", &real.last_error);
    find(library, "cudnnGetVersion", &real.version);
    card_json = bcam_fake_card("cudnn");
    cudnnStatus_t status = real.create(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &card);
    if (!status)
        status = real.set(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(card_json),
                          card_json);
    if (status || real.finalize(card)) {
        fprintf(stderr, "stand-ins: the real cuDNN does not take the card's description\n");
        abort();
    }
}

/* Loads, counts the call, and says whether it fails by plan. */
static cudnnStatus_t begin(const char *call, cudnnStatus_t usual)
{
    pthread_once(&once, load);
    return (cudnnStatus_t)bcam_fake_enter(call, (int)usual);
}

#define BEGIN(usual)                                                                                                   \
    do {                                                                                                               \
        cudnnStatus_t begin_ = begin(__func__, usual);                                                                 \
        if (begin_ != CUDNN_STATUS_SUCCESS)                                                                            \
            return begin_;                                                                                             \
    } while (0)

/* ---- what is known of descriptors ---- */

static entry **place(descriptor handle)
{
    entry **link = &table[((uintptr_t)handle >> 4) % BUCKETS];
    while (*link && (*link)->handle != handle)
        link = &(*link)->next;
    return link;
}

static entry *known(descriptor handle)
{
    pthread_mutex_lock(&mutex);
    entry *e = *place(handle);
    pthread_mutex_unlock(&mutex);
    return e;
}

static void drop_graph(bcam_fake_graph *graph)
{
    if (graph && __atomic_sub_fetch(&graph->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(graph);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
    cudnnStatus_t status = real.create(type, out);
    if (status)
        return status;
    entry *e = calloc(1, sizeof *e);
    e->handle = *out;
    e->type = type;
    pthread_mutex_lock(&mutex);
    *place(*out) = e;
    pthread_mutex_unlock(&mutex);
    bcam_fake_count(BCAM_FAKE_CUDNN_DESCRIPTOR, 1);
    return CUDNN_STATUS_SUCCESS;
}

/* Done even where it fails by plan: nobody could try again. */
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t handle)
{
    cudnnStatus_t planned = begin(__func__, CUDNN_STATUS_INTERNAL_ERROR);
    pthread_mutex_lock(&mutex);
    entry **link = place(handle), *e = *link;
    if (e)
        *link = e->next;
    pthread_mutex_unlock(&mutex);
    if (!e)
        return CUDNN_STATUS_BAD_PARAM;
    if (e->graph)
        e->graph->gone = true;
    drop_graph(e->graph);
    free(e);
    bcam_fake_count(BCAM_FAKE_CUDNN_DESCRIPTOR, -1);
    cudnnStatus_t status = real.destroy(handle);
    return planned ? planned : status;
}

static cudnnStatus_t set_pack(entry *e, cudnnBackendAttributeName_t name, int64_t count, const void *data)
{
    if (count > MOST_POINTERS)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (name == CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS) {
        e->uid_count = count;
        memcpy(e->uid, data, (size_t)count * sizeof *e->uid);
    } else if (name == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS) {
        e->pointer_count = count;
        memcpy(e->pointer, data, (size_t)count * sizeof *e->pointer);
    } else if (name == CUDNN_ATTR_VARIANT_PACK_WORKSPACE) {
        memcpy(&e->workspace, data, sizeof e->workspace);
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *data)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR);
    entry *e = known(handle);
    if (!e)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    bool by_card = e->type == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR &&
                   (type == CUDNN_TYPE_HANDLE || name == CUDNN_ATTR_DEVICEPROP_DEVICE_ID);
    if (by_card) /* of the card at hand: the described one */
        return real.set(handle, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(card_json),
                        card_json);
    if (type == CUDNN_TYPE_HANDLE) /* ours, which the real library cannot use */
        return data && *(cudnnHandle_t const *)data ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    cudnnStatus_t status = real.set(handle, name, type, count, data);
    if (status)
        return status;
    if (name == CUDNN_ATTR_ENGINEHEUR_DEVICEPROP || name == CUDNN_ATTR_ENGINE_DEVICEPROP ||
        name == CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP)
        e->has_card = true;
    return e->type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR ? set_pack(e, name, count, data) : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t most, int64_t *count, void *data)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR);
    return real.get(handle, name, type, most, count, data);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t handle)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR);
    entry *e = known(handle);
    if (!e)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    cudnnBackendAttributeName_t name = e->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR ? CUDNN_ATTR_ENGINEHEUR_DEVICEPROP
                                       : e->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR   ? CUDNN_ATTR_ENGINE_DEVICEPROP
                                       : e->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR
                                           ? CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP
                                           : (cudnnBackendAttributeName_t)-1;
    if ((int)name != -1 && !e->has_card)
        real.set(handle, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &card);
    cudnnStatus_t status = real.finalize(handle);
    e->finalized = e->finalized || status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* ---- executing ---- */

/* Whether a plan's engine has a numerical note. */
static bool has_note(descriptor plan, cudnnBackendNumericalNote_t which)
{
    descriptor config = NULL, engine = NULL;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0, one = 0;
    bool has = false;
    if (!real.create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config) &&
        !real.create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) &&
        !real.get(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &config) &&
        !real.get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &engine) &&
        !real.get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                  &count, notes))
        for (int64_t i = 0; i < count; i++)
            has = has || notes[i] == which;
    else
        fprintf(stderr, "stand-ins: a plan does not tell its engine's notes\n");
    if (engine)
        real.destroy(engine);
    if (config)
        real.destroy(config);
    return has;
}

static bcam_fake_graph *read_plan(descriptor plan)
{
    int64_t size = 0, got = 0;
    bcam_fake_graph *graph = calloc(1, sizeof *graph);
    graph->refs = 1;
    real.get(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &size, NULL);
    char *json = calloc(1, (size_t)size + 1);
    bool read =
        size > 0 && !real.get(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, size, &got, json) &&
        !real.get(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got, &graph->workspace) &&
        bcam_fake_graph_read(json, graph);
    free(json);
    if (!read) {
        free(graph);
        return NULL;
    }
    graph->factors = has_note(plan, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) ? BCAM_FAKE_HALVES
                     : has_note(plan, CUDNN_NUMERICAL_NOTE_TENSOR_CORE)       ? BCAM_FAKE_TF32
                                                                              : BCAM_FAKE_WHOLE;
    return graph;
}

typedef struct job {
    bcam_fake_graph *graph;
    void *data[BCAM_FAKE_MOST_TENSORS], *workspace;
} job;

static cudaError_t run_job(void *arg)
{
    const job *j = arg;
    if (j->graph->gone) {
        bcam_fake_misuse("a cuDNN plan was destroyed before its work had run");
        return cudaErrorIllegalAddress;
    }
    if (j->graph->workspace) /* a plan may use all of it */
        memset(j->workspace, 0xdb, (size_t)j->graph->workspace);
    return bcam_fake_graph_run(j->graph, j->data);
}

static void drop_job(void *arg)
{
    drop_graph(((job *)arg)->graph);
    free(arg);
}

static cudnnStatus_t refuse(cudnnStatus_t status, const char *what, int64_t uid)
{
    fprintf(stderr, "stand-ins: cudnnBackendExecute: tensor %lld %s\n", (long long)uid, what);
    return status;
}

/* Finds every tensor's memory; it must be the card's, large enough and aligned as the tensor said. */
static cudnnStatus_t bind(const bcam_fake_graph *graph, const entry *pack, job *j)
{
    for (int i = 0; i < graph->tensor_count; i++) {
        const bcam_fake_tensor *t = &graph->tensor[i];
        for (int64_t k = 0; k < pack->uid_count && k < pack->pointer_count && !t->is_virtual; k++)
            if (pack->uid[k] == t->uid)
                j->data[i] = pack->pointer[k];
        if (t->is_virtual)
            continue;
        if (!j->data[i])
            return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "is not in the variant pack", t->uid);
        if (!bcam_fake_is_device(j->data[i], t->bytes))
            return refuse(CUDNN_STATUS_BAD_PARAM, "does not lie in one block of device memory", t->uid);
        if (t->align > 1 && (uintptr_t)j->data[i] % (uintptr_t)t->align)
            return refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "is not aligned as it was declared", t->uid);
    }
    j->workspace = pack->workspace;
    if (graph->workspace && !bcam_fake_is_device(j->workspace, (size_t)graph->workspace)) {
        fprintf(stderr, "stand-ins: cudnnBackendExecute: %lld bytes of workspace are needed\n",
                (long long)graph->workspace);
        return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
    }
    return (uintptr_t)j->workspace % 16 ? CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
    BEGIN(CUDNN_STATUS_EXECUTION_FAILED);
    entry *p = known(plan), *v = known(pack);
    if (!handle || !p || !v || p->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        v->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (!p->finalized || !v->finalized)
        return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    if (!p->graph)
        p->graph = read_plan(plan);
    if (!p->graph)
        return CUDNN_STATUS_NOT_SUPPORTED;
    job *j = calloc(1, sizeof *j);
    cudnnStatus_t status = bind(p->graph, v, j);
    if (status) {
        free(j);
        return status;
    }
    j->graph = p->graph;
    __atomic_add_fetch(&p->graph->refs, 1, __ATOMIC_ACQ_REL);
    return bcam_fake_enqueue(handle->stream, "cudnnBackendExecute", run_job, j, drop_job)
               ? CUDNN_STATUS_EXECUTION_FAILED
               : CUDNN_STATUS_SUCCESS;
}

/* ---- handles, errors ---- */

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    BEGIN(CUDNN_STATUS_NOT_INITIALIZED);
    *out = calloc(1, sizeof **out);
    bcam_fake_count(BCAM_FAKE_CUDNN_HANDLE, 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    cudnnStatus_t planned = begin(__func__, CUDNN_STATUS_INTERNAL_ERROR);
    free(handle);
    bcam_fake_count(BCAM_FAKE_CUDNN_HANDLE, handle ? -1 : 0);
    return planned;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR);
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    BEGIN(CUDNN_STATUS_INTERNAL_ERROR);
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    pthread_once(&once, load);
    return real.version();
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    pthread_once(&once, load);
    return real.error(status);
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    pthread_once(&once, load);
    real.last_error(text, size);
}
