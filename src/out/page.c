/* page.c - report.html from what report.c collected: one page that needs no other file, no script and no network. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "out/report.h"

/* clang-format off */
static const char style[] =
    ":root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--text:#1a1d21;--soft:#5d6671;--line:#dfe3e8;"
    "--good:#1a7f37;--bad:#c4281c;--badge:#fbe9e7;--bar:#3d7dd8;--track:#e6e9ee}"
    "@media(prefers-color-scheme:dark){:root{--page:#121519;--card:#1c2127;--text:#e7eaee;--soft:#9aa5b1;"
    "--line:#2e353d;--good:#56d364;--bad:#ff7b72;--badge:#42211f;--bar:#5b9bf3;--track:#2a3139}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--page);color:var(--text);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "main{max-width:1240px;margin:0 auto;padding:32px 24px 64px}"
    "h1{font-size:28px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}"
    "h2{font-size:19px;line-height:1.3;margin:0;overflow-wrap:anywhere}.soft{color:var(--soft)}"
    ".small{font-size:13px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:24px 0}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}"
    ".tile b{display:block;font-size:26px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}"
    ".tile span{display:block;color:var(--soft);font-size:13px}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0 0 20px}dt{color:var(--soft)}"
    "dd{margin:0;overflow-wrap:anywhere}.legend{display:flex;align-items:center;gap:10px;flex-wrap:wrap}"
    ".legend+p{margin:4px 0 20px}"
    ".ramp{width:150px;height:10px;border-radius:5px;"
    "background:linear-gradient(90deg,#000080,#00f 12.5%,#0ff 37.5%,#ff0 62.5%,#f00 87.5%,#800000)}"
    "details{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;"
    "margin:12px 0}"
    "summary{cursor:pointer;font-weight:600}"
    "table{border-collapse:collapse;width:100%;margin:8px 0 4px;font-size:14px}"
    "th{font-weight:500;color:var(--soft);text-align:left}td,th{padding:4px 12px 4px 0;vertical-align:top}"
    "td{border-top:1px solid var(--line)}"
    ".num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "a{color:inherit;text-decoration-color:var(--soft)}.long{overflow-wrap:anywhere}"
    ".bar{width:30%;min-width:80px}"
    ".bar i{display:block;height:8px;margin-top:7px;border-radius:4px;background:var(--track);overflow:hidden}"
    ".bar i i{margin:0;background:var(--bar)}section{margin:36px 0 0}"
    ".head{display:flex;align-items:baseline;gap:4px 14px;flex-wrap:wrap;border-bottom:1px solid var(--line);"
    "padding-bottom:8px;margin-bottom:14px}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:14px}"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}"
    "figure.wrong{border-color:var(--bad);box-shadow:inset 0 0 0 1px var(--bad)}"
    "figure img{display:block;width:100%;height:auto}figure.wrong img{border-bottom:3px solid var(--bad)}"
    "figcaption{padding:9px 12px 10px;font-size:13px}"
    ".said{display:flex;justify-content:space-between;gap:10px;font-size:14px;font-weight:600}"
    ".said span:last-child{white-space:nowrap;font-variant-numeric:tabular-nums}.name{overflow-wrap:anywhere}"
    ".right .mark{color:var(--good)}.wrong .mark{color:var(--bad)}"
    ".file{color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}"
    ".badge{display:inline-block;background:var(--badge);color:var(--bad);border-radius:5px;padding:0 6px;"
    "margin-top:2px}"
    "footer{margin-top:48px;color:var(--soft);font-size:13px}@media print{figure{break-inside:avoid}}";
/* clang-format on */

static void add_percent(bcam_text *page, double share)
{
    if (isfinite(share))
        bcam_text_format(page, "%.1f&nbsp;%%", 100 * share);
    else
        bcam_text_add(page, "&ndash;");
}

