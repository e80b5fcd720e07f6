/* The ONNX reader against the onnx package, its order of nodes, what it refuses, and external data. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx_build.h"
#include "onnx_dump.h"

/* ---- against the onnx package ---- */

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size;
    bcam_error err = {0};
    cr_assert_eq(bcam_file_read(path, 1 << 24, &text, &size, &err), BCAM_OK, "%s", err.message);
    return text;
}

static char *dump_file(const char *path)
{
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_onnx_open(path, &graph, &err), BCAM_OK, "%s: %s", path, err.message);
    char *text = dump_graph(graph);
    bcam_onnx_close(&graph);
    cr_assert_null(graph);
    return text;
}

/** Fails at the first line that differs. */
static void compare_lines(const char *name, const char *got, const char *want)
{
    for (int line = 1; *got || *want; line++) {
        size_t a = strcspn(got, "\n"), b = strcspn(want, "\n");
        cr_assert(a == b && memcmp(got, want, a) == 0, "%s, line %d:\n got  %.*s\n want %.*s", name, line, (int)a, got,
                  (int)b, want);
        got += a + (got[a] != 0);
        want += b + (want[b] != 0);
    }
}

Test(net_onnx, reads_what_the_onnx_package_reads)
{
    static const char *const names[] = {"types_typed", "types_raw", "types_split", "attrs",
                                        "metadata",    "ir3",       "unsorted",    "external"};
    for (size_t k = 0; k < BCAM_COUNT(names); k++) {
        char *path = bcam_format("%s/golden_onnx/%s.onnx", BCAM_TEST_DATA, names[k]);
        char *text_path = bcam_format("%s/golden_onnx/%s.txt", BCAM_TEST_DATA, names[k]);
        char *want = read_text(text_path), *got = dump_file(path);
        compare_lines(names[k], got, want);
        free(got);
        bcam_free(want);
        bcam_free(path);
        bcam_free(text_path);
    }
    cr_assert_eq(bcam_alloc_live(), 0);
}

Test(net_onnx, reads_real_models_as_the_onnx_package_does)
{
    char *list = read_text(BCAM_TEST_DATA "/golden_onnx/real.sha256");
    int seen = 0;
    char hash[65], want[65], name[200];
    for (char *at = list; sscanf(at, "%64s %199s", want, name) == 2; at += strcspn(at, "\n") + 1) {
        char *path = bcam_format("%s/models/%s", BCAM_SHARED_DATA, name);
        if (access(path, R_OK) == 0) {
            char *got = dump_file(path);
            bcam_sha256_hex(got, strlen(got), hash);
            cr_expect_str_eq(hash, want, "%s differs from what the onnx package reads", name);
            free(got);
            seen++;
        }
        bcam_free(path);
    }
    bcam_free(list);
    if (!seen) {
        cr_skip_test("no real models at " BCAM_SHARED_DATA);
    }
}

Test(net_onnx, finds_attributes_and_metadata)
{
    bcam_graph *graph = NULL;
    cr_assert_eq(bcam_onnx_open(BCAM_TEST_DATA "/golden_onnx/metadata.onnx", &graph, NULL), BCAM_OK);
    cr_assert_str_eq(bcam_pair_find(graph->metadata, graph->metadata_count, "stride"), "32");
    cr_assert_null(bcam_pair_find(graph->metadata, graph->metadata_count, "absent"));
    const bcam_node *node = &graph->nodes[1];
    cr_assert_str_eq(bcam_pair_find(node->metadata, node->metadata_count, "pkg.torch.onnx.name_scopes"),
                     "['', 'layer1', 'layer1.act']");
    cr_assert_null(bcam_node_attr(node, "alpha"));
    bcam_onnx_close(&graph);
    cr_assert_eq(bcam_onnx_open(BCAM_TEST_DATA "/golden_onnx/attrs.onnx", &graph, NULL), BCAM_OK);
    cr_assert_eq(bcam_node_attr(&graph->nodes[graph->node_count - 1], "i")->i, -3);
    bcam_onnx_close(&graph);
    bcam_onnx_close(&graph); /* NULL is fine */
}

