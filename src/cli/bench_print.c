/* bench_print.c - what was measured, as a table for people, as JSON, as CSV. */
#include <inttypes.h>
#include <string.h>

#include "bench.h"
#include "json.h"

static const bcam_bench_stage *find(const bcam_bench_row *row, const char *name)
{
    int s = 0;
    while (s < BCAM_BENCH_STAGES - 1 && strcmp(row->stage[s].name, name) != 0)
        s++;
    return &row->stage[s];
}

const char *bench_kind(const bcam_bench_row *row, char text[64])
{
    snprintf(text, 64, "%s%s", row->precision, row->deterministic ? " deterministic" : "");
    return text;
}

bool bench_same_kind(const bcam_bench_row *a, const bcam_bench_row *b)
{
    return strcmp(a->precision, b->precision) == 0 && a->deterministic == b->deterministic;
}

double bench_network_rate(const bcam_bench_row *row)
{
    static const char *const names[] = {"forward", "backward", "cam"};
    double seconds = 0;
    for (size_t i = 0; i < CLI_COUNT(names); i++)
        seconds += find(row, names[i])->alone;
    return bench_rate(find(row, names[0]), seconds);
}

double bench_run_rate(const bcam_bench_row *row)
{
    return row->images_per_second > 0 ? row->images_per_second : row->images_per_second_no_files;
}

static double busy(const bcam_bench_row *row, const bcam_bench_stage *stage)
{
    return stage->stream * bench_run_rate(row) / row->threads;
}

/* ---- for people ---- */

static void print_number(double value, int decimals)
{
    if (value > 0)
        printf(" %10.*f", decimals, value);
    else
        printf(" %10s", "-");
}

static void print_stages(const bcam_bench_row *row)
{
    double alone = 0, stream = 0;
    printf("\n%-10s %21s %21s\n%-10s %10s %10s %10s %10s %7s\n", "", "alone", "in the run", "stage", "photos/s",
           "core ms", "photos/s", "core ms", "busy");
    for (int s = 0; s < BCAM_BENCH_STAGES; s++) {
        const bcam_bench_stage *stage = &row->stage[s];
        alone += stage->alone;
        stream += stage->stream;
        if (!bench_shown(stage))
            continue;
        printf("%-10s", stage->name);
        print_number(bench_rate(stage, stage->alone), 1);
        print_number(stage->alone * 1e3, 3);
        print_number(bench_rate(stage, stage->stream), 1);
        print_number(stage->stream * 1e3, 3);
        printf(" %6.1f%%\n", 100 * busy(row, stage));
    }
    printf("%-10s %10s %10.3f", "all", "", alone * 1e3);
    print_number(bench_run_rate(row), 1);
    print_number(stream * 1e3, 3);
    printf(" %6.1f%%\n", 100 * stream * bench_run_rate(row) / row->threads);
}

static void print_run(const bcam_bench_row *row)
{
    if (row->images_per_second > 0)
        printf("\nrun       %.1f photos/s, %.1f without files", row->images_per_second,
               row->images_per_second_no_files);
    else
        printf("\nrun       %.1f photos/s without files", row->images_per_second_no_files);
    printf("; %.2f of what the stages alone allow\nbound     %s\n", row->efficiency, row->bound);
    printf("work      %.2f GFLOP and %.1f MB a photo; %d of %d convolutions left out of the backward pass\n",
           row->gflop, row->bytes * 1e-6, row->convs_left_out, row->convs);
}

static void print_ceilings(const bcam_bench_row *row)
{
    double network = bench_network_rate(row), run = bench_run_rate(row);
    if (row->peak_flops > 0)
        printf("ceilings  matrix product %.1f GFLOP/s: the network alone at %.0f%%, the run at %.0f%%\n",
               row->peak_flops * 1e-9, 100 * bench_share(network * row->gflop * 1e9, row->peak_flops),
               100 * bench_share(run * row->gflop * 1e9, row->peak_flops));
    printf("%-10smemory copy %.1f GB/s", row->peak_flops > 0 ? "" : "ceilings", row->peak_memory * 1e-9);
    if (row->peak_pcie_in > 0)
        printf("; to the card %.1f GB/s, back %.1f GB/s\n", row->peak_pcie_in * 1e-9, row->peak_pcie_out * 1e-9);
    else
        printf(": the network alone at %.0f%%\n", 100 * bench_share(network * row->bytes, row->peak_memory));
    if (row->peak_disk > 0)
        printf("%-10sdisk %.0f MB/s: the writer alone at %.0f%%, %.1f KB a photo\n", "", row->peak_disk * 1e-6,
               100 * bench_share(bench_rate(find(row, "write"), find(row, "write")->alone) * row->bytes_written,
                                 row->peak_disk),
               row->bytes_written * 1e-3);
}

/* What the row's batch and precision come to where algorithms are chosen by timing. */
static void print_cost(const bench_rows *rows, const bcam_bench_row *row)
{
    const bcam_bench_row *other = rows->row;
    while (other->batch != row->batch || strcmp(other->precision, row->precision) != 0)
        other++;
    double with = bench_network_rate(row), without = bench_network_rate(other);
    char text[64];
    printf("%s, batch %d: %.1f in place of %.1f photos/s of the network alone, %+.0f%%\n", bench_kind(row, text),
           row->batch, with, without, 100 * (bench_share(with, without) - 1));
}