static void add_class(bcam_text *page, const report *self, int class_id)
{
    char number[16];
    if (class_id < 0) {
        bcam_text_add(page, "no class");
        return;
    }
    const char *name = bcam_out_class_name(self->shared->settings, class_id, number);
    if (name == number)
        bcam_text_add(page, "class ");
    bcam_text_add(page, "<bdi>");
    bcam_text_html(page, name);
    bcam_text_add(page, "</bdi>");
}

/* ---- the header ---- */

static void add_tile(bcam_text *page, int64_t number, const char *what)
{
    bcam_text_format(page, "<div class=\"tile\"><b>%" PRId64 "</b>%s", number, what);
}

static void add_tiles(bcam_text *page, const report *self)
{
    bcam_text_add(page, "<div class=\"tiles\">");
    add_tile(page, self->photos - self->failed, "photos explained");
    if (self->labelled > 0)
        bcam_text_format(page, "<span>%" PRId64 " with a label</span>", self->labelled);
    bcam_text_add(page, "</div>");
    if (self->labelled > 0) {
        bcam_text_add(page, "<div class=\"tile\"><b>");
        add_percent(page, (double)self->right / (double)self->labelled);
        bcam_text_format(page, "</b>top-1 accuracy<span>%" PRId64 " of %" PRId64 " right</span></div>", self->right,
                         self->labelled);
    }
    add_tile(page, self->failed, self->failed == 1 ? "photo not explained" : "photos not explained");
    for (size_t i = 0; i < self->outcome_count; i++)
        if (strcmp(self->outcomes[i].name, "ok") != 0) {
            bcam_text_format(page, "<span>%" PRId64 " ", self->outcomes[i].count);
            bcam_text_html(page, self->outcomes[i].name);
            bcam_text_add(page, "</span>");
        }
    bcam_text_add(page, "</div>");
    add_tile(page, self->maps, self->maps == 1 ? "map" : "maps");
    for (int i = BCAM_MAP_ALL_ZERO; i <= BCAM_MAP_NOT_FINITE; i++)
        if (self->flat_maps[i] > 0)
            bcam_text_format(page, "<span>%" PRId64 " %s</span>", self->flat_maps[i],
                             bcam_out_map_outcome((bcam_map_outcome)i));
    bcam_text_add(page, "</div></div>");
}

static void add_facts(bcam_text *page, const report *self)
{
    const bcam_out_settings *settings = self->shared->settings;
    if (settings->fact_count > 0) {
        bcam_text_add(page, "<dl>");
        for (int i = 0; i < settings->fact_count; i++) {
            bcam_text_add(page, "<dt>");
            bcam_text_html(page, settings->facts[i].name);
            bcam_text_add(page, "</dt><dd>");
            bcam_text_html(page, settings->facts[i].value ? settings->facts[i].value : "");
            bcam_text_add(page, "</dd>");
        }
        bcam_text_add(page, "</dl>\n");
    }
    if (!self->layer)
        return;
    bcam_text_add(
        page,
        "<div class=\"legend small soft\"><span>no evidence</span><span class=\"ramp\"></span><span>most evidence for "
        "the class</span></div>\n"
        "<p class=\"small soft\">Left the photo as the network saw it, right its map, scaled to its own maximum (");
    bcam_text_html(page, self->method);
    bcam_text_add(page, " at ");
    bcam_text_html(page, self->layer);
    bcam_text_add(page, ").</p>\n");
}

/* ---- the classes ---- */

static int by_class(const void *a, const void *b)
{
    const report_group *left = *(report_group *const *)a, *right = *(report_group *const *)b;
    return (left->class_id > right->class_id) - (left->class_id < right->class_id);
}

