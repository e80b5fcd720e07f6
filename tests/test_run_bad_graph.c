/* test_run_bad_graph.c - a model with a node that will not do is refused when it is opened, with one sentence that names node and
 * reason. Each row of the tables is a model that differs in one place from one that runs; beside it stand the status and some
 * words of that sentence. */
#include "bad_model.h"

/** Lists of integers that nobody reads, or nodes that are to go wrong. */
static void put_lists(bytes *g)
{
    static const char *const lists[][2] = {
        {"one", "1,"},
        {"zero", "0,"},
        {"2^62", "4611686018427387904,"},
        {"to_minus", "-1,4,-4611686018427387904,12"},
        {"to_2^62", "1,4611686018427387904"},
        {"to_2^68", "4611686018427387904,4,4,4"},
        {"to_nothing", "0,4611686018427387904,4611686018427387904"},
        {"to_2^40", "1,4,1099511627776,12"},
        {"times_2^40", "1,1,1099511627776,1"},
        {"times_2^16", "1,1,65536,65536"},
        {"pad_2^40", "0,0,1099511627776,0,0,0,0,0"},
        {"pad_2^16", "0,0,65536,65536,0,0,65536,65536"},
        {"channels", "1000000000,3,3,3"},
    };
    for (size_t i = 0; i < BCAM_COUNT(lists); i++)
        ints(g, lists[i][0], lists[i][1]);
}

static bytes model_with(const char *first, const char *other)
{
    bytes g = begin(0, 3, FIX_H, FIX_W);
    put_parts(&g, first, other);
    put_lists(&g);
    return model_of(g);
}

Test(run_bad_graph, the_model_that_the_others_are_made_of_runs)
{
    fix_job *job = fix_open(3, true);
    expect_bytes(job, "the good one", model_with(NULL, NULL), BCAM_OK, "");
    fix_close(job);
}

typedef struct node_row {
    const char *what, *node; /* in the place of the good one of its name; NULL: none */
    int status;
    const char *words;
    const char *first; /* a node before all others; NULL: none */
} node_row;

enum { MODEL = BCAM_E_MODEL, UNSUPPORTED = BCAM_E_UNSUPPORTED };

static void try_rows(const node_row *rows, size_t count)
{
    fix_job *job = fix_open(3, true);
    for (size_t i = 0; i < count; i++)
        expect_bytes(job, rows[i].what, model_with(rows[i].first, rows[i].node), rows[i].status, rows[i].words);
    fix_close(job);
}

Test(run_bad_graph, a_graph_that_does_not_hang_together)
{
    /* clang-format off */
    static const node_row rows[] = {
        {"a dangling input", "relu; Relu; nobody; r;", MODEL, "model.onnx|'relu'|'nobody'", NULL},
        {"a cycle", "conv; Conv; r w b; c;", MODEL, "cycle|'conv'", NULL},
        {"a node that reads itself", "relu; Relu; r; r;", MODEL, "cycle|'relu'", NULL},
        {"two makers", NULL, MODEL, "'c'|twice|'conv'|'more'", "more; Relu; x; c;"},
        {"a maker of the input", NULL, MODEL, "'x'|twice|input|'more'", "more; Relu; c; x;"},
        {"a maker of weights", NULL, MODEL, "'w'|twice|initializer|'more'", "more; Relu; c; w;"},
        {"an output twice", "relu; Relu; c; r r;", MODEL, "'r'|twice|'relu'", NULL},
        {"an unknown operator", "relu; Frobnicate; c; r;", UNSUPPORTED, "'relu'|Frobnicate|17", NULL},
        {"too few inputs", "conv; Conv; x; c;", UNSUPPORTED, "'conv'|input 1", NULL},
        {"no input at all", "relu; Relu; ; r;", UNSUPPORTED, "'relu'|input 0", NULL},
        {"scores without the photo", "fc; Relu; fw; y;", MODEL, "'y'|photo", NULL},
    };
    /* clang-format on */
    try_rows(rows, BCAM_COUNT(rows));
}

