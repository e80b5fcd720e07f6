/* onnx_open.c - opens an ONNX file and reads what stands around its graph: operator sets, producer, metadata. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/onnx_parts.h"

/* The sets whose pages ops.def was written from. What an operator meant in each is its row's to say. */
enum { OPSET_FIRST = 1, OPSET_LAST = 28 };

/* ---- the model ---- */

typedef struct model_fields { /* found in one pass; a file may hold them in any order */
    bcam_field graph, producer, version, function;
    bool has_graph, has_function;
    int64_t opset; /* 0: none named */
    size_t pairs;
} model_fields;

static bcam_status read_opset(const bcam_reader *reader, const bcam_field *field, int64_t *opset)
{
    bcam_field sub, domain = {0};
    int64_t version = 0;
    bcam_wire wire = bcam_wire_open(field->bytes, field->size);
    while (bcam_wire_next(&wire, &sub)) {
        if (sub.key == BCAM_BYTES(1)) {
            domain = sub;
        } else if (sub.key == BCAM_VARINT(2)) {
            version = (int64_t)sub.value;
        }
    }
    bool standard = domain.size == 0 || (domain.size == 7 && memcmp(domain.bytes, "ai.onnx", 7) == 0);
    if (standard && *opset && *opset != version) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "it names two operator sets, %lld and %lld", (long long)*opset,
                              (long long)version);
    }
    if (standard) {
        *opset = version;
    }
    return bcam_read_end(reader, &wire, "an operator set");
}

static bcam_status find_model_fields(const bcam_reader *reader, bcam_wire wire, model_fields *out)
{
    bcam_field field;
    bcam_status status = BCAM_OK;
    while (!status && bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_VARINT(1):
            reader->graph->ir_version = (int)field.value;
            break;
        case BCAM_BYTES(2):
            out->producer = field;
            break;
        case BCAM_BYTES(3):
            out->version = field;
            break;
        case BCAM_BYTES(7):
            if (out->has_graph) {
                return bcam_read_fail(reader, BCAM_E_MODEL, "it holds two graphs");
            }
            out->graph = field;
            out->has_graph = true;
            break;
        case BCAM_BYTES(8):
            status = read_opset(reader, &field, &out->opset);
            break;
        case BCAM_BYTES(14):
            status = bcam_read_count(reader, &out->pairs, BCAM_ONNX_MANY, "metadata entries");
            break;
        case BCAM_BYTES(25):
            out->function = field;
            out->has_function = true;
            break;
        default:
            break;
        }
    }
    if (!status && wire.cut_off) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "its %lld bytes end before the model does, so it is cut off",
                              (long long)reader->graph->file_bytes);
    }
    return status ? status : bcam_read_end(reader, &wire, "the model");
}

static bcam_status check_opset(const bcam_reader *reader, int64_t opset)
{
    if (opset > OPSET_LAST) {
        return bcam_read_fail(reader, BCAM_E_UNSUPPORTED,
                              "it uses operator set %lld, and batchcam reads %d to %d; export it with opset_version=17",
                              (long long)opset, OPSET_FIRST, OPSET_LAST);
    }
    if (opset < OPSET_FIRST) {
        return bcam_read_fail(reader, BCAM_E_UNSUPPORTED,
                              "it uses operator set %lld, and batchcam reads %d to %d; export it again with "
                              "opset_version=17 or convert it with onnx.version_converter",
                              (long long)opset, OPSET_FIRST, OPSET_LAST);
    }
    return BCAM_OK;
}

static bcam_status refuse_function(bcam_reader *reader, const bcam_field *function)
{
    bcam_field sub;
    const char *name = "";
    bcam_status status = BCAM_OK;
    bcam_wire wire = bcam_wire_open(function->bytes, function->size);
    while (!status && bcam_wire_next(&wire, &sub)) {
        if (sub.key == BCAM_BYTES(1)) {
            status = bcam_read_text(reader, &sub, "a function's name", &name);
        }
    }
    return status ? status
                  : bcam_read_fail(reader, BCAM_E_UNSUPPORTED,
                                   "it defines functions of its own, such as '%.200s'; put them into the "
                                   "graph with onnx.inliner.inline_local_functions",
                                   name);
}

static bcam_status read_about(bcam_reader *reader, bcam_wire wire, const model_fields *found)
{
    bcam_graph *graph = reader->graph;
    bcam_field field;
    const char *producer = "", *version = "";
    bcam_status status = bcam_read_text(reader, &found->producer, "the producer's name", &producer);
    status = status ? status : bcam_read_text(reader, &found->version, "the producer's version", &version);
    if (status) {
        return status;
    }
    graph->producer = bcam_pool_format(&graph->pool, "%s%s%s", producer, *producer && *version ? " " : "", version);
    graph->metadata = bcam_read_alloc(reader, found->pairs, sizeof *graph->metadata);
    if (!graph->producer || !graph->metadata) {
        return bcam_fail_memory(reader->err, strlen(producer) + strlen(version), "the model's metadata");
    }
    while (!status && bcam_wire_next(&wire, &field)) {
        if (field.key == BCAM_BYTES(14)) {
            status = bcam_read_pair(reader, &field, &graph->metadata[graph->metadata_count++]);
        }
    }
    return status;
}