static void add_overview(bcam_text *page, const report *self, report_group *const *groups)
{
    bcam_text_format(page, "<details%s><summary>%zu %s</summary>\n<table><tr><th>%s<th class=\"num\">photos",
                     self->group_count <= 20 ? " open" : "", self->group_count,
                     self->group_count == 1 ? "class" : "classes", self->labelled > 0 ? "label" : "prediction");
    bcam_text_add(page,
                  self->labelled > 0 ? "<th class=\"num\">right<th class=\"num\">accuracy<th></tr>\n" : "</tr>\n");
    for (size_t i = 0; i < self->group_count; i++) {
        const report_group *group = groups[i];
        bcam_text_add(page, "<tr><td class=\"long\">");
        if (group->count > 0)
            bcam_text_format(page, "<a href=\"#c%d\">", group->class_id);
        add_class(page, self, group->class_id);
        bcam_text_format(page, "%s<td class=\"num\">%" PRId64, group->count > 0 ? "</a>" : "", group->photos);
        if (group->labelled > 0) {
            double share = (double)group->right / (double)group->labelled;
            bcam_text_format(page, "<td class=\"num\">%" PRId64 "<td class=\"num\">", group->right);
            add_percent(page, share);
            bcam_text_format(page, "<td class=\"bar\"><i><i style=\"width:%.1f%%\"></i></i>", 100 * share);
        } else if (self->labelled > 0) {
            bcam_text_add(page, "<td class=\"num\">&ndash;<td class=\"num\">no label<td>");
        }
        bcam_text_add(page, "</tr>\n");
    }
    bcam_text_add(page, "</table></details>\n");
}

static void add_card(bcam_text *page, const report *self, const report_card *card)
{
    bool labelled = card->label >= 0, wrong = labelled && card->label != card->predicted;
    bcam_text_format(page, "<figure class=\"%s\"><img width=\"%d\" height=\"%d\" loading=\"lazy\" alt=\"",
                     wrong      ? "wrong"
                     : labelled ? "right"
                                : "open",
                     card->width, card->height);
    bcam_text_add(page, card->explained >= 0 ? "photo, and its heatmap" : "photo");
    bcam_text_add(page, "\" src=\"data:image/jpeg;base64,");
    bcam_text_base64(page, card->jpeg, card->bytes);
    bcam_text_add(page, "\"><figcaption><div class=\"said\"><span class=\"name\">");
    if (labelled)
        bcam_text_add(page, wrong ? "<span class=\"mark\" title=\"wrong\">&#10007; wrong:</span> "
                                  : "<span class=\"mark\" title=\"right\">&#10003;</span> ");
    add_class(page, self, card->predicted);
    bcam_text_add(page, "</span><span>");
    if (card->probability > 1 || card->probability < 0)
        bcam_text_format(page, "%.3g", card->probability); /* --activation none: it is the logit */
    else
        add_percent(page, card->probability);
    bcam_text_add(page, "</span></div>");
    if (labelled) {
        bcam_text_add(page, "<div>label: ");
        add_class(page, self, card->label);
        bcam_text_add(page, "</div>");
    }
    if (card->explained >= 0 && card->explained != card->predicted) {
        bcam_text_add(page, "<div>map for: ");
        add_class(page, self, card->explained);
        bcam_text_add(page, "</div>");
    }
    bcam_text_format(page, "<div class=\"file\" title=\"photo %" PRId64 ": ", card->id);
    bcam_text_html(page, card->path);
    bcam_text_add(page, "\"><bdi>");
    bcam_text_html(page, bcam_path_base(card->path));
    bcam_text_add(page, "</bdi></div>");
    if (card->outcome != BCAM_MAP_OK && card->outcome != BCAM_MAP_NONE)
        bcam_text_format(page, "<span class=\"badge\">map is %s</span>",
                         card->outcome == BCAM_MAP_ALL_ZERO   ? "all zero"
                         : card->outcome == BCAM_MAP_CONSTANT ? "constant"
                                                              : "not finite");
    bcam_text_add(page, "</figcaption></figure>\n");
}

