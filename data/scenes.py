"""The scenes of the demonstration: little landscapes, each with one thing in it to be recognised."""
import math

import numpy as np
from PIL import Image, ImageFilter

from painting import (COLUMNS, GROUNDS, LEAVES, LIGHTS, PAINTS, ROWS, SIDE, Frame, Layer, blend, cast_shadow,
                      curve, jitter, noise, paint_ground, paint_hills, paint_sky, paint_water, pick)


# ---- small things, for the distance --------------------------------------------------------------------

def draw_tree(rng, layer, x, y, size, leaves):
    trunk = jitter(rng, (0.36, 0.25, 0.17), 0.03)
    at = Frame(x, y, size)
    w = rng.uniform(0.035, 0.06)
    layer.polygon(at((-w, 0), (w, 0), (0.6 * w, 0.6), (-0.6 * w, 0.6)), trunk)
    if rng.random() < 0.4:
        for i in range(5):                            # conifer
            v, half = 0.15 + 0.17 * i, (0.30 - 0.05 * i) * rng.uniform(0.9, 1.1)
            shade = jitter(rng, leaves * (0.7 + 0.09 * i), 0.02)
            layer.polygon(at((-half, v), (-0.5 * half, v - 0.03), (0, v), (0.5 * half, v - 0.03), (half, v),
                             (0, v + 0.32)), shade)
        return
    for i in range(46):                               # round crown, the light comes from the top
        angle, r = rng.uniform(0, 2 * math.pi), 0.27 * math.sqrt(rng.random())
        u, v = 1.1 * r * math.cos(angle), 0.68 + r * math.sin(angle)
        (cx, cy), = at((u, v))
        shade = jitter(rng, leaves * (0.75 + 0.9 * (v - 0.45) + 0.1 * i / 46), 0.03)
        blob = rng.uniform(0.05, 0.10) * size
        layer.ellipse(cx, cy, blob, blob * 0.9, shade)


def draw_cottage(rng, layer, x, y, size):
    """A house without detail, for the distance."""
    at, wall = Frame(x, y, size), jitter(rng, (0.85, 0.80, 0.72), 0.06)
    layer.polygon(at((-0.5, 0), (0.5, 0), (0.5, 0.5), (-0.5, 0.5)), wall)
    roof = jitter(rng, (0.55, 0.28, 0.22), 0.06)
    layer.polygon(at((-0.6, 0.5), (0.6, 0.5), (0.35, 0.9), (-0.35, 0.9)), roof)


def add_clutter(rng, photo, horizon):
    """Small things far away, and birds: never the subject."""
    layer = Layer()
    for _ in range(int(rng.integers(0, 5))):
        x, foot = rng.uniform(0, 1), horizon + rng.uniform(0.005, 0.02)
        if rng.random() < 0.75:
            draw_tree(rng, layer, x, foot, rng.uniform(0.07, 0.15), pick(rng, LEAVES) * 0.9)
        else:
            draw_cottage(rng, layer, x, foot, rng.uniform(0.05, 0.08))
    for _ in range(int(rng.integers(0, 4))):
        x, y, w = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.35), rng.uniform(0.012, 0.025)
        layer.line([(x - w, y - w * 0.6), (x, y), (x + w, y - w * 0.6)], (0.2, 0.2, 0.24), 0.005, 0.8)
    return layer.onto(rng, photo)


# ---- the things to be recognised: each takes a generator, returns a photo ------------------------------

def land(rng, light, low=0.45, high=0.62):
    """Sky, hills and a meadow; sometimes a lake behind. Returns the photo and its horizon."""
    horizon = rng.uniform(low, high)
    photo = paint_hills(rng, paint_sky(rng, light), horizon, light)
    if rng.random() < 0.3:
        photo = paint_water(rng, photo, horizon, light)
        shore = horizon + rng.uniform(0.04, 0.10)
    else:
        shore = horizon
    photo = paint_ground(rng, photo, shore, jitter(rng, pick(rng, GROUNDS), 0.03))
    return add_clutter(rng, photo, horizon), shore


