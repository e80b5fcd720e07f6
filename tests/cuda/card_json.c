/* card_json.c - the card that is here as JSON, in the shape of the described one (tests/emu/h100.json), and where the two differ.
 *
 *   card_json OUT.json [DESCRIBED.json]      prints one line for each difference
 */
#include <cjson/cJSON.h>
#include <cuda_runtime_api.h>
#include <cudnn_graph.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

/* What cuDNN itself says of the card, as it would take it back. */
static cJSON *ask_cudnn(void)
{
    cudnnBackendDescriptor_t d = NULL;
    int32_t device = 0;
    int64_t bytes = 0;
    char *text = NULL;
    cudnnStatus_t code = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d);
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &device);
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendFinalize(d);
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendGetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &bytes, NULL);
    if (code == CUDNN_STATUS_SUCCESS && bytes > 0 && (text = calloc(1, (size_t)bytes + 1)))
        code = cudnnBackendGetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, bytes, &bytes,
                                        text);
    if (d)
        cudnnBackendDestroyDescriptor(d);
    cJSON *json = code == CUDNN_STATUS_SUCCESS && text ? cJSON_Parse(text) : NULL;
    if (!json)
        fail("asking cuDNN for the card", cudnnGetErrorString(code));
    free(text);
    return json;
}

static cJSON *ask_cuda(void)
{
    static const struct {
        const char *name;
        enum cudaDeviceAttr attribute;
    } rows[] = {{"maxSharedMemoryPerMultiprocessor", cudaDevAttrMaxSharedMemoryPerMultiprocessor},
                {"totalConstMem", cudaDevAttrTotalConstantMemory},
                {"memoryBusWidth", cudaDevAttrGlobalMemoryBusWidth},
                {"asyncEngineCount", cudaDevAttrAsyncEngineCount},
                {"ECCEnabled", cudaDevAttrEccEnabled},
                {"concurrentKernels", cudaDevAttrConcurrentKernels},
                {"unifiedAddressing", cudaDevAttrUnifiedAddressing},
                {"managedMemory", cudaDevAttrManagedMemory},
                {"clusterLaunch", cudaDevAttrClusterLaunch},
                {"memoryPoolsSupported", cudaDevAttrMemoryPoolsSupported},
                {"computePreemptionSupported", cudaDevAttrComputePreemptionSupported},
                {"streamPrioritiesSupported", cudaDevAttrStreamPrioritiesSupported},
                {"pciBusId", cudaDevAttrPciBusId},
                {"pciDomainId", cudaDevAttrPciDomainId}};
    cJSON *json = cJSON_CreateObject();
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        int value = 0;
        if (cudaDeviceGetAttribute(&value, rows[i].attribute, 0) == cudaSuccess)
            cJSON_AddNumberToObject(json, rows[i].name, value);
    }
    return json;
}

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool good = file && fprintf(file, "%s\n", text) > 0;
    return (file && fclose(file) == 0) && good;
}

static void compare(const cJSON *real, const cJSON *described, const char *section)
{
    const cJSON *a = cJSON_GetObjectItem(real, section), *b = cJSON_GetObjectItem(described, section);
    for (const cJSON *item = a ? a->child : NULL; item; item = item->next) {
        const cJSON *other = b ? cJSON_GetObjectItemCaseSensitive(b, item->string) : NULL;
        if (other && cJSON_Compare(item, other, true))
            continue;
        char *here = cJSON_PrintUnformatted(item), *there = other ? cJSON_PrintUnformatted(other) : NULL;
        printf("%s.%s: here %s, described %s\n", section, item->string, here, there ? there : "(not at all)");
        free(here);
        free(there);
    }
    for (const cJSON *item = b ? b->child : NULL; item; item = item->next)
        if (!cJSON_GetObjectItemCaseSensitive(a, item->string))
            printf("%s.%s: described, and not here\n", section, item->string);
}

int main(int argc, char **argv)
{
    bcam_error err = {0};
    char *text = NULL;
    size_t bytes = 0;
    if (argc < 2)
        return fail("Usage", "card_json OUT.json [DESCRIBED.json]");
    cudaError_t code = cudaFree(NULL);
    if (code != cudaSuccess)
        return fail("opening the card", cudaGetErrorString(code));
    cJSON *real = cJSON_CreateObject(), *cudnn = ask_cudnn();
    if (cudnn)
        cJSON_AddItemToObject(real, "cudnn", cudnn);
    cJSON_AddItemToObject(real, "cuda", ask_cuda());
    char *printed = cJSON_Print(real);
    bool written = write_file(argv[1], printed);
    if (argc > 2 && bcam_file_read(argv[2], 1 << 20, &text, &bytes, &err) == BCAM_OK) {
        cJSON *described = cJSON_Parse(text);
        compare(real, described, "cudnn");
        compare(real, described, "cuda");
        cJSON_Delete(described);
    }
    bcam_free(text);
    free(printed);
    cJSON_Delete(real);
    if (!written)
        return fail(argv[1], "cannot be written");
    return cudnn ? 0 : 1;
}
