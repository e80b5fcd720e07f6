/*
 * report.c - what report.html shows, collected while the run goes on: counts, and a bounded choice of pictures.
 *
 * The choice depends on the order of the photos alone. A class keeps its first pictures; a wrong one takes the
 * place of the last right one while fewer than REPORT_WRONG_PER_CLASS are wrong. When the page is full, a class
 * gives up its last picture for one with fewer.
 */
#include <string.h>

#include "out/report.h"

static void drop_card(report *self, report_group *group, int place)
{
    bcam_free(group->cards[place].path);
    bcam_free(group->cards[place].jpeg);
    group->count--;
    self->cards--;
    memmove(group->cards + place, group->cards + place + 1, (size_t)(group->count - place) * sizeof *group->cards);
}

static void free_failure(report_failure *failure)
{
    bcam_free(failure->path);
    bcam_free(failure->outcome);
    bcam_free(failure->message);
}

static void report_close(void *state)
{
    report *self = state;
    for (size_t i = 0; i < self->group_count; i++) {
        while (self->groups[i]->count > 0)
            drop_card(self, self->groups[i], self->groups[i]->count - 1);
        bcam_free(self->groups[i]);
    }
    for (size_t i = 0; i < self->failure_count; i++)
        free_failure(&self->failures[i]);
    bcam_free(self->groups);
    bcam_free(self->layer);
    bcam_free(self->method);
    bcam_free(self->path);
    bcam_free(self);
}

static bcam_status report_open(bcam_out_shared *shared, void **state, bcam_error *err)
{
    if (!shared->settings->report)
        return BCAM_OK;
    report *self = bcam_alloc(1, sizeof *self);
    if (!self)
        return bcam_fail_memory(err, sizeof *self, "the report");
    *state = self;
    self->shared = shared;
    self->path = bcam_path_join(shared->settings->dir, "report.html");
    return self->path ? BCAM_OK : bcam_fail_memory(err, strlen(shared->settings->dir), "a file name");
}

static bool is_wrong(int label, int predicted)
{
    return label >= 0 && label != predicted;
}

static void count_outcome(report *self, const char *outcome)
{
    size_t i = 0;
    while (i < self->outcome_count && strncmp(self->outcomes[i].name, outcome, sizeof self->outcomes[i].name - 1) != 0)
        i++;
    if (i == BCAM_COUNT(self->outcomes))
        return;
    if (i == self->outcome_count) {
        strncpy(self->outcomes[i].name, outcome, sizeof self->outcomes[i].name - 1);
        self->outcome_count++;
    }
    self->outcomes[i].count++;
}

static bcam_status add_failure(report *self, const bcam_out_item *item, bcam_error *err)
{
    self->failed++;
    if (self->failure_count == REPORT_FAILURES)
        return BCAM_OK;
    report_failure failure = {bcam_strdup(item->path), bcam_strdup(item->outcome),
                              bcam_strdup(item->message ? item->message : "")};
    if (!failure.path || !failure.outcome || !failure.message) {
        free_failure(&failure);
        return bcam_fail_memory(err, strlen(item->path), "the report");
    }
    self->failures[self->failure_count++] = failure;
    return BCAM_OK;
}

static bcam_status find_group(report *self, int class_id, report_group **out, bcam_error *err)
{
    for (size_t i = 0; i < self->group_count; i++)
        if (self->groups[i]->class_id == class_id) {
            *out = self->groups[i];
            return BCAM_OK;
        }
    report_group *group = bcam_alloc(1, sizeof *group);
    if (!group || !bcam_grow(&self->groups, &self->group_capacity, self->group_count, sizeof *self->groups)) {
        bcam_free(group);
        return bcam_fail_memory(err, sizeof *group, "the report");
    }
    group->class_id = class_id;
    self->groups[self->group_count++] = group;
    *out = group;
    return BCAM_OK;
}

/* The place of the last right picture of a full group, if a wrong one may have it; -1: it may not. */
static int place_for_wrong(const report_group *group)
{
    int wrong = 0, last_right = -1;
    for (int i = 0; i < group->count; i++) {
        if (is_wrong(group->cards[i].label, group->cards[i].predicted))
            wrong++;
        else
            last_right = i;
    }
    return wrong < REPORT_WRONG_PER_CLASS ? last_right : -1;
}