Test(net_onnx, points_at_weights_in_the_file)
{
    bcam_graph *graph = NULL;
    cr_assert_eq(bcam_onnx_open(BCAM_TEST_DATA "/golden_onnx/types_raw.onnx", &graph, NULL), BCAM_OK);
    for (int k = 0; k < graph->initializer_count; k++) {
        const bcam_onnx_tensor *tensor = &graph->initializers[k];
        cr_assert(tensor->bytes == 0 ||
                  (tensor->data >= graph->file && tensor->data + tensor->bytes <= graph->file + graph->file_bytes));
    }
    bcam_onnx_close(&graph);
    cr_assert_eq(bcam_onnx_open(BCAM_TEST_DATA "/golden_onnx/types_typed.onnx", &graph, NULL), BCAM_OK);
    cr_assert_str_eq(graph->initializers[1].name, "float32_2x3");
    cr_assert(graph->initializers[1].data > graph->file &&
              graph->initializers[1].data < graph->file + graph->file_bytes);
    bcam_onnx_close(&graph);
}

/* ---- what is refused, and with which words ---- */

/** Parses and frees a model; checks the status and that the message has these words (NULL: any). */
static void expect(bytes model, bcam_status status, const char *first, const char *second)
{
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    bcam_status got = bcam_onnx_parse("dir/m.onnx", model.data, model.size, &graph, &err);
    cr_expect_eq(got, status, "status %d, not %d, where '%s' was expected: %s", got, status, first ? first : "",
                 err.message);
    cr_expect((graph != NULL) == (got == BCAM_OK));
    cr_expect(!first || strstr(err.message, first), "'%s' is not in: %s", first, err.message);
    cr_expect(!second || strstr(err.message, second), "'%s' is not in: %s", second, err.message);
    cr_expect(got == BCAM_OK || err.code == got);
    bcam_onnx_close(&graph);
    free(model.data);
    cr_expect_eq(bcam_alloc_live(), 0);
}

/** A small graph with one more thing in it. */
static void expect_graph(bytes graph, bcam_status status, const char *first, const char *second)
{
    expect(model_of(graph), status, first, second);
}

Test(net_onnx, refuses_broken_graphs_by_name)
{
    bytes g;
    expect_graph(small_graph(), BCAM_OK, NULL, NULL);
    g = (bytes){0};
    expect_graph(g, BCAM_E_MODEL, "m.onnx", "no nodes");
    put_node(&g, "n", "x", "y");
    put_value(&g, 11, "x");
    expect_graph(g, BCAM_E_MODEL, "no outputs", NULL);
    g = small_graph();
    put_node(&g, "lost", "y ghost", "z");
    expect_graph(g, BCAM_E_MODEL, "'lost'", "'ghost'");
    g = small_graph();
    put_value(&g, 12, "ghost");
    expect_graph(g, BCAM_E_MODEL, "output", "'ghost'");
    g = small_graph();
    put_node(&g, "again", "x", "y");
    expect_graph(g, BCAM_E_MODEL, "'y' is made twice", "'again'");
    g = small_graph();
    put_node(&g, "input", "y", "x");
    expect_graph(g, BCAM_E_MODEL, "'x' is made twice", "an input of the graph");
    g = small_graph();
    put_value(&g, 11, "x");
    expect_graph(g, BCAM_E_MODEL, "'x' is made twice", NULL);
    g = small_graph();
    put_weight(&g, "w", 2, 8);
    put_weight(&g, "w", 2, 8);
    expect_graph(g, BCAM_E_MODEL, "'w' is made twice", "an initializer");
    g = small_graph();
    put_weight(&g, "", 2, 8);
    expect_graph(g, BCAM_E_MODEL, "initializer number 1 has no name", NULL);
    g = small_graph();
    put_text(&g, 1, "\x1a\x02no");
    expect_graph(g, BCAM_E_MODEL, "'no'", "no operator");
    g = small_graph();
    put_value(&g, 11, "");
    expect_graph(g, BCAM_E_MODEL, "no name", NULL);
    g = small_graph();
    put_bytes(&g, 1, "\x0a\3a\0b\x22\1R", 8);
    expect_graph(g, BCAM_E_MODEL, "zero byte", "input");
    g = small_graph();
    put_text(&g, 15, "");
    expect_graph(g, BCAM_E_UNSUPPORTED, "sparse", NULL);
}

