/* in.h - reading a user's files: lists of photos, photos, preprocessing recipes, class names. Knows no network and no device. */
#ifndef BCAM_IN_H
#define BCAM_IN_H

#include "base/base.h"

/* ---- list.c: folders, files and lists become items, one after the other ---- */

/** One photo to explain. Strings and bytes belong to the list and hold until the next call. */
typedef struct bcam_item {
    const char *path; /* to open it; NULL for an archive's member, whose bytes are here */
    const char *
        shown; /* its name in the index: relative to the folder or list that brought it, or in its archive, else as given */
    const char *
        folder; /* its first folder below the root that brought it ("" directly inside, or for files and lists): a class, in ImageFolder's layout */
    const char *label;   /* the label column of a list, or an archive's label for it, else NULL */
    const uint8_t *data; /* of a member; NULL where there was no room for its bytes */
    size_t bytes;
} bcam_item;

typedef struct bcam_list bcam_list;

typedef struct bcam_list_counts {
    int64_t items; /* given out so far */
    int64_t left_out_type, left_out_hidden, left_out_loop,
        left_out_special; /* other suffix; hidden; link that loops or dangles as a folder; pipe, device, socket (in archives: links) */
    bool broken; /* an archive could not be read on: what came before stands */
} bcam_list_counts;

/** Opens the given folders, files, lists (.csv, .txt, .tsv) and archives, in this order. Folders: searched in depth, links followed, in torchvision's
 *  ImageFolder order (first-level folders by name, below them folders by path, files by name, all by byte value); suffixes jpg jpeg png ppm bmp pgm tif tiff webp in
 *  any case. A single file is an item whatever its suffix. Lists: one photo a line, relative to the list's folder; `file` or `file,label`
 *  (quoted where needed, RFC 4180; a header line `path,…`/`file,…` is recognised) or, in .txt, `file label` (Caffe, DALI: the label is what
 *  follows the last space). Archives: tar files, packed or not, known by their suffix, and "-", one on standard input; their photos in
 *  WebDataset's layout (tar.c). Errors: E_INPUT naming the argument. */
bcam_status bcam_list_open(const char *const *images, int count, bcam_list **out, bcam_error *err);
/** From here on names alone are asked for: archives are stepped through without bytes and labels, and standard input is passed over. */
void bcam_list_skim(bcam_list *list);
/** Whether standard input is among what was given: it can be read only once. */
bool bcam_list_has_stdin(const bcam_list *list);
/** The next item; *end is set, and item untouched, after the last. A list's line whose file is not there is still an item (outcome missing).
 *  E_INPUT names the list and its line, or the archive. */
bcam_status bcam_list_next(bcam_list *list, bcam_item *item, bool *end, bcam_error *err);
const bcam_list_counts *bcam_list_get_counts(const bcam_list *list);
void bcam_list_close(bcam_list **list);

/* ---- table.c: CSV (RFC 4180), also for --target FILE.csv ---- */

typedef struct bcam_table { /* all cells of a small text table */
    size_t rows, *cells;    /* cells[r]: cells of row r */
    char ***cell;           /* cell[r][c] */
    size_t *line;           /* line[r]: 1-based line of row r in the file */
    bcam_pool pool;         /* holds the cells */
} bcam_table;

bcam_status bcam_table_read(const char *path, char separator, bcam_table *out,
                            bcam_error *err); /* empty lines skipped, byte order mark too */
void bcam_table_fini(bcam_table *table);

/* ---- names.c: class names ---- */

typedef struct bcam_names {
    size_t count;
    char **name;   /* "tench, Tinca tinca"; what is shown */
    char **synset; /* "n01440764" where the line began with one, else NULL */
} bcam_names;

/** One name a line; a line may begin with a WordNet synset (n and 8 digits); a JSON object or list (Hugging Face id2label) is read too. */
bcam_status bcam_names_read(const char *path, bcam_names *out, bcam_error *err);
/** The class of a name (exact, then before the first comma, then synset, then a number); -1: none. Case matters only if it decides. */
int bcam_names_find(const bcam_names *names, const char *text);
void bcam_names_fini(bcam_names *names);

/* ---- image.c (by content), jpeg*.c, png.c, exif.c: photos become RGB bytes, as Pillow's convert("RGB") makes them ---- */

/** Of images; the names stand in the index */
typedef enum bcam_outcome {
    BCAM_OUTCOME_OK = 0,
    BCAM_OUTCOME_MISSING,     /* not there */
    BCAM_OUTCOME_UNREADABLE,  /* cannot be opened, or damaged */
    BCAM_OUTCOME_UNSUPPORTED, /* not a JPEG or PNG, or a kind of them that Pillow does not read either */
    BCAM_OUTCOME_TOO_LARGE,   /* more pixels than allowed */
    BCAM_OUTCOME_NO_LABEL,    /* its label was asked to be explained, and it has none */
    BCAM_OUTCOME_COUNT
} bcam_outcome;