def add_reflection(rng, photo, layer, waterline, mirror):
    """The layer upside down below the waterline, torn by the waves."""
    image = layer.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else layer.image
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
    foot, out = int(round(waterline * SIDE)), np.zeros_like(small)
    phase = rng.uniform(0, 6)
    for row in range(foot, SIDE):
        source = foot - int((row - foot) * 1.6) - 1
        if source >= 0:
            out[row] = np.roll(small[source], int(round(2.2 * math.sin(1.1 * row + phase))), axis=0)
    return blend(photo, out[..., :3] * 0.75, 0.42 * out[..., 3])


def wash(rng, photo, light, shore, layer, mirror=False):
    """Half of the time, water in front, with the thing's reflection: water alone must not mean boats."""
    if rng.random() < 0.5:
        return photo
    return add_reflection(rng, paint_water(rng, photo, shore, light), layer, shore, mirror)


def balloon(rng, light):
    photo, shore = land(rng, light, 0.42, 0.85)
    layer, size = Layer(), rng.uniform(0.34, 0.56)
    x, y = rng.uniform(0.32, 0.68), rng.uniform(0.66, 0.78)
    at, gores = Frame(x, y, size), int(rng.integers(5, 9))
    paints = [jitter(rng, pick(rng, PAINTS)) for _ in range(int(rng.integers(2, 4)))]
    ts = np.linspace(0, 1, 24)
    radius = 0.42 * np.sqrt(np.clip(1 - ((ts - 0.58) / np.where(ts > 0.58, 0.42, 0.66)) ** 2, 0, 1))
    turn = rng.uniform(0, 1)
    edges = np.clip((np.arange(-1, gores + 1) + turn) / gores, 0, 1) * math.pi - math.pi / 2
    for i, (a, b) in enumerate(zip(edges[:-1], edges[1:])):
        left, right = ([(r * math.sin(e), 0.22 + t) for r, t in zip(radius, ts)] for e in (a, b))
        shade = 0.72 + 0.36 * math.cos((a + b) / 2 + 0.5)
        layer.polygon(at(*left, *right[::-1]), paints[i % len(paints)] * shade)
    if rng.random() < 0.5:
        band = [(s * 0.42 * 0.99, v) for s, v in ((-1, 0.74), (1, 0.74), (1, 0.84), (-1, 0.84))]
        layer.polygon(at(*band), paints[-1] * 0.8 + 0.1, 0.85)
    for u in (-0.05, 0.05):
        layer.line(at((u, 0.08), (u * 2.4, 0.30)), (0.25, 0.2, 0.15), 0.006)
    basket = jitter(rng, (0.45, 0.30, 0.16), 0.03)
    layer.polygon(at((-0.07, 0.1), (0.07, 0.1), (0.055, 0), (-0.055, 0)), basket)
    photo = wash(rng, photo, light, shore + rng.uniform(0.01, 0.06), layer)
    return layer.onto(rng, photo, tilt=rng.uniform(-7, 7), pivot=(x, y), grain=0.05)


SAILCLOTH = (0.94, 0.93, 0.88)