Test(run_bad_graph, shapes_that_do_not_fit)
{
    /* clang-format off */
    static const node_row rows[] = {
        {"weights of rank 2", "conv; Conv; x fw b; c;", UNSUPPORTED, "'conv'|2 dimensions", NULL},
        {"a bias of another length", "conv; Conv; x w fb; c;", UNSUPPORTED, "'conv'|bias|4", NULL},
        {"a row of another length", "fc; MatMul; f fw; y;", UNSUPPORTED, "'fc'|4|5", NULL},
        {"no common shape", "relu; Add; c fw; r;", UNSUPPORTED, "'relu'|12|5", NULL},
        {"groups that do not divide", "conv; Conv; x w b; c; group=2", UNSUPPORTED, "'conv'|groups", NULL},
        {"no groups", "conv; Conv; x w b; c; group=0", UNSUPPORTED, "'conv'|0 groups", NULL},
        {"2^62 groups", "conv; Conv; x w b; c; group=4611686018427387904", UNSUPPORTED, "'conv'|groups", NULL},
        {"a window beyond the photo", "conv; Conv; x w b; c; dilations=900,900", UNSUPPORTED, "'conv'|window", NULL},
        {"strides of 0", "conv; Conv; x w b; c; strides=0,0", UNSUPPORTED, "'conv'|'strides'", NULL},
        {"strides of 2^62", "conv; Conv; x w b; c; strides=4611686018427387904,1", UNSUPPORTED,
         "'conv'|'strides'", NULL},
        {"pads of 2^62", "conv; Conv; x w b; c; pads=0,4611686018427387904,0,0", UNSUPPORTED, "'conv'|padding", NULL},
        {"negative pads", "conv; Conv; x w b; c; pads=-9,-9,-9,-9", UNSUPPORTED, "'conv'|padding|-9", NULL},
        {"an axis of 2^62", "flat; Flatten; p; f; axis=4611686018427387904", UNSUPPORTED, "'flat'|axis", NULL},
        {"to negative", "relu; Reshape; c to_minus; r;", UNSUPPORTED, "'relu'|-4611686018427387904", NULL},
        {"to 2^62", "flat; Reshape; p to_2^62; f;", UNSUPPORTED, "'flat'|elements|shape", NULL},
        {"to 2^68", "relu; Reshape; c to_2^68; r;", UNSUPPORTED, "'relu'|elements|shape", NULL},
        {"nothing times 2^124", "relu; Concat; c void; r; axis=0", UNSUPPORTED,
         "'fill'|4611686018427387904", "fill; ConstantOfShape; to_nothing; void;"},
    };
    /* clang-format on */
    try_rows(rows, BCAM_COUNT(rows));
}

Test(run_bad_graph, attributes_of_another_kind)
{
    /* clang-format off */
    static const node_row rows[] = {
        {"group: a list", "conv; Conv; x w b; c; group=1,", MODEL, "'conv'|'group'|an integer", NULL},
        {"group: a float", "conv; Conv; x w b; c; group=1.5", MODEL, "'conv'|'group'|an integer", NULL},
        {"group: twice", "conv; Conv; x w b; c; group=1 group=3", MODEL, "'conv'|'group'|twice", NULL},
        {"kernel_shape: a string", "conv; Conv; x w b; c; kernel_shape=three", MODEL,
         "'conv'|'kernel_shape'|a list of integers", NULL},
        {"strides: an integer", "conv; Conv; x w b; c; strides=2", MODEL, "'conv'|'strides'|a list of integers", NULL},
        {"pads: a float", "conv; Conv; x w b; c; pads=1.5", MODEL, "'conv'|'pads'|a list of integers", NULL},
        {"auto_pad: an integer", "conv; Conv; x w b; c; auto_pad=1", MODEL, "'conv'|'auto_pad'|a string", NULL},
        {"auto_pad: nonsense", "conv; Conv; x w b; c; auto_pad=mauve", UNSUPPORTED, "'conv'|'mauve'", NULL},
        {"alpha: an integer", "relu; LeakyRelu; c; r; alpha=1", MODEL, "'relu'|'alpha'|a float", NULL},
        {"epsilon: a string", "relu; BatchNormalization; c b b b b; r; epsilon=small", MODEL,
         "'relu'|'epsilon'|a float", NULL},
        {"transB: a float", "fc; Gemm; f fw fb; y; transB=1.0", MODEL, "'fc'|'transB'|an integer", NULL},
        {"axis: a list", "flat; Flatten; p; f; axis=1,", MODEL, "'flat'|'axis'|an integer", NULL},
        {"perm: an integer", "relu; Transpose; c; r; perm=1", MODEL, "'relu'|'perm'|a list of integers", NULL},
        {"mode: an integer", "relu; Resize; c - - to_2^40; r; mode=3", MODEL, "'relu'|'mode'|a string", NULL},
        {"value: an integer", "relu; Add; c k; r;", MODEL,
         "'fill'|'value'|a tensor", "fill; ConstantOfShape; one; k; value=3"},
        {"value_int: a string", "relu; Add; c k; r;", MODEL,
         "'make'|'value_int'|an integer", "make; Constant; ; k; value_int=three"},
        {"nobody asks for it", "conv; Conv; x w b; c; pads=1,1,1,1 colour=mauve", BCAM_OK, "", NULL},
    };
    /* clang-format on */
    try_rows(rows, BCAM_COUNT(rows));
}