const char *
bcam_outcome_name(bcam_outcome outcome); /* "ok", "missing", "unreadable", "unsupported", "too_large", "no_label" */

typedef struct bcam_part { /* of a picture, in whole pixels */
    int x, y, w, h;
} bcam_part;

typedef struct bcam_box {
    double x, y, w, h;
} bcam_box;

/** A decoder and its buffers, for one thread; everything is reused from photo to photo. */
typedef struct bcam_photo {
    uint8_t *rgb;              /* (rgb_height, rgb_width, 3) */
    int rgb_width, rgb_height; /* those of the photo, or a half, a quarter or an eighth of them, rounded up */
    bcam_box area;             /* of rgb: what shows the photo; rounding up has added a part of a pixel to a side */
    bcam_part part;            /* of rgb: what was decoded; the other pixels mean nothing */
    int width, height;         /* of the photo, after orientation where applied */
    int stored_width, stored_height;
    int orientation;   /* EXIF, 1 … 8; 1 where there is none */
    char message[256]; /* why not ok, one sentence without the path */
    size_t capacity;   /* of rgb */
    uint8_t *file;     /* scratch: the file's bytes */
    size_t file_capacity, file_bytes;
    uint8_t *scratch; /* scratch of resize */
    size_t scratch_capacity;
} bcam_photo;

typedef struct bcam_photo_limits {
    int64_t max_pixels;               /* checked from the header, before anything is allocated */
    int64_t max_file_bytes;           /* 0: 1 GiB */
    bool exif;                        /* turn the photo as its EXIF orientation says */
    const struct bcam_recipe *recipe; /* only what bcam_prep_photo needs for it is decoded; NULL: all of the photo */
    bool reduce; /* a JPEG that the recipe makes much smaller is decoded smaller: bcam_prep_reduction */
} bcam_photo_limits;

/** Reads and decodes one photo. Never fails otherwise than by its outcome; memory shortage is `unreadable` with that message. */
bcam_outcome bcam_photo_load(bcam_photo *photo, const char *path, const bcam_photo_limits *limits);
/** Its first half: the file into photo->file. */
bcam_outcome bcam_photo_read(bcam_photo *photo, const char *path, const bcam_photo_limits *limits);
/** The same from memory, which may be photo->file; `data` NULL with bytes says that there was no room for them. */
bcam_outcome bcam_photo_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, const bcam_photo_limits *limits);
void bcam_photo_fini(bcam_photo *photo);

/** Versions of the libraries that decode, "libjpeg-turbo 2.1.5". */
const char *bcam_jpeg_version(void);
const char *bcam_png_version(void);

/* ---- recipe.c, presets.def: preprocessing recipes ---- */

typedef enum bcam_filter {
    BCAM_FILTER_NEAREST,
    BCAM_FILTER_BOX,
    BCAM_FILTER_BILINEAR,
    BCAM_FILTER_HAMMING,
    BCAM_FILTER_BICUBIC,
    BCAM_FILTER_LANCZOS
} bcam_filter;
typedef enum bcam_resize_mode {
    BCAM_RESIZE_NONE,
    BCAM_RESIZE_SHORTER /* keep the aspect, shorter side = resize_to */,
    BCAM_RESIZE_SQUASH /* to resize_h x resize_w */
} bcam_resize_mode;

typedef struct bcam_recipe {
    char name[64];     /* preset, or the file's path cut to fit */
    int height, width; /* of the network's input */
    bcam_resize_mode resize;
    int resize_to, resize_h, resize_w;
    bcam_filter filter;
    bool crop; /* centre crop to height x width, zero padded where the photo is smaller, as torchvision does */
    bool
        crop_floor; /* an odd margin: the smaller half first, as Hugging Face's processors; else rounded half to even, as torchvision */
    double rescale, mean[3], std[3],
        offset;      /* out = (byte * rescale + offset - mean) / std in float32, in this order */
    bool divide_255; /* rescale is exactly /255 as a division (torchvision's ToTensor) */
    bool bgr;        /* channel 0 of the network is blue; mean and std are in the network's order */
    bool grey;       /* the network has one channel: photos become grey before they are resized (bcam_grey) */
} bcam_recipe;

/** The recipe for a network input of height x width (>= 1) and 3 channels. `spec`: a preset (torchvision, keras-tf, keras-caffe, unit, raw) or a JSON file (batchcam's own,
 *  a Hugging Face preprocessor_config.json or a timm config.json, told apart by their fields); NULL: a preprocess.json, preprocessor_config.json or config.json (timm)
 *  in the folder of `model` if there is one, else torchvision. A field that is not understood is E_INPUT naming it. */
