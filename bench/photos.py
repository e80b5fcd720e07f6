#!/usr/bin/env python3
"""Makes the photos that bench_decode is timed with, from a folder of others: of one size, cut, mirrored, laid beside one another and encoded anew.

    python3 bench/photos.py FROM TO [--size 500x375] [--tiles 1] [--bytes 107000] [--count 40] [--sampling 420] [--progressive]

Each photo is made of TILES x TILES photos of FROM, every other one mirrored, each scaled to fill its tile: tiles keep as much detail in a large
picture as small originals can give. The quality is the one that brings the photos to BYTES on average. Needs Pillow."""
import argparse
import io
import pathlib

from PIL import Image, ImageOps


def sources(folder):
    files = sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    pictures = [Image.open(p).convert("RGB") for p in files]
    return [p for p in pictures if min(p.size) >= 300]


def compose(pictures, number, size, tiles):
    """The photo of this number: TILES x TILES neighbours."""
    whole, width, height = Image.new("RGB", size), -(-size[0] // tiles), -(-size[1] // tiles)
    for at in range(tiles * tiles):
        tile = ImageOps.fit(pictures[(number * tiles + at) % len(pictures)], (width, height), Image.LANCZOS)
        whole.paste(ImageOps.mirror(tile) if (number + at) % 2 else tile, (at % tiles * width, at // tiles * height))
    return whole


def encode(picture, quality, wanted):
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling={"444": 0, "422": 1, "420": 2}[wanted.sampling], progressive=wanted.progressive)
    return out.getvalue()


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
    pictures = sources(wanted.source)
    photos = [compose(pictures, n, size, wanted.tiles) for n in range(wanted.count)]
    low, high = 5, 100
    while high - low > 1:  # the best quality whose photos are not larger than asked for; of every fourth photo
        quality = (low + high) // 2
        some = [len(encode(p, quality, wanted)) for p in photos[::4]]
        low, high = (quality, high) if sum(some) <= wanted.bytes * len(some) else (low, quality)
    wanted.to.mkdir(parents=True, exist_ok=True)
    data = [encode(p, low, wanted) for p in photos]
    for number, photo in enumerate(data):
        (wanted.to / f"{number:03}.jpg").write_bytes(photo)
    print(f"{len(data)} photos of {size[0]} x {size[1]}, quality {low}, {sum(map(len, data)) / len(data) / 1000:.0f} kB on average")


main()
