/* test_run_bad_model.c - a model whose file, weights, input or output will not do is refused when it is opened, with one sentence that names the
 * thing. Nodes are in test_run_bad_graph.c. */
#include <math.h>
#include <unistd.h>

#include "bad_model.h"
#include "net/onnx.h"

/* ---- files ---- */

static void make_missing(const char *path)
{
    (void)path;
}

static void make_empty(const char *path)
{
    fix_write_text(path, "");
}

static void make_text(const char *path)
{
    fix_write_text(path, "dear reader");
}

static void make_checkpoint(const char *path)
{
    fix_write(path, "PK\3\4\0\0\0\0archive/data.pkl", 24);
}

static void make_photo(const char *path)
{
    fix_jpeg(path, 1, 40, 30);
}

static void make_half(const char *path)
{
    fix_model(path, 3, true);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(truncate(path, st.st_size / 2), 0);
}

/* Takes no room on the disk. */
static void make_huge(const char *path)
{
    fix_write_text(path, "");
    cr_assert_eq(truncate(path, (off_t)1 << 40), 0);
}

Test(run_bad_model, files, .timeout = 60)
{
    static const struct {
        const char *what;
        void (*make)(const char *path);
        int status;
        const char *words;
    } rows[] = {
        {"missing", make_missing, BCAM_E_IO, "a.onnx|No such file"},
        {"empty", make_empty, BCAM_E_MODEL, "a.onnx|empty"},
        {"text", make_text, BCAM_E_MODEL, "a.onnx|text file"},
        {"a checkpoint", make_checkpoint, BCAM_E_MODEL, "a.onnx|PyTorch checkpoint|torch.onnx.export"},
        {"a photo", make_photo, BCAM_E_MODEL, "a.onnx|photo (JPEG)"},
        {"half a model", make_half, BCAM_E_MODEL, "a.onnx|cut off|again"},
        {"2^40 bytes", make_huge, BCAM_E_MODEL, "a.onnx|1099511627776 bytes|external data"},
        {"a folder", fix_make_folder, BCAM_E_IO, "a.onnx|a folder"},
        {"a pipe", fix_make_pipe, BCAM_E_IO, "a.onnx|pipe"},
        {"a device", fix_make_device, BCAM_E_IO, "a.onnx|device"},
        {"a link to itself", fix_make_loop, BCAM_E_IO, "a.onnx|symbolic links"},
    };
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        char path[300];
        const char *root = fix_folder();
        snprintf(path, sizeof path, "%s/a.onnx", root);
        rows[i].make(path);
        expect(rows[i].what, open_model(path), rows[i].status, rows[i].words);
        path[strlen(path) - strlen("/a.onnx")] = '\0';
        fix_remove(path);
    }
}

Test(run_bad_model, a_file_that_may_not_be_read)
{
    fix_job *job = fix_open(3, true);
    cr_assert_eq(chmod(job->model, 0), 0);
    if (access(job->model, R_OK) == 0) {
        fix_close(job);
        cr_skip_test("this user may read everything");
    }
    expect("locked away", open_model(job->model), BCAM_E_IO, "model.onnx|ermission");
    fix_close(job);
}

/* A model cut off anywhere is refused, or it has lost nothing that is needed. */
Test(run_bad_model, cut_off_at_every_byte, .timeout = 300)
{
    fix_job *job = fix_open(3, true);
    size_t size, opened = 0;
    char *whole = fix_read(job->model, &size);
    for (size_t cut = size; cut-- > 0;) {
        bcam_inspection *inspection = NULL;
        bcam_error err = {0};
        cr_assert_eq(truncate(job->model, (off_t)cut), 0);
        bcam_status status = bcam_inspect(job->model, &inspection, &err);
        cr_assert(status == BCAM_OK || status == BCAM_E_MODEL || status == BCAM_E_UNSUPPORTED, "%zu: %d %s", cut,
                  (int)status, err.message);
        cr_assert(status == BCAM_OK || strstr(err.message, "model.onnx"), "%zu: %s", cut, err.message);
        bcam_inspection_close(&inspection);
        opened += status == BCAM_OK;
    }
    cr_assert_lt(opened, 8, "%zu of %zu pieces were taken for a model", opened, size);
    cr_assert_eq(bcam_alloc_live(), 0);
    free(whole);
    fix_close(job);
}

