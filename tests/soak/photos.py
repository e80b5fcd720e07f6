"""A folder of many photos, made in seconds: a few hundred JPEGs of many sizes, hard-linked again and again; one in a hundred is
broken.

The n-th photo of the list is the same whatever their number, and all are taken in turn: every part has the same mix as the whole.
"""
import os
import pathlib
import random
import struct
import zlib

from PIL import Image, ImageOps

SOURCES = 300
PER_FOLDER = 500
PER_PART = 10000
BROKEN_EVERY = 100
SIZES = [(96, 96), (128, 128), (160, 120), (97, 211), (240, 180), (333, 250), (375, 500), (500, 375)]
ATTEMPTS = {"optimize": True}, {"progressive": True}, {"subsampling": 0}, {"quality": 95}, {"quality": 30}


def _sources(data, folder, seed):
    """The files: mirrored crops of the demonstration's photos, in sizes and kinds of JPEG taken in turn."""
    dice = random.Random(seed)
    originals = sorted((data / "photos").glob("*/*.jpg"))
    out = []
    for i in range(SOURCES):
        original = originals[i % len(originals)]
        with Image.open(original) as photo:
            left, top = dice.randrange(8), dice.randrange(8)
            photo = photo.convert("RGB").crop((left, top, photo.width - dice.randrange(8), photo.height - dice.randrange(8)))
            photo = ImageOps.mirror(photo) if dice.random() < 0.5 else photo
            photo = photo.resize(SIZES[i % len(SIZES)], Image.BICUBIC)
            photo = photo.convert("L") if i % 23 == 0 else photo
        file = folder / f"{i:03}.jpg"
        photo.save(file, **ATTEMPTS[i % len(ATTEMPTS)])
        out.append(file)
    return out


def _huge_png():
    """Well formed as far as its header, which promises 1.6 thousand million pixels."""
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def _broken(folder, good):
    """(outcome, file) of each kind of photo that is none; a file of None is a link that leads nowhere."""
    kinds = [("unreadable", b""), ("unreadable", good[: len(good) // 2]), ("unsupported", b"no photo at all\n"),
             ("too_large", _huge_png()), ("unsupported", b"GIF89a\1\0\1\0\0\0\0;")]
    out = [("missing", None)]
    for i, (outcome, content) in enumerate(kinds):
        file = folder / f"broken-{i}"
        file.write_bytes(content)
        out.append((outcome, file))
    return out


def make(root, data, count, seed):
    """Fills root/photos with `count` photos in folders of folders; returns {path: the outcome that its row must have}."""
    root, data = pathlib.Path(root), pathlib.Path(data)
    store, photos = root / "store", root / "photos"
    store.mkdir(parents=True)
    sources = _sources(data, store, seed)
    broken = _broken(store, sources[1].read_bytes())
    expected, folders = {}, set()
    for i in range(count):
        file, outcome = sources[i % SOURCES], "ok"
        if i % BROKEN_EVERY == 37:
            outcome, file = broken[i // BROKEN_EVERY % len(broken)]
        name = f"part-{i // PER_PART:03}/{i // PER_FOLDER:04}/{i:07}.jpg"
        folder, to = photos / os.path.dirname(name), photos / name
        if folder not in folders:
            folder.mkdir(parents=True)
            folders.add(folder)
        if file is None:
            os.symlink("nowhere", to)
        else:
            os.link(file, to)
        expected[name] = outcome
    return expected
