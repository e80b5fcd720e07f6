/* zoo.c - goldens of networks at full width (scripts/zoo.sh), on the CPU or BCAM_ZOO_DEVICE: BCAM_ZOO is their folder, BCAM_ZOO_ROWS a file that every
 * comparison is written to. Not one of the tests: the goldens need PyTorch, and the largest networks many gigabytes.
 *
 * The bound of the small goldens holds for what is before the gradient. A network with millions of activations has some so near to a corner of a
 * ReLU that float32 decides, in each implementation its own way, whether they count: that alone moves gradients by 1e-4 to 1e-2. */
#include "golden_run.h"

Test(zoo, within_bounds)
{
    const char *root = getenv("BCAM_ZOO"), *rows = getenv("BCAM_ZOO_ROWS"), *device = getenv("BCAM_ZOO_DEVICE");
    cr_assert(root && rows, "BCAM_ZOO and BCAM_ZOO_ROWS are not set: run scripts/zoo.sh");
    golden_way way = {
        .device = device ? device : "cpu", .factor = 4, .floor = 1e-6, .jumps = 1e-2, .rounds = 1, .root = root};
    way.rows = fopen(rows, "a");
    cr_assert(way.rows && setvbuf(way.rows, NULL, _IOLBF, 0) == 0, "cannot write %s", rows); /* a failure loses none */
    golden_run(&way);
    fclose(way.rows);
}
