/* onnx_dump.h - what batchcam reads in an ONNX file, as the text that golden_onnx/make_onnx.py writes from the onnx package. For tests. */
#ifndef BCAM_TESTS_ONNX_DUMP_H
#define BCAM_TESTS_ONNX_DUMP_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/onnx.h"

static inline void dump_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n' || *text == '\\') {
            fputs(*text == '\n' ? "\\n" : "\\\\", out);
        } else {
            fputc(*text, out);
        }
    }
}

static inline void dump_dims(FILE *out, int rank, const int64_t *dim)
{
    fputs(rank < 0 ? "[*" : "[", out);
    for (int k = 0; k < rank; k++) {
        if (dim[k] == BCAM_ONNX_FREE) {
            fprintf(out, "%s?", k ? "," : "");
        } else {
            fprintf(out, "%s%" PRId64, k ? "," : "", dim[k]);
        }
    }
    fputc(']', out);
}

static inline void dump_tensor(FILE *out, const bcam_onnx_tensor *tensor)
{
    char hash[65];
    dump_escaped(out, tensor->name);
    fprintf(out, ": %s ", bcam_onnx_type_name(tensor->type));
    dump_dims(out, tensor->rank, tensor->dim);
    if (bcam_onnx_type_bytes(tensor->type) == 0) {
        fputs(" 0\n", out);
        return;
    }
    bcam_sha256_hex(tensor->data, tensor->bytes, hash);
    fprintf(out, " %zu %s\n", tensor->bytes, hash);
}

static inline void dump_values(FILE *out, const char *what, const bcam_onnx_value *values, int count)
{
    for (int k = 0; k < count; k++) {
        fprintf(out, "%s ", what);
        dump_escaped(out, values[k].name);
        fprintf(out, " %s ", bcam_onnx_type_name(values[k].type));
        dump_dims(out, values[k].rank, values[k].dim);
        fputc('\n', out);
    }
}

static inline void dump_pairs(FILE *out, const char *indent, const bcam_pair *pairs, int count)
{
    for (int k = 0; k < count; k++) {
        fprintf(out, "%smeta ", indent);
        dump_escaped(out, pairs[k].key);
        fputc('=', out);
        dump_escaped(out, pairs[k].value);
        fputc('\n', out);
    }
}

static inline void dump_float(FILE *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    fprintf(out, "%08" PRIx32, bits);
}

static inline void dump_attr(FILE *out, const bcam_attr *attr)
{
    static const char *const kinds[] = {"other",  "float", "int",     "string", "tensor",
                                        "floats", "ints",  "strings", "graph"};
    fprintf(out, " attr %s %s ", attr->name, kinds[attr->kind]);
    switch (attr->kind) {
    case BCAM_ATTR_FLOAT:
        dump_float(out, attr->f);
        break;
    case BCAM_ATTR_INT:
        fprintf(out, "%" PRId64, attr->i);
        break;
    case BCAM_ATTR_STRING:
        dump_escaped(out, attr->s);
        break;
    case BCAM_ATTR_TENSOR:
        dump_tensor(out, attr->tensor);
        return;
    case BCAM_ATTR_STRINGS:
        fprintf(out, "%zu", attr->count);
        break;
    case BCAM_ATTR_FLOATS:
    case BCAM_ATTR_INTS:
        for (size_t k = 0; k < attr->count; k++) {
            fputs(k ? "," : "", out);
            if (attr->kind == BCAM_ATTR_FLOATS) {
                dump_float(out, attr->floats[k]);
            } else {
                fprintf(out, "%" PRId64, attr->ints[k]);
            }
        }
        break;
    default:
        break;
    }
    fputc('\n', out);
}

static inline void dump_names(FILE *out, const char *what, const char **names, int count)
{
    for (int k = 0; k < count; k++) {
        fprintf(out, " %s ", what);
        dump_escaped(out, names[k]);
        fputc('\n', out);
    }
}

static inline void dump_node(FILE *out, const bcam_node *node)
{
    fprintf(out, "node %s '", node->op);
    dump_escaped(out, node->domain);
    fputs("' ", out);
    dump_escaped(out, node->name);
    fputc('\n', out);
    dump_names(out, "in", node->inputs, node->input_count);
    dump_names(out, "out", node->outputs, node->output_count);
    for (int k = 0; k < node->attr_count; k++) {
        dump_attr(out, &node->attrs[k]);
    }
    dump_pairs(out, " ", node->metadata, node->metadata_count);
}

/** The text, to be freed with free(); touches every byte that the graph points at. */
static inline char *dump_graph(const bcam_graph *graph)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return NULL;
    }
    fprintf(out, "model ir %d opset %d parameters %" PRId64 " producer ", graph->ir_version, graph->opset,
            graph->parameters);
    dump_escaped(out, graph->producer);
    fputc('\n', out);
    dump_pairs(out, "", graph->metadata, graph->metadata_count);
    dump_values(out, "input", graph->inputs, graph->input_count);
    dump_values(out, "output", graph->outputs, graph->output_count);
    for (int k = 0; k < graph->initializer_count; k++) {
        fputs("initializer ", out);
        dump_tensor(out, &graph->initializers[k]);
    }
    for (int k = 0; k < graph->node_count; k++) {
        dump_node(out, &graph->nodes[k]);
    }
    fclose(out);
    return text;
}

#endif
