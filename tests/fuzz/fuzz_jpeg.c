/* fuzz_jpeg.c - JPEG and its EXIF orientation. */
#include "fuzz_photo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || memcmp(data, "\xFF\xD8\xFF", 3) != 0)
        return -1; /* fuzz_png has what is no JPEG */
    decode_photo(data, size);
    return 0;
}
