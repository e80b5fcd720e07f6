/* fuzz_graph.c - the planner on graphs made of supported operators: few random files get as far as a graph that means something, so here the
 * input chooses operators, operands and attributes, and the file around them is always right. */
#include "plan_model.h"

#include "graph_build.h"

static const char *const ops[] = {
#define OP(name, ...) name,
#include "net/ops.def"
#undef OP
};

/* A number or list of numbers follows; but for those with a word behind them. */
static const char *const attributes[] = {
    "axis=",
    "axes=",
    "kernel_shape=",
    "strides=",
    "pads=",
    "dilations=",
    "group=",
    "ceil_mode=",
    "keepdims=",
    "perm=",
    "to=",
    "blocksize=",
    "split=",
    "num_outputs=",
    "alpha=",
    "beta=",
    "transA=",
    "transB=",
    "size=",
    "num_groups=",
    "starts=",
    "ends=",
    "shape=",
    "scales=",
    "value_ints=",
    "output_padding=",
    "output_shape=",
    "allowzero=",
    "epsilon=",
    "noop_with_empty_axes=",
    "stash_type=",
    "broadcast=",
    "max=",
    "min=",
    "count_include_pad=",
    "mode=linear",
    "mode=cubic",
    "mode=nearest",
    "mode=edge",
    "mode=reflect",
    "mode=wrap",
    "mode=constant",
    "mode=CRD",
    "mode=DCR",
    "auto_pad=SAME_UPPER",
    "auto_pad=SAME_LOWER",
    "auto_pad=VALID",
    "approximate=tanh",
    "coordinate_transformation_mode=align_corners",
    "coordinate_transformation_mode=asymmetric",
    "nearest_mode=floor",
    "nearest_mode=ceil",
};

typedef struct maker {
    fuzz_bytes from;
    bytes graph;
    int constants, nodes;
} maker;

/** "2,-1,5", appended. */
static void take_numbers(maker *m, char *out, size_t size, int most, int low, int high)
{
    int count = fuzz_number(&m->from, 1, most);
    for (int i = 0; i < count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%d", i ? "," : "", fuzz_number(&m->from, low, high));
}

static void add_constant(maker *m, const char *name)
{
    char numbers[64] = "";
    if (fuzz_byte(&m->from) % 2) {
        take_numbers(m, numbers, sizeof numbers, 4, 1, 8);
        ones(&m->graph, name, fuzz_byte(&m->from) % 8 ? numbers : "");
    } else {
        take_numbers(m, numbers, sizeof numbers, 8, -3, 12);
        ints(&m->graph, name, numbers);
    }
}

/** The last tensor mostly, else an earlier one, a new constant, or none ("-"). */
static void add_operand(maker *m, char *words, size_t size)
{
    char name[16];
    int choice = *words ? fuzz_number(&m->from, 0, 7) : 2;
    snprintf(name, sizeof name, "t%d", m->nodes - (choice == 0 ? fuzz_number(&m->from, 0, m->nodes) : 0));
    if (choice == 1)
        strcpy(name, "-");
    if (choice >= 5) {
        snprintf(name, sizeof name, "c%d", m->constants++);
        add_constant(m, name);
    }
    snprintf(words + strlen(words), size - strlen(words), "%s%s", *words ? " " : "", name);
}

static void add_any(maker *m, const char *name, const char *outputs)
{
    char inputs[128] = "", attrs[512] = "";
    const char *type = ops[fuzz_byte(&m->from) % BCAM_COUNT(ops)];
    for (int i = fuzz_number(&m->from, 0, 3); i >= 0; i--)
        add_operand(m, inputs, sizeof inputs);
    for (int i = fuzz_number(&m->from, 0, 3); i > 0; i--) {
        const char *attribute = attributes[fuzz_byte(&m->from) % BCAM_COUNT(attributes)];
        snprintf(attrs + strlen(attrs), sizeof attrs - strlen(attrs), "%s%s", *attrs ? " " : "", attribute);
        if (attribute[strlen(attribute) - 1] == '=') {
            take_numbers(m, attrs, sizeof attrs, 4, -2, 9);
            if (fuzz_byte(&m->from) % 2) /* a list, even of one */
                strcat(attrs, ",");
        }
    }
    op(&m->graph, name, type, inputs, outputs, attrs);
}

/* What networks are made of, for 4 channels: its operands are the last tensor (or an earlier one first) and constants of ones. */
static const struct {
    const char *type, *constants, *attrs;
    bool earlier;
} usual[] = {
    {"Conv", "4,4,3,3", "pads=1,1,1,1", false},
    {"Conv", "4,1,3,3 4", "group=4 strides=2,2 auto_pad=SAME_LOWER", false},
    {"ConvTranspose", "4,4,2,2", "strides=2,2", false},
    {"BatchNormalization", "4 4 4 4", "", false},
    {"Relu", "", "", false},
    {"HardSwish", "", "", false},
    {"PRelu", "4,1,1", "", false},
    {"MaxPool", "", "kernel_shape=3,3 strides=2,2 ceil_mode=1", false},
    {"AveragePool", "", "kernel_shape=2,2 pads=1,0,0,1", false},
    {"Add", "", "", true},
    {"Mul", "", "", true},
    {"Concat", "", "axis=1", true},
    {"Softmax", "", "axis=1", false},
    {"Transpose", "", "perm=0,2,3,1", false},
    {"LRN", "", "size=3", false},
    {"GlobalAveragePool", "", "", false},
    {"Flatten", "", "", false},
    {"Gemm", "4,4 4", "transB=1", false},
    {"MatMul", "4,4", "", false},
    {"GroupNormalization", "4 4", "num_groups=2", false},
    {"Where", "1", "", true},
};

static void add_usual(maker *m, const char *name, const char *outputs)
{
    char inputs[128] = "", constant[32];
    unsigned row = fuzz_byte(&m->from) % BCAM_COUNT(usual);
    if (usual[row].earlier)
        snprintf(inputs, sizeof inputs, "t%d ", m->nodes - fuzz_number(&m->from, 0, m->nodes));
    snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), "t%d", m->nodes);
    for (const char *at = usual[row].constants; *at; at += strspn(at, " ")) {
        char dims[16] = "";
        size_t size = strcspn(at, " ");
        memcpy(dims, at, size);
        snprintf(constant, sizeof constant, " c%d", m->constants++);
        ones(&m->graph, constant + 1, dims);
        strcat(inputs, constant);
        at += size;
    }
    op(&m->graph, name, usual[row].type, inputs, outputs, usual[row].attrs);
}

