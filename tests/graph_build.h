/* graph_build.h - small ONNX graphs, a node a line. For tests. */
#ifndef BCAM_TESTS_GRAPH_BUILD_H
#define BCAM_TESTS_GRAPH_BUILD_H

#include <stdbool.h>

#include "onnx_build.h"

static inline void put_words(bytes *to, unsigned number, const char *words)
{
    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        put_bytes(to, number, at, size == 1 && *at == '-' ? 0 : size); /* "-": left out */
        at += size;
    }
}

/* "key=3" is an integer, "key=3,4" or "key=3," a list of them, "key=0.5" a float, "key=edge" a string. */
static inline void put_attribute(bytes *node, const char *text, size_t size)
{
    bytes attr = {0};
    size_t name = strcspn(text, "=");
    const char *at = text + name + 1, *end = text + size;
    bool list = memchr(text, ',', size) != NULL, word = (*at < '0' || *at > '9') && *at != '-';
    bool real = !word && !list && memchr(at, '.', (size_t)(end - at));
    put_bytes(&attr, 1, text, name);
    if (word)
        put_bytes(&attr, 4, at, (size_t)(end - at));
    if (real) {
        float f = strtof(at, NULL);
        put_varint(&attr, 2 << 3 | 5);
        put(&attr, &f, sizeof f);
    }
    for (char *next; !word && !real && at < end; at = next + 1)
        put_int(&attr, list ? 8 : 3, strtoll(at, &next, 10));
    put_int(&attr, 20, word ? 3 : real ? 1 : list ? 7 : 2);
    put_message(node, 5, attr);
}

static inline void op(bytes *g, const char *name, const char *type, const char *inputs, const char *outputs,
                      const char *attrs)
{
    bytes node = {0};
    put_words(&node, 1, inputs);
    put_words(&node, 2, outputs);
    put_text(&node, 3, name);
    put_text(&node, 4, type);
    for (const char *at = attrs; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        put_attribute(&node, at, size);
        at += size;
    }
    put_message(g, 1, node);
}

/* A tensor of integers, "1,2,3" with one dimension, or of float32 ones with the dimensions `dims`. */
static inline void ints(bytes *g, const char *name, const char *values)
{
    bytes tensor = {0}, raw = {0};
    int64_t count = 0;
    for (const char *at = values; *at; count++) {
        char *end;
        int64_t value = strtoll(at, &end, 10);
        put(&raw, &value, sizeof value);
        at = end + (*end == ',');
    }
    put_int(&tensor, 1, count);
    put_int(&tensor, 2, 7);
    put_text(&tensor, 8, name);
    put_message(&tensor, 9, raw);
    put_message(g, 5, tensor);
}

static inline void ones(bytes *g, const char *name, const char *dims)
{
    bytes tensor = {0}, raw = {0};
    int64_t count = 1;
    for (const char *at = dims; *at;) {
        char *end;
        int64_t dim = strtoll(at, &end, 10);
        put_int(&tensor, 1, dim);
        count *= dim;
        at = end + (*end == ',');
    }
    const float one = 1;
    for (int64_t i = 0; i < count; i++)
        put(&raw, &one, sizeof one);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_message(&tensor, 9, raw);
    put_message(g, 5, tensor);
}

/* The input x; a first dimension of 0 is left open. */
static inline bytes begin(int64_t n, int64_t a, int64_t b, int64_t c)
{
    bytes g = {0}, value = {0}, type = {0}, tensor = {0}, shape = {0};
    const int64_t dim[4] = {n, a, b, c};
    for (int i = 0; i < 4; i++) {
        bytes d = {0};
        if (dim[i])
            put_int(&d, 1, dim[i]);
        put_message(&shape, 1, d);
    }
    put_int(&tensor, 1, 1);
    put_message(&tensor, 2, shape);
    put_message(&type, 1, tensor);
    put_text(&value, 1, "x");
    put_message(&value, 2, type);
    put_message(&g, 11, value);
    put_value(&g, 12, "y");
    return g;
}

#endif
