/* The ONNX reader on damaged and malicious files, with memory that runs out, and on a big file. Run under sanitizers too. */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/wire.h"
#include "onnx_build.h"
#include "onnx_dump.h"

static const char *const goldens[] = {"types_typed", "types_raw", "types_split", "attrs",
                                      "metadata",    "ir3",       "unsorted",    "external"};

/** Reads bytes as a model and, where that works, everything that the graph points at. */
static bcam_status try_bytes(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* exactly as long, so that a sanitizer sees a step past the end */
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    memcpy(copy, data, size);
    bcam_status status = bcam_onnx_parse(BCAM_TEST_DATA "/golden_onnx/m.onnx", copy, size, &graph, &err);
    if (status == BCAM_OK) {
        free(dump_graph(graph));
    }
    cr_assert((status == BCAM_OK) == (graph != NULL));
    cr_assert(status == BCAM_OK || err.message[0]);
    bcam_onnx_close(&graph);
    free(copy);
    cr_assert_eq(bcam_alloc_live(), 0);
    return status;
}

static uint8_t *read_golden(const char *name, size_t *size)
{
    char *path = bcam_format("%s/golden_onnx/%s.onnx", BCAM_TEST_DATA, name), *read = NULL;
    cr_assert_eq(bcam_file_read(path, 1 << 20, &read, size, NULL), BCAM_OK);
    uint8_t *data = malloc(*size + 1);
    memcpy(data, read, *size);
    bcam_free(read);
    bcam_free(path);
    return data;
}

Test(net_onnx_hostile, every_truncation)
{
    for (size_t k = 0; k < BCAM_COUNT(goldens); k++) {
        size_t size;
        uint8_t *data = read_golden(goldens[k], &size);
        for (size_t cut = 0; cut < size; cut++) {
            bcam_status status = try_bytes(data, cut);
            cr_assert(status == BCAM_OK || status == BCAM_E_MODEL || status == BCAM_E_UNSUPPORTED, "%s cut at %zu: %d",
                      goldens[k], cut, status);
        }
        free(data);
    }
}

Test(net_onnx_hostile, random_flips)
{
    uint64_t seed = (uint64_t)time(NULL), state = seed;
    cr_log_info("seed %llu", (unsigned long long)seed);
    for (size_t k = 0; k < BCAM_COUNT(goldens); k++) {
        size_t size;
        uint8_t *data = read_golden(goldens[k], &size);
        for (int round = 0; round < 2000; round++) {
            uint8_t *bad = malloc(size);
            memcpy(bad, data, size);
            for (uint64_t flips = 1 + bcam_random(&state) % 4; flips; flips--) {
                size_t at = bcam_random(&state) % size;
                bad[at] = bcam_random(&state) % 2 ? (uint8_t)bcam_random(&state)
                                                  : (uint8_t)(bad[at] ^ 1u << bcam_random(&state) % 8);
            }
            bcam_status status = try_bytes(bad, size);
            cr_assert(status == BCAM_OK || status == BCAM_E_MODEL || status == BCAM_E_UNSUPPORTED ||
                          status == BCAM_E_IO,
                      "seed %llu: %d", (unsigned long long)seed, status);
            free(bad);
        }
        free(data);
    }
}

/** A message of about `size` bytes that holds itself again and again, by these field numbers in turn (innermost first). */
static bytes nest(size_t size, const unsigned *numbers, size_t count)
{
    bytes out = {.data = malloc(size), .room = size};
    size_t at = size;
    for (size_t k = 0; at > 16; k++) { /* from the end to the front */
        bytes head = {0};
        put_head(&head, numbers[k % count], size - at);
        at -= head.size;
        memcpy(out.data + at, head.data, head.size);
        free(head.data);
    }
    memmove(out.data, out.data + at, size - at);
    out.size = size - at;
    return out;
}

