/* check_sides.h - opening devices for the case tables, the seed, and a summary line. */
#ifndef BCAM_TEST_CHECK_SIDES_H
#define BCAM_TEST_CHECK_SIDES_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "check/check.h"
#include "cpu/cpu.h"
#include "seed.h"

static inline bcam_check_side check_open(bool reference, bcam_precision precision, int threads)
{
    bcam_error err = {0};
    bcam_check_side side = {.api = &bcam_cpu_device};
    bcam_device_options options = {
        .reference = reference, .precision = precision, .threads = threads, .deterministic = true, .guard = true};
    cr_assert_eq(side.api->open(&options, &side.device, &err), BCAM_OK, "%s", err.message);
    return side;
}

static inline void check_close(bcam_check_side *side)
{
    side->api->close(&side->device);
}

typedef struct check_tally {
    bcam_verb verb;
    const char *what;
    uint64_t seed;
    int passed, refused, failed;
    double worst;
    char message[512]; /* of the first that did not pass */
} check_tally;

static inline void check_count(check_tally *t, const bcam_check_result *r)
{
    t->passed += r->outcome == BCAM_CHECK_PASSED;
    t->refused += r->outcome == BCAM_CHECK_REFUSED;
    t->failed += r->outcome == BCAM_CHECK_FAILED;
    if (r->outcome != BCAM_CHECK_PASSED && !t->message[0])
        snprintf(t->message, sizeof t->message, "%s", r->message);
    if (r->outcome == BCAM_CHECK_PASSED && r->worst > t->worst)
        t->worst = r->worst;
}

/** Prints the tally; nothing may have failed or been refused. */
static inline void check_report(const check_tally *t)
{
    printf("%-26s %-12s %3d passed, %d refused, %d failed, worst %.3f of what is allowed (BCAM_SEED=%llu)\n", t->what,
           bcam_verb_name(t->verb), t->passed, t->refused, t->failed, t->worst, (unsigned long long)t->seed);
    fflush(stdout);
    cr_expect(t->passed > 0, "%s %s: no case has passed", t->what, bcam_verb_name(t->verb));
    cr_expect(t->refused == 0 && t->failed == 0, "%s %s, BCAM_SEED=%llu: %s", t->what, bcam_verb_name(t->verb),
              (unsigned long long)t->seed, t->message);
}

/** All cases of a verb on two sides; returns the largest error as a share of what is allowed. */
static inline double check_verb(const char *what, bcam_verb verb, const bcam_check_side *reference,
                                const bcam_check_side *candidate, bool exact)
{
    check_tally tally = {.verb = verb, .what = what, .seed = new_seed()};
    for (size_t i = 0; i < bcam_check_case_count(verb); i++) {
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        bcam_check_case_get(verb, i, &c);
        bcam_status status = bcam_check_run(&c, reference, candidate, tally.seed, exact, &result, &err);
        cr_assert_eq(status, BCAM_OK, "%s: %s", c.name, err.message);
        check_count(&tally, &result);
    }
    check_report(&tally);
    return tally.worst;
}

#endif