/* The same of the graph alone, in a file that is whole around it: then every part of it is cut off once. */
Test(run_bad_model, a_graph_cut_off_at_every_byte, .timeout = 300)
{
    fix_job *job = fix_open(3, true);
    bytes whole = begin(0, 3, FIX_H, FIX_W);
    size_t opened = 0;
    put_parts(&whole, NULL, NULL);
    for (size_t cut = 0; cut < whole.size; cut++) {
        bytes g = {0};
        bcam_inspection *inspection = NULL;
        bcam_error err = {0};
        put(&g, whole.data, cut);
        write_model(job, model_of(g));
        bcam_status status = bcam_inspect(job->model, &inspection, &err);
        cr_assert(status == BCAM_OK || status == BCAM_E_MODEL || status == BCAM_E_UNSUPPORTED, "%zu: %d %s", cut,
                  (int)status, err.message);
        cr_assert((status == BCAM_OK) == (*err.message == '\0'), "%zu", cut);
        bcam_inspection_close(&inspection);
        opened += status == BCAM_OK;
    }
    cr_assert_lt(opened, 8, "%zu of %zu pieces were taken for a model", opened, whole.size);
    cr_assert_eq(bcam_alloc_live(), 0);
    free(whole.data);
    fix_close(job);
}

/* ---- tensors ---- */

/** An initializer's dimensions, "4,3", and type; its data are to be added. */
static bytes tensor_of(const char *name, int type, const char *dims)
{
    bytes tensor = {0};
    for (const char *at = dims; *at;) {
        char *end;
        put_int(&tensor, 1, strtoll(at, &end, 10));
        at = end + (*end == ',');
    }
    put_int(&tensor, 2, type);
    put_text(&tensor, 8, name);
    return tensor;
}

