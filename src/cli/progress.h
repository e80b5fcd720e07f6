/* progress.h - how far a run is: a bar on a terminal, a line every few seconds elsewhere; and the signals that stop it. */
#ifndef BCAM_CLI_PROGRESS_H
#define BCAM_CLI_PROGRESS_H

#include "batchcam.h"

typedef struct cli_progress {
    bool quiet; /* show nothing */
    bool json;  /* status lines on stdout as well */
    /* private */
    bool terminal, blocks, drawn;
    double shown_at, json_at;
    bcam_progress last;
} cli_progress;

void cli_progress_init(cli_progress *progress, bool quiet, bool json);
/** A bcam_progress_fn; data is the cli_progress. Returns false once a signal has come. */
bool cli_progress_update(void *data, const bcam_progress *now);
/** A bcam_log_fn; data is the cli_progress. */
void cli_progress_log(void *data, bcam_log_level level, const char *line);
/** Leaves the bar standing as it is and goes on below it. */
void cli_progress_finish(cli_progress *progress);

/** From now on SIGINT and SIGTERM ask the run to stop after the batch in hand; a second one kills. A full disk and a closed pipe are errors of
 *  the write. */
void cli_stop_on_signals(void);

#endif
