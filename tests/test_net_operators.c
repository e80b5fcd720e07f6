/* ONNX's own operator tests: every case of the operators that are supported, forwards on plain C and on oneDNN against the expected numbers, backwards
 * against finite differences. What is refused stands in operators_refused.txt with its reason; nothing may fail. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "operator_check.h"

enum { BESIDE = 18 };

/* The last ones are beside the point: they compute shapes and masks. Their cases are those of the operator alone. */
static const char *const listed[] = {
    "Abs",
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
    "And",
    "Ceil",
    "Cos",
    "CumSum",
    "Equal",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Mod",
    "Not",
    "Or",
    "Range",
    "ReduceProd",
    "Sign",
    "Sin",
    "Size",
};

/* ---- what is known to be refused ---- */

typedef struct refusal {
    char pattern[128];
    char *reason;
    int used;
} refusal;

static refusal refusals[256];
static size_t refusal_count;
static char *refusal_text;

static void read_refusals(void)
{
    size_t size;
    bcam_error err;
    cr_assert_eq(bcam_file_read(BCAM_TEST_DATA "/operators_refused.txt", 1 << 20, &refusal_text, &size, &err), BCAM_OK,
                 "%s", err.message);
    for (char *line = refusal_text, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        size_t word = strcspn(line, " ");
        if (*line == '#' || !*line)
            continue;
        cr_assert(refusal_count < BCAM_COUNT(refusals) && word < sizeof refusals[0].pattern && line[word]);
        snprintf(refusals[refusal_count].pattern, sizeof refusals[0].pattern, "%.*s", (int)word, line);
        refusals[refusal_count++].reason = line + word + strspn(line + word, " ");
    }
}

static refusal *find_refusal(const char *name)
{
    for (size_t i = 0; i < refusal_count; i++)
        if (fnmatch(refusals[i].pattern, name, 0) == 0)
            return &refusals[i];
    return NULL;
}

/* ---- counting ---- */

typedef struct tally {
    const char *op;
    int passed, refused, failed, gradients;
} tally;

typedef struct source {
    const char *name;
    tally ops[BCAM_COUNT(listed) + 2]; /* the last two: several of them; all */
    int others;                        /* cases of operators that are not listed */
    gradient_counts gradients;
    bcam_device *plain, *fast, *twice;
    uint64_t random;
} source;

static tally *tally_of(source *s, const bcam_graph *graph)
{
    size_t which = BCAM_COUNT(listed);
    for (int i = 0; i < graph->node_count; i++) {
        size_t k = 0;
        while (k < BCAM_COUNT(listed) && strcmp(listed[k], graph->nodes[i].op) != 0)
            k++;
        size_t most = BCAM_COUNT(listed) - (graph->node_count > 1 ? BESIDE : 0);
        if (k >= most || *graph->nodes[i].domain)
            return NULL;
        which = graph->node_count == 1 ? k : BCAM_COUNT(listed);
    }
    return graph->node_count ? &s->ops[which] : NULL;
}

static void add_tally(tally *sum, const tally *t)
{
    sum->passed += t->passed;
    sum->refused += t->refused;
    sum->failed += t->failed;
    sum->gradients += t->gradients;
}

static void print_source(const source *s)
{
    const size_t first_beside = BCAM_COUNT(listed) - BESIDE;
    tally all = {0}, beside = {0};
    for (size_t k = 0; k <= BCAM_COUNT(listed); k++) {
        const tally *t = &s->ops[k];
        add_tally(k >= first_beside && k < BCAM_COUNT(listed) ? &beside : &all, t);
        if (t->passed + t->refused + t->failed)
            printf("  %-24s %4d passed %4d refused %4d failed %4d with gradients\n",
                   k < BCAM_COUNT(listed) ? listed[k] : "several operators", t->passed, t->refused, t->failed,
                   t->gradients);
    }
    int cases = all.passed + all.refused + all.failed;
    printf("%s: %d cases: %d passed, %d refused (%.1f%%), %d failed\n", s->name, cases, all.passed, all.refused,
           cases ? 100.0 * all.refused / cases : 0, all.failed);
    printf(
        "%s: of operators for shapes and masks: %d passed, %d refused, %d failed; %d cases of other operators left out\n",
        s->name, beside.passed, beside.refused, beside.failed, s->others);
    printf("%s: gradients of %d cases, %d inputs, %d entries (%d at corners)\n", s->name, all.gradients,
           s->gradients.inputs, s->gradients.entries, s->gradients.kinks);
    fflush(stdout);
    cr_expect_eq(all.failed + beside.failed, 0, "%d cases of %s failed", all.failed + beside.failed, s->name);
    cr_expect(100 * all.refused <= 15 * cases, "%d of %d cases of %s are refused", all.refused, cases, s->name);
}

/* ---- a case ---- */

/* Which inputs stand for the photo: all that are real numbers, the first of them, the last, none; and, where no other way is taken, the first input
 * whatever its type, since integers are numbers, too. */
enum { WAYS = 5 };

static unsigned variables_of(const operator_case *c, int way)
{
    unsigned real = 0;
    for (int i = 0; i < c->in_count; i++)
        real |= (unsigned)case_is_real(&c->in[i]) << i;
    switch (way) {
    case 0:
        return real;
    case 1:
        return real & ~(real - 1);
    case 2:
        for (int i = c->in_count; i-- > 0;)
            if (real >> i & 1)
                return 1u << i;
        return 0;
    case 3:
        return 0;
    default:
        return c->in_count && bcam_onnx_type_bytes(c->in[0].tensor->type) ? 1 : 0;
    }
}