static void print_sweep(const bench_rows *rows)
{
    char text[64];
    printf("\n%6s %18s %10s %14s %14s %8s  %s\n", "batch", "precision", "photos/s", "without files", "network alone",
           "product", "bound by");
    for (int i = 0; i < rows->count; i++) {
        const bcam_bench_row *row = &rows->row[i];
        double network = bench_network_rate(row);
        printf("%6d %18s", row->batch, bench_kind(row, text));
        print_number(row->images_per_second, 1);
        printf(" %14.1f %14.1f %7.0f%%  %.*s\n", row->images_per_second_no_files, network,
               100 * bench_share(network * row->gflop * 1e9, row->peak_flops), (int)strcspn(row->bound, ":"),
               row->bound);
    }
    putchar('\n');
    for (int i = 0; i < rows->count; i++)
        if (rows->row[i].deterministic)
            print_cost(rows, &rows->row[i]);
    printf(
        "product: the network alone, as a share of what a matrix product reaches. --json and --csv have every stage.\n");
}

void bench_print_table(const bench_rows *rows)
{
    const bcam_bench_row *row = &rows->row[0];
    printf("model     %s at %s\ndevice    %s", row->model, row->layer, row->device);
    if (rows->count == 1)
        printf(", %s, batch %d", row->precision, row->batch);
    printf("\nphotos    %" PRId64 " a run, %d x %d, %.0f KB%s\n", row->images, row->photo_width, row->photo_height,
           row->bytes_read * 1e-3, row->synthetic ? ", made for this" : "");
    if (rows->count > 1) {
        print_sweep(rows);
    } else {
        print_stages(row);
        print_run(row);
    }
    print_ceilings(row);
}

/* ---- for programs: one table of numbers for both forms ---- */

typedef struct number {
    const char *name;
    double value;
} number;

enum { NUMBERS = 23 };

static void numbers_of(const bcam_bench_row *row, number out[NUMBERS])
{
    double network = bench_network_rate(row), run = bench_run_rate(row);
    const bcam_bench_stage *write = find(row, "write");
    const number all[NUMBERS] = {
        {"batch", row->batch},
        {"threads", row->threads},
        {"images", (double)row->images},
        {"images_per_second", row->images_per_second},
        {"images_per_second_no_files", row->images_per_second_no_files},
        {"efficiency", row->efficiency},
        {"ready_seconds", row->ready_seconds},
        {"network_images_per_second", network},
        {"gflop", row->gflop},
        {"bytes", row->bytes},
        {"bytes_read", row->bytes_read},
        {"bytes_written", row->bytes_written},
        {"convolutions", row->convs},
        {"convolutions_left_out", row->convs_left_out},
        {"peak_gflops", row->peak_flops * 1e-9},
        {"peak_memory", row->peak_memory},
        {"peak_disk", row->peak_disk},
        {"peak_pcie_in", row->peak_pcie_in},
        {"peak_pcie_out", row->peak_pcie_out},
        {"product_share_network", bench_share(network * row->gflop * 1e9, row->peak_flops)},
        {"product_share_run", bench_share(run * row->gflop * 1e9, row->peak_flops)},
        {"disk_share_write", bench_share(bench_rate(write, write->alone) * row->bytes_written, row->peak_disk)},
        {"deterministic", row->deterministic},
    };
    memcpy(out, all, sizeof all);
}

static void print_row_json(cli_json *json, const bcam_bench_row *row)
{
    number numbers[NUMBERS];
    numbers_of(row, numbers);
    cli_json_object(json);
    cli_json_text(json, "precision", row->precision);
    for (int i = 0; i < NUMBERS; i++)
        cli_json_real(json, numbers[i].name, numbers[i].value);
    cli_json_text(json, "bound", row->bound);
    cli_json_array(json, "stages");
    for (int s = 0; s < BCAM_BENCH_STAGES; s++) {
        const bcam_bench_stage *stage = &row->stage[s];
        cli_json_object(json);
        cli_json_text(json, "stage", stage->name);
        cli_json_int(json, "threads", stage->threads);
        cli_json_real(json, "alone_images_per_second", bench_rate(stage, stage->alone));
        cli_json_real(json, "alone_ms", stage->alone * 1e3);
        cli_json_real(json, "run_images_per_second", bench_rate(stage, stage->stream));
        cli_json_real(json, "run_ms", stage->stream * 1e3);
        cli_json_close(json);
    }
    cli_json_close(json);
    cli_json_close(json);
}

void bench_print_json(const bench_rows *rows)
{
    const bcam_bench_row *row = &rows->row[0];
    cli_json json;
    cli_json_begin(&json, stdout, "bench");
    cli_json_text(&json, "model", row->model);
    cli_json_text(&json, "layer", row->layer);
    cli_json_text(&json, "device", row->device);
    cli_json_bool(&json, "synthetic", row->synthetic);
    cli_json_int(&json, "photo_width", row->photo_width);
    cli_json_int(&json, "photo_height", row->photo_height);
    cli_json_array(&json, "rows");
    for (int i = 0; i < rows->count; i++)
        print_row_json(&json, &rows->row[i]);
    cli_json_end(&json);
}

void bench_print_csv(const bench_rows *rows)
{
    for (int i = -1; i < rows->count; i++) { /* -1: the names of the columns */
        const bcam_bench_row *row = &rows->row[i < 0 ? 0 : i];
        number numbers[NUMBERS];
        numbers_of(row, numbers);
        printf("%s", i < 0 ? "precision" : row->precision);
        for (int n = 0; n < NUMBERS; n++)
            if (i < 0)
                printf(",%s", numbers[n].name);
            else
                printf(",%.9g", numbers[n].value);
        for (int s = 0; s < BCAM_BENCH_STAGES; s++)
            if (i < 0)
                printf(",%s_alone_ms,%s_run_ms", row->stage[s].name, row->stage[s].name);
            else
                printf(",%.9g,%.9g", row->stage[s].alone * 1e3, row->stage[s].stream * 1e3);
        putchar('\n');
    }
}