bcam_status bcam_recipe_read(const char *spec, const char *model, int height, int width, bcam_recipe *out,
                             bcam_error *err);
/** The same for one channel; the default is `unit` then. E_INPUT where mean or std are not the same for red, green and blue. */
bcam_status bcam_recipe_read_grey(const char *spec, const char *model, int height, int width, bcam_recipe *out,
                                  bcam_error *err);
/** The input size that the same recipe is for: a height or width of 0, which the network leaves open, becomes the file's; 0 where it names none. */
bcam_status bcam_recipe_size(const char *spec, const char *model, int *height, int *width, bcam_error *err);
/** The float32 value of every byte for every network channel, (3,256), computed in float32 as PyTorch does. */
void bcam_recipe_lut(const bcam_recipe *recipe, float *lut); // (3,256)
/** Which byte (0 red, 1 green, 2 blue) network channel c is made from. */
int bcam_recipe_channel(const bcam_recipe *recipe, int c);

/* ---- prep.c, resize*.c: geometry, equal to Pillow to the byte ---- */

/** Makes pixels grey, the same number in all three bytes: Pillow's convert("L"). */
void bcam_grey(uint8_t *rgb, size_t pixels);

/** By how much a JPEG of this size may be decoded smaller, as Pillow's draft() does it: the largest of 8, 4, 2 and 1 that leaves both sides at least
 *  as long as the recipe makes them. */
int bcam_prep_reduction(const bcam_recipe *recipe, int width, int height);

/** The part of photo->rgb that bcam_prep_photo looks at; of the photo, sizes and area are enough. */
bcam_part bcam_prep_needs(const bcam_recipe *recipe, const bcam_photo *photo);

/** Resizes and crops the decoded photo, made grey first where the recipe says so, into out (height, width, 3), computing only what the crop needs. *crop receives the part of the photo
 *  (pixels of photo->width x height) that the network sees. Memory shortage: E_MEMORY. */
bcam_status bcam_prep_photo(const bcam_recipe *recipe, bcam_photo *photo, uint8_t *out, bcam_box *crop,
                            bcam_error *err);

/** A picture to resize, or an area of it. */
typedef struct bcam_pixels {
    const uint8_t *rgb; /* (height, width, 3) */
    int width, height;
    bcam_box area; /* Pillow's `box` */
} bcam_pixels;

/** A photo for whoever resizes it elsewhere: what bcam_prep_photo looks at, and how each pixel is made of that. */
typedef struct bcam_pack {
    bcam_part part;   /* of the photo: what is taken along */
    bcam_part window; /* of the network's pixels: what it becomes; the rest is black */
    int taps[2];      /* x, y: room for weights of a pixel along this side; 0: it keeps its length, and has no table */
    bool columns_first;       /* the sums along y are made first; bytes in between */
    size_t bytes, numbers[2]; /* of the part's pixels, and of both tables */
} bcam_pack;

/** Measures it, for a photo of the decoded size. Errors: as of bcam_prep_photo. */
bcam_status bcam_prep_measure(const bcam_recipe *recipe, const bcam_photo *photo, bcam_pack *pack, bcam_error *err);
/** The part's pixels, made grey first where the recipe says so, rows end to end. A side's table has a row for each pixel of the window: the first pixel of
 *  the part, how many, and `taps` weights, multiples of 2^-22. E_MEMORY. */
bcam_status bcam_prep_pack(const bcam_recipe *recipe, bcam_photo *photo, const bcam_pack *pack, uint8_t *pixels,
                           int32_t *const table[2], bcam_box *crop, bcam_error *err);

/** The part of the source that bcam_resize_rgb looks at for this window. */
bcam_part bcam_resize_needs(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window);

/** Pillow's Image.resize((dw,dh), filter, area) of an RGB image, only the window of the result: out (window.h,window.w,3).
 *  `scratch` is grown as needed (bcam_realloc). */
bcam_status bcam_resize_area(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window, uint8_t *out,
                             uint8_t **scratch, size_t *scratch_capacity, bcam_error *err);
/** The same of all of an image. */
bcam_status bcam_resize_rgb(const uint8_t *src, int sw, int sh, int dw, int dh, bcam_filter filter, int x0, int y0,
                            int w, int h, uint8_t *out, uint8_t **scratch, size_t *scratch_capacity, bcam_error *err);
/** What that does, for whoever does it elsewhere: part, taps, columns_first, bytes and numbers of a pack. */
void bcam_resize_measure(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window, bcam_pack *pack);
/** The tables of both sides. */
bcam_status bcam_resize_tables(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window,
                               int32_t *const table[2], uint8_t **scratch, size_t *scratch_capacity, bcam_error *err);

#endif