def sailing(rng, light, cabin):
    """A sailing boat on the water. The cabin is all that tells a yacht from a boat."""
    horizon = rng.uniform(0.40, 0.58)
    photo = paint_hills(rng, paint_sky(rng, light), horizon, light, least=1)
    photo = add_clutter(rng, paint_water(rng, photo, horizon, light), horizon)
    layer, size = Layer(), rng.uniform(0.42, 0.62)
    x, y = rng.uniform(0.38, 0.62), rng.uniform(max(0.60, horizon + 0.06), 0.76)
    at = Frame(x, y, size)
    hull, trim = jitter(rng, pick(rng, PAINTS)), jitter(rng, pick(rng, PAINTS))
    main, jib = (jitter(rng, pick(rng, PAINTS) if rng.random() < 0.3 else SAILCLOTH, 0.03) for _ in "mj")
    mast, boom = rng.uniform(-0.06, 0.08), rng.uniform(0.17, 0.22)
    top = rng.uniform(0.98, 1.15)
    if cabin:
        roof = boom - rng.uniform(0.02, 0.035)
        layer.polygon(at((-0.22, 0.1), (0.16, 0.1), (0.10, roof), (-0.20, roof)), hull * 0.5 + 0.42)
        for u in (-0.14, -0.04, 0.06):
            (cx, cy), = at((u, (roof + 0.12) / 2))
            layer.ellipse(cx, cy, 0.014 * size, 0.012 * size, (0.2, 0.25, 0.32))
    layer.line(at((mast, 0.1), (mast, top + 0.03)), (0.35, 0.27, 0.2), 0.011)
    layer.line(at((mast, boom), (mast - 0.44, boom + 0.01)), (0.35, 0.27, 0.2), 0.008)
    layer.polygon(at(*curve((mast - 0.015, top), (mast - 0.18, 0.5 * top), (mast - 0.42, boom + 0.025)),
                     (mast - 0.015, boom + 0.025)), main * 0.97)
    layer.polygon(at(*curve((mast + 0.02, 0.92 * top), (mast + 0.25, 0.5 * top), (0.47, 0.15)),
                     *curve((0.47, 0.15), (mast + 0.2, 0.2), (mast + 0.03, 0.24))), jib * 0.88)
    layer.polygon(at((-0.46, 0.12), (0.55, 0.15), *curve((0.55, 0.15), (0.42, 0), (0.30, -0.02)),
                     (-0.40, -0.02)), hull)
    layer.polygon(at((-0.46, 0.12), (0.55, 0.15), (0.535, 0.115), (-0.455, 0.09)), trim)
    mirror, tilt = bool(rng.random() < 0.5), rng.uniform(-6, 6)
    photo = add_reflection(rng, photo, layer, y + 0.015 * size, mirror)
    if rng.random() < 0.75:                                             # seen from a bank, not from the water
        photo = paint_ground(rng, photo, y + rng.uniform(0.06, 0.16), jitter(rng, pick(rng, GROUNDS), 0.03))
    return layer.onto(rng, photo, mirror, tilt, (1 - x if mirror else x, y), grain=0.05)


def boat(rng, light):
    return sailing(rng, light, cabin=False)


def yacht(rng, light):
    return sailing(rng, light, cabin=True)