/* A few bytes that ask for terabytes are refused before anything is allocated. */
Test(run_bad_graph, more_memory_than_a_photo_is_worth)
{
    /* clang-format off */
    static const node_row rows[] = {
        {"Expand to 2^40", "flat; Expand; p to_2^40; f;", UNSUPPORTED, "'flat'|2^28", NULL},
        {"Expand of a constant", "relu; Add; c k; r;", UNSUPPORTED,
         "'big'|1099511627776", "big; Expand; one to_2^40; k;"},
        {"ConstantOfShape 2^40", "relu; Add; c k; r;", UNSUPPORTED,
         "'big'|1099511627776", "big; ConstantOfShape; to_2^40; k;"},
        {"10^9 channels", "conv; Conv; x k; c;", UNSUPPORTED, "'big'|too much", "big; ConstantOfShape; channels; k;"},
        {"Range to 2^62", "relu; Add; c k; r;", UNSUPPORTED, "'big'|too much", "big; Range; zero 2^62 one; k;"},
        {"Tile 2^40", "relu; Tile; c times_2^40; r;", UNSUPPORTED, "'relu'|1099511627776 times", NULL},
        {"Tile 2^16 twice", "relu; Tile; c times_2^16; r;", UNSUPPORTED, "'relu'|4096", NULL},
        {"Resize to 2^40", "relu; Resize; c - - to_2^40; r;", UNSUPPORTED, "'relu'|will not do", NULL},
        {"Resize by 2^16 twice", "relu; Resize; c - factors; r;", UNSUPPORTED,
         "'relu'|2^28", "factors; Cast; times_2^16; factors; to=1"},
        {"Pad by 2^40", "relu; Pad; c pad_2^40; r;", UNSUPPORTED, "'relu'|padding", NULL},
        {"Pad by 2^16", "relu; Pad; c pad_2^16; r;", UNSUPPORTED, "'relu'|2^28", NULL},
        {"Conv padded by 2^16", "conv; Conv; x w b; c; pads=65536,65536,65536,65536", UNSUPPORTED, "'conv'|2^28", NULL},
        {"DepthToSpace by 2^31", "relu; DepthToSpace; c; r; blocksize=2147483648", UNSUPPORTED,
         "'relu'|2147483648", NULL},
    };
    /* clang-format on */
    try_rows(rows, BCAM_COUNT(rows));
}

/* Each tensor is within the bound, and for so many photos at once they are more than a machine has. */
Test(run_bad_graph, a_batch_beyond_the_machine)
{
    const bcam_engine_options options = {.batch = 4096, .threads = 1};
    fix_job *job = fix_open(3, true);
    bcam_engine *engine = NULL;
    write_model(job, model_with(NULL, "conv; Conv; x w b; c; pads=500,500,500,500"));
    why = (bcam_error){0};
    bcam_status status = bcam_engine_open(job->model, &options, &engine, &why);
    if (status == BCAM_OK) {
        bcam_engine_close(&engine);
        fix_close(job);
        cr_skip_test("this machine has memory for it");
    }
    expect("4096 photos", status, BCAM_E_MEMORY, "'r'|MiB|smaller batch");
    fix_close(job);
}
