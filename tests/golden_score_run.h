/* golden_score_run.h - the cases of tests/golden_score on a device: what is explained is not always the first output's logit. */
#ifndef BCAM_TESTS_GOLDEN_SCORE_RUN_H
#define BCAM_TESTS_GOLDEN_SCORE_RUN_H

#include "golden_run.h"

/** Runs every case with the bounds of `way`. */
static inline void golden_score_run(golden_way *way)
{
    static const struct {
        const char *name, *output;
        bcam_score score;
        bcam_activation activation;
    } cases[] = {
        {"binary_logit", NULL, BCAM_SCORE_LOGIT, BCAM_ACTIVATION_AUTO},
        {"binary_picture", NULL, BCAM_SCORE_LOGIT, BCAM_ACTIVATION_NONE},
        {"binary_sigmoid", NULL, BCAM_SCORE_LOGIT, BCAM_ACTIVATION_SIGMOID},
        {"binary_sigmoid_probability", NULL, BCAM_SCORE_PROBABILITY, BCAM_ACTIVATION_AUTO},
        {"logits_probability", NULL, BCAM_SCORE_PROBABILITY, BCAM_ACTIVATION_AUTO},
        {"softmax_probability", NULL, BCAM_SCORE_PROBABILITY, BCAM_ACTIVATION_AUTO},
        {"log_softmax_probability", NULL, BCAM_SCORE_PROBABILITY, BCAM_ACTIVATION_AUTO},
        {"sigmoids_probability", NULL, BCAM_SCORE_PROBABILITY, BCAM_ACTIVATION_AUTO},
        {"two_outputs", NULL, BCAM_SCORE_LOGIT, BCAM_ACTIVATION_AUTO},
        {"two_outputs", "label", BCAM_SCORE_LOGIT, BCAM_ACTIVATION_AUTO},
        {"two_heads", "colour", BCAM_SCORE_LOGIT, BCAM_ACTIVATION_AUTO},
    };
    char folder[1024];
    int bad = 0, compared = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden_row rows[4];
        snprintf(folder, sizeof folder, "%s/golden_score/%s", BCAM_TEST_DATA, cases[i].name);
        int count = golden_rows(folder, rows, 4);
        way->output = cases[i].output;
        way->score = cases[i].score;
        way->activation = cases[i].activation;
        for (int r = 0; r < count; r++) {
            int wrong = golden_run_row(way, folder, &rows[r]);
            if (wrong)
                cr_log_error("^ in case %s, layer %s", cases[i].name, rows[r].layer);
            bad += wrong;
            compared++;
        }
    }
    printf("%s: %d layers; largest error: %.2f of what is allowed\n", way->device, compared, way->worst);
    cr_assert_eq(compared, 22);
    cr_assert_eq(bad, 0, "%d comparisons failed", bad);
}

#endif
