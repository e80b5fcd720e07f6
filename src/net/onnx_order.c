/* onnx_order.c - who makes which tensor, and an order of the nodes in which every maker stands before its readers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/onnx_parts.h"

enum { MADE_BY_INITIALIZER, MADE_BY_INPUT, MADE_BY_NODE };

typedef struct maker {
    const char *name;
    int kind, index;
} maker;

typedef struct order {
    bcam_reader *reader;
    bcam_graph *graph;
    maker *makers; /* sorted by name: bounded however names are chosen, which a hash table would not be */
    size_t maker_count;
    size_t *first; /* (nodes + 1): where each node's edges begin */
    int *from;     /* (edges): the node that makes what the edge brings, -1: no node */
    size_t *begin; /* (nodes + 1): where each node's readers begin */
    int *readers;  /* (edges): nodes, grouped by who they read */
    int *waiting;  /* (nodes): edges still to come; the first `done` places of `sorted` are final */
    int *sorted, *heap;
    int heap_count;
} order;

/* ---- makers ---- */

static int compare_makers(const void *left, const void *right)
{
    const maker *a = left, *b = right;
    int names = strcmp(a->name, b->name);
    int kinds = (a->kind > b->kind) - (a->kind < b->kind);
    return names ? names : kinds ? kinds : (a->index > b->index) - (a->index < b->index);
}

static const maker *find_maker(const order *o, const char *name)
{
    size_t low = 0, high = o->maker_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int side = strcmp(o->makers[middle].name, name);
        if (side == 0) {
            return &o->makers[middle];
        }
        low = side < 0 ? middle + 1 : low;
        high = side < 0 ? high : middle;
    }
    return NULL;
}

static void describe_maker(const order *o, const maker *m, char out[BCAM_LABEL + 3])
{
    if (m->kind == MADE_BY_NODE) {
        memcpy(out, "by ", 3);
        bcam_node_label(o->graph, &o->graph->nodes[m->index], out + 3);
    } else {
        snprintf(out, BCAM_LABEL, "%s", m->kind == MADE_BY_INPUT ? "as an input of the graph" : "as an initializer");
    }
}

static bcam_status made_twice(const order *o, const maker *a, const maker *b)
{
    char first[BCAM_LABEL + 3], second[BCAM_LABEL + 3];
    describe_maker(o, a, first);
    describe_maker(o, b, second);
    return bcam_read_fail(o->reader, BCAM_E_MODEL, "tensor '%.200s' is made twice, %.160s and %.160s", a->name, first,
                          second);
}

static void add_maker(order *o, const char *name, int kind, int index)
{
    if (name[0]) {
        o->makers[o->maker_count++] = (maker){name, kind, index};
    }
}

/** Sorts all names and drops inputs that are initializers, as files before IR version 4 list them. */
static bcam_status collect_makers(order *o)
{
    bcam_graph *graph = o->graph;
    size_t count = (size_t)graph->initializer_count + (size_t)graph->input_count;
    for (int k = 0; k < graph->node_count; k++) {
        count += (size_t)graph->nodes[k].output_count;
    }
    o->makers = bcam_alloc(count ? count : 1, sizeof *o->makers);
    if (!o->makers) {
        return bcam_fail_memory(o->reader->err, count * sizeof *o->makers, "the names in the model");
    }
    for (int k = 0; k < graph->initializer_count; k++) {
        add_maker(o, graph->initializers[k].name, MADE_BY_INITIALIZER, k);
    }
    for (int k = 0; k < graph->input_count; k++) {
        add_maker(o, graph->inputs[k].name, MADE_BY_INPUT, k);
    }
    for (int k = 0; k < graph->node_count; k++) {
        for (int j = 0; j < graph->nodes[k].output_count; j++) {
            add_maker(o, graph->nodes[k].outputs[j], MADE_BY_NODE, k);
        }
    }
    qsort(o->makers, o->maker_count, sizeof *o->makers, compare_makers);
    for (size_t k = 1; k < o->maker_count; k++) {
        const maker *a = &o->makers[k - 1], *b = &o->makers[k];
        if (strcmp(a->name, b->name) != 0) {
            continue;
        }
        if (a->kind != MADE_BY_INITIALIZER || b->kind != MADE_BY_INPUT) {
            return made_twice(o, a, b);
        }
        graph->inputs[b->index].name = NULL;
    }
    return BCAM_OK;
}

static void drop_inputs(bcam_graph *graph)
{
    int kept = 0;
    for (int k = 0; k < graph->input_count; k++) {
        if (graph->inputs[k].name) {
            graph->inputs[kept++] = graph->inputs[k];
        }
    }
    graph->input_count = kept;
}

/* ---- edges ---- */

static bcam_status link_nodes(order *o)
{
    bcam_graph *graph = o->graph;
    size_t nodes = (size_t)graph->node_count, edges = 0;
    for (size_t k = 0; k < nodes; k++) {
        edges += (size_t)graph->nodes[k].input_count;
    }
    o->first = bcam_alloc(nodes + 1, sizeof *o->first);
    o->from = bcam_alloc(edges + 1, sizeof *o->from);
    if (!o->first || !o->from) {
        return bcam_fail_memory(o->reader->err, edges * sizeof *o->from, "the model's edges");
    }
    for (size_t k = 0, edge = 0; k < nodes; k++) {
        const bcam_node *node = &graph->nodes[k];
        for (int j = 0; j < node->input_count; j++, edge++) {
            const maker *m = node->inputs[j][0] ? find_maker(o, node->inputs[j]) : NULL;
            if (!m && node->inputs[j][0]) {
                char label[BCAM_LABEL];
                bcam_node_label(graph, node, label);
                return bcam_read_fail(o->reader, BCAM_E_MODEL,
                                      "%s reads '%.200s', which no node makes and which is no input or initializer",
                                      label, node->inputs[j]);
            }
            o->from[edge] = m && m->kind == MADE_BY_NODE ? m->index : -1;
        }
        o->first[k + 1] = edge;
    }
    for (int k = 0; k < graph->output_count; k++) {
        if (!find_maker(o, graph->outputs[k].name)) {
            return bcam_read_fail(o->reader, BCAM_E_MODEL, "the graph's output '%.200s' is made by no node",
                                  graph->outputs[k].name);
        }
    }
    return BCAM_OK;
}