Test(net_onnx, names_a_node_on_the_cycle)
{
    bytes g = small_graph();
    put_node(&g, "after", "b", "z");
    put_node(&g, "first", "y c", "a");
    put_node(&g, "second", "a", "b");
    put_node(&g, "third", "b", "c");
    bytes model = model_of(g);
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_onnx_parse("m", model.data, model.size, &graph, &err), BCAM_E_MODEL);
    cr_assert(strstr(err.message, "cycle"), "%s", err.message);
    cr_assert(!strstr(err.message, "'after'") && !strstr(err.message, "'only'"), "%s", err.message);
    free(model.data);
    g = small_graph();
    put_node(&g, "self", "s x", "s");
    expect_graph(g, BCAM_E_MODEL, "cycle", "'self'");
}

Test(net_onnx, refuses_wrong_sizes_with_both_numbers)
{
    bytes g = small_graph(), t = {0};
    put_weight(&g, "w", 3, 8);
    expect_graph(g, BCAM_E_MODEL, "'w' holds 8 bytes", "3 float32 takes 12");
    g = small_graph();
    put_weight(&g, "w", -1, 8);
    expect_graph(g, BCAM_E_MODEL, "'w'", "-1");
    g = small_graph();
    put_weight(&g, "w", (int64_t)1 << 62, 8);
    expect_graph(g, BCAM_E_MODEL, "'w'", "too large");
    g = small_graph();
    put_text(&t, 1, "\2\3"); /* dims 2x3 */
    put_int(&t, 2, 7);
    put_text(&t, 7, "\1\2\3\4"); /* int64_data */
    put_text(&t, 8, "typed");
    put_message(&g, 5, t);
    expect_graph(g, BCAM_E_MODEL, "'typed' holds 32 bytes", "2x3 int64 takes 48");
    g = small_graph();
    t = (bytes){0};
    put_text(&t, 1, "\1\1\1\1\1\1\1\1\1");
    put_int(&t, 2, 1);
    put_text(&t, 8, "deep");
    put_message(&g, 5, t);
    expect_graph(g, BCAM_E_UNSUPPORTED, "'deep'", "more than 8 dimensions");
    g = small_graph();
    t = (bytes){0};
    put_text(&t, 8, "untyped");
    put_message(&g, 5, t);
    expect_graph(g, BCAM_E_MODEL, "'untyped' has no element type", NULL);
}

static bytes with_opset(int64_t opset)
{
    bytes model = model_head(opset);
    put_message(&model, 7, small_graph());
    return model;
}

Test(net_onnx, takes_operator_sets_1_to_28)
{
    expect(with_opset(1), BCAM_OK, NULL, NULL);
    expect(with_opset(28), BCAM_OK, NULL, NULL);
    expect(with_opset(0), BCAM_E_UNSUPPORTED, "operator set 0", "1 to 28");
    expect(with_opset(29), BCAM_E_UNSUPPORTED, "operator set 29", "opset_version=17");
    expect(with_opset(-1), BCAM_E_UNSUPPORTED, "operator set -1", NULL);
    bytes model = with_opset(17), set = {0};
    put_text(&set, 1, "com.microsoft");
    put_int(&set, 2, 99);
    put_message(&model, 8, set);
    expect(model, BCAM_OK, NULL, NULL);
    model = with_opset(17);
    set = (bytes){0};
    put_text(&set, 1, "ai.onnx");
    put_int(&set, 2, 18);
    put_message(&model, 8, set);
    expect(model, BCAM_E_MODEL, "17 and 18", NULL);
    model = with_opset(17);
    put_message(&model, 7, small_graph());
    expect(model, BCAM_E_MODEL, "two graphs", NULL);
    model = with_opset(17);
    put_text(&model, 25,
             "\x0a\5"
             "Block");
    expect(model, BCAM_E_UNSUPPORTED, "'Block'", "inline");
}

static void expect_text(const char *text, size_t size, const char *words)
{
    bytes model = {0};
    put(&model, text, size);
    expect(model, BCAM_E_MODEL, words, NULL);
}

