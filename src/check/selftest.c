/* selftest.c - all tables in one go, a row a verb. */
#include <stdio.h>

#include "check/check.h"

static bcam_status run_verb(bcam_verb verb, const bcam_check_side *reference, const bcam_check_side *candidate,
                            uint64_t seed, char *message, size_t size, bcam_selftest_row *row, bcam_error *err)
{
    *row = (bcam_selftest_row){.verb = bcam_verb_name(verb), .message = message};
    message[0] = '\0';
    for (size_t i = 0; i < bcam_check_case_count(verb); i++) {
        bcam_check_case c;
        bcam_check_result result;
        bcam_check_case_get(verb, i, &c);
        bcam_status status = bcam_check_run(&c, reference, candidate, seed, false, &result, err);
        if (status != BCAM_OK)
            return status;
        row->cases++;
        row->failed += result.outcome == BCAM_CHECK_FAILED;
        row->refused += result.outcome == BCAM_CHECK_REFUSED;
        if (result.worst > row->worst)
            row->worst = result.worst;
        if (result.outcome == BCAM_CHECK_FAILED && row->failed == 1)
            snprintf(message, size, "%s", result.message);
    }
    return BCAM_OK;
}

bcam_status bcam_check_selftest(const bcam_check_side *reference, const bcam_check_side *candidate, uint64_t seed,
                                bcam_selftest_fn row, void *data, bcam_error *err)
{
    int failed = 0;
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++) {
        bcam_selftest_row line;
        char message[512];
        bcam_status status = run_verb(verb, reference, candidate, seed, message, sizeof message, &line, err);
        if (status != BCAM_OK)
            return status;
        failed += line.failed;
        if (row)
            row(data, &line);
    }
    return failed ? bcam_fail(err, BCAM_E_DEVICE, "%d checks of '%s' failed", failed, candidate->api->name) : BCAM_OK;
}
