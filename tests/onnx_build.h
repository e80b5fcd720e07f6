/* onnx_build.h - writes ONNX files by hand, broken ones too. For tests. */
#ifndef BCAM_TESTS_ONNX_BUILD_H
#define BCAM_TESTS_ONNX_BUILD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** Bytes that grow; freed with free(bytes.data). */
typedef struct bytes {
    uint8_t *data;
    size_t size, room;
} bytes;

static inline void put(bytes *to, const void *data, size_t size)
{
    if (to->size + size > to->room) {
        to->room = (to->size + size) * 2 + 64;
        to->data = realloc(to->data, to->room);
        if (!to->data) {
            abort();
        }
    }
    if (size) {
        memcpy(to->data + to->size, data, size);
    }
    to->size += size;
}

static inline void put_varint(bytes *to, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        put(to, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void put_int(bytes *to, unsigned number, int64_t value)
{
    put_varint(to, number << 3);
    put_varint(to, (uint64_t)value);
}

static inline void put_head(bytes *to, unsigned number, uint64_t size)
{
    put_varint(to, number << 3 | 2);
    put_varint(to, size);
}

static inline void put_bytes(bytes *to, unsigned number, const void *data, size_t size)
{
    put_head(to, number, size);
    put(to, data, size);
}

static inline void put_text(bytes *to, unsigned number, const char *text)
{
    put_bytes(to, number, text, strlen(text));
}

/** Puts a message and frees it. */
static inline void put_message(bytes *to, unsigned number, bytes message)
{
    put_bytes(to, number, message.data, message.size);
    free(message.data);
}

static inline void put_pair(bytes *to, unsigned number, const char *key, const char *value)
{
    bytes pair = {0};
    put_text(&pair, 1, key);
    put_text(&pair, 2, value);
    put_message(to, number, pair);
}

/** A node that reads the words of `inputs` and makes those of `outputs`. */
static inline void put_node(bytes *graph, const char *name, const char *inputs, const char *outputs)
{
    bytes node = {0};
    const char *lists[2] = {inputs, outputs};
    for (unsigned k = 0; k < 2; k++) {
        for (const char *at = lists[k]; *at; at += strspn(at, " ")) {
            size_t size = strcspn(at, " ");
            put_bytes(&node, k + 1, at, size);
            at += size;
        }
    }
    put_text(&node, 3, name);
    put_text(&node, 4, "Relu");
    put_message(graph, 1, node);
}

/** A graph input (11) or output (12) without a type. */
static inline void put_value(bytes *graph, unsigned number, const char *name)
{
    bytes value = {0};
    put_text(&value, 1, name);
    put_message(graph, number, value);
}

/** A float32 initializer of one dimension, with `size` bytes of zeros as raw_data. */
static inline void put_weight(bytes *graph, const char *name, int64_t dim, size_t size)
{
    bytes tensor = {0};
    uint8_t *zeros = calloc(size ? size : 1, 1);
    put_int(&tensor, 1, dim);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_bytes(&tensor, 9, zeros, size);
    free(zeros);
    put_message(graph, 5, tensor);
}

/** A float32 initializer of one dimension that lies elsewhere; keys and values up to a NULL. */
static inline void put_external(bytes *graph, const char *name, int64_t dim, const char *const *pairs)
{
    bytes tensor = {0};
    put_int(&tensor, 1, dim);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    for (; pairs[0]; pairs += 2) {
        put_pair(&tensor, 13, pairs[0], pairs[1]);
    }
    put_int(&tensor, 14, 1);
    put_message(graph, 5, tensor);
}

/** Everything of a model but its graph. */
static inline bytes model_head(int64_t opset)
{
    bytes model = {0}, set = {0};
    put_int(&model, 1, 8);
    put_text(&set, 1, "");
    put_int(&set, 2, opset);
    put_message(&model, 8, set);
    return model;
}

/** A model of operator set 17 around a graph, which is freed. */
static inline bytes model_of(bytes graph)
{
    bytes model = model_head(17);
    put_message(&model, 7, graph);
    return model;
}

/** x -> Relu -> y */
static inline bytes small_graph(void)
{
    bytes graph = {0};
    put_node(&graph, "only", "x", "y");
    put_value(&graph, 11, "x");
    put_value(&graph, 12, "y");
    return graph;
}

#endif
