/* names.c - target layers: from the names that users know to values of the plan. docs/layers.md tells the rules. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_private.h"

/* ---- edges ---- */

static int photo_value(const bcam_net *net, const char *tensor)
{
    int value = *tensor ? bcam_map_get(&net->lower.map, tensor) : -1;
    return value >= 0 && net->plan.values[value].role == BCAM_ROLE_WORK ? value : -1;
}

static bool add_edge(bcam_net *net, size_t *capacity, bcam_edge edge)
{
    if (!bcam_grow(&net->edges, capacity, net->edge_count, sizeof *net->edges))
        return false;
    net->edges[net->edge_count++] = edge;
    return true;
}

static bcam_status make_edges(bcam_net *net, bcam_name_map *makers)
{
    size_t capacity = 0;
    for (int i = 0; i < net->graph->node_count; i++) {
        const bcam_node *node = &net->graph->nodes[i];
        for (int k = 0; net->needed[i] && k < node->input_count; k++) {
            int value = photo_value(net, node->inputs[k]),
                maker = value < 0 ? -1 : bcam_map_get(makers, node->inputs[k]);
            if (maker >= 0 && !add_edge(net, &capacity, (bcam_edge){maker, i, value, node->inputs[k]}))
                return BCAM_E_MEMORY;
        }
        for (int o = 0; o < node->output_count; o++)
            if (!bcam_map_put(makers, node->outputs[o], i))
                return BCAM_E_MEMORY;
    }
    int value = photo_value(net, net->path.logits);
    bool fits =
        net->score_maker < 0 || add_edge(net, &capacity, (bcam_edge){net->score_maker, -1, value, net->path.logits});
    return fits ? BCAM_OK : BCAM_E_MEMORY;
}

/* Every module that the edge leaves: its maker's, and those around it that its reader is not in. */
static bool note_modules(bcam_net *net, const bcam_edge *edge)
{
    const char *path = net->paths[edge->maker];
    for (size_t length = strlen(path); length > 0; length--) {
        if (path[length] != '\0' && path[length] != '.')
            continue;
        char *module = bcam_pool_strndup(&net->plan.pool, path, length);
        if (!module)
            return false;
        if (edge->reader >= 0 && bcam_is_inside(net->paths[edge->reader], module))
            return true;
        int known = bcam_map_get(&net->modules, module);
        if (!bcam_map_put(&net->modules, module, known == -1 || known == edge->value ? edge->value : BCAM_SEVERAL))
            return false;
    }
    return true;
}

bcam_status bcam_names_prepare(bcam_net *net, bcam_error *err)
{
    bcam_name_map makers = {0};
    net->paths = bcam_alloc((size_t)net->graph->node_count + 1, sizeof *net->paths);
    bcam_status status = net->paths ? bcam_paths_make(net) : BCAM_E_MEMORY;
    if (status == BCAM_OK)
        status = bcam_pictures_mark(net);
    if (status == BCAM_OK)
        status = make_edges(net, &makers);
    bcam_map_fini(&makers);
    if (status == BCAM_OK)
        status = bcam_paths_adopt(net);
    if (status == BCAM_OK)
        status = bcam_pictures_keep_named(net);
    for (size_t e = 0; status == BCAM_OK && e < net->edge_count; e++)
        if (!note_modules(net, &net->edges[e]))
            status = BCAM_E_MEMORY;
    return status == BCAM_OK
               ? BCAM_OK
               : bcam_fail(err, status, "out of memory while reading the names of '%s'", net->graph->path);
}

/* ---- one name ---- */

typedef struct found {
    int maker, value;
    const char *tensor;
} found;