Test(net_onnx, says_what_a_file_is_that_is_not_onnx)
{
    expect_text("", 0, "empty");
    expect_text("hello, world\n", 13, "text file");
    expect_text("<!DOCTYPE html><html></html>", 28, "web page");
    expect_text("PK\003\004\0\0\0\0\0\0archive/data.pkl", 26, "PyTorch checkpoint");
    expect_text("\x80\x02}q\0X\5\0\0\0", 11, "PyTorch checkpoint");
    expect_text("\x89HDF\r\n\x1a\n", 8, "Keras");
    expect_text("\x1c\0\0\0TFL3\0\0", 10, "TensorFlow Lite");
    expect_text("\x10\0\0\0\0\0\0\0{\"a\":1}", 15, "safetensors");
    expect_text("version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS");
    expect_text("\0\0\0\0", 4, "byte 0");
    expect_text("\x08\x08", 2, "no graph");
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    cr_expect_eq(bcam_onnx_open("/nonexistent/m.onnx", &graph, &err), BCAM_E_IO);
    cr_expect(strstr(err.message, "/nonexistent/m.onnx"), "%s", err.message);
    cr_expect_eq(bcam_onnx_open("/", &graph, &err), BCAM_E_IO);
    cr_expect(strstr(err.message, "a folder"), "%s", err.message);
    cr_expect_eq(bcam_onnx_open("/dev/null", &graph, &err), BCAM_E_IO);
    cr_expect_eq(bcam_alloc_live(), 0);
}

/* ---- external data ---- */

static char folder[200];

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/batchcam-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static char *in_folder(const char *name)
{
    return bcam_path_join(folder, name);
}

static void write_file(const char *name, const void *data, size_t size)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    bcam_free(path);
}

static int open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir)) {
        count++;
    }
    if (dir) {
        closedir(dir);
    }
    return count;
}

/** Opens folder/m.onnx, made with one initializer of four floats at this place; keys and values up to a NULL. */
static void expect_external(const char *const *pairs, bcam_status status, const char *words)
{
    bytes g = small_graph();
    put_external(&g, "w", 4, pairs);
    bytes model = model_of(g);
    write_file("m.onnx", model.data, model.size);
    free(model.data);
    char *path = in_folder("m.onnx");
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    int before = open_files();
    int64_t live = bcam_alloc_live();
    bcam_status got = bcam_onnx_open(path, &graph, &err);
    cr_expect_eq(got, status, "%s=%s: status %d, not %d: %s", pairs[0], pairs[0] ? pairs[1] : "", got, status,
                 err.message);
    cr_expect(!words || strstr(err.message, words), "'%s' is not in: %s", words, err.message);
    if (got == BCAM_OK) {
        cr_expect_eq(memcmp(graph->initializers[0].data, "0123456789abcdef", 16), 0);
    }
    bcam_onnx_close(&graph);
    cr_expect_eq(open_files(), before, "a file stays open");
    cr_expect_eq(bcam_alloc_live(), live);
    bcam_free(path);
}