static bcam_status read_model(bcam_reader *reader)
{
    bcam_graph *graph = reader->graph;
    model_fields found = {0};
    bcam_wire wire = bcam_wire_open(graph->file, (size_t)graph->file_bytes);
    bcam_status status = find_model_fields(reader, wire, &found);
    if (status) {
        return status;
    }
    if (!found.has_graph) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "it holds no graph; it is not an ONNX model");
    }
    status = check_opset(reader, found.opset);
    if (!status && found.has_function) {
        status = refuse_function(reader, &found.function);
    }
    graph->opset = (int)found.opset;
    status = status ? status : read_about(reader, wire, &found);
    status = status ? status : bcam_read_graph(reader, bcam_wire_open(found.graph.bytes, found.graph.size));
    return status ? status : bcam_read_order(reader);
}

/* ---- files that are something else ---- */

typedef struct other_kind {
    size_t offset, size;
    const char *magic, *advice;
} other_kind;

static const other_kind other_kinds[] = {
    {0, 4, "PK\003\004", "looks like a PyTorch checkpoint (a zip file); export it with torch.onnx.export"},
    {0, 1, "\x80", "looks like a PyTorch checkpoint (a pickle); export it with torch.onnx.export"},
    {0, 4, "\x89HDF", "looks like a Keras file (HDF5); export it with tf2onnx"},
    {4, 4, "TFL3", "looks like a TensorFlow Lite model; convert it with tf2onnx"},
    {4, 4, "ORTM", "looks like ONNX Runtime's own format; give the .onnx file that it was made from"},
    {8, 2, "{\"",
     "looks like a safetensors file, which holds weights without a network; export the model with torch.onnx.export"},
    {0, 12, "version http", "is a pointer of Git LFS, not the model itself; fetch it with git lfs pull"},
    {0, 1, "<", "looks like a web page; the download brought something else"},
    {0, 3, "\xff\xd8\xff", "is a photo (JPEG); the model is to be named first"},
    {0, 4, "\x89PNG", "is a photo (PNG); the model is to be named first"},
};

/** What a file that cannot be read as ONNX looks like, or NULL. Asked only after reading failed: short magic numbers
 *  prove little. */
static const char *looks_like(const uint8_t *data, size_t bytes)
{
    for (size_t k = 0; k < BCAM_COUNT(other_kinds); k++) {
        const other_kind *kind = &other_kinds[k];
        if (bytes >= kind->offset + kind->size && memcmp(data + kind->offset, kind->magic, kind->size) == 0) {
            return kind->advice;
        }
    }
    size_t plain = 0, shown = bytes < 256 ? bytes : 256;
    while (plain < shown && ((data[plain] >= 32 && data[plain] < 127) || (data[plain] >= 9 && data[plain] <= 13))) {
        plain++;
    }
    return plain == shown ? "is a text file, not an ONNX model" : NULL;
}

/* ---- open, close ---- */

static bcam_status start(const char *path, bcam_reader *reader)
{
    bcam_graph *graph = bcam_alloc(1, sizeof *graph);
    if (!graph) {
        return bcam_fail_memory(reader->err, sizeof *graph, "the model's graph");
    }
    reader->graph = graph;
    graph->path = bcam_pool_strdup(&graph->pool, path);
    return graph->path ? BCAM_OK : bcam_fail_memory(reader->err, strlen(path), "the model's path");
}

static bcam_status parse(bcam_reader *reader, const uint8_t *data, size_t bytes)
{
    reader->graph->file = data;
    reader->graph->file_bytes = (int64_t)bytes;
    if (bytes == 0) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "the file is empty");
    }
    bcam_status status = read_model(reader);
    const char *advice = status == BCAM_E_MODEL ? looks_like(data, bytes) : NULL;
    return advice ? bcam_read_fail(reader, BCAM_E_MODEL, "it %s", advice) : status;
}

static bcam_status finish(bcam_reader *reader, bcam_status status, bcam_graph **out)
{
    if (reader->folder >= 0) {
        close(reader->folder);
    }
    if (status) {
        bcam_onnx_close(&reader->graph);
    }
    *out = reader->graph;
    return status;
}

bcam_status bcam_onnx_open(const char *path, bcam_graph **out, bcam_error *err)
{
    bcam_reader reader = {.folder = -1, .err = err};
    struct bcam_held_file *held = NULL;
    *out = NULL;
    bcam_status status = start(path, &reader);
    if (status) {
        goto out;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    if (file < 0) {
        status = bcam_fail(err, BCAM_E_IO, "cannot open the model %s: %s", path, strerror(errno));
        goto out;
    }
    status = bcam_read_file(&reader, file, NULL, &held);
    status = status ? status : parse(&reader, held->data, held->bytes);
out:
    return finish(&reader, status, out);
}

bcam_status bcam_onnx_parse(const char *path, const uint8_t *data, size_t bytes, bcam_graph **out, bcam_error *err)
{
    bcam_reader reader = {.folder = -1, .err = err};
    *out = NULL;
    bcam_status status = start(path, &reader);
    status = status ? status : parse(&reader, data, bytes);
    return finish(&reader, status, out);
}

void bcam_onnx_close(bcam_graph **graph)
{
    if (!*graph) {
        return;
    }
    bcam_read_release(*graph);
    bcam_pool_fini(&(*graph)->pool);
    bcam_free(*graph);
    *graph = NULL;
}