static bcam_status check_gradients(source *s, const operator_case *c, unsigned variable, bool *any, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    int before = s->gradients.inputs;
    for (int o = 0; status == BCAM_OK && o < c->out_count; o++) {
        status = case_gradient(c, variable, o, s->twice, &s->random, &s->gradients, err);
        status = status == BCAM_E_LAYER ? BCAM_OK : status; /* an input that this output does not depend on */
    }
    *any |= s->gradients.inputs > before;
    return status;
}

/* E_UNSUPPORTED where every way is refused; then *err holds why the first was. */
static bcam_status check_case(source *s, const operator_case *c, bool *with_gradients, bcam_error *err)
{
    unsigned tried[WAYS];
    bool taken = false;
    bcam_error first = {0};
    for (int way = 0; way < WAYS && (way < 4 || !taken); way++) {
        bool repeated = false;
        tried[way] = variables_of(c, way);
        for (int k = 0; k < way; k++)
            repeated |= tried[k] == tried[way];
        if (repeated)
            continue;
        bcam_status status = case_check(c, tried[way], s->plain, false, err);
        if (status == BCAM_E_UNSUPPORTED) {
            first = *first.message ? first : *err;
            continue;
        }
        if (status == BCAM_OK)
            status = case_check(c, tried[way], s->fast, true, err);
        if (status == BCAM_OK)
            status = check_gradients(s, c, tried[way], with_gradients, err);
        if (status != BCAM_OK)
            return status == BCAM_E_UNSUPPORTED ? BCAM_E_DEVICE : status;
        taken = true;
    }
    *err = first;
    return taken ? BCAM_OK : BCAM_E_UNSUPPORTED;
}

static void count_case(source *s, tally *t, const operator_case *c, const char *folder)
{
    bool with_gradients = false;
    bcam_error err = c->err;
    refusal *known = find_refusal(c->name);
    bcam_status status = c->graph ? BCAM_OK : BCAM_E_UNSUPPORTED;
    operator_case data = *c;
    if (status == BCAM_OK && (status = case_read_data(&data, folder)) != BCAM_OK) {
        err = data.err;
        status = BCAM_E_UNSUPPORTED; /* sequences, strings: data that is no tensor of numbers */
    }
    if (status == BCAM_OK)
        status = check_case(s, &data, &with_gradients, &err);
    case_close(&data);
    t->passed += status == BCAM_OK && !known;
    t->refused += status == BCAM_E_UNSUPPORTED && known;
    t->gradients += with_gradients;
    if (known)
        known->used++;
    if (status == BCAM_OK ? !known : status == BCAM_E_UNSUPPORTED && known)
        return;
    t->failed++;
    printf("FAILED %s: %s\n", c->name,
           status == BCAM_OK ? "it passes, but operators_refused.txt says that it is refused" : err.message);
}

static void run_folder(source *s, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        struct stat about;
        snprintf(path, sizeof path, "%s/%s/model.onnx", folder, entries[i]->d_name);
        bool is_case = stat(path, &about) == 0;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        operator_case c;
        tally *t = NULL;
        if (is_case) {
            case_open(&c, path, entries[i]->d_name);
            t = c.graph ? tally_of(s, c.graph) : find_refusal(c.name) ? &s->ops[BCAM_COUNT(listed)] : NULL;
            s->others += t == NULL;
        }
        if (t)
            count_case(s, t, &c, path);
        else if (is_case)
            case_close(&c);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static bcam_device *open_device(bool reference, bcam_precision precision)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    const bcam_device_options options = {.reference = reference, .precision = precision, .threads = 1, .guard = true};
    cr_assert_eq(bcam_cpu_device.open(&options, &device, &err), BCAM_OK, "%s", err.message);
    return device;
}

static void run_source(const char *name, const char *const *folders, size_t count)
{
    static source s;
    s = (source){.name = name, .random = 20260101};
    s.plain = open_device(true, BCAM_PRECISION_FP32);
    s.fast = open_device(false, BCAM_PRECISION_FP32);
    s.twice = open_device(true, BCAM_PRECISION_FP64);
    read_refusals();
    for (size_t i = 0; i < count; i++)
        run_folder(&s, folders[i]);
    print_source(&s);
    bcam_cpu_device.close(&s.plain);
    bcam_cpu_device.close(&s.fast);
    bcam_cpu_device.close(&s.twice);
    bcam_free(refusal_text);
    cr_expect_eq(bcam_alloc_live(), 0);
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

#define DEBIAN "/usr/share/libonnx-testdata/data/"

Test(net_operators, of_debians_libonnx_testdata)
{
    static const char *const folders[] = {DEBIAN "node", DEBIAN "pytorch-converted", DEBIAN "pytorch-operator",
                                          DEBIAN "simple"};
    if (!is_folder(folders[0]))
        cr_skip_test("Debian's package libonnx-testdata is not installed");
    run_source("libonnx-testdata", folders, BCAM_COUNT(folders));
}

/* tests/golden_onnx/export_node_tests.py writes them. */
Test(net_operators, of_a_newer_onnx)
{
    const char *asked = getenv("BCAM_NODE_TESTS"), *folder = asked ? asked : BCAM_NODE_TESTS;
    if (!is_folder(folder))
        cr_skip_test("there is no folder of newer cases; tests/golden_onnx/export_node_tests.py makes it");
    run_source("newer cases", &folder, 1);
}
