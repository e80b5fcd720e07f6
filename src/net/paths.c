/* paths.c - which module of PyTorch each node belongs to, as the exporters wrote it down. docs/layers.md tells the rules. */
#include <string.h>

#include "net/net_private.h"

/* The newer PyTorch exporter keeps a list of scopes as text: "['', 'layer4', 'layer4.0', 'layer4.0.conv3', 'conv2d_3']". The last one is the
 * call itself, the one before it the module. */
static char *path_from_scopes(bcam_pool *pool, const char *scopes)
{
    const char *last = NULL, *before = NULL;
    size_t last_length = 0, before_length = 0;
    for (const char *p = scopes; (p = strpbrk(p, "'\"")) != NULL;) {
        const char *end = strchr(p + 1, *p);
        if (!end)
            break;
        before = last;
        before_length = last_length;
        last = p + 1;
        last_length = (size_t)(end - last);
        p = end + 1;
    }
    if (!before || strncmp(before, "_empty_nn_module_stack", 22) == 0)
        before_length = 0;
    return bcam_pool_strndup(pool, before ? before : "", before_length);
}

/* The older exporter writes "/layer4/layer4.0/conv3/Conv": a child of a Sequential repeats its parent's name with a dot, other modules come
 * with their own name alone, and the last part is the operator. */
static char *path_from_name(bcam_pool *pool, const char *name)
{
    char *path = bcam_pool_alloc(pool, 2 * strlen(name) + 2, 1);
    if (!path || *name != '/')
        return path;
    const char *before = "", *token = name + 1;
    size_t before_length = 0, length = 0;
    for (const char *slash; (slash = strchr(token, '/')) != NULL; token = slash + 1) {
        size_t size = (size_t)(slash - token);
        bool repeats = before_length && size > before_length && strncmp(token, before, before_length) == 0 &&
                       token[before_length] == '.';
        if (repeats)
            length -= before_length;
        else if (length)
            path[length++] = '.';
        memcpy(path + length, token, size);
        length += size;
        path[length] = '\0';
        before = token;
        before_length = size;
    }
    return path;
}

bool bcam_is_inside(const char *path, const char *module)
{
    size_t length = strlen(module);
    return strncmp(path, module, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

/* NULL for a node of which nothing is known, until bcam_paths_adopt(). */
bcam_status bcam_paths_make(bcam_net *net)
{
    for (int i = 0; i < net->graph->node_count; i++) {
        const bcam_node *node = &net->graph->nodes[i];
        const char *scopes = bcam_pair_find(node->metadata, node->metadata_count, "pkg.torch.onnx.name_scopes");
        if (!scopes && *node->name != '/')
            continue;
        net->paths[i] =
            scopes ? path_from_scopes(&net->plan.pool, scopes) : path_from_name(&net->plan.pool, node->name);
        if (!net->paths[i])
            return BCAM_E_MEMORY;
    }
    return BCAM_OK;
}

/* ---- nodes without a module ---- */

typedef struct shared {
    const char *path; /* NULL: no neighbour yet */
    size_t length;
} shared;

/* What a module's path has in common with another's, in whole names. */
static void share(shared *s, const char *path)
{
    size_t whole = 0;
    if (!s->path)
        *s = (shared){path, strlen(path)};
    for (size_t n = 0;; n++) {
        bool end = n == s->length || path[n] == '\0';
        if ((n == s->length || s->path[n] == '.') && (path[n] == '\0' || path[n] == '.'))
            whole = n;
        if (end || s->path[n] != path[n])
            break;
    }
    s->length = whole;
}

/* What an exporter's optimiser put in (a Split in place of many slices) has no module: it belongs to the innermost one that all its neighbours
 * are known to be in. */
bcam_status bcam_paths_adopt(bcam_net *net)
{
    shared *around = bcam_alloc((size_t)net->graph->node_count + 1, sizeof *around);
    if (!around)
        return BCAM_E_MEMORY;
    for (size_t e = 0; e < net->edge_count; e++) {
        int maker = net->edges[e].maker, reader = net->edges[e].reader;
        const char *from = net->paths[maker], *to = reader < 0 ? "" : net->paths[reader];
        if (!from)
            share(&around[maker], to ? to : "");
        if (!to)
            share(&around[reader], from ? from : "");
    }
    bcam_status status = BCAM_OK;
    for (int i = 0; i < net->graph->node_count && status == BCAM_OK; i++)
        if (!net->paths[i]) {
            net->paths[i] = around[i].path ? bcam_pool_strndup(&net->plan.pool, around[i].path, around[i].length) : "";
            status = net->paths[i] ? BCAM_OK : BCAM_E_MEMORY;
        }
    bcam_free(around);
    return status;
}