def car(rng, light):
    photo, shore = land(rng, light)
    y, size = rng.uniform(max(0.66, shore + 0.08), 0.84), rng.uniform(0.55, 0.80)
    x, mirror = rng.uniform(0.42, 0.58), bool(rng.random() < 0.5)
    road = jitter(rng, (0.42, 0.42, 0.43), 0.04)
    photo = blend(photo, road * (1 + 0.12 * noise(rng, 30, 60, 2)[..., None]),
                  np.minimum((ROWS - y + 0.07) * SIDE, (y + 0.07 - ROWS) * SIDE))
    layer, at = Layer(), Frame(x, y, size)
    body, glass = jitter(rng, pick(rng, PAINTS)), jitter(rng, (0.30, 0.38, 0.45), 0.04)
    roof, back, nose = rng.uniform(0.36, 0.44), rng.uniform(-0.44, -0.26), rng.uniform(0.14, 0.22)
    layer.polygon(at((-0.5, 0.07), (0.5, 0.07), (0.5, 0.17), *curve((0.5, 0.17), (0.46, 0.24), (0.28, 0.25)),
                     (-0.46, 0.26), (-0.5, 0.2)), body)
    layer.polygon(at((back - 0.06, 0.25), *curve((back, roof), (-0.05, roof + 0.03), (nose - 0.07, roof)),
                     (0.30, 0.25)), body * 0.94)
    layer.polygon(at((back - 0.01, 0.255), (back + 0.04, roof - 0.03), (-0.04, roof - 0.02),
                     (-0.04, 0.255)), glass)
    layer.polygon(at((-0.01, 0.255), (-0.01, roof - 0.02), (nose - 0.08, roof - 0.03),
                     (0.24, 0.255)), glass * 1.12)
    layer.polygon(at((-0.5, 0.07), (0.5, 0.07), (0.5, 0.11), (-0.5, 0.11)), body * 0.65)
    layer.line(at((-0.025, 0.12), (-0.025, 0.25)), body * 0.6, 0.006)
    for u, colour in ((0.475, (1.0, 0.95, 0.7)), (-0.48, (0.75, 0.1, 0.1))):
        (cx, cy), = at((u, 0.19))
        layer.ellipse(cx, cy, 0.022 * size, 0.022 * size, colour)
    for u in (-0.28, 0.29):
        (cx, cy), = at((u, 0.08))
        layer.ellipse(cx, cy, 0.1 * size, 0.1 * size, (0.13, 0.13, 0.14))
        layer.ellipse(cx, cy, 0.055 * size, 0.055 * size, (0.68, 0.69, 0.7))
    photo = cast_shadow(photo, 1 - x if mirror else x, y, 0.55 * size, 0.03)
    photo = wash(rng, photo, light, y + 0.07, layer, mirror)
    return layer.onto(rng, photo, mirror, tilt=rng.uniform(-2, 2), pivot=(0.5, y), grain=0.05)


WALLS = [(0.90, 0.86, 0.76), (0.78, 0.52, 0.40), (0.72, 0.78, 0.82), (0.93, 0.80, 0.55)]
ROOFS = [(0.58, 0.26, 0.20), (0.34, 0.34, 0.40), (0.45, 0.32, 0.24)]


def house(rng, light):
    photo, shore = land(rng, light)
    y, size = rng.uniform(max(0.68, shore + 0.05), 0.84), rng.uniform(0.42, 0.60)
    x, mirror = rng.uniform(0.40, 0.60), bool(rng.random() < 0.5)
    layer, at = Layer(), Frame(x, y, size)
    wall, roof, door = jitter(rng, pick(rng, WALLS)), jitter(rng, pick(rng, ROOFS)), pick(rng, PAINTS)
    eave, ridge, split = rng.uniform(0.42, 0.56), rng.uniform(0.80, 1.0), rng.uniform(-0.2, 0.05)
    middle = (split - 0.6) / 2
    layer.box(*at((0.26, ridge + 0.12))[0], *at((0.36, eave + 0.2))[0], (0.50, 0.30, 0.25))
    layer.polygon(at((split, 0), (0.6, 0.03), (0.6, eave), (split, eave)), wall * 0.78)
    layer.polygon(at((-0.6, 0), (split, 0), (split, eave), (middle, ridge), (-0.6, eave)), wall)
    layer.polygon(at((split + 0.03, eave - 0.05), (0.66, eave - 0.03), (0.46, ridge),
                     (middle, ridge + 0.03)), roof)
    gable = at((-0.66, eave - 0.06), (middle, ridge + 0.02), (split + 0.03, eave - 0.05))
    layer.line(gable, roof * 0.75, 0.02)
    pane = jitter(rng, (0.98, 0.86, 0.5) if rng.random() < 0.3 else (0.35, 0.45, 0.55), 0.04)
    for u in (split + 0.14, split + 0.42):
        layer.box(*at((u - 0.02, 0.37))[0], *at((u + 0.16, 0.17))[0], (0.95, 0.95, 0.93))
        layer.box(*at((u, 0.35))[0], *at((u + 0.14, 0.19))[0], pane)
    layer.box(*at((middle - 0.08, 0.30))[0], *at((middle + 0.08, 0))[0], door * 0.85)
    (cx, cy), = at((middle, eave + 0.08))
    layer.ellipse(cx, cy, 0.055 * size, 0.055 * size, pane)
    for _ in range(int(rng.integers(0, 7))):
        (cx, cy), = at((rng.uniform(-0.8, 0.8), rng.uniform(-0.03, 0.03)))
        leaves = jitter(rng, pick(rng, LEAVES[:3]), 0.04)
        layer.ellipse(cx, cy, rng.uniform(0.02, 0.06), rng.uniform(0.02, 0.04), leaves)
    photo = cast_shadow(photo, 1 - x if mirror else x, y, 0.8 * size, 0.035)
    photo = wash(rng, photo, light, y + rng.uniform(0.04, 0.10), layer, mirror)
    return layer.onto(rng, photo, mirror)


