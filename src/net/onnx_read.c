/* onnx_read.c - the words of the ONNX reader: memory, names, pairs, and messages that say where. The readers of a model's parts stand on it, and it
 * knows none of them. */
#include <stdio.h>
#include <string.h>

#include "net/onnx_read.h"

/* ---- messages ---- */

bcam_status bcam_read_fail(const bcam_reader *reader, bcam_status code, const char *format, ...)
{
    char text[896];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *then = code == BCAM_E_MODEL && !strchr(text, ';') ? "; fetch or export the file again" : "";
    return bcam_fail(reader->err, code, "%.120s: %s%s", bcam_path_base(reader->graph->path), text, then);
}

bcam_status bcam_read_end(const bcam_reader *reader, const bcam_wire *wire, const char *what)
{
    if (!wire->problem) {
        return BCAM_OK;
    }
    return bcam_read_fail(reader, BCAM_E_MODEL, "damaged at byte %zu, in %s: %s",
                          (size_t)(wire->at - reader->graph->file), what, wire->problem);
}

bcam_status bcam_read_count(const bcam_reader *reader, size_t *count, size_t limit, const char *what)
{
    if (++*count > limit) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "it has more than %zu %s; no classifier has", limit, what);
    }
    return BCAM_OK;
}

void bcam_node_label(const bcam_graph *graph, const bcam_node *node, char out[BCAM_LABEL])
{
    if (node->name[0]) {
        snprintf(out, BCAM_LABEL, "node '%.200s' (%.80s)", node->name, node->op);
    } else {
        snprintf(out, BCAM_LABEL, "the unnamed node %td (%.80s)", node - graph->nodes + 1, node->op);
    }
}

/* ---- memory, names, pairs ---- */

void *bcam_read_alloc(bcam_reader *reader, size_t count, size_t size)
{
    void *block = bcam_pool_alloc(&reader->graph->pool, count ? count : 1, size);
    if (!block) {
        bcam_fail_memory(reader->err, count * size, "the model's graph");
    }
    return block;
}

static bool has_zero(const bcam_field *field)
{
    return field->size && memchr(field->bytes, 0, field->size);
}

bcam_status bcam_read_text(bcam_reader *reader, const bcam_field *field, const char *what, const char **out)
{
    if (has_zero(field)) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "%s at byte %zu has a zero byte in it", what,
                              (size_t)(field->bytes - reader->graph->file));
    }
    *out = bcam_pool_strndup(&reader->graph->pool, field->size ? (const char *)field->bytes : "", field->size);
    return *out ? BCAM_OK : bcam_fail_memory(reader->err, field->size + 1, "a name in the model");
}

bcam_status bcam_read_pair(bcam_reader *reader, const bcam_field *field, bcam_pair *out)
{
    bcam_field sub, key = {0}, value = {0};
    bcam_wire wire = bcam_wire_open(field->bytes, field->size);
    while (bcam_wire_next(&wire, &sub)) {
        if (sub.key == BCAM_BYTES(1)) {
            key = sub;
        } else if (sub.key == BCAM_BYTES(2)) {
            value = sub;
        }
    }
    if (has_zero(&key) || has_zero(&value)) {
        key = value = (bcam_field){0};
    }
    bcam_status status = bcam_read_end(reader, &wire, "a pair of key and value");
    status = status ? status : bcam_read_text(reader, &key, "a key", &out->key);
    return status ? status : bcam_read_text(reader, &value, "a value", &out->value);
}