static bool in_order(const order *o)
{
    for (int k = 0; k < o->graph->node_count; k++) {
        for (size_t edge = o->first[k]; edge < o->first[k + 1]; edge++) {
            if (o->from[edge] >= k) {
                return false;
            }
        }
    }
    return true;
}

/* ---- sorting: of the nodes that are ready, the one that stands first in the file comes next ---- */

static void heap_push(order *o, int node)
{
    int at = o->heap_count++;
    for (; at > 0 && o->heap[(at - 1) / 2] > node; at = (at - 1) / 2) {
        o->heap[at] = o->heap[(at - 1) / 2];
    }
    o->heap[at] = node;
}

static int heap_pop(order *o)
{
    int least = o->heap[0], last = o->heap[--o->heap_count], at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child + 1 < o->heap_count && o->heap[child + 1] < o->heap[child]) {
            child++;
        }
        if (child >= o->heap_count || o->heap[child] >= last) {
            break;
        }
        o->heap[at] = o->heap[child];
        at = child;
    }
    o->heap[at] = last;
    return least;
}

static bcam_status prepare_sort(order *o)
{
    size_t nodes = (size_t)o->graph->node_count, edges = o->first[nodes];
    o->begin = bcam_alloc(nodes + 2, sizeof *o->begin);
    o->readers = bcam_alloc(edges + 1, sizeof *o->readers);
    o->waiting = bcam_alloc(nodes, sizeof *o->waiting);
    o->sorted = bcam_alloc(nodes, sizeof *o->sorted);
    o->heap = bcam_alloc(nodes, sizeof *o->heap);
    if (!o->begin || !o->readers || !o->waiting || !o->sorted || !o->heap) {
        return bcam_fail_memory(o->reader->err, edges * sizeof *o->readers, "the order of the model's nodes");
    }
    for (size_t edge = 0; edge < edges;
         edge++) { /* counted two places up, so that filling in moves each begin to where it belongs */
        if (o->from[edge] >= 0) {
            o->begin[o->from[edge] + 2]++;
        }
    }
    for (size_t k = 2; k < nodes + 2; k++) {
        o->begin[k] += o->begin[k - 1];
    }
    for (size_t k = 0; k < nodes; k++) {
        for (size_t edge = o->first[k]; edge < o->first[k + 1]; edge++) {
            if (o->from[edge] >= 0) {
                o->readers[o->begin[o->from[edge] + 1]++] = (int)k;
                o->waiting[k]++;
            }
        }
    }
    return BCAM_OK;
}

/** Every node that is left reads one that is left too: walking from reader to maker comes back to a node, and that one
 *  is on a cycle. */
static bcam_status name_cycle(order *o)
{
    char label[BCAM_LABEL];
    int at = 0;
    while (o->waiting[at] == 0) {
        at++;
    }
    while (o->waiting[at] > 0) {
        size_t edge = o->first[at];
        o->waiting[at] = -1; /* seen */
        while (o->from[edge] < 0 || o->waiting[o->from[edge]] == 0) {
            edge++;
        }
        at = o->from[edge];
    }
    bcam_node_label(o->graph, &o->graph->nodes[at], label);
    return bcam_read_fail(o->reader, BCAM_E_MODEL, "its nodes form a cycle: %s reads, by way of others, what it makes",
                          label);
}

static bcam_status sort_nodes(order *o)
{
    int nodes = o->graph->node_count, done = 0;
    for (int k = 0; k < nodes; k++) {
        if (o->waiting[k] == 0) {
            heap_push(o, k);
        }
    }
    while (o->heap_count) {
        int node = heap_pop(o);
        o->sorted[done++] = node;
        for (size_t k = o->begin[node]; k < o->begin[node + 1]; k++) {
            if (--o->waiting[o->readers[k]] == 0) {
                heap_push(o, o->readers[k]);
            }
        }
    }
    if (done < nodes) {
        return name_cycle(o);
    }
    bcam_node *moved = bcam_read_alloc(o->reader, (size_t)nodes, sizeof *moved);
    if (!moved) {
        return BCAM_E_MEMORY;
    }
    for (int k = 0; k < nodes; k++) {
        moved[k] = o->graph->nodes[o->sorted[k]];
    }
    o->graph->nodes = moved;
    return BCAM_OK;
}

bcam_status bcam_read_order(bcam_reader *reader)
{
    order o = {.reader = reader, .graph = reader->graph};
    bcam_status status = collect_makers(&o);
    status = status ? status : link_nodes(&o);
    if (!status && !in_order(&o)) {
        status = prepare_sort(&o);
        status = status ? status : sort_nodes(&o);
    }
    drop_inputs(reader->graph);
    bcam_free(o.makers);
    bcam_free(o.first);
    bcam_free(o.from);
    bcam_free(o.begin);
    bcam_free(o.readers);
    bcam_free(o.waiting);
    bcam_free(o.sorted);
    bcam_free(o.heap);
    return status;
}
