"""The painter's tools: skies, hills, ground and water in numpy, and layers on which Pillow draws things.

A background is painted at the photo's own size; a thing is drawn on a layer several times as large, which is
shrunk onto it. Coordinates are fractions of the photo's side, x to the right and y down. All randomness comes
from the generator passed in, so a seed fixes every pixel.
"""
import numpy as np
from PIL import Image, ImageDraw

SIDE = 128          # pixels, a photo's width and height
OVERSAMPLE = 3      # layers are drawn this much larger, for smooth edges

# Sky at the top, sky at the horizon, colour of the light. One row per time of day.
LIGHTS = [
    ((0.28, 0.52, 0.86), (0.78, 0.89, 0.97), (1.00, 1.00, 0.98)),   # noon
    ((0.42, 0.62, 0.84), (0.97, 0.90, 0.80), (1.05, 0.98, 0.88)),   # morning
    ((0.33, 0.34, 0.60), (0.98, 0.66, 0.45), (1.05, 0.86, 0.76)),   # sunset
    ((0.60, 0.65, 0.70), (0.84, 0.86, 0.87), (0.90, 0.93, 0.96)),   # overcast
    ((0.45, 0.70, 0.78), (0.90, 0.96, 0.90), (0.98, 1.02, 0.96)),   # hazy
]
GROUNDS = [(0.36, 0.55, 0.24), (0.50, 0.58, 0.28), (0.66, 0.60, 0.38), (0.56, 0.48, 0.36),
           (0.80, 0.83, 0.86)]
WATERS = [(0.16, 0.38, 0.55), (0.20, 0.48, 0.52), (0.25, 0.34, 0.42), (0.14, 0.45, 0.62)]
PAINTS = [(0.80, 0.16, 0.14), (0.93, 0.72, 0.16), (0.16, 0.38, 0.70), (0.95, 0.94, 0.90), (0.20, 0.55, 0.42),
          (0.90, 0.45, 0.15), (0.46, 0.24, 0.52), (0.24, 0.26, 0.30), (0.62, 0.78, 0.86), (0.70, 0.30, 0.38)]
LEAVES = [(0.20, 0.42, 0.16), (0.33, 0.50, 0.18), (0.16, 0.35, 0.22), (0.72, 0.46, 0.14), (0.66, 0.26, 0.12)]


def pick(rng, rows):
    return np.array(rows[rng.integers(len(rows))], dtype=np.float64)


def jitter(rng, colour, amount=0.05):
    return np.clip(np.asarray(colour) + rng.normal(0, amount, 3), 0, 1)


def noise(rng, cells_x, cells_y, octaves=3, width=SIDE, height=SIDE):
    """Smooth noise around 0, about -1..1: random grids, each twice as fine and half as strong."""
    total = np.zeros((height, width))  # (height, width)
    for octave in range(octaves):
        rows, columns = (max(2, int(cells * 2 ** octave)) for cells in (cells_y, cells_x))
        grid = rng.uniform(-1, 1, (rows, columns))
        layer = Image.fromarray(grid.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / 2 ** octave
    return total / 1.4


# ---- backgrounds ---------------------------------------------------------------------------------------

ROWS = (np.arange(SIDE)[:, None] + 0.5) / SIDE
COLUMNS = (np.arange(SIDE)[None, :] + 0.5) / SIDE


def blend(photo, colour, mask):
    """Lays a colour, (3,) or (SIDE, SIDE, 3), over the photo where the mask (SIDE, SIDE) says so."""
    mask = np.clip(mask, 0, 1)[..., None]
    return photo * (1 - mask) + np.asarray(colour) * mask


def nearness(horizon):
    """0 at the horizon and above it, 1 at the photo's lower edge. (SIDE, 1)"""
    return np.clip((ROWS - horizon) / max(1 - horizon, 0.01), 0, 1)


def paint_sky(rng, light):
    top, low, _ = (np.array(c) for c in light)
    height = np.clip(ROWS * rng.uniform(1.3, 2.0), 0, 1)[..., None]
    sky = top + (low - top) * height * np.ones((1, SIDE, 1))
    if rng.random() < 0.3:
        x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.3), rng.uniform(0.02, 0.05)
        far = np.hypot(COLUMNS - x, ROWS - y) - r
        glow = 0.35 * np.exp(-np.maximum(far, 0) / 0.08)
        sky = blend(sky, (1.0, 0.97, 0.86), np.maximum(glow, 1 - far * SIDE))
    clouds = noise(rng, rng.uniform(2, 4), rng.uniform(4, 8), 4) + rng.uniform(-0.5, 0.2)
    return blend(sky, 0.5 * low + 0.5, clouds * 1.3 * (1 - ROWS))


