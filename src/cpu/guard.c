/* guard.c - finding steps that write outside their values, for tests: every value has a canary before and behind it, and is NaN until its first
 * writer has run. Values keep the places they have without the guard, so memory that is shared too early is found as well. */
#include <string.h>

#include "cpu/program.h"

enum { CANARY = 0xA5, POISON = 0xFF /* NaN as float and as double */ };

static bool lives(const bcam_program *p, size_t value, int step)
{
    return p->place.spans[value].bytes > 0 && p->place.spans[value].first <= step && step <= p->place.spans[value].last;
}

static void set_canaries(bcam_program *p, size_t value)
{
    const bcam_span *span = &p->place.spans[value];
    memset(p->arena + span->offset - BCAM_CPU_CANARY, CANARY, BCAM_CPU_CANARY);
    memset(p->arena + span->offset + span->bytes, CANARY, BCAM_CPU_CANARY);
    p->born[value] = true;
}

void bcam_cpu_guard_start(bcam_program *program)
{
    for (size_t v = 0; v < program->place.value_count; v++)
        if (program->place.spans[v].bytes > 0 && program->place.birth[v] < 0)
            set_canaries(program, v);
}

void bcam_cpu_guard_before(bcam_program *program, int step)
{
    for (size_t v = 0; v < program->place.value_count; v++)
        if (program->place.spans[v].bytes > 0 && program->place.birth[v] == step) {
            memset(program->arena + program->place.spans[v].offset, POISON, program->place.spans[v].bytes);
            set_canaries(program, v);
        }
}

static bool is_whole(const char *canary)
{
    for (int i = 0; i < BCAM_CPU_CANARY; i++)
        if ((unsigned char)canary[i] != CANARY)
            return false;
    return true;
}

bcam_status bcam_cpu_guard_after(const bcam_program *program, int step, bcam_error *err)
{
    for (size_t v = 0; v < program->place.value_count; v++) {
        if (!lives(program, v, step) || !program->born[v])
            continue;
        const bcam_span *span = &program->place.spans[v];
        bool before = is_whole(program->arena + span->offset - BCAM_CPU_CANARY);
        if (before && is_whole(program->arena + span->offset + span->bytes))
            continue;
        return bcam_fail(err, BCAM_E_INTERNAL, "step '%s' (%s) wrote outside its outputs: %s '%s'",
                         program->place.steps[step].name, bcam_verb_name(program->place.steps[step].verb),
                         before ? "behind" : "before", program->place.values[v].name);
    }
    return BCAM_OK;
}