static void add_node(maker *m)
{
    char outputs[64], name[16];
    snprintf(name, sizeof name, "n%d", m->nodes + 1);
    snprintf(outputs, sizeof outputs, fuzz_byte(&m->from) % 8 ? "t%d" : "t%d e%d", m->nodes + 1, m->nodes + 1);
    if (fuzz_byte(&m->from) % 3)
        add_usual(m, name, outputs);
    else
        add_any(m, name, outputs);
    m->nodes++;
}

static void make_graph(maker *m)
{
    char last[16];
    int width = fuzz_number(&m->from, 0, 9), batch = fuzz_number(&m->from, 0, 2);
    m->graph = begin(batch, 3, 6, width);
    ones(&m->graph, "first.weight", "4,3,3,3");
    op(&m->graph, "first", "Conv", "x first.weight", "t0", "pads=1,1,1,1");
    for (int left = fuzz_number(&m->from, 1, 12); left > 0 && m->from.left > 0; left--)
        add_node(m);
    snprintf(last, sizeof last, "t%d", m->nodes);
    if (fuzz_byte(&m->from) % 4) {
        op(&m->graph, "pool", "GlobalAveragePool", last, "pooled", "");
        op(&m->graph, "rows", "Flatten", "pooled", "y", "");
    } else {
        op(&m->graph, "rows", "Identity", last, "y", "");
    }
}

/** A finding is kept as a model, for fuzz_plan: what bytes mean here changes with the tables above. */
static void keep_model(const bytes *model)
{
    const char *path = getenv("BCAM_FUZZ_MODEL");
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (file) {
        fwrite(model->data, 1, model->size, file);
        fclose(file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    maker m = {.from = {data, size}};
    bytes model = model_head(fuzz_number(&m.from, 6, 28));
    make_graph(&m);
    put_message(&model, 7, m.graph);
    keep_model(&model);
    plan_model(model.data, model.size);
    free(model.data);
    return 0;
}