Test(net_onnx_hostile, nested_graphs)
{
    bytes model = model_head(17);
    put_message(&model, 7, nest(114000, (const unsigned[]){1, 6, 5}, 3)); /* node > attribute > graph > node > … */
    cr_assert_eq(try_bytes(model.data, model.size), BCAM_E_MODEL);
    free(model.data);

    bytes attr = {0}, node = {0}, graph = small_graph(); /* and in a node that is otherwise good: skipped */
    put_text(&attr, 1, "body");
    put_message(&attr, 6, nest(114000, (const unsigned[]){6, 5, 1}, 3));
    put_text(&node, 4, "Loop");
    put_message(&node, 5, attr);
    put_message(&graph, 1, node);
    model = model_of(graph);
    cr_assert_eq(try_bytes(model.data, model.size), BCAM_OK);
    free(model.data);
}

Test(net_onnx_hostile, huge_lengths)
{
    static const uint64_t lengths[] = {
        100, INT32_MAX, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 8, UINT64_MAX};
    for (size_t k = 0; k < BCAM_COUNT(lengths); k++) {
        bytes model = model_head(17), graph = {0};
        put_head(&model, 7, lengths[k]);
        cr_assert_eq(try_bytes(model.data, model.size), BCAM_E_MODEL);
        free(model.data);
        graph = small_graph();
        put_head(&graph, 5, lengths[k]);
        model = model_of(graph);
        put_text(&model, 6,
                 "bytes behind the graph must not count as bytes of it: this text is longer than one hundred bytes, to "
                 "tempt the reader");
        cr_assert_eq(try_bytes(model.data, model.size), BCAM_E_MODEL);
        free(model.data);
    }
}

Test(net_onnx_hostile, dimensions_that_overflow)
{
    static const int64_t dims[][3] = {{INT64_MAX, 1, 1},
                                      {(int64_t)1 << 62, 1, 1},
                                      {(int64_t)1 << 31, (int64_t)1 << 31, 1},
                                      {(int64_t)1 << 32, (int64_t)1 << 32, 1},
                                      {(int64_t)1 << 62, 4, 0},
                                      {-1, -1, 4},
                                      {INT64_MIN, 2, 1}};
    for (size_t k = 0; k < BCAM_COUNT(dims); k++) {
        for (int kind = 0; kind < 3; kind++) {
            bytes graph = small_graph(), tensor = {0};
            for (int j = 0; j < 3; j++) {
                put_int(&tensor, 1, dims[k][j]);
            }
            put_int(&tensor, 2, 1);
            put_text(&tensor, 8, "w");
            if (kind < 2) {
                put_text(&tensor, kind ? 9 : 4, "0123");
            } else {
                put_pair(&tensor, 13, "location", "external.bin");
                put_int(&tensor, 14, 1);
            }
            put_message(&graph, 5, tensor);
            bytes model = model_of(graph);
            cr_assert_eq(try_bytes(model.data, model.size), BCAM_E_MODEL);
            free(model.data);
        }
    }
}

Test(net_onnx_hostile, too_many_messages)
{
    bytes model = model_head(17), graph = {0};
    for (int k = 0; k < (1 << 20) + 1; k++) {
        put_head(&graph, 1, 0);
    }
    put_message(&model, 7, graph);
    bcam_graph *read = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_onnx_parse("m", model.data, model.size, &read, &err), BCAM_E_MODEL);
    cr_assert(strstr(err.message, "1048576 nodes"), "%s", err.message);
    free(model.data);
}

/* ---- the wire ---- */

static const char *problem_of(const char *data, size_t size)
{
    bcam_wire wire = bcam_wire_open((const uint8_t *)data, size);
    bcam_field field;
    while (bcam_wire_next(&wire, &field)) {}
    cr_assert(!bcam_wire_next(&wire, &field));
    return wire.problem;
}

