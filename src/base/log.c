/* log.c - notices to whoever listens. */
#include <stdio.h>

#include "base/base.h"

void bcam_log_line(const bcam_log *log, bcam_log_level level, const char *format, ...)
{
    if (!log || !log->fn)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->fn(log->data, level, line);
}
