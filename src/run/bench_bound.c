/* bench_bound.c - which stage a run waits for. */
#include <stdio.h>

#include "run/measuring.h"

/* Stages that have something of their own to run on, where a card computes beside the processor. */
static const struct lane {
    const char *name;
    unsigned stages;
} lanes[] = {
    {"listing", 1u << BCAM_STAGE_LIST},
    {"reading and decoding", 1u << BCAM_STAGE_READ | 1u << BCAM_STAGE_DECODE | 1u << BCAM_STAGE_RESIZE},
    {"copying to the card", 1u << BCAM_STAGE_COPY_IN},
    {"the card", 1u << BCAM_STAGE_FORWARD | 1u << BCAM_STAGE_BACKWARD | 1u << BCAM_STAGE_CAM},
    {"copying from the card", 1u << BCAM_STAGE_COPY_OUT},
    {"writing", 1u << BCAM_STAGE_ENCODE | 1u << BCAM_STAGE_WRITE},
};

static double seconds_of(const bcam_bench_row *row, unsigned stages)
{
    double sum = 0;
    for (int s = 0; s < BCAM_STAGE_COUNT; s++)
        if (stages >> s & 1)
            sum += row->stage[s].alone / row->stage[s].threads;
    return sum;
}

static void judge_lanes(bcam_bench_row *row, double rate, unsigned there)
{
    double seconds[BCAM_COUNT(lanes)];
    size_t first = 0, second = 1;
    for (size_t i = 0; i < BCAM_COUNT(lanes); i++)
        seconds[i] = seconds_of(row, lanes[i].stages & there);
    for (size_t i = 1; i < BCAM_COUNT(lanes); i++)
        if (seconds[i] > seconds[first]) {
            second = first;
            first = i;
        } else if (i == 1 || seconds[i] > seconds[second]) {
            second = i;
        }
    row->efficiency = rate * seconds[first];
    snprintf(row->bound, sizeof row->bound,
             "%s bounds the run at %.1f photos/s alone; next is %s at %.1f, %.1f times as fast", lanes[first].name,
             1 / seconds[first], lanes[second].name, 1 / seconds[second], seconds[first] / seconds[second]);
}

/* One after the other on the same cores: every stage costs, and the longest costs most. */
static void judge_turns(bcam_bench_row *row, double rate, unsigned there)
{
    double sum = 0, alone = 0, seconds[BCAM_STAGE_COUNT] = {0};
    int first = BCAM_STAGE_FORWARD, second = BCAM_STAGE_LIST;
    for (int s = 0; s < BCAM_STAGE_COUNT; s++) {
        bool counts = there >> s & 1;
        seconds[s] = counts ? row->stage[s].stream : 0;
        sum += seconds[s];
        alone += counts ? row->stage[s].alone : 0;
    }
    for (int s = 0; s < BCAM_STAGE_COUNT; s++)
        first = seconds[s] > seconds[first] ? s : first;
    for (int s = 0; s < BCAM_STAGE_COUNT; s++)
        if (s != first && (second == first || seconds[s] > seconds[second]))
            second = s;
    row->efficiency = rate * alone / row->threads;
    snprintf(
        row->bound, sizeof row->bound,
        "%s bounds the run: %.2f of the %.2f ms of a core that a photo takes (%.0f%%); next is %s with %.2f ms (%.0f%%)",
        row->stage[first].name, seconds[first] * 1e3, sum * 1e3, sum > 0 ? 100 * seconds[first] / sum : 0,
        row->stage[second].name, seconds[second] * 1e3, sum > 0 ? 100 * seconds[second] / sum : 0);
}

void bcam_bench_judge(bcam_bench_row *row, bool beside)
{
    bool files = row->images_per_second > 0;
    double rate = files ? row->images_per_second : row->images_per_second_no_files;
    unsigned writing = 1u << BCAM_STAGE_ENCODE | 1u << BCAM_STAGE_WRITE;
    unsigned copying = 1u << BCAM_STAGE_COPY_IN | 1u << BCAM_STAGE_COPY_OUT; /* the CPU device has no need of it */
    unsigned there = ((1u << BCAM_STAGE_COUNT) - 1) & ~(files ? 0 : writing) & ~(beside ? 0 : copying);
    (beside ? judge_lanes : judge_turns)(row, rate, there);
}