Test(net_onnx_hostile, wire_format)
{
    bcam_field field;
    const uint8_t minus_one[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    bcam_wire wire = bcam_wire_open(minus_one, sizeof minus_one);
    cr_assert(bcam_wire_next(&wire, &field) && field.key == BCAM_VARINT(1) && (int64_t)field.value == -1);
    cr_assert(!bcam_wire_next(&wire, &field) && !wire.problem);
    cr_assert_null(problem_of(NULL, 0));
    cr_assert_null(problem_of("\x8a\x00\x00", 3)); /* a tag and a length longer than they need be */
    cr_assert_not_null(problem_of("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11));
    cr_assert_not_null(problem_of("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12));
    cr_assert_not_null(problem_of("\x08", 1));
    cr_assert_not_null(problem_of("\x88", 1));
    cr_assert_not_null(problem_of("\x0d\1\2\3", 4));
    cr_assert_not_null(problem_of("\x09\1\2\3\4\5\6\7", 8));
    cr_assert_not_null(problem_of("\x0a\2\1", 3));
    cr_assert_not_null(problem_of("\x0b\x0c", 2)); /* a group */
    cr_assert_not_null(problem_of("\x0c", 1));
    cr_assert_not_null(problem_of("\x0e", 1));
    cr_assert_not_null(problem_of("\x0f", 1));
    cr_assert_not_null(problem_of("\x00\x00", 2));                 /* field 0 */
    cr_assert_not_null(problem_of("\xf8\xff\xff\xff\x1f\x00", 6)); /* a tag of more than 32 bits */
}

/* ---- memory ---- */

Test(net_onnx_hostile, every_allocation_fails_in_turn)
{
    for (size_t k = 0; k < BCAM_COUNT(goldens); k++) {
        for (int persist = 0; persist < 2; persist++) {
            char *path = bcam_format("%s/golden_onnx/%s.onnx", BCAM_TEST_DATA, goldens[k]);
            int64_t before = bcam_alloc_live(), nth = 0;
            bcam_status status;
            do {
                bcam_graph *graph = NULL;
                bcam_error err = {0};
                bcam_alloc_fail_at(++nth, persist);
                status = bcam_onnx_open(path, &graph, &err);
                bcam_alloc_fail_at(0, false);
                cr_assert(status == BCAM_OK || (status == BCAM_E_MEMORY && err.code == BCAM_E_MEMORY),
                          "%s, allocation %lld: %d %s", goldens[k], (long long)nth, status, err.message);
                cr_assert((status == BCAM_OK) == (graph != NULL));
                bcam_onnx_close(&graph);
                cr_assert_eq(bcam_alloc_live(), before);
            } while (status != BCAM_OK && nth < 10000);
            cr_assert(nth > 3, "no allocation failed");
            cr_assert_eq(status, BCAM_OK);
            bcam_free(path);
        }
    }
}

Test(net_onnx_hostile, a_big_file_takes_little_memory_beside_it)
{
    enum { WEIGHTS = 64 << 20 };
    char path[200];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/batchcam-XXXXXX", base ? base : "/tmp");
    int file = mkstemp(path);
    cr_assert(file >= 0);
    bytes tensor = {0}, graph = small_graph(),
          model = model_head(17); /* the weights come last of all, and the disk holds none of them */
    put_int(&tensor, 1, WEIGHTS / 4);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, "w");
    put_head(&tensor, 9, WEIGHTS);
    put_head(&graph, 5, tensor.size + WEIGHTS);
    put(&graph, tensor.data, tensor.size);
    put_head(&model, 7, graph.size + WEIGHTS);
    put(&model, graph.data, graph.size);
    cr_assert_eq(write(file, model.data, model.size), (ssize_t)model.size);
    cr_assert_eq(ftruncate(file, (off_t)(model.size + WEIGHTS)), 0);
    close(file);

    bcam_graph *read = NULL;
    int64_t calls = bcam_alloc_calls();
    cr_assert_eq(bcam_onnx_open(path, &read, NULL), BCAM_OK);
    cr_assert_lt(read->pool.bytes, 1 << 17);
    cr_assert_lt(bcam_alloc_calls() - calls, 10);
    cr_assert_eq(read->initializers[0].data, read->file + model.size);
    cr_assert_eq(read->parameters, WEIGHTS / 4);
    bcam_onnx_close(&read);
    unlink(path);
    free(tensor.data);
    free(graph.data);
    free(model.data);
}