def paint_hills(rng, photo, horizon, light, least=0):
    """Ridges behind the horizon, paler the farther they are."""
    count = int(rng.integers(least, 4))
    base = jitter(rng, pick(rng, LEAVES[:3]), 0.05)
    for i in range(count):
        near = (i + 1) / (count + 1)
        ridge = horizon - (1 - near) * rng.uniform(0.08, 0.22)
        ridge = ridge + 0.05 * noise(rng, rng.uniform(2, 5), 2, 4, SIDE, 2)[:1]
        colour = base * near + np.array(light[1]) * (1 - near) * 0.85
        photo = blend(photo, colour * (1 + 0.12 * noise(rng, 12, 12, 2)[..., None]), (ROWS - ridge) * SIDE)
    return photo


def paint_ground(rng, photo, horizon, colour):
    depth = nearness(horizon)
    texture = 0.14 * noise(rng, 4, 9, 3) + 0.10 * noise(rng, 30, 40, 2) * (0.3 + depth)
    ground = colour * (0.85 + 0.2 * depth + texture)[..., None]
    return blend(photo, ground, (ROWS - horizon) * SIDE)


def paint_water(rng, photo, horizon, light):
    depth = nearness(horizon)
    near = jitter(rng, pick(rng, WATERS), 0.04)[None, None]
    water = np.array(light[1]) * 0.8 * (1 - depth[..., None]) ** 2 + near * (1 - (1 - depth[..., None]) ** 2)
    waves = 0.10 * noise(rng, 5, 45, 2) + 0.05 * noise(rng, 24, 60, 1)
    water = water + (waves * (0.4 + depth))[..., None]
    return blend(photo, water, (ROWS - horizon) * SIDE)


# ---- layers: things drawn by Pillow --------------------------------------------------------------------

class Layer:
    """A transparent drawing, OVERSAMPLE times as large as the photo."""

    def __init__(self):
        self.scale = SIDE * OVERSAMPLE
        self.image = Image.new("RGBA", (self.scale, self.scale), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image, "RGBA")

    def _ink(self, colour, alpha=1.0):
        return tuple(int(round(255 * min(1.0, max(0.0, v)))) for v in (*colour, alpha))

    def polygon(self, points, colour, alpha=1.0):
        outline = [(x * self.scale, y * self.scale) for x, y in points]
        self.draw.polygon(outline, fill=self._ink(colour, alpha))

    def ellipse(self, x, y, rx, ry, colour, alpha=1.0):
        box = [side * self.scale for side in (x - rx, y - ry, x + rx, y + ry)]
        self.draw.ellipse(box, fill=self._ink(colour, alpha))

    def box(self, x0, y0, x1, y1, colour, alpha=1.0):
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, alpha)

    def line(self, points, colour, width, alpha=1.0):
        self.draw.line([(x * self.scale, y * self.scale) for x, y in points], fill=self._ink(colour, alpha),
                       width=max(1, round(width * self.scale)), joint="curve")

    def onto(self, rng, photo, mirror=False, tilt=0.0, pivot=(0.5, 0.5), grain=0.08):
        """The photo with this layer over it; the layer's colours get a little texture."""
        image = self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else self.image
        if tilt:
            centre = (pivot[0] * self.scale, pivot[1] * self.scale)
            image = image.rotate(tilt, Image.Resampling.BILINEAR, center=centre)
        small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
        texture = 1 + grain * noise(rng, 20, 20, 2) + 0.5 * grain * rng.normal(0, 1, (SIDE, SIDE))
        return blend(photo, small[..., :3] * texture[..., None], small[..., 3])


class Frame:
    """Local coordinates of a thing: u to the right and v up, in units of its size, from a foot point."""

    def __init__(self, x, y, size):
        self.x, self.y, self.size = x, y, size

    def __call__(self, *points):
        return [(self.x + u * self.size, self.y - v * self.size) for u, v in points]


def curve(p0, p1, p2, steps=12):
    """Points of the quadratic Bezier curve from p0 to p2."""
    p0, p1, p2 = (np.array(p) for p in (p0, p1, p2))
    return [tuple((1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t * t * p2) for t in np.linspace(0, 1, steps)]


def cast_shadow(photo, x, y, rx, ry):
    far = ((COLUMNS - x) / rx) ** 2 + ((ROWS - y) / ry) ** 2
    return blend(photo, photo * 0.55, 0.8 * np.exp(-far * far))
