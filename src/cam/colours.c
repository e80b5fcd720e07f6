/* colours.c - the colour map of overlays: JET, from dark blue over green to dark red. */
#include <stdlib.h>

#include "cam/cam.h"

/* One channel at i of 0 … 255: the ramp 1.5 - |4 i/255 - peak|, cut to [0, 1]. Red peaks at 3, green at 2, blue at 1. */
static uint8_t ramp(int i, int peak)
{
    int twice = 765 - abs(8 * i - 510 * peak); /* 2 * 255 * the ramp */
    return (uint8_t)(twice < 0 ? 0 : twice > 510 ? 255 : (twice + 1) / 2);
}

int bcam_cam_colours(bcam_plan *plan)
{
    const int64_t dim[2] = {256, 3};
    uint8_t *table;
    int value = bcam_plan_const_u8(plan, "colours", 2, dim, NULL, &table);
    for (int i = 0; value >= 0 && i < 256; i++)
        for (int c = 0; c < 3; c++)
            table[3 * i + c] = ramp(i, 3 - c);
    return value;
}
