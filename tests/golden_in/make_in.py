#!/usr/bin/env python3
"""Makes the goldens of the tests of src/in: small photos, and what Pillow and torchvision make of them.

    python3 tests/golden_in/make_in.py [--shared DIR]

Needs numpy, pillow, torch and torchvision. Everything is drawn from a fixed seed. --shared also writes shared.tsv, check sums of real photos in
DIR that are not part of this repository.

photos/*               the photos
photos.tsv             photo, outcome, width, height, orientation, SHA-256 of the RGB bytes, and of those turned as EXIF says
rgb/*.rgb              the RGB bytes, for finding out where a difference lies
resize.tsv             photo, width, height, filter, window x, y, w, h, SHA-256 of the window
draft.tsv              photo, turned as EXIF says (1) or not, "squash" or "shorter", network width, height, filter, width and height that draft()
                       makes of the photo, SHA-256 of the bytes
prep.tsv               photo, recipe, network height, width, crop x, y, w, h, SHA-256 of the bytes
lut.bin                float32 (recipes of LUTS, 3, 256): value of every byte for every network channel
shared.tsv             file, outcome, width, height, SHA-256 of the RGB bytes, SHA-256 of the 224 x 224 torchvision crop
"""
import argparse
import hashlib
import io
import pathlib
import struct
import warnings
import zlib

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms

warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).resolve().parent
FILTERS = {"nearest": Image.NEAREST, "box": Image.BOX, "bilinear": Image.BILINEAR, "hamming": Image.HAMMING, "bicubic": Image.BICUBIC,
           "lanczos": Image.LANCZOS}
LUTS = ["torchvision", "keras-tf", "keras-caffe", "unit", "raw"]
rng = np.random.default_rng(20240917)


def sha(data):
    return hashlib.sha256(bytes(data)).hexdigest()


def scene(width, height, channels=3):
    """Smooth colours, hard edges and some noise: everything that a codec or a filter can get wrong."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = [127 + 90 * np.sin(x / (5 + c) + c) * np.cos(y / (7 - c)) + 40 * (((x // 6).astype(int) + (y // 5).astype(int) + c) % 2)
              + rng.normal(0, 6, (height, width)) for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def jpeg(pixels, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[-1] > 1 else pixels[..., 0], mode).save(out, "JPEG", **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b""):
    """A PNG without help: rows are bytes, packed as the depth wants."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def interlaced_png(pixels):
    """An Adam7 PNG of RGB pixels."""
    height, width = pixels.shape[:2]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x, y, dx, dy in passes:
        part = pixels[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def packed(values, depth):
    """Rows of values as bytes of `depth` bits a value."""
    rows = []
    for row in values:
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)))
    return rows


