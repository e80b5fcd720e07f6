/* const_reduce.c - reductions of constants: shapes' products, and weights that are normalised by the network itself. */
#include <math.h>
#include <string.h>

#include "net/lower.h"

typedef struct reduction {
    const char *op;
    double start;
    double (*step)(double so_far, double x);
    double (*end)(double sum, double count); /* NULL: as it is */
    bool keeps_integers;
} reduction;

static double add(double a, double x)
{
    return a + x;
}

static double add_size(double a, double x)
{
    return a + fabs(x);
}

static double add_square(double a, double x)
{
    return a + x * x;
}

static double times(double a, double x)
{
    return a * x;
}

static double larger(double a, double x)
{
    return x > a || x != x ? x : a;
}

static double smaller(double a, double x)
{
    return x < a || x != x ? x : a;
}

static double mean_of(double sum, double count)
{
    return sum / count;
}

static double root_of(double sum, double count)
{
    (void)count;
    return sqrt(sum);
}

static const reduction reductions[] = {
    {"ReduceL1", 0, add_size, NULL, true},
    {"ReduceL2", 0, add_square, root_of, false},
    {"ReduceMax", -INFINITY, larger, NULL, true},
    {"ReduceMean", 0, add, mean_of, false},
    {"ReduceMin", INFINITY, smaller, NULL, true},
    {"ReduceProd", 1, times, NULL, true},
    {"ReduceSum", 0, add, NULL, true},
    {"ReduceSumSquare", 0, add_square, NULL, true},
};

/* Which element of the result element i goes into. */
static int64_t place_of(const bcam_value *v, unsigned axes, int64_t i)
{
    int64_t at = 0, stride = 1;
    for (int a = v->rank - 1; a >= 0; a--) {
        int64_t index = i % v->dim[a];
        i /= v->dim[a];
        if (axes >> a & 1)
            continue;
        at += index * stride;
        stride *= v->dim[a];
    }
    return at;
}

static void reduce(const reduction *how, const bcam_value *v, unsigned axes, int64_t count, const double *x, double *y)
{
    int64_t total = bcam_count(v->rank, v->dim);
    for (int64_t i = 0; i < count; i++)
        y[i] = how->start;
    for (int64_t i = 0; i < total; i++) {
        double *sum = y + place_of(v, axes, i);
        *sum = how->step(*sum, x[i]);
    }
    for (int64_t i = 0; how->end && i < count; i++)
        y[i] = how->end(y[i], (double)(total / (count ? count : 1)));
}

bcam_status bcam_fold_reduce(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank = 0;
    unsigned axes = 0;
    int64_t dim[BCAM_MAX_RANK];
    size_t i = 0;
    while (i < BCAM_COUNT(reductions) && strcmp(reductions[i].op, node->op) != 0)
        i++;
    if (i == BCAM_COUNT(reductions))
        return bcam_fold_none(lo, node, err);
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_reduce_axes(lo, node, bcam_val(lo, x)->rank, &axes, err);
    if (status != BCAM_OK || !axes)
        return status != BCAM_OK ? status : bcam_bind(lo, node, x, err);
    const bcam_value v = *bcam_val(lo, x);
    bool keep = bcam_attr_int(node, "keepdims", 1) != 0;
    for (int a = 0; a < v.rank; a++)
        if (!(axes >> a & 1) || keep)
            dim[rank++] = axes >> a & 1 ? 1 : v.dim[a];
    int64_t total = bcam_count(v.rank, v.dim), count = bcam_count(rank, dim);
    status = bcam_charge(lo, node, total, err);
    double *read = status == BCAM_OK ? bcam_alloc((size_t)(total + count) + 1, sizeof *read) : NULL;
    if (!read)
        return status == BCAM_OK ? bcam_op_memory(node, err) : status;
    bcam_const_read(&v, BCAM_F64, read);
    reduce(&reductions[i], &v, axes, count, read, read + total);
    status =
        bcam_const_store(lo, node, v.dtype == BCAM_I64 && reductions[i].keeps_integers, rank, dim, read + total, err);
    bcam_free(read);
    return status;
}

/* CumSum: the sum up to every element along an axis; `exclusive`: without itself, `reverse`: from the end. */
static void accumulate(const bcam_value *v, int axis, bool exclusive, bool reverse, double *x)
{
    int64_t length = v->dim[axis], inner = bcam_count(v->rank - axis - 1, v->dim + axis + 1),
            outer = bcam_count(axis, v->dim);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double sum = 0;
            for (int64_t k = 0; k < length; k++) {
                double *at = x + (o * length + (reverse ? length - 1 - k : k)) * inner + i, before = sum;
                sum += *at;
                *at = exclusive ? before : sum;
            }
        }
}

bcam_status bcam_fold_cumsum(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, where, axis = 0, ones = 0;
    int64_t given = 0;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &where, err);
    if (status == BCAM_OK)
        status = bcam_ints(lo, node, where, &given, 1, &ones, err);
    if (status == BCAM_OK)
        status = bcam_axis(node, given, bcam_val(lo, x)->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    int64_t count = bcam_count(v.rank, v.dim);
    status = bcam_charge(lo, node, count, err);
    double *numbers = status == BCAM_OK ? bcam_alloc((size_t)count + 1, sizeof *numbers) : NULL;
    if (!numbers)
        return status == BCAM_OK ? bcam_op_memory(node, err) : status;
    bcam_const_read(&v, BCAM_F64, numbers);
    accumulate(&v, axis, bcam_attr_int(node, "exclusive", 0) != 0, bcam_attr_int(node, "reverse", 0) != 0, numbers);
    status = bcam_const_store(lo, node, v.dtype == BCAM_I64, v.rank, v.dim, numbers, err);
    bcam_free(numbers);
    return status;
}
