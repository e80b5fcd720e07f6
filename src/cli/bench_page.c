/* bench_page.c - what was measured as one HTML page: bars of the stages, a curve over batch sizes. Pictures are SVG within the page. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench.h"

static void put_text(FILE *file, const char *text)
{
    for (const char *p = text; *p; p++)
        switch (*p) {
        case '&':
            fputs("&amp;", file);
            break;
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        default:
            putc(*p, file);
        }
}

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:56em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.5em;margin-bottom:0}h2{font-size:1.1em;margin:2em 0 .3em}p{margin:.3em 0}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15em .9em;text-align:right;"
    "border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left;padding-left:0}"
    "svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}.axis{stroke:#ccc;fill:none}";

static const char *const colours[] = {"#2a6f97", "#d1772a", "#5a8f3c", "#8e4f9e"};

/* ---- bars ---- */

static void put_bar(FILE *file, double x, double y, double width, const char *colour, double ms)
{
    fprintf(file, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"11\" fill=\"%s\"/>", x, y, width, colour);
    fprintf(file, "<text x=\"%.1f\" y=\"%.0f\">%.3g</text>\n", x + width + 5, y + 10, ms);
}

static void put_bars(FILE *file, const bcam_bench_row *row)
{
    enum { LEFT = 90, WIDTH = 560, LINE = 34 };
    double most = 0;
    int shown = 0, y = 24;
    for (int s = 0; s < BCAM_BENCH_STAGES; s++) {
        most = fmax(most, fmax(row->stage[s].alone, row->stage[s].stream));
        shown += bench_shown(&row->stage[s]);
    }
    fprintf(file, "<svg viewBox=\"0 0 720 %d\" width=\"720\" role=\"img\" aria-label=\"Stages of a photo\">\n",
            y + shown * LINE);
    fprintf(
        file,
        "<rect x=\"%d\" y=\"2\" width=\"11\" height=\"11\" fill=\"%s\"/><text x=\"%d\" y=\"12\">alone</text>"
        "<rect x=\"%d\" y=\"2\" width=\"11\" height=\"11\" fill=\"%s\"/><text x=\"%d\" y=\"12\">in the run; ms of one "
        "core for a photo</text>\n",
        LEFT, colours[1], LEFT + 16, LEFT + 70, colours[0], LEFT + 86);
    for (int s = 0; s < BCAM_BENCH_STAGES; s++) {
        const bcam_bench_stage *stage = &row->stage[s];
        if (!bench_shown(stage))
            continue;
        fprintf(file, "<text x=\"0\" y=\"%d\">%s</text>", y + 16, stage->name);
        put_bar(file, LEFT, y, WIDTH * stage->alone / most, colours[1], stage->alone * 1e3);
        put_bar(file, LEFT, y + 12, WIDTH * stage->stream / most, colours[0], stage->stream * 1e3);
        y += LINE;
    }
    fputs("</svg>\n", file);
}

/* ---- the curve ---- */

enum { CURVE_LEFT = 60, CURVE_TOP = 20, CURVE_WIDTH = 560, CURVE_HEIGHT = 240 };

typedef struct scale {
    double low, high, most; /* of log2(batch); photos/s */
} scale;

static double at_x(const scale *s, int batch)
{
    return CURVE_LEFT + CURVE_WIDTH * (log2(batch) - s->low) / fmax(s->high - s->low, 1e-9);
}

static double at_y(const scale *s, double rate)
{
    return CURVE_TOP + CURVE_HEIGHT * (1 - rate / s->most);
}

/* 1, 2 or 5 times a power of ten, so that a handful of them make `most`. */
static double tick(double most)
{
    double unit = pow(10, floor(log10(most / 4))), times = most / 4 / unit;
    return unit * (times < 2 ? 1 : times < 5 ? 2 : 5);
}

static void put_axes(FILE *file, const bench_rows *rows, const scale *s)
{
    double step = tick(s->most);
    for (double rate = 0; rate <= s->most; rate += step) {
        fprintf(file, "<path class=\"axis\" d=\"M%d %.1fh%d\"/>", CURVE_LEFT, at_y(s, rate), CURVE_WIDTH);
        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", CURVE_LEFT - 8, at_y(s, rate) + 4,
                rate);
    }
    for (int i = 0; i < rows->count && bench_same_kind(&rows->row[i], &rows->row[0]); i++)
        fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", at_x(s, rows->row[i].batch),
                CURVE_TOP + CURVE_HEIGHT + 20, rows->row[i].batch);
    fprintf(file, "<text x=\"%d\" y=\"%d\">photos/s</text><text x=\"%d\" y=\"%d\">batch</text>\n", 0, 12,
            CURVE_LEFT + CURVE_WIDTH + 20, CURVE_TOP + CURVE_HEIGHT + 20);
}

