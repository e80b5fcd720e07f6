/* bench_engine.h - an engine built by hand, for programs that look inside. Private to bench/. */
#ifndef BCAM_BENCH_ENGINE_H
#define BCAM_BENCH_ENGINE_H

#include "bench.h"
#include "run/engine.h"

/** As bcam_engine_open, under a device's table that the caller gives; without a place for results: they are read through the table. On failure
 *  nothing is left to close. */
bcam_status bench_engine_open(const bench_options *o, int batch, const bcam_device_api *api, bcam_engine *e,
                              bcam_error *err);
void bench_engine_close(bcam_engine *e);

#endif