#define PLACE(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(net_onnx, reads_external_data_below_the_folder_only, .init = make_folder, .fini = remove_folder)
{
    char *sub = in_folder("sub"), *link = in_folder("link"), *link_dir = in_folder("link_dir"),
         *hard = in_folder("hard"), *pipe = in_folder("pipe"), *one = in_folder("one"), *long_name = calloc(5000, 1);
    cr_assert(mkdir(sub, 0777) == 0 && symlink("w.bin", link) == 0 && symlink("sub", link_dir) == 0 &&
              mkfifo(pipe, 0666) == 0);
    write_file("w.bin", "0123456789abcdef", 16);
    write_file("sub/w.bin", "xx0123456789abcdefyy", 20);
    write_file("one", "0123456789abcdef", 16);
    write_file("short", "0123456789abcde", 15);
    write_file("empty", "", 0);
    cr_assert_eq(linkat(AT_FDCWD, one, AT_FDCWD, hard, 0), 0);
    memset(long_name, 'a', 4999);

    expect_external(PLACE("location", "w.bin"), BCAM_OK, NULL);
    expect_external(PLACE("location", "./w.bin", "length", "16"), BCAM_OK, NULL);
    expect_external(PLACE("location", "sub//./w.bin", "offset", "2", "length", "16", "checksum", "?"), BCAM_OK, NULL);

    expect_external(PLACE("location", "/etc/passwd"), BCAM_E_MODEL, "/etc/passwd");
    expect_external(PLACE("location", "../w.bin"), BCAM_E_MODEL, "below");
    expect_external(PLACE("location", "sub/../w.bin"), BCAM_E_MODEL, "below");
    expect_external(PLACE("location", "sub/.."), BCAM_E_MODEL, "below");
    expect_external(PLACE("location", ""), BCAM_E_MODEL, "'w'");
    expect_external(PLACE(NULL), BCAM_E_MODEL, "'w'");
    expect_external(PLACE("location", "link"), BCAM_E_MODEL, "link");
    expect_external(PLACE("location", "link_dir/w.bin"), BCAM_E_MODEL, "link");
    expect_external(PLACE("location", "hard"), BCAM_E_MODEL, "hard link");
    expect_external(PLACE("location", "absent"), BCAM_E_IO, "absent");
    expect_external(PLACE("location", "w.bin/x"), BCAM_E_MODEL, "w.bin/x");
    expect_external(PLACE("location", "sub"), BCAM_E_IO, "folder");
    expect_external(PLACE("location", "."), BCAM_E_IO, "folder");
    expect_external(PLACE("location", "pipe"), BCAM_E_IO, "pipe");
    expect_external(PLACE("location", long_name), BCAM_E_IO, "too long");

    expect_external(PLACE("location", "short"), BCAM_E_MODEL, "15");
    expect_external(PLACE("location", "empty"), BCAM_E_MODEL, "which has 0");
    expect_external(PLACE("location", "w.bin", "offset", "1"), BCAM_E_MODEL, "byte 1");
    expect_external(PLACE("location", "w.bin", "offset", "17"), BCAM_E_MODEL, "17");
    expect_external(PLACE("location", "w.bin", "offset", "18446744073709551608"), BCAM_E_MODEL, "18446744073709551608");
    expect_external(PLACE("location", "w.bin", "offset", "18446744073709551616"), BCAM_E_MODEL, "offset");
    expect_external(PLACE("location", "w.bin", "offset", "-1"), BCAM_E_MODEL, "'-1'");
    expect_external(PLACE("location", "w.bin", "offset", ""), BCAM_E_MODEL, "offset");
    expect_external(PLACE("location", "w.bin", "offset", "0x0"), BCAM_E_MODEL, "'0x0'");
    expect_external(PLACE("location", "w.bin", "length", "12"), BCAM_E_MODEL, "12 bytes");

    bcam_free(sub);
    bcam_free(link);
    bcam_free(link_dir);
    bcam_free(hard);
    bcam_free(pipe);
    bcam_free(one);
    free(long_name);
}

/* Once, and whole: what becomes of the files then does not matter. */
Test(net_onnx, reads_each_external_file_once, .init = make_folder, .fini = remove_folder)
{
    static const char *const places[] = {"w.bin", "./w.bin", ".//w.bin", "w.bin"};
    bytes g = small_graph();
    for (int k = 0; k < 40; k++) {
        char name[20];
        snprintf(name, sizeof name, "w%d", k);
        put_external(&g, name, 4, PLACE("location", places[k % 4]));
    }
    bytes model = model_of(g);
    write_file("m.onnx", model.data, model.size);
    write_file("w.bin", "0123456789abcdef", 16);
    char *path = in_folder("m.onnx");
    bcam_graph *graph = NULL;
    cr_assert_eq(bcam_onnx_open(path, &graph, NULL), BCAM_OK);
    for (int k = 1; k < 40; k++) {
        cr_assert_eq(graph->initializers[k].data, graph->initializers[0].data);
    }
    write_file("w.bin", "", 0);
    write_file("m.onnx", "", 0);
    cr_expect_eq(memcmp(graph->initializers[39].data, "0123456789abcdef", 16), 0);
    cr_expect_eq(memcmp(graph->file, model.data, model.size), 0);
    bcam_onnx_close(&graph);
    free(model.data);
    bcam_free(path);
}