/** Only described: one that is wrong even where nobody reads it. */
Test(run_bad_model, tensors)
{
    static const struct {
        const char *what, *dims;
        int type;
        const char *location, *offset, *length; /* elsewhere; NULL: four bytes of data */
        int status;
        const char *words;
    } rows[] = {
        {"good", "1", 1, NULL, NULL, NULL, BCAM_OK, ""},
        {"too few bytes", "2,3", 1, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|4 bytes|2x3 float32|24"},
        {"too many bytes", "1", 10, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|4 bytes|float16|2"},
        {"negative", "-1,4", 1, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|-1"},
        {"2^62", "4611686018427387904", 1, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|too large"},
        {"2^31 twice", "2147483648,2147483648", 1, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|too large"},
        {"nothing times 2^124", "0,4611686018427387904,4611686018427387904", 1, NULL, NULL, NULL, BCAM_E_MODEL,
         "'t'|too large"},
        {"nine dimensions", "1,1,1,1,1,1,1,1,1", 1, NULL, NULL, NULL, BCAM_E_UNSUPPORTED, "'t'|8 dimensions"},
        {"no type", "1", 0, NULL, NULL, NULL, BCAM_E_MODEL, "'t'|type"},
        {"elsewhere: missing", "1", 1, "far.bin", "0", "4", BCAM_E_IO, "'t'|'far.bin'|No such file"},
        {"elsewhere: outside", "1", 1, "../model.onnx", "0", "4", BCAM_E_MODEL, "'t'|'../model.onnx'|below"},
        {"elsewhere: absolute", "1", 1, "/etc/passwd", "0", "4", BCAM_E_MODEL, "'t'|'/etc/passwd'|below"},
        {"elsewhere: behind its end", "1", 1, "near.bin", "6", "4", BCAM_E_MODEL, "'t'|'near.bin'|byte 6|8"},
        {"elsewhere: 2^64 - 1", "1", 1, "near.bin", "18446744073709551615", "4", BCAM_E_MODEL, "'t'|'near.bin'"},
        {"elsewhere: another length", "1", 1, "near.bin", "0", "8", BCAM_E_MODEL, "'t'|8 bytes|4"},
        {"elsewhere: a folder", "1", 1, "inner", "0", "4", BCAM_E_IO, "inner|a folder"},
        {"elsewhere: 2^60 bytes", "1", 1, "huge.bin", "0", "4", BCAM_E_MEMORY, "huge.bin|1152921504606846976"},
    };
    fix_job *job = fix_open(3, true);
    fix_write_text(fix_in(job, "model/near.bin"), "01234567");
    fix_write_text(fix_in(job, "model/huge.bin"), "");
    cr_assert_eq(mkdir(fix_in(job, "model/inner"), 0777), 0);
    bool sparse = truncate(fix_in(job, "model/huge.bin"), (off_t)1 << 60) == 0; /* some file systems end before */
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        bytes g = begin(0, 3, FIX_H, FIX_W), tensor = tensor_of("t", rows[i].type, rows[i].dims);
        if (rows[i].location) {
            put_pair(&tensor, 13, "location", rows[i].location);
            put_pair(&tensor, 13, "offset", rows[i].offset);
            put_pair(&tensor, 13, "length", rows[i].length);
            put_int(&tensor, 14, 1);
        } else {
            put_bytes(&tensor, 9, "0123", 4);
        }
        put_parts(&g, NULL, NULL);
        put_message(&g, 5, tensor);
        bytes model = model_of(g);
        if (rows[i].status != BCAM_E_MEMORY || sparse)
            expect_bytes(job, rows[i].what, model, rows[i].status, rows[i].words);
        else
            free(model.data);
    }
    fix_close(job);
}

/* ---- weights that are no numbers ---- */

static const uint8_t *number_in(int type, double number, size_t *size)
{
    static union {
        float f32;
        double f64;
        uint16_t u16;
        uint8_t bytes[8];
    } u;
    *size = bcam_onnx_type_bytes((bcam_onnx_type)type);
    if (type == BCAM_ONNX_DOUBLE)
        u.f64 = number;
    else if (type == BCAM_ONNX_FLOAT)
        u.f32 = (float)number;
    else
        u.u16 = type == BCAM_ONNX_FLOAT16 ? bcam_f32_to_f16((float)number) : bcam_f32_to_bf16((float)number);
    return u.bytes;
}

Test(run_bad_model, weights_that_are_no_numbers)
{
    static const struct {
        const char *what, *dims, *first, *node;
        int type;
        double number;
        int status;
        const char *words;
    } rows[] = {
        {"NaN, Conv", "4,3,3,3", NULL, "conv; Conv; x t b; c;", 1, (double)NAN, BCAM_E_MODEL, "'conv'|'t'|1|108"},
        {"infinity, its bias", "4", NULL, "conv; Conv; x w t; c;", 1, HUGE_VAL, BCAM_E_MODEL, "'conv'|'t'|1|4"},
        {"-infinity, Gemm", "5,4", NULL, "fc; Gemm; f t fb; y; transB=1", 1, -HUGE_VAL, BCAM_E_MODEL, "'fc'|'t'|20"},
        {"float16, MatMul", "4,5", NULL, "fc; MatMul; f t; y;", 10, (double)NAN, BCAM_E_MODEL, "'fc'|'t'|20"},
        {"bfloat16, cast", "4,3,3,3", "to; Cast; t; u; to=1", "conv; Conv; x u b; c;", 16, HUGE_VAL, BCAM_E_MODEL,
         "'conv'|'t'|108"},
        {"beyond float32", "4,3,3,3", "to; Cast; t; u; to=1", "conv; Conv; x u b; c;", 11, 1e300, BCAM_E_MODEL,
         "'conv'|'t'|108"},
        {"transposed", "5,4", "turn; Transpose; t; u; perm=1,0", "fc; MatMul; f u; y;", 1, (double)NAN, BCAM_E_MODEL,
         "'fc'|'t'|20"},
        {"a variance", "4", NULL, "relu; BatchNormalization; c b b b t; r;", 1, (double)NAN, BCAM_E_MODEL,
         "'relu'|'t'|4"},
        {"a mask may be infinite", "1,4,1,1", NULL, "relu; Add; c t; r;", 1, -HUGE_VAL, BCAM_OK, ""},
        {"so may what nobody reads", "4", NULL, NULL, 1, (double)NAN, BCAM_OK, ""},
        {"the largest number", "4,3,3,3", NULL, "conv; Conv; x t b; c;", 1, 3.4028234e38, BCAM_OK, ""},
    };
    fix_job *job = fix_open(3, true);
    uint64_t state = 3;
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        bytes g = begin(0, 3, FIX_H, FIX_W), tensor = tensor_of("t", rows[i].type, rows[i].dims), raw = {0};
        size_t size, count = 1;
        for (const char *at = rows[i].dims; *at; at += strspn(at, ","))
            count *= strtoul(at, (char **)&at, 10);
        for (size_t k = 0, bad = bcam_random(&state) % count; k < count; k++) {
            const uint8_t *number = number_in(rows[i].type, k == bad ? rows[i].number : 0.5, &size);
            put(&raw, number, size);
        }
        put_message(&tensor, 9, raw);
        put_parts(&g, rows[i].first, rows[i].node);
        put_message(&g, 5, tensor);
        expect_bytes(job, rows[i].what, model_of(g), rows[i].status, rows[i].words);
    }
    fix_close(job);
}

/* ---- inputs, outputs, operator sets ---- */

static void put_shaped(bytes *g, const char *name, int type, const char *dims)
{
    bytes value = {0}, kind = {0}, tensor = {0}, shape = {0};
    for (const char *at = dims; *at;) {
        bytes dim = {0};
        char *end;
        put_int(&dim, 1, strtoll(at, &end, 10));
        put_message(&shape, 1, dim);
        at = end + (*end == ',');
    }
    put_int(&tensor, 1, type);
    put_message(&tensor, 2, shape);
    put_message(&kind, 1, tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, kind);
    put_message(g, 11, value);
}

Test(run_bad_model, inputs)
{
    static const struct {
        const char *what, *dims;
        int type;
        int status;
        const char *words;
    } rows[] = {
        {"as it should be", "1,3,12,10", 1, BCAM_OK, ""},
        {"rank 2", "1,3", 1, BCAM_E_MODEL, "'x'|2 dimensions|four"},
        {"rank 5", "1,3,1,12,10", 1, BCAM_E_MODEL, "'x'|5 dimensions|four"},
        {"five channels", "1,5,12,10", 1, BCAM_E_MODEL, "'x'|(1,5,12,10)|channels"},
        {"no rows", "1,3,0,10", 1, BCAM_E_MODEL, "'x'|10 x 0|8192"},
        {"2^62 rows", "1,3,4611686018427387904,10", 1, BCAM_E_MODEL, "'x'|4611686018427387904"},
        {"2^62 channels", "1,4611686018427387904,12,10", 1, BCAM_E_MODEL, "'x'|4611686018427387904"},
        {"2^62 photos", "4611686018427387904,3,12,10", 1, BCAM_E_MODEL, "'x'|4611686018427387904 photos|export"},
        {"negative is left open", "-7,3,12,10", 1, BCAM_OK, ""},
        {"strings", "1,3,12,10", 8, BCAM_E_MODEL, "'x'|string"},
        {"complex numbers", "1,3,12,10", 14, BCAM_E_MODEL, "'x'|type"},
    };
    fix_job *job = fix_open(3, true);
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        bytes g = {0};
        put_shaped(&g, "x", rows[i].type, rows[i].dims);
        put_value(&g, 12, "y");
        put_parts(&g, NULL, NULL);
        expect_bytes(job, rows[i].what, model_of(g), rows[i].status, rows[i].words);
    }
    fix_close(job);
}

Test(run_bad_model, graphs)
{
    static const struct {
        const char *what;
        int inputs, nodes, outputs;
        int64_t opset;
        const char *domain;
        int status;
        const char *words;
    } rows[] = {
        {"as it should be", 1, 1, 1, 17, "", BCAM_OK, ""},
        {"no input", 0, 1, 1, 17, "", BCAM_E_MODEL, "'conv'|'x'"},
        {"two inputs", 2, 1, 1, 17, "", BCAM_E_MODEL, "2 inputs|one"},
        {"no nodes", 1, 0, 1, 17, "", BCAM_E_MODEL, "no nodes"},
        {"no output", 1, 1, 0, 17, "", BCAM_E_MODEL, "no outputs"},
        {"operator set 0", 1, 1, 1, 0, "", BCAM_E_UNSUPPORTED, "operator set 0"},
        {"operator set 2^62", 1, 1, 1, (int64_t)1 << 62, "", BCAM_E_UNSUPPORTED, "operator set 4611686018427387904"},
        {"operator set -1", 1, 1, 1, -1, "", BCAM_E_UNSUPPORTED, "operator set -1"},
        {"an unknown domain", 1, 1, 1, 17, "com.example", BCAM_E_UNSUPPORTED, "'more'|com.example"},
    };
    fix_job *job = fix_open(3, true);
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        bytes g = {0}, node = {0}, model = model_head(rows[i].opset);
        for (int k = 0; k < rows[i].inputs; k++)
            put_shaped(&g, k ? "x2" : "x", 1, "1,3,12,10");
        for (int k = 0; k < rows[i].outputs; k++)
            put_value(&g, 12, "z");
        put_text(&node, 1, "y");
        put_text(&node, 2, "z");
        put_text(&node, 3, "more");
        put_text(&node, 4, "Relu");
        put_text(&node, 7, rows[i].domain);
        if (rows[i].nodes) {
            put_parts(&g, NULL, NULL);
            put_message(&g, 1, node);
        } else {
            free(node.data);
        }
        put_message(&model, 7, g);
        expect_bytes(job, rows[i].what, model, rows[i].status, rows[i].words);
    }
    fix_close(job);
}

/* Ten thousand graphs, each in an attribute of a node of the one around it. */
Test(run_bad_model, deep_nesting)
{
    fix_job *job = fix_open(3, true);
    bytes inner = {0}, g = begin(0, 3, FIX_H, FIX_W);
    for (int depth = 0; depth < 10000; depth++) {
        bytes attribute = {0}, node = {0}, graph = {0};
        put_text(&attribute, 1, "then_branch");
        put_message(&attribute, 6, inner);
        put_int(&attribute, 20, 5);
        put_text(&node, 4, "If");
        put_message(&node, 5, attribute);
        put_message(&graph, 1, node);
        inner = graph;
    }
    put_parts(&g, NULL, "relu; Identity; c; kept;");
    put(&g, inner.data, inner.size); /* a node of the outermost graph: nobody reads what it makes */
    free(inner.data);
    put_part(&g, "more; Relu; kept; r;");
    expect_bytes(job, "ten thousand graphs", model_of(g), BCAM_OK, "");
    fix_close(job);
}