def with_orientation(pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(pixels, quality=90, exif=exif)


def jpegs():
    rgb = scene(37, 29)
    yield "base_444.jpg", jpeg(rgb, quality=92, subsampling=0)
    yield "base_422.jpg", jpeg(rgb, quality=85, subsampling=1)
    yield "base_420.jpg", jpeg(rgb, quality=75, subsampling=2)
    yield "base_420_even.jpg", jpeg(scene(48, 32), quality=60, subsampling=2)
    yield "progressive_420.jpg", jpeg(rgb, quality=80, progressive=True)
    yield "progressive_444.jpg", jpeg(scene(41, 33), quality=95, progressive=True, subsampling=0)
    yield "optimized_low.jpg", jpeg(rgb, quality=5, optimize=True)
    yield "restarts.jpg", jpeg(rgb, quality=80, restart_marker_rows=1)
    yield "rgb_kept.jpg", jpeg(rgb, quality=90, keep_rgb=True)
    yield "grey.jpg", jpeg(scene(35, 27, 1), "L", quality=85)
    yield "grey_progressive.jpg", jpeg(scene(30, 45, 1), "L", quality=70, progressive=True)
    cmyk = jpeg(scene(33, 26, 4), "CMYK", quality=92)
    yield "cmyk.jpg", cmyk
    adobe = cmyk.find(b"Adobe")
    yield "ycck.jpg", cmyk[:adobe + 11] + b"\x02" + cmyk[adobe + 12:]  # the same samples, said to be YCCK
    yield "one_pixel.jpg", jpeg(scene(1, 1), quality=90)
    yield "one_row.jpg", jpeg(scene(40, 1), quality=90)
    yield "one_column.jpg", jpeg(scene(1, 40), quality=90)
    yield "tall.jpg", jpeg(scene(20, 90), quality=85)
    yield "wide.jpg", jpeg(scene(90, 20), quality=85)
    whole = jpeg(rgb, quality=80)
    yield "no_end_mark.jpg", whole[:-2]
    yield "junk_behind.jpg", whole + bytes(range(64))
    yield "truncated.jpg", whole[:len(whole) * 2 // 3]
    yield "truncated_progressive.jpg", (lambda d: d[:len(d) * 2 // 3])(jpeg(rgb, quality=80, progressive=True))
    yield "header_only.jpg", whole[:whole.find(b"\xff\xda")]
    small = scene(19, 13)
    for orientation in range(1, 9):
        yield f"exif_{orientation}.jpg", with_orientation(small, orientation)
    yield "exif_9.jpg", with_orientation(small, 9)


def pngs():
    rgb = scene(23, 17)
    alpha = np.dstack([rgb, rng.integers(0, 256, (17, 23), np.uint8)])
    palette = bytes(rng.integers(0, 256, 30, np.uint8))
    values16 = rng.choice([0, 1, 127, 128, 254, 255, 256, 257, 0x7FFF, 0x80FF, 0xFF00, 0xFFFF], (9, 11))
    for depth in (1, 2, 4, 8):
        values = rng.integers(0, 1 << depth, (9, 13))
        yield f"grey_{depth}.png", png(13, 9, depth, 0, packed(values, depth))
        yield f"grey_{depth}_key.png", png(13, 9, depth, 0, packed(values, depth), chunk(b"tRNS", b"\0\1"))
        entries = min(1 << depth, 10)
        values = rng.integers(0, entries, (9, 13))
        yield f"palette_{depth}.png", png(13, 9, depth, 3, packed(values, depth), chunk(b"PLTE", palette[:3 * entries]))
    indices = packed(rng.integers(0, 10, (9, 13)), 8)
    yield "palette_alpha.png", png(13, 9, 8, 3, indices, chunk(b"PLTE", palette) + chunk(b"tRNS", b"\0\x80\xff\x10"))
    yield "palette_short.png", png(13, 9, 8, 3, packed(rng.integers(0, 256, (9, 13)), 8), chunk(b"PLTE", palette))
    yield "grey_16.png", png(11, 9, 16, 0, packed(values16, 16))
    yield "grey_alpha_8.png", png(6, 9, 8, 4, packed(rng.integers(0, 256, (9, 12)), 8))
    yield "grey_alpha_16.png", png(5, 9, 16, 4, packed(values16[:, :10], 16))
    yield "rgb_8.png", png(23, 17, 8, 2, [row.tobytes() for row in rgb])
    yield "rgb_8_key.png", png(23, 17, 8, 2, [row.tobytes() for row in rgb], chunk(b"tRNS", struct.pack(">HHH", *map(int, rgb[0, 0]))))
    yield "rgb_16.png", png(3, 9, 16, 2, packed(values16[:, :9], 16))
    yield "rgba_8.png", png(23, 17, 8, 6, [row.tobytes() for row in alpha])
    yield "rgba_16.png", png(2, 9, 16, 6, packed(values16[:, :8], 16))
    yield "interlaced.png", interlaced_png(scene(21, 19))
    yield "interlaced_tiny.png", interlaced_png(scene(2, 3))
    extras = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"Title\0a scene") + chunk(b"pHYs", b"\0\0\x0b\x13" * 2 + b"\1")
    yield "extras.png", png(23, 17, 8, 2, [row.tobytes() for row in rgb], extras)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "exif_6.png", png(23, 17, 8, 2, [row.tobytes() for row in rgb], chunk(b"eXIf", exif.tobytes()[6:]))
    out = io.BytesIO()
    Image.fromarray(scene(50, 40)).save(out, "PNG")
    yield "filtered.png", out.getvalue()
    whole = png(23, 17, 8, 2, [row.tobytes() for row in rgb])
    yield "truncated.png", whole[:200]
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 1
    yield "broken.png", bytes(broken)


def others():
    for kind, suffix in (("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif"), ("WEBP", "webp"), ("PPM", "ppm")):
        out = io.BytesIO()
        Image.fromarray(scene(4, 4)).save(out, kind)
        yield f"other.{suffix}", out.getvalue()
    yield "png_inside.jpg", png(4, 4, 8, 2, [row.tobytes() for row in scene(4, 4)])  # told by content, not by name
    yield "empty.jpg", b""
    yield "text.jpg", b"this is no photo\n"


def decoded(data):
    """RGB as Pillow makes it, plain and turned, and the orientation; None where Pillow will not read it."""
    try:
        image = Image.open(io.BytesIO(data))
        rgb = np.array(image.convert("RGB"))
    except Exception:
        return None
    orientation = image.getexif().get(0x0112, 1)
    return rgb, np.array(ImageOps.exif_transpose(image).convert("RGB")), orientation if 1 <= orientation <= 8 else 1


def make_photos():
    rows, kept = [], {}
    for name, data in [*jpegs(), *pngs(), *others()]:
        (HERE / "photos" / name).write_bytes(data)
        result = decoded(data)
        if name.startswith("other.") or result is None:
            rows.append((name, "refused", 0, 0, 1, "-", "-"))
            continue
        rgb, turned, orientation = result
        kept[name] = rgb
        (HERE / "rgb" / f"{name}.rgb").write_bytes(rgb.tobytes())
        rows.append((name, "ok", rgb.shape[1], rgb.shape[0], orientation, sha(rgb.tobytes()), sha(turned.tobytes())))
    write_rows("photos.tsv", rows)
    return kept


def make_resizes(photos):
    rows = []
    sizes = [(1, 1), (7, 5), (16, 40), (25, 20), (50, 20), (50, 90), (100, 80), (100, 13), (33, 40), (3, 70)]
    for name in ("filtered.png", "tall.jpg", "one_row.jpg", "grey_1.png"):
        image = Image.fromarray(photos[name])
        for width, height in [*sizes, image.size]:
            for filter_name, code in FILTERS.items():
                w, h = int(rng.integers(1, width + 1)), int(rng.integers(1, height + 1))
                x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
                resized = np.array(image.resize((width, height), code))
                for window in ((0, 0, width, height), (x, y, w, h)):
                    x0, y0, w0, h0 = window
                    rows.append((name, width, height, filter_name, *window, sha(resized[y0:y0 + h0, x0:x0 + w0].tobytes())))
    write_rows("resize.tsv", rows)


def resized_size(width, height, shorter):
    if min(width, height) == shorter:
        return width, height
    longer = int(shorter * max(width, height) / min(width, height))
    return (shorter, longer) if width <= height else (longer, shorter)


def crop_box(photo_size, resized, net_height, net_width):
    """Where the network's input lies on the photo, in photo pixels; outside of it where it is padded."""
    box = []
    for have, want, original in ((resized[0], net_width, photo_size[0]), (resized[1], net_height, photo_size[1])):
        start = -((want - have) // 2) if want > have else round((have - want) / 2)
        box.append((start * original / have, want * original / have))
    return box[0][0], box[1][0], box[0][1], box[1][1]


def make_preps(photos):
    rows = []
    for name in ("base_420.jpg", "tall.jpg", "wide.jpg", "filtered.png", "one_column.jpg", "one_pixel.jpg", "grey.jpg"):
        image = Image.fromarray(photos[name])
        for height, width in ((24, 24), (32, 32), (17, 30), (56, 40)):
            shorter = int(max(height, width) // 0.875)
            crop = transforms.Compose([transforms.Resize(shorter), transforms.CenterCrop((height, width))])(image)
            box = crop_box(image.size, resized_size(*image.size, shorter), height, width)
            rows.append((name, "torchvision", height, width, *box, sha(np.array(crop).tobytes())))
            squashed = image.resize((width, height), Image.BILINEAR)
            rows.append((name, "unit", height, width, 0, 0, *image.size, sha(np.array(squashed).tobytes())))
            cut = transforms.CenterCrop((height, width))(image)
            rows.append((name, "crop_only.json", height, width, *crop_box(image.size, image.size, height, width), sha(np.array(cut).tobytes())))
    write_rows("prep.tsv", rows)


# Where a box of a stored picture of w x h lies once it is turned.
TURNED_BOX = {1: lambda w, h, a, b, c, d: (a, b, c, d), 2: lambda w, h, a, b, c, d: (w - c, b, w - a, d),
              3: lambda w, h, a, b, c, d: (w - c, h - d, w - a, h - b), 4: lambda w, h, a, b, c, d: (a, h - d, c, h - b),
              5: lambda w, h, a, b, c, d: (b, a, d, c), 6: lambda w, h, a, b, c, d: (h - d, a, h - b, c),
              7: lambda w, h, a, b, c, d: (h - d, w - c, h - b, w - a), 8: lambda w, h, a, b, c, d: (b, w - c, d, w - a)}


def drafted(name, exif, size_of, filter_code):
    """The photo decoded by draft() for what size_of(its size) says, and resized to that -> size decoded, RGB."""
    image = Image.open(HERE / "photos" / name)
    orientation = image.getexif().get(0x0112, 1) if exif else 1
    orientation = orientation if 1 <= orientation <= 8 else 1
    turned = image.size[::-1] if orientation >= 5 else image.size
    size = size_of(turned)
    draft = image.draft("RGB", size[::-1] if orientation >= 5 else size) if image.format == "JPEG" else None
    box = draft[1] if draft else (0, 0, *image.size)
    box = TURNED_BOX[orientation](*image.size, *box)
    rgb = (ImageOps.exif_transpose(image) if exif else image).convert("RGB")
    return rgb.size, rgb.resize(size, filter_code, box=box)


def make_drafts():
    rows = []
    kinds = [f.name for f in sorted((HERE / "photos").glob("*.jpg")) if not f.name.startswith("exif") and decoded(f.read_bytes())]
    kinds += ["filtered.png", "exif_6.png"]
    for name, exif in [(name, 0) for name in kinds] + [(f"exif_{o}.jpg", e) for o in range(1, 9) for e in (0, 1)] + [("exif_6.png", 1)]:
        for at, (width, height) in enumerate(((18, 14), (9, 7), (4, 3), (3, 9), (6, 4), (4, 6), (2, 2), (1, 1), (37, 15))):
            filter_name = list(FILTERS)[at % len(FILTERS)]
            size, rgb = drafted(name, exif, lambda _, size=(width, height): size, FILTERS[filter_name])
            rows.append((name, exif, "squash", width, height, filter_name, *size, sha(rgb.tobytes())))
        for side in (2, 4, 8, 16):
            shorter = int(side // 0.875)
            size, rgb = drafted(name, exif, lambda s, shorter=shorter: resized_size(*s, shorter), Image.BILINEAR)
            crop = transforms.CenterCrop((side, side))(rgb)
            rows.append((name, exif, "shorter", side, side, "bilinear", *size, sha(crop.tobytes())))
    write_rows("draft.tsv", rows)


def make_luts():
    ramp = np.stack([np.arange(256, dtype=np.uint8)] * 3, -1)[None]
    normalized = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    plain = np.stack([np.arange(256, dtype=np.float32)] * 3)
    tables = {"torchvision": normalized(Image.fromarray(ramp)).numpy()[:, 0], "raw": plain}
    tables["unit"] = transforms.ToTensor()(Image.fromarray(ramp)).numpy()[:, 0]
    tf = plain.copy()
    tf /= 127.5
    tf -= 1.0
    tables["keras-tf"] = tf
    caffe = plain.copy()
    for channel, mean in enumerate((103.939, 116.779, 123.68)):
        caffe[channel] -= mean
    tables["keras-caffe"] = caffe
    (HERE / "lut.bin").write_bytes(b"".join(tables[name].astype("<f4").tobytes() for name in LUTS))


# Real files on which Pillow's own, newer libjpeg-turbo (3.x) and Debian 12's (2.1.5) part ways, and one where Pillow's header parser is stricter.
DIFFERENT = {
    "tests_crashtest_images_imagetestsuite_f6b4389c3cf0f5997b2e5a4b905aea8d.jpg": "ok",  # smoothing of an unfinished progressive photo
    "afl-testcases_jpeg_full_images_id:005076,sync:jpeg_turbo,src:003778.jpg": "ok",  # the same
    "fuzz-afl_in_id_000831,sync_jpeg9,src_000903.jpg": "ok",  # damaged arithmetic coding: an error in 3.x
    "imageio_imageio-jpeg_src_test_resources_jpeg_jfif-bogus-empty-jfif-segment.jpg": "ok",  # an empty JFIF segment
    "bugs_decompress_lossless_random8_96x95_lossless_psv3_pt5.jpg": "refused",  # lossless: 3.x only
    "imageio_imageio-jpeg_src_test_resources_jpeg-lossless_8_ls.jpg": "refused",  # lossless: 3.x only
}


def make_shared(root):
    images = root / "images"
    crop = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    files = sorted(images.glob("voc_dogs_40/JPEGImages/*")) + sorted(images.glob("imagenet_val_650/*.JPEG"))[::11][:60]
    files += sorted(f for f in images.glob("odd_jpeg/**/*") if f.is_file()) + sorted(images.glob("exif_orientation/*"))[::3]
    rows = []
    for file in files:
        result = decoded(file.read_bytes())
        outcome = DIFFERENT.get(file.name, "ok" if result else "refused")
        if outcome == "refused" or file.name in DIFFERENT:
            rows.append((file.relative_to(images), outcome, 0, 0, "-", "-"))
            continue
        rgb = result[0]
        rows.append((file.relative_to(images), "ok", rgb.shape[1], rgb.shape[0], sha(rgb.tobytes()),
                     sha(np.array(crop(Image.fromarray(rgb))).tobytes())))
    write_rows("shared.tsv", rows)


def write_rows(name, rows):
    with open(HERE / name, "w") as out:
        out.write(f"# made by make_in.py with pillow {PIL.__version__}, torchvision {torchvision.__version__.split('+')[0]}\n")
        for row in rows:
            out.write("\t".join(repr(v) if isinstance(v, float) else str(v) for v in row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path, help="folder of real photos (holding images/)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for folder in ("photos", "rgb"):
        (HERE / folder).mkdir(exist_ok=True)
    (HERE / "crop_only.json").write_text('{"resize": "none", "crop": "center"}\n')
    photos = make_photos()
    make_resizes(photos)
    make_preps(photos)
    make_drafts()
    make_luts()
    if arguments.shared:
        make_shared(arguments.shared)


if __name__ == "__main__":
    main()