static void add_group(bcam_text *page, const report *self, const report_group *group)
{
    bcam_text_format(page, "<section id=\"c%d\"><div class=\"head\"><h2>", group->class_id);
    add_class(page, self, group->class_id);
    bcam_text_format(page, "</h2><span class=\"soft\">%d of %" PRId64 " shown", group->count, group->photos);
    if (group->labelled > 0) {
        bcam_text_add(page, " &middot; ");
        add_percent(page, (double)group->right / (double)group->labelled);
        bcam_text_add(page, " right");
    } else if (self->labelled > 0) {
        bcam_text_add(page, " &middot; no labels, grouped by prediction");
    }
    bcam_text_add(page, "</span></div>\n<div class=\"grid\">\n");
    for (int i = 0; i < group->count; i++)
        add_card(page, self, &group->cards[i]);
    bcam_text_add(page, "</div></section>\n");
}

static void add_groups(bcam_text *page, const report *self)
{
    if (self->group_count == 0)
        return;
    report_group **groups = bcam_alloc(self->group_count, sizeof *groups);
    if (!groups) {
        page->failed = true;
        return;
    }
    memcpy(groups, self->groups, self->group_count * sizeof *groups);
    qsort(groups, self->group_count, sizeof *groups, by_class);
    add_overview(page, self, groups);
    size_t left_out = 0;
    for (size_t i = 0; i < self->group_count; i++) {
        if (groups[i]->count > 0)
            add_group(page, self, groups[i]);
        left_out += groups[i]->count == 0;
    }
    if (left_out > 0)
        bcam_text_format(
            page, "<p class=\"soft\">No pictures of %zu more %s: the page holds %d. index.sqlite has them all.</p>\n",
            left_out, left_out == 1 ? "class" : "classes", REPORT_IN_ALL);
    bcam_free(groups);
}

/* ---- the rest ---- */

static void add_failures(bcam_text *page, const report *self)
{
    if (self->failed == 0)
        return;
    bcam_text_format(page,
                     "<section><div class=\"head\"><h2>Photos not explained</h2><span class=\"soft\">%zu of %" PRId64
                     " listed</span></div>\n"
                     "<table><tr><th>photo<th>outcome<th>reason</tr>\n",
                     self->failure_count, self->failed);
    for (size_t i = 0; i < self->failure_count; i++) {
        bcam_text_add(page, "<tr><td class=\"long\"><bdi>");
        bcam_text_html(page, self->failures[i].path);
        bcam_text_add(page, "</bdi><td>");
        bcam_text_html(page, self->failures[i].outcome);
        bcam_text_add(page, "<td class=\"long\">");
        bcam_text_html(page, self->failures[i].message);
        bcam_text_add(page, "</tr>\n");
    }
    bcam_text_add(page, "</table></section>\n");
}

void bcam_report_page(const report *self, bcam_text *page)
{
    const char *title = self->shared->settings->title ? self->shared->settings->title : "";
    bcam_text_add(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                        "style-src 'unsafe-inline'\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    bcam_text_html(page, title);
    bcam_text_add(page, *title ? " &middot; batchcam report</title>\n<style>" : "batchcam report</title>\n<style>");
    bcam_text_add(page, style);
    bcam_text_add(page, "</style></head>\n<body><main><h1>");
    bcam_text_html(page, *title ? title : "batchcam report");
    bcam_text_add(page, "</h1><div class=\"soft\">What the model looked at, photo by photo</div>\n");
    add_tiles(page, self);
    add_facts(page, self);
    add_groups(page, self);
    add_failures(page, self);
    bcam_text_format(page,
                     "<footer>Made by batchcam %s. A class shows its first pictures, %d at most and %d of them wrong "
                     "ones where there are as "
                     "many; the page shows %d in all. Every photo and map is in index.sqlite and "
                     "maps/.</footer>\n</main></body></html>\n",
                     BCAM_VERSION_STRING, REPORT_PER_CLASS, REPORT_WRONG_PER_CLASS, REPORT_IN_ALL);
}