/* What is made in a module and read outside it: each value once, at most `most`. Returns how many there are. */
static int module_outputs(const bcam_net *net, const char *module, found *out, int most)
{
    int count = 0;
    for (size_t e = 0; e < net->edge_count; e++) {
        const bcam_edge *edge = &net->edges[e];
        if (!bcam_is_inside(net->paths[edge->maker], module) ||
            (edge->reader >= 0 && bcam_is_inside(net->paths[edge->reader], module)))
            continue;
        bool known = false;
        for (int i = 0; i < count && i < most; i++)
            known |= out[i].value == edge->value;
        if (!known && count < most)
            out[count] = (found){edge->maker, edge->value, edge->tensor};
        count += !known;
    }
    return count;
}

static int node_reading(const bcam_net *net, const char *tensor)
{
    for (int i = 0; i < net->graph->node_count; i++)
        for (int k = 1; net->needed[i] && k < net->graph->nodes[i].input_count; k++)
            if (strcmp(net->graph->nodes[i].inputs[k], tensor) == 0)
                return i;
    return -1;
}

static const char *weights_of(const bcam_node *node)
{
    return strcmp(node->op, "Conv") == 0 && node->input_count > 1 ? node->inputs[1] : NULL;
}

/* The older exporter renames the weights of a convolution into which it folded a batch norm: "onnx::Conv_61". */
static bool is_folded_conv(const bcam_node *node)
{
    const char *weights = weights_of(node);
    return weights && strncmp(weights, "onnx::Conv_", 11) == 0;
}

/* The newer exporter keeps the weights' name and gives the convolution the batch norm's place among the modules. */
static void note_folding(const bcam_net *net, int maker, const char *name, bcam_target *out)
{
    const bcam_node *node = &net->graph->nodes[maker];
    const char *weights = weights_of(node), *norm = net->paths[maker];
    const char *suffix = weights ? strstr(weights, ".weight") : NULL;
    size_t length = suffix ? (size_t)(suffix - weights) : 0;
    if (is_folded_conv(node))
        snprintf(
            out->note, sizeof out->note,
            "the exporter folded the batch norm that follows into this convolution: it stands for the output after the batch norm");
    else if (!length || suffix[7] || !*norm || (strncmp(norm, weights, length) == 0 && !norm[length]))
        return;
    else if (strcmp(norm, name) == 0)
        snprintf(
            out->note, sizeof out->note,
            "the exporter folded this batch norm into the convolution before it: it stands for the output of both");
    else if (strncmp(name, weights, length) == 0 && !name[length])
        snprintf(
            out->note, sizeof out->note,
            "the exporter folded batch norm '%.200s' into this convolution: it stands for the output after the batch norm",
            norm);
}

static bcam_status accept(const bcam_net *net, const char *name, found f, bcam_target *out, bcam_error *err)
{
    const bcam_value *v = &net->plan.values[f.value];
    if (v->rank != 4)
        return bcam_fail(
            err, BCAM_E_LAYER,
            "layer '%s' ('%s') has no rows and columns any more (rank %d); choose one before the head, see `batchcam inspect`",
            name, f.tensor, v->rank);
    if (net->order[f.value] != BCAM_IN_ORDER && net->order[f.value] != BCAM_CHANNELS_LAST)
        return bcam_fail(
            err, BCAM_E_LAYER,
            "layer '%s' ('%s') is transposed: its axes are neither (N,C,H,W) nor (N,H,W,C); choose the one before it",
            name, f.tensor);
    int64_t dim[3];
    bcam_picture_dims(net, f.value, dim);
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->tensor, sizeof out->tensor, "%s", f.tensor);
    out->value = f.value;
    out->channels = (int)dim[0];
    out->height = (int)dim[1];
    out->width = (int)dim[2];
    if (f.maker >= 0)
        note_folding(net, f.maker, name, out);
    return BCAM_OK;
}

/* A batch norm that the older exporter folded has no node left. Its convolution is the sibling of the same number (bn3: conv3), or, in a
 * Sequential, the one before it (downsample.1: downsample.0). */