/* Rows of one kind stand together. */
static int put_line(FILE *file, const bench_rows *rows, const scale *s, int first, const char *colour)
{
    char kind[64];
    int end = first;
    fputs("<path fill=\"none\" stroke-width=\"2\" stroke=\"", file);
    fprintf(file, "%s\" d=\"", colour);
    for (; end < rows->count && bench_same_kind(&rows->row[end], &rows->row[first]); end++)
        fprintf(file, "%c%.1f %.1f", end == first ? 'M' : 'L', at_x(s, rows->row[end].batch),
                at_y(s, bench_run_rate(&rows->row[end])));
    fputs("\"/>\n", file);
    for (int i = first; i < end; i++)
        fprintf(file,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>batch %d: %.1f photos/s</title></circle>\n",
                at_x(s, rows->row[i].batch), at_y(s, bench_run_rate(&rows->row[i])), colour, rows->row[i].batch,
                bench_run_rate(&rows->row[i]));
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", at_x(s, rows->row[end - 1].batch) + 10,
            at_y(s, bench_run_rate(&rows->row[end - 1])) + 4, bench_kind(&rows->row[first], kind));
    return end;
}

static void put_curve(FILE *file, const bench_rows *rows)
{
    scale s = {.low = HUGE_VAL, .high = -HUGE_VAL};
    for (int i = 0; i < rows->count; i++) {
        s.low = fmin(s.low, log2(rows->row[i].batch));
        s.high = fmax(s.high, log2(rows->row[i].batch));
        s.most = fmax(s.most, 1.1 * bench_run_rate(&rows->row[i]));
    }
    if (s.high <= s.low || s.most <= 0)
        return;
    fprintf(
        file,
        "<h2>Batch sizes</h2>\n<svg viewBox=\"0 0 720 %d\" width=\"720\" role=\"img\" aria-label=\"Photos a second by batch size\">\n",
        CURVE_TOP + CURVE_HEIGHT + 30);
    put_axes(file, rows, &s);
    for (int i = 0, line = 0; i < rows->count; line++)
        i = put_line(file, rows, &s, i, colours[line % (int)CLI_COUNT(colours)]);
    fputs("</svg>\n", file);
}

/* ---- the page ---- */

static void put_table(FILE *file, const bench_rows *rows)
{
    fputs(
        "<table><tr><th>precision</th><th>batch</th><th>photos/s</th><th>without files</th><th>network alone</th><th>of "
        "the product</th><th>of the stages alone</th></tr>\n",
        file);
    for (int i = 0; i < rows->count; i++) {
        char kind[64];
        const bcam_bench_row *row = &rows->row[i];
        double network = bench_network_rate(row);
        fprintf(file,
                "<tr><td>%s</td><td>%d</td><td>%.1f</td><td>%.1f</td><td>%.1f</td><td>%.0f%%</td><td>%.2f</td></tr>\n",
                bench_kind(row, kind), row->batch, bench_run_rate(row), row->images_per_second_no_files, network,
                100 * bench_share(network * row->gflop * 1e9, row->peak_flops), row->efficiency);
    }
    fputs("</table>\n", file);
}

static void put_row(FILE *file, const bcam_bench_row *row)
{
    char kind[64];
    fprintf(file, "<h2>%s, batch %d</h2>\n<p>", bench_kind(row, kind), row->batch);
    put_text(file, row->bound);
    fprintf(file,
            ".</p>\n<p>%.2f GFLOP and %.1f MB a photo; %d of %d convolutions left out of the backward pass.</p>\n",
            row->gflop, row->bytes * 1e-6, row->convs_left_out, row->convs);
    put_bars(file, row);
}

void bench_write_page(FILE *file, const bench_rows *rows)
{
    const bcam_bench_row *row = &rows->row[0];
    fprintf(
        file,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>batchcam bench</title><style>%s</style>\n",
        style);
    fputs("<h1>", file);
    put_text(file, row->model);
    fputs("</h1>\n<p>Maps at ", file);
    put_text(file, row->layer);
    fputs(" on ", file);
    put_text(file, row->device);
    fprintf(file, "; %" PRId64 " photos a run, the first of %d × %d%s; batchcam %s.</p>\n", row->images,
            row->photo_width, row->photo_height, row->synthetic ? ", made for this" : "", bcam_version());
    fprintf(file, "<p>Measured here: matrix product %.1f GFLOP/s, memory copy %.1f GB/s", row->peak_flops * 1e-9,
            row->peak_memory * 1e-9);
    if (row->peak_disk > 0)
        fprintf(file, ", disk %.0f MB/s", row->peak_disk * 1e-6);
    fputs(".</p>\n<h2>Runs</h2>\n", file);
    put_table(file, rows);
    put_curve(file, rows);
    for (int i = 0; i < rows->count; i++)
        put_row(file, &rows->row[i]);
    fputs("</html>\n", file);
}
