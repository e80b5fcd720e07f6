/* const_math.c - arithmetic on constants: what exporters write out to compute shapes, and what they forgot to fold. In double, or in int64
 * where all operands are integers. */
#include <math.h>
#include <string.h>

#include "net/lower.h"

/* ---- broadcasting ---- */

bcam_status bcam_broadcast(const bcam_node *node, const bcam_value *const *v, int count, int *rank, int64_t *dim,
                           bcam_error *err)
{
    *rank = 0;
    for (int i = 0; i < count; i++)
        *rank = v[i]->rank > *rank ? v[i]->rank : *rank;
    for (int a = 0; a < *rank; a++) {
        dim[a] = 1;
        for (int i = 0; i < count; i++) {
            int own = a - (*rank - v[i]->rank);
            int64_t d = own < 0 ? 1 : v[i]->dim[own];
            if (d != 1 && dim[a] != 1 && d != dim[a])
                return bcam_op_fail(node, err, "its inputs' dimensions %lld and %lld do not fit", (long long)dim[a],
                                    (long long)d);
            dim[a] = dim[a] == 1 ? d : dim[a];
        }
    }
    return BCAM_OK;
}

bcam_value bcam_broadcast_view(const bcam_value *v, int rank, const int64_t *dim)
{
    bcam_value view = *v;
    int shift = rank - v->rank;
    view.rank = rank;
    for (int a = 0; a < rank; a++) {
        bool repeated = a < shift || v->dim[a - shift] != dim[a];
        view.dim[a] = dim[a];
        view.data_stride[a] = repeated ? 0 : v->data_stride[a - shift];
    }
    return view;
}

/* ---- functions of one number ---- */

static double relu(double x)
{
    return x < 0 ? 0 : x;
}

static double negated(double x)
{
    return -x;
}

