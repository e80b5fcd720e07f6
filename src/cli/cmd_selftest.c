/* cmd_selftest.c - is this machine computing what it should? */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "message.h"
#include "options.h"

typedef struct selftest_settings {
    const char *device;
    uint64_t seed;
    int precision; /* index in PRECISIONS */
    bool json;
    /* counted while it runs */
    int64_t verbs, cases, failed, refused;
} selftest_settings;

#define PRECISIONS "fp32 tf32 bf16 fp16"
static const bcam_precision precisions[] = {BCAM_PRECISION_FP32, BCAM_PRECISION_TF32, BCAM_PRECISION_BF16,
                                            BCAM_PRECISION_FP16};

#define FIELD(member) offsetof(selftest_settings, member)

static const cli_option options[] = {
    {0, "device", "NAME", "auto", "which device is checked: auto, cpu, cuda or reference", NULL,
     "auto cpu cuda reference", cli_set_text, FIELD(device)},
    {0, "precision", "NAME", "fp32",
     "fp32, tf32, bf16 or fp16, as the device shall compute; what is allowed follows it", NULL, PRECISIONS,
     cli_set_choice, FIELD(precision)},
    {0, "seed", "N", "from the clock", "the random inputs' seed, to repeat a run", NULL, NULL, cli_set_seed,
     FIELD(seed)},
    {0, "json", NULL, NULL, "print JSON lines with a message_type: status, error, summary", NULL, NULL, cli_set_flag,
     FIELD(json)},
};

static void print_row_json(const bcam_selftest_row *row)
{
    cli_json json;
    cli_json_begin(&json, stdout, "status");
    cli_json_text(&json, "verb", row->verb);
    cli_json_int(&json, "cases", row->cases);
    cli_json_int(&json, "failed", row->failed);
    cli_json_int(&json, "refused", row->refused);
    cli_json_real(&json, "worst", row->worst);
    cli_json_text(&json, "message", row->message);
    cli_json_end(&json);
}

static void print_row(const bcam_selftest_row *row, bool first)
{
    if (first)
        printf("%-16s %6s %6s %7s  %s\n", "verb", "cases", "failed", "refused",
               "worst error, as a share of what is allowed");
    printf("%-16s %6d %6d %7d  %.3f\n", row->verb, row->cases, row->failed, row->refused, row->worst);
    if (row->failed > 0 && row->message && *row->message)
        printf("    %s\n", row->message);
    fflush(stdout);
}

static void on_row(void *data, const bcam_selftest_row *row)
{
    selftest_settings *settings = data;
    if (settings->json)
        print_row_json(row);
    else
        print_row(row, settings->verbs == 0);
    settings->verbs++;
    settings->cases += row->cases;
    settings->failed += row->failed;
    settings->refused += row->refused;
}

static void print_summary(const selftest_settings *s, uint64_t seed)
{
    if (s->json) {
        char text[24];
        cli_json json;
        cli_json_begin(&json, stdout, "summary");
        cli_json_int(&json, "verbs", s->verbs);
        cli_json_int(&json, "cases", s->cases);
        cli_json_int(&json, "failed", s->failed);
        cli_json_int(&json, "refused", s->refused);
        snprintf(text, sizeof text, "%" PRIu64, seed);
        cli_json_text(&json, "seed", text); /* as text: readers that keep numbers in doubles would round it */
        cli_json_end(&json);
        return;
    }
    printf("\n%" PRId64 " verbs, %" PRId64 " cases: %" PRId64 " failed", s->verbs, s->cases, s->failed);
    if (s->refused > 0)
        printf(", %" PRId64 " refused by the device", s->refused);
    printf(" (seed %" PRIu64 ")\n", seed);
}

static int run(int argc, char **argv)
{
    selftest_settings settings = {0};
    int operands = 0, exit_status = CLI_DONE;
    if (!cli_parse(&cli_cmd_selftest, argc, argv, &settings, &operands, &exit_status))
        return exit_status;
    if (operands < argc) {
        cli_message("selftest takes no '%s'", argv[operands]);
        return cli_usage_hint(&cli_cmd_selftest);
    }
    uint64_t seed = settings.seed;
    bcam_error err = {0};
    bcam_status status = bcam_selftest(settings.device, precisions[settings.precision], &seed, on_row, &settings, &err);
    if (settings.verbs > 0)
        print_summary(&settings, seed);
    return status == BCAM_OK ? CLI_DONE : cli_failed(status, &err, settings.json, cli_exit_status(status));
}

static const char *const examples[] = {
    "Check the device that 'batchcam run' would take",
    "batchcam selftest",
    "Repeat a run that failed",
    "batchcam selftest --device cpu --seed 12345",
    NULL,
};

const cli_command cli_cmd_selftest = {
    .name = "selftest",
    .usage = "",
    .brief = "Check this machine: everything a device computes, against plain C",
    .teach =
        "Each verb (convolution, pooling, their backward steps, ...) is computed on random inputs by the device and by the plain C reference, "
        "and compared. 'refused' are cases that the device does not take; they never count as passed. The seed is printed, and --seed repeats "
        "a run.",
    .examples = examples,
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run,
};
