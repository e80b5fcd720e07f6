/* The case tables themselves: complete, named apart, and well formed, without any device. */
#include <criterion/criterion.h>
#include <string.h>

#include "check/check.h"

Test(check_cases, every_verb_has_cases)
{
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++)
        cr_expect(bcam_check_case_count(verb) > 0, "%s", bcam_verb_name(verb));
}

Test(check_cases, backward_verbs_are_those_named_so)
{
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++) {
        const char *name = bcam_verb_name(verb), *end = strrchr(name, '_');
        bool named = end && (!strcmp(end, "_bwd") || !strcmp(end, "_BWD"));
        cr_expect_eq(bcam_check_is_backward(verb), named, "%s", name);
    }
}

Test(check_cases, are_well_formed)
{
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++)
        for (size_t i = 0; i < bcam_check_case_count(verb); i++) {
            bcam_check_case c;
            bcam_check_case_get(verb, i, &c);
            cr_expect(c.name[0] && c.verb == verb && c.step.verb == verb && c.row == i, "%s %zu", bcam_verb_name(verb),
                      i);
            cr_expect(c.in[0].present && c.out[0].present && c.fills && c.depth >= 1 && c.batch > 0 && c.k > 0, "%s",
                      c.name);
            for (int o = 0; o < BCAM_MAX_IN; o++)
                cr_expect(!c.in[o].present || bcam_count(c.in[o].rank, c.in[o].dim) > 0, "%s: in%d is empty", c.name,
                          o);
            for (int o = 0; o < BCAM_MAX_OUT; o++)
                cr_expect(!c.out[o].present || bcam_count(c.out[o].rank, c.out[o].dim) > 0, "%s: out%d is empty",
                          c.name, o);
        }
}

Test(check_cases, forward_names_differ)
{
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++)
        for (size_t i = 0; !bcam_check_is_backward(verb) && i < bcam_check_case_count(verb); i++)
            for (size_t j = 0; j < i; j++) {
                bcam_check_case a, b;
                bcam_check_case_get(verb, i, &a);
                bcam_check_case_get(verb, j, &b);
                cr_expect(strcmp(a.name, b.name) != 0, "%s twice (%zu, %zu)", a.name, j, i);
            }
}