/* Whether a picture may enter the group; makes room for it where it takes another one's place. */
static bool make_room(report *self, report_group *group, bool wrong)
{
    if (group->count == REPORT_PER_CLASS) {
        int place = wrong ? place_for_wrong(group) : -1;
        if (place >= 0)
            drop_card(self, group, place);
        return place >= 0;
    }
    if (self->cards < REPORT_IN_ALL)
        return true;
    report_group *largest = group;
    for (size_t i = 0; i < self->group_count; i++)
        if (self->groups[i]->count > largest->count)
            largest = self->groups[i];
    if (largest->count <= group->count + 1)
        return false;
    drop_card(self, largest, largest->count - 1);
    return true;
}

static bcam_status keep_names(report *self, const bcam_out_map *map, bcam_error *err)
{
    if (self->layer)
        return BCAM_OK;
    char *layer = bcam_strdup(map->layer), *method = bcam_strdup(map->method);
    if (!layer || !method) {
        bcam_free(layer);
        bcam_free(method);
        return bcam_fail_memory(err, strlen(map->layer), "the report");
    }
    self->layer = layer;
    self->method = method;
    return BCAM_OK;
}

static bcam_status add_card(report *self, report_group *group, const bcam_out_item *item, bcam_error *err)
{
    const bcam_out_map *map = NULL;
    for (int i = 0; i < item->map_count && !map; i++)
        if (item->maps[i].colours && item->maps[i].outcome != BCAM_MAP_NONE)
            map = &item->maps[i];
    report_card card = {.id = item->id,
                        .label = item->label,
                        .predicted = -1,
                        .explained = map ? map->class_id : -1,
                        .outcome = map ? map->outcome : BCAM_MAP_NONE};
    if (item->prediction_count > 0) {
        card.predicted = item->predictions[0].class_id;
        card.probability = item->predictions[0].probability;
    }
    bcam_status status = map ? keep_names(self, map, err) : BCAM_OK;
    if (status == BCAM_OK)
        status =
            bcam_report_thumb(item->pixels, map ? map->colours : NULL, item->in_height, item->in_width, &card, err);
    if (status != BCAM_OK)
        return status;
    card.path = bcam_strdup(item->path);
    if (!card.path) {
        bcam_free(card.jpeg);
        return bcam_fail_memory(err, strlen(item->path), "the report");
    }
    group->cards[group->count++] = card;
    self->cards++;
    return BCAM_OK;
}

static bcam_status report_write(void *state, const bcam_out_item *item, bcam_error *err)
{
    report *self = state;
    self->photos++;
    count_outcome(self, item->outcome);
    for (int i = 0; i < item->map_count; i++) {
        self->maps += item->maps[i].outcome != BCAM_MAP_NONE;
        self->flat_maps[item->maps[i].outcome]++;
    }
    if (strcmp(item->outcome, "ok") != 0)
        return add_failure(self, item, err);
    int predicted = item->prediction_count > 0 ? item->predictions[0].class_id : -1;
    report_group *group = NULL;
    bcam_status status = find_group(self, item->label >= 0 ? item->label : predicted, &group, err);
    if (status != BCAM_OK)
        return status;
    group->photos++;
    if (item->label >= 0) {
        group->labelled++;
        self->labelled++;
        group->right += item->label == predicted;
        self->right += item->label == predicted;
    }
    if (!item->pixels || !make_room(self, group, is_wrong(item->label, predicted)))
        return BCAM_OK;
    return add_card(self, group, item, err);
}

static bcam_status report_finish(void *state, bcam_error *err)
{
    report *self = state;
    bcam_text page = {0};
    bcam_report_page(self, &page);
    bcam_status status = page.failed ? bcam_fail_memory(err, page.bytes, "report.html")
                                     : bcam_disk_replace(self->path, page.data, page.bytes, true, err);
    bcam_text_fini(&page);
    return status;
}

const bcam_writer bcam_report_writer = {"report", report_open, report_write, NULL, report_finish, report_close};