static bool find_folded_norm(const bcam_net *net, const char *name, char *sibling, size_t size, found *out)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name, *digits = last + strcspn(last, "0123456789");
    int number;
    if (!*digits || sscanf(digits, "%6d", &number) != 1)
        return false;
    if (digits == last)
        snprintf(sibling, size, "%.*s%d", (int)(last - name), name, number - 1);
    else if (strncasecmp(last, "bn", 2) == 0 || strncasecmp(last, "norm", 4) == 0)
        snprintf(sibling, size, "%.*sconv%s", (int)(last - name), name, digits);
    else
        return false;
    return module_outputs(net, sibling, out, 1) == 1 && is_folded_conv(&net->graph->nodes[out->maker]);
}

static bcam_status fail_several(const char *name, const found *several, int count, bcam_error *err)
{
    char list[512];
    size_t used = 0;
    for (int i = 0; i < count && i < 4 && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s'", i ? ", " : "", several[i].tensor);
    return bcam_fail(err, BCAM_E_LAYER,
                     "module '%s' has %d outputs that are read outside it (%s%s); name one of these tensors", name,
                     count, list, count > 4 ? ", …" : "");
}

static bcam_status fail_unknown(const bcam_net *net, const char *name, bcam_error *err)
{
    bcam_candidate *list = NULL;
    size_t count = 0;
    char near[512] = "";
    if (bcam_net_candidates(net, &list, &count, NULL) == BCAM_OK && count) {
        const char **names = bcam_alloc(count, sizeof *names);
        for (size_t i = 0; names && i < count; i++)
            names[i] = list[i].target.name;
        if (names)
            bcam_nearest(name, names, count, near, sizeof near);
        bcam_free(names);
    }
    bcam_free(list);
    return bcam_fail(err, BCAM_E_LAYER, "there is no layer '%s'%s%s%s `batchcam inspect` lists them", name,
                     *near ? "; did you mean " : "", near, *near ? "?" : ";");
}

static bcam_status resolve(const bcam_net *net, const char *name, bcam_target *out, bcam_error *err)
{
    enum { MOST = 8 };
    found several[MOST];
    char sibling[300];
    /* (1) a tensor or a node */
    int value = photo_value(net, name);
    if (value >= 0)
        return accept(net, name, (found){-1, value, name}, out, err);
    for (int i = 0; i < net->graph->node_count; i++) {
        const bcam_node *node = &net->graph->nodes[i];
        if (net->needed[i] && *name && strcmp(node->name, name) == 0 &&
            (value = photo_value(net, node->outputs[0])) >= 0)
            return accept(net, name, (found){i, value, node->outputs[0]}, out, err);
    }
    /* (2), (3) a module */
    int count = *name ? module_outputs(net, name, several, MOST) : 0;
    if (count == 1)
        return accept(net, name, several[0], out, err);
    if (count > 1)
        return fail_several(name, several, count < MOST ? count : MOST, err);
    /* (4) the module's weights */
    snprintf(sibling, sizeof sibling, "%.280s.weight", name);
    int reader = node_reading(net, sibling);
    if (reader >= 0 && (value = photo_value(net, net->graph->nodes[reader].outputs[0])) >= 0)
        return accept(net, name, (found){reader, value, net->graph->nodes[reader].outputs[0]}, out, err);
    /* (5) a batch norm that the exporter folded away */
    if (find_folded_norm(net, name, sibling, sizeof sibling, &several[0])) {
        bcam_status status = accept(net, name, several[0], out, err);
        snprintf(out->note, sizeof out->note,
                 "the exporter folded this batch norm into convolution '%.200s', whose output it stands for", sibling);
        return status;
    }
    return fail_unknown(net, name, err);
}

/* ---- all of them, and the default ---- */

/* The shortest module whose only output the edge carries, else the tensor's own name. Returns whether there is such a module. */
static bool module_of(const bcam_net *net, const bcam_edge *edge, char name[256])
{
    char module[256];
    bool any = false;
    snprintf(name, 256, "%s", edge->tensor);
    snprintf(module, sizeof module, "%s", net->paths[edge->maker]);
    while (*module) {
        if (bcam_map_get(&net->modules, module) == edge->value) {
            snprintf(name, 256, "%s", module);
            any = true;
        }
        char *dot = strrchr(module, '.');
        *(dot ? dot : module) = '\0';
    }
    return any;
}

static bool is_module(const bcam_net *net, int value)
{
    char name[256];
    for (size_t e = 0; e < net->edge_count; e++)
        if (net->edges[e].value == value && module_of(net, &net->edges[e], name))
            return true;
    return false;
}

/* An activation that is a call outside all modules (DenseNet's last) has no name but its tensor's; what goes into it has the one that users know. */
static int before_call(const bcam_net *net, const bcam_step *last)
{
    int x = last->in[0], y = last->out[0];
    bool call = last->verb == BCAM_VERB_UNARY && x >= 0 && net->spatial[x] && !is_module(net, y) && is_module(net, x);
    return call ? x : y;
}

/* All steps of the plan lead to the score. Values that already hold one map per score (SqueezeNet's last convolution) belong to the head. */
static int default_value(const bcam_net *net)
{
    const bcam_step *best = NULL, *fallback = NULL;
    for (size_t s = 0; s < net->plan.step_count; s++) {
        const bcam_step *step = &net->plan.steps[s];
        if (!net->spatial[step->out[0]])
            continue;
        int64_t dim[3];
        bcam_picture_dims(net, step->out[0], dim);
        fallback = step;
        if (dim[0] != net->info.units)
            best = step;
    }
    best = best ? best : fallback;
    return best ? before_call(net, best) : -1;
}

static bcam_status name_value(const bcam_net *net, const bcam_edge *edge, bcam_target *out)
{
    char name[256];
    module_of(net, edge, name);
    return accept(net, name, (found){edge->maker, edge->value, edge->tensor}, out, NULL);
}

static int by_value(const void *a, const void *b)
{
    return ((const bcam_candidate *)a)->target.value - ((const bcam_candidate *)b)->target.value;
}

bcam_status bcam_net_candidates(const bcam_net *net, bcam_candidate **out, size_t *count, bcam_error *err)
{
    int chosen = default_value(net);
    bool *known = bcam_alloc(net->plan.value_count, sizeof *known);
    size_t most = 0;
    for (size_t v = 0; v < net->plan.value_count; v++)
        most += net->spatial[v];
    bcam_candidate *list = known ? bcam_alloc(most + 1, sizeof *list) : NULL;
    if (!list) {
        bcam_free(known);
        return bcam_fail_memory(err, most * sizeof *list, "the list of layers");
    }
    *count = 0;
    for (size_t e = 0; e < net->edge_count; e++) {
        const bcam_edge *edge = &net->edges[e];
        if (edge->value < 0 || known[edge->value] || !net->spatial[edge->value] ||
            name_value(net, edge, &list[*count].target) != BCAM_OK)
            continue;
        known[edge->value] = true;
        list[*count].type = net->graph->nodes[edge->maker].op;
        list[*count].is_default = edge->value == chosen;
        ++*count;
    }
    bcam_free(known);
    qsort(list, *count, sizeof *list, by_value);
    *out = list;
    return BCAM_OK;
}

bcam_status bcam_net_target(const bcam_net *net, const char *name, bcam_target *out, bcam_error *err)
{
    *out = (bcam_target){0};
    if (name)
        return resolve(net, name, out, err);
    int value = default_value(net);
    for (size_t e = 0; e < net->edge_count && value >= 0; e++)
        if (net->edges[e].value == value) {
            bcam_status status = name_value(net, &net->edges[e], out);
            if (!*out->note)
                snprintf(out->note, sizeof out->note,
                         "the default: the last layer with rows and columns before the head");
            return status;
        }
    return bcam_fail(err, BCAM_E_LAYER, "'%s' has no layer with rows and columns; there is nothing to draw a map on",
                     net->graph->path);
}