static double inverse(double x)
{
    return 1 / x;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double sign_of(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}

static double is_zero(double x)
{
    return x == 0;
}

static const struct {
    const char *op;
    double (*f)(double);
    bool keeps_integers;
} functions[] = {
    {"Abs", fabs, true},     {"Ceil", ceil, true},
    {"Cos", cos, false},     {"Erf", erf, false},
    {"Exp", exp, false},     {"Floor", floor, true},
    {"Log", log, false},     {"Neg", negated, true},
    {"Not", is_zero, true},  {"Reciprocal", inverse, false},
    {"Relu", relu, true},    {"Sigmoid", sigmoid, false},
    {"Sign", sign_of, true}, {"Sin", sin, false},
    {"Sqrt", sqrt, false},   {"Tanh", tanh, false},
};

/* Numbers of a constant in double, and back into a new one; integers stay integers where they can. */
bcam_status bcam_const_store(bcam_lower *lo, const bcam_node *node, bool integer, int rank, const int64_t *dim,
                             const double *numbers, bcam_error *err)
{
    const double most = 9007199254740992.0; /* 2^53: beyond, a double may stand for several integers */
    int value;
    void *data;
    bcam_status status =
        bcam_const_new(lo, node, node->outputs[0], integer ? BCAM_I64 : BCAM_F32, rank, dim, &data, &value, err);
    for (int64_t i = 0, n = status == BCAM_OK ? bcam_count(rank, dim) : 0; i < n; i++) {
        if (!integer)
            ((float *)data)[i] = (float)numbers[i];
        else if (fabs(numbers[i]) <= most)
            ((int64_t *)data)[i] = (int64_t)numbers[i];
        else
            return bcam_op_fail(node, err, "its integers overflow");
    }
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

static double *numbers_of(const bcam_value *v)
{
    double *numbers = bcam_alloc((size_t)bcam_count(v->rank, v->dim) + 1, sizeof *numbers);
    if (numbers)
        bcam_const_read(v, BCAM_F64, numbers);
    return numbers;
}

bcam_status bcam_fold_unary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    size_t f = 0;
    while (f < BCAM_COUNT(functions) && strcmp(functions[f].op, node->op) != 0)
        f++;
    if (status != BCAM_OK || f == BCAM_COUNT(functions))
        return status != BCAM_OK ? status : bcam_fold_none(lo, node, err);
    const bcam_value v = *bcam_val(lo, x);
    status = bcam_charge(lo, node, bcam_count(v.rank, v.dim), err);
    double *numbers = status == BCAM_OK ? numbers_of(&v) : NULL;
    if (!numbers)
        return status == BCAM_OK ? bcam_op_memory(node, err) : status;
    for (int64_t i = 0, n = bcam_count(v.rank, v.dim); i < n; i++)
        numbers[i] = functions[f].f(numbers[i]);
    status =
        bcam_const_store(lo, node, v.dtype == BCAM_I64 && functions[f].keeps_integers, v.rank, v.dim, numbers, err);
    bcam_free(numbers);
    return status;
}

/* ---- functions of several ---- */

/* MOD has the sign of the divisor, as in Python, FMOD that of the dividend, as in C. */
typedef enum arithmetic {
    ADD,
    SUB,
    MUL,
    DIV,
    MOD,
    FMOD,
    POW,
    MAX,
    MIN,
    EQUAL,
    GREATER,
    LESS,
    GREATER_EQUAL,
    LESS_EQUAL,
    AND,
    OR
} arithmetic;

static const struct {
    const char *op;
    arithmetic kind;
} arithmetics[] = {
    {"Add", ADD},
    {"And", AND},
    {"Div", DIV},
    {"Equal", EQUAL},
    {"Greater", GREATER},
    {"Less", LESS},
    {"GreaterOrEqual", GREATER_EQUAL},
    {"LessOrEqual", LESS_EQUAL},
    {"Max", MAX},
    {"Mean", ADD},
    {"Min", MIN},
    {"Mod", MOD},
    {"Mul", MUL},
    {"Or", OR},
    {"Pow", POW},
    {"Sub", SUB},
    {"Sum", ADD},
};

static double on_reals(arithmetic kind, double a, double b)
{
    switch (kind) {
    case ADD:
        return a + b;
    case SUB:
        return a - b;
    case MUL:
        return a * b;
    case DIV:
        return a / b;
    case MOD:
        return fmod(a, b) != 0 && (a < 0) != (b < 0) ? fmod(a, b) + b : fmod(a, b);
    case FMOD:
        return fmod(a, b);
    case POW:
        return pow(a, b);
    case MAX:
        return a > b || a != a ? a : b;
    case MIN:
        return a < b || a != a ? a : b;
    case EQUAL:
        return a == b;
    case GREATER:
        return a > b;
    case LESS:
        return a < b;
    case GREATER_EQUAL:
        return a >= b;
    case LESS_EQUAL:
        return a <= b;
    case AND:
        return a != 0 && b != 0;
    case OR:
        return a != 0 || b != 0;
    }
    return NAN;
}

static bool on_integers(arithmetic kind, int64_t a, int64_t b, int64_t *out)
{
    switch (kind) {
    case ADD:
        return !__builtin_add_overflow(a, b, out);
    case SUB:
        return !__builtin_sub_overflow(a, b, out);
    case MUL:
        return !__builtin_mul_overflow(a, b, out);
    case DIV:
    case MOD:
    case FMOD:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return false;
        *out = kind == DIV ? a / b : a % b;
        if (kind == MOD && *out != 0 && (*out < 0) != (b < 0))
            *out += b;
        return true;
    case MAX:
        *out = a > b ? a : b;
        return true;
    case MIN:
        *out = a < b ? a : b;
        return true;
    default: { /* small numbers and truth; a power may be infinite or no number */
        double real = on_reals(kind, (double)a, (double)b);
        bool fits = fabs(real) < 9007199254740992.0;
        *out = fits ? (int64_t)real : 0;
        return fits;
    }
    }
}

static bcam_status combine_integers(bcam_lower *lo, const bcam_node *node, arithmetic kind, const bcam_value *views,
                                    bcam_error *err)
{
    int64_t count = bcam_count(views->rank, views->dim), *next = bcam_alloc((size_t)count + 1, sizeof *next);
    int value;
    void *data;
    bcam_status status =
        !next ? bcam_op_memory(node, err)
              : bcam_const_new(lo, node, node->outputs[0], BCAM_I64, views->rank, views->dim, &data, &value, err);
    for (int i = 0; status == BCAM_OK && i < node->input_count; i++) {
        bcam_const_read(&views[i], BCAM_I64, i ? (void *)next : data);
        for (int64_t k = 0; i && status == BCAM_OK && k < count; k++) {
            int64_t *sum = (int64_t *)data + k;
            if (!on_integers(kind, *sum, next[k], sum))
                status = bcam_op_fail(node, err, "its integers overflow");
        }
    }
    bcam_free(next);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

static bcam_status combine_reals(bcam_lower *lo, const bcam_node *node, arithmetic kind, const bcam_value *views,
                                 bcam_error *err)
{
    int64_t count = bcam_count(views->rank, views->dim);
    bool integer = (kind >= EQUAL && kind <= OR) || (kind == POW && views->dtype == BCAM_I64);
    double *sum = bcam_alloc((size_t)count + 1, sizeof *sum), *next = bcam_alloc((size_t)count + 1, sizeof *next);
    bcam_status status = sum && next ? BCAM_OK : bcam_op_memory(node, err);
    for (int i = 0; status == BCAM_OK && i < node->input_count; i++) {
        bcam_const_read(&views[i], BCAM_F64, i ? next : sum);
        for (int64_t k = 0; i && k < count; k++)
            sum[k] = on_reals(kind, sum[k], next[k]);
    }
    for (int64_t k = 0; status == BCAM_OK && strcmp(node->op, "Mean") == 0 && k < count; k++)
        sum[k] /= node->input_count;
    if (status == BCAM_OK)
        status = bcam_const_store(lo, node, integer, views->rank, views->dim, sum, err);
    bcam_free(sum);
    bcam_free(next);
    return status;
}

/* Two operands, or any number of Max, Min, Sum and Mean. */
bcam_status bcam_fold_binary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    enum { MOST = 64 };
    bcam_value views[MOST];
    const bcam_value *operands[MOST];
    int rank, n = node->input_count;
    int64_t dim[BCAM_MAX_RANK];
    bool integer = strcmp(node->op, "Mean") != 0;
    size_t kind = 0;
    while (kind + 1 < BCAM_COUNT(arithmetics) && strcmp(arithmetics[kind].op, node->op) != 0)
        kind++;
    if (n < 1 || n > MOST)
        return bcam_op_fail(node, err, "%d constants cannot be combined", n);
    for (int i = 0; i < n; i++) {
        int x;
        bcam_status status = bcam_in_const(lo, node, i, &x, err);
        if (status != BCAM_OK)
            return status;
        views[i] = *bcam_val(lo, x);
        operands[i] = &views[i];
        integer &= views[i].dtype == BCAM_I64;
    }
    bcam_status status = bcam_broadcast(node, operands, n, &rank, dim, err);
    if (status == BCAM_OK)
        status = bcam_charge(lo, node, 2 * bcam_count(rank, dim), err);
    if (status != BCAM_OK)
        return status;
    for (int i = 0; i < n; i++)
        views[i] = bcam_broadcast_view(&views[i], rank, dim);
    arithmetic how = arithmetics[kind].kind;
    if (how == MOD && bcam_attr_int(node, "fmod", 0))
        how = FMOD;
    return integer ? combine_integers(lo, node, how, views, err) : combine_reals(lo, node, how, views, err);
}

/* ---- Clip, Where, Range ---- */

bcam_status bcam_fold_clip(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, limit[2] = {bcam_in(lo, node, 1), bcam_in(lo, node, 2)};
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    double low = bcam_attr_float(node, "min", -INFINITY), high = bcam_attr_float(node, "max", INFINITY);
    low = limit[0] >= 0 ? bcam_scalar(lo, limit[0]) : low;
    high = limit[1] >= 0 ? bcam_scalar(lo, limit[1]) : high;
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    double *numbers = numbers_of(&v);
    if (!numbers)
        return bcam_op_memory(node, err);
    for (int64_t i = 0, n = bcam_count(v.rank, v.dim); i < n; i++) {
        double t = numbers[i] < low ? low : numbers[i];
        numbers[i] = t > high ? high : t;
    }
    status = bcam_const_store(lo, node, v.dtype == BCAM_I64, v.rank, v.dim, numbers, err);
    bcam_free(numbers);
    return status;
}

bcam_status bcam_fold_where(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_value v[3];
    const bcam_value *operands[3];
    double *read[3] = {NULL};
    int rank;
    int64_t dim[BCAM_MAX_RANK];
    for (int i = 0; i < 3; i++) {
        int x;
        bcam_status status = bcam_in_const(lo, node, i, &x, err);
        if (status != BCAM_OK)
            return status;
        v[i] = *bcam_val(lo, x);
        operands[i] = &v[i];
    }
    bool integer = v[1].dtype == BCAM_I64 && v[2].dtype == BCAM_I64;
    bcam_status status = bcam_broadcast(node, operands, 3, &rank, dim, err);
    if (status == BCAM_OK)
        status = bcam_charge(lo, node, 3 * bcam_count(rank, dim), err);
    for (int i = 0; status == BCAM_OK && i < 3; i++) {
        bcam_value view = bcam_broadcast_view(&v[i], rank, dim);
        read[i] = numbers_of(&view);
        status = read[i] ? BCAM_OK : bcam_op_memory(node, err);
    }
    for (int64_t i = 0, n = status == BCAM_OK ? bcam_count(rank, dim) : 0; i < n; i++)
        read[0][i] = read[0][i] != 0 ? read[1][i] : read[2][i];
    if (status == BCAM_OK)
        status = bcam_const_store(lo, node, integer, rank, dim, read[0], err);
    for (int i = 0; i < 3; i++)
        bcam_free(read[i]);
    return status;
}

bcam_status bcam_fold_range(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    double limit[3];
    bool integer = true;
    for (int i = 0; i < 3; i++) {
        int x;
        bcam_status status = bcam_in_const(lo, node, i, &x, err);
        if (status != BCAM_OK)
            return status;
        limit[i] = bcam_scalar(lo, x);
        integer &= bcam_val(lo, x)->dtype == BCAM_I64;
    }
    double length = ceil((limit[1] - limit[0]) / limit[2]);
    if (!(length < 1 << 24)) /* NaN, too */
        return bcam_op_fail(node, err, "it counts from %g to %g by %g, which is too much", limit[0], limit[1],
                            limit[2]);
    int64_t count = length > 0 ? (int64_t)length : 0;
    bcam_status status = bcam_charge(lo, node, count, err);
    double *numbers = status == BCAM_OK ? bcam_alloc((size_t)count + 1, sizeof *numbers) : NULL;
    if (!numbers)
        return status == BCAM_OK ? bcam_op_memory(node, err) : status;
    for (int64_t i = 0; i < count; i++)
        numbers[i] = limit[0] + (double)i * limit[2];
    status = bcam_const_store(lo, node, integer, 1, &count, numbers, err);
    bcam_free(numbers);
    return status;
}
