/* walk.c - strided tensors as few long rows. */
#include <stdlib.h>

#include "cpu/walk.h"

typedef struct axis {
    int64_t dim, stride[BCAM_WALK_OPS];
} axis;

static bool is_outside(const axis *a, const axis *b, int ops)
{
    for (int i = 0; i < ops; i++) {
        int64_t x = llabs(a->stride[i]), y = llabs(b->stride[i]);
        if (x != y && x != 0 && y != 0)
            return x > y;
    }
    return false;
}

static bool end_to_end(const axis *outer, const axis *inner, int ops)
{
    for (int i = 0; i < ops; i++)
        if (outer->stride[i] != inner->stride[i] * inner->dim)
            return false;
    return true;
}

/* Axes longer than 1, slowest first, merged where possible; at least one. */
static int sorted_axes(axis *axes, int rank, const int64_t *dim, int ops, const int64_t *const stride[])
{
    int count = 0, merged = 0;
    for (int a = 0; a < rank; a++) {
        if (dim[a] == 1)
            continue;
        axis next = {.dim = dim[a]};
        for (int i = 0; i < ops; i++)
            next.stride[i] = stride[i][a];
        int at = count++;
        for (; at > 0 && is_outside(&next, &axes[at - 1], ops); at--)
            axes[at] = axes[at - 1];
        axes[at] = next;
    }
    if (count == 0)
        axes[count++] = (axis){.dim = 1};
    for (int a = 1; a < count; a++) {
        if (end_to_end(&axes[merged], &axes[a], ops))
            axes[a].dim *= axes[merged].dim;
        else
            merged++;
        axes[merged] = axes[a];
    }
    return merged + 1;
}

void bcam_walk_init(bcam_walk *walk, int rank, const int64_t *dim, int ops, const int64_t *const stride[],
                    int64_t block)
{
    axis axes[BCAM_MAX_RANK];
    int count = sorted_axes(axes, rank, dim, ops, stride);
    const axis *inner = &axes[count - 1];
    *walk = (bcam_walk){.ops = ops, .rank = count, .rows = 1, .inner = inner->dim, .block = block};
    for (int a = 0; a < count; a++) {
        bool last = a == count - 1;
        walk->dim[a] = last ? (inner->dim + block - 1) / block : axes[a].dim;
        walk->rows *= walk->dim[a];
        for (int i = 0; i < ops; i++)
            walk->step[i][a] = axes[a].stride[i] * (last ? block : 1);
    }
    for (int i = 0; i < ops; i++)
        walk->stride[i] = inner->stride[i];
}

int64_t bcam_walk_row(const bcam_walk *walk, int64_t row, int64_t at[BCAM_WALK_OPS])
{
    for (int i = 0; i < walk->ops; i++)
        at[i] = 0;
    int64_t first = 0;
    for (int a = walk->rank - 1; a >= 0; a--) {
        int64_t index = row % walk->dim[a];
        row /= walk->dim[a];
        if (a == walk->rank - 1)
            first = index * walk->block;
        for (int i = 0; i < walk->ops; i++)
            at[i] += index * walk->step[i][a];
    }
    return walk->inner - first < walk->block ? walk->inner - first : walk->block;
}

void bcam_walk_broadcast(const bcam_tensor *t, int rank, const int64_t *dim, int64_t *stride)
{
    for (int a = 0; a < rank; a++) {
        int own = a - (rank - t->rank);
        stride[a] = own < 0 || t->dim[own] != dim[a] ? 0 : t->stride[own];
    }
}
