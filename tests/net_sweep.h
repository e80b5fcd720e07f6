/* net_sweep.h - a network opened while memory runs out. */
#ifndef BCAM_TEST_NET_SWEEP_H
#define BCAM_TEST_NET_SWEEP_H

#include <criterion/criterion.h>

#include "net/net.h"

/** Opens a graph for two photos with every allocation failing from the first one on, then from the second on, and so on until none is left: each
 *  time that is an error which leaves nothing. `net` is open in the end. */
static inline void open_short_of_memory(const bcam_graph *graph, const char *what, bcam_net **net)
{
    bcam_error err = {0};
    int64_t live = bcam_alloc_live();
    for (int64_t nth = 1;; nth++) {
        bcam_alloc_fail_at(nth, true);
        bcam_status status = bcam_net_open(graph, 2, net, &err);
        bcam_alloc_fail_at(0, false);
        if (status == BCAM_OK)
            return;
        cr_assert_eq(status, BCAM_E_MEMORY, "%s, call %lld: %s", what, (long long)nth, err.message);
        cr_assert_null(*net);
        cr_assert_eq(bcam_alloc_live(), live, "%s, call %lld", what, (long long)nth);
    }
}

#endif
