#!/usr/bin/env python3
"""Makes the photos that decoding and whole jobs are timed with, from a folder of others: of one size, cut, mirrored, laid beside one another and
encoded anew.

    python3 bench/photos.py FROM TO [--size 500x375] [--tiles 1] [--bytes 107000] [--count 40] [--sampling 420] [--progressive]

Each photo is made of TILES x TILES photos of FROM, every other one mirrored, each scaled to fill its tile: tiles keep as much detail in a large
picture as small originals can give. A picture that was used before is cut out of another part of its original each time, so that no two photos are
alike. The quality is the one that brings the photos to BYTES on average. Needs Pillow."""
import argparse
import concurrent.futures
import functools
import io
import pathlib
import random

from PIL import Image, ImageOps


def sources(folder):
    files = sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    pictures = [Image.open(p).convert("RGB") for p in files]
    return [p for p in pictures if min(p.size) >= 300]


def cut(picture, lap, chance):
    """A part of the picture, 60 to 90 % as wide and as high; the whole of it the first time."""
    if lap == 0:
        return picture
    width, height = (round(side * chance.uniform(0.6, 0.9)) for side in picture.size)
    left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def compose(pictures, number, size, tiles):
    """The photo of this number: TILES x TILES neighbours."""
    whole, width, height = Image.new("RGB", size), -(-size[0] // tiles), -(-size[1] // tiles)
    for at in range(tiles * tiles):
        which = number * tiles + at
        part = cut(pictures[which % len(pictures)], which // len(pictures), random.Random(1000 * number + at))
        tile = ImageOps.fit(part, (width, height), Image.LANCZOS)
        whole.paste(ImageOps.mirror(tile) if (number + at) % 2 else tile, (at % tiles * width, at // tiles * height))
    return whole


def encode(picture, quality, wanted):
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling={"444": 0, "422": 1, "420": 2}[wanted.sampling], progressive=wanted.progressive)
    return out.getvalue()


@functools.cache
def sources_once(folder):
    return sources(folder)


def write(wanted, size, quality, number):
    """-> the bytes written; in a process of its own."""
    data = encode(compose(sources_once(wanted.source), number, size, wanted.tiles), quality, wanted)
    digits = max(3, len(str(wanted.count - 1)))
    return (wanted.to / f"{number:0{digits}}.jpg").write_bytes(data)


def best_quality(wanted, size):
    """The best quality whose photos are not larger than asked for; of every fourth photo, or some that are as far apart."""
    some = [compose(sources_once(wanted.source), n, size, wanted.tiles) for n in range(0, wanted.count, max(4, wanted.count // 10))]
    low, high = 5, 100
    while high - low > 1:
        quality = (low + high) // 2
        low, high = (quality, high) if sum(len(encode(p, quality, wanted)) for p in some) <= wanted.bytes * len(some) else (low, quality)
    return low


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("to", type=pathlib.Path)
    parser.add_argument("--size", default="500x375", help="WIDTHxHEIGHT")
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=107000)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--sampling", choices=("444", "422", "420"), default="420")
    parser.add_argument("--progressive", action="store_true")
    wanted = parser.parse_args()
    size = tuple(map(int, wanted.size.split("x")))
    quality = best_quality(wanted, size)
    wanted.to.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor() as pool:
        written = list(pool.map(functools.partial(write, wanted, size, quality), range(wanted.count), chunksize=8))
    print(f"{len(written)} photos of {size[0]} x {size[1]}, quality {quality}, {sum(written) / len(written) / 1000:.0f} kB on average")


if __name__ == "__main__":
    main()