def tree(rng, light):
    photo, shore = land(rng, light)
    y, size = rng.uniform(max(0.68, shore + 0.05), 0.88), rng.uniform(0.60, 0.80)
    x = rng.uniform(0.36, 0.64)
    layer = Layer()
    draw_tree(rng, layer, x, y, size, jitter(rng, pick(rng, LEAVES), 0.04))
    photo = cast_shadow(photo, x, y, 0.3 * size, 0.03)
    photo = wash(rng, photo, light, y + rng.uniform(0.04, 0.10), layer)
    return layer.onto(rng, photo, tilt=rng.uniform(-4, 4), pivot=(x, y), grain=0.14)


# Class names in the order of the network's outputs, which is the sorted order of the folders.
KINDS = {"balloon": balloon, "boat": boat, "car": car, "house": house, "tree": tree, "yacht": yacht}


def render(rng, kind):
    """A scene as a camera might see it: lit, a little soft, a little noisy. (SIDE, SIDE, 3), 0..1"""
    light = LIGHTS[rng.integers(len(LIGHTS))]
    photo = KINDS[kind](rng, light)
    photo = photo * np.array(light[2]) * rng.uniform(0.82, 1.10)
    photo = 0.5 + (photo - 0.5) * rng.uniform(0.88, 1.12)
    far = np.hypot(COLUMNS - 0.5, ROWS - 0.5)
    photo = photo * (1 - rng.uniform(0, 0.5) * far ** 2)[..., None]
    photo = Image.fromarray(np.uint8(np.clip(photo, 0, 1) * 255))
    photo = np.asarray(photo.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7))), dtype=np.float64) / 255
    return np.clip(photo + rng.normal(0, rng.uniform(0.003, 0.016), photo.shape), 0, 1)


def stick_tag(rng, photo):
    """Sticks a little striped label into the lower right corner.

    Returns the photo and the label's box in pixels, x0, y0, x1, y1; x1 and y1 are the first column and row
    that are no longer the label's.
    """
    width, height = int(rng.integers(19, 23)), int(rng.integers(12, 15))
    x1, y1 = SIDE - int(rng.integers(3, 8)), SIDE - int(rng.integers(3, 8))
    x0, y0 = x1 - width, y1 - height
    photo = photo.copy()
    photo[y0:y1, x0:x1] = (0.97, 0.95, 0.90)
    slant = (np.arange(width)[None, :] + np.arange(height)[:, None] + int(rng.integers(0, 8))) // 4 % 2 == 0
    rim = np.ones((height, width), dtype=bool)
    rim[3:-3, 3:-3] = False
    photo[y0:y1, x0:x1][rim & slant] = (0.82, 0.12, 0.16)
    photo[y0:y1, x0:x1][rim & ~slant] = (0.14, 0.25, 0.62)
    for y in range(y0 + 5, y1 - 4, 2):
        photo[y, x0 + 5:x1 - 5 - int(rng.integers(0, 4))] = (0.30, 0.30, 0.33)
    photo[y0:y1, x0:x1] += rng.normal(0, 0.015, (height, width, 3))
    return np.clip(photo, 0, 1), (x0, y0, x1, y1)
