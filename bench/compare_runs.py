"""Whether two run folders of the same photos say the same: python compare_runs.py RUN OTHER [ALLOWED]. Standard library only.

Maps are compared by ‖a-b‖/‖b‖, which may be ALLOWED (0.01) at most in the median, and ten times that for any one file;
the two highest classes must be the same.
"""
import array
import math
import os
import statistics
import struct
import sys


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    header = data[10:start].decode("latin-1")
    if "'<f4'" not in header:
        raise SystemExit(f"{path} does not hold float32")
    values = array.array("f")
    values.frombytes(data[start:])
    return values


def relative(a, b):
    difference = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))
    return difference / max(math.sqrt(sum(y * y for y in b)), 1e-30)


def maps_of(folder):
    found = []
    for place, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(place, n), folder) for n in names if n.endswith(".npy")]
    return sorted(found)


def classes_of(folder):
    import sqlite3

    with sqlite3.connect(os.path.join(folder, "index.sqlite")) as index:
        return index.execute("SELECT image_id, rank, class FROM predictions WHERE rank = 0 OR rank = 1 ORDER BY 1, 2").fetchall()


def main():
    a, b, allowed = sys.argv[1], sys.argv[2], float((sys.argv + ["0.01"])[3])
    maps = maps_of(b)
    if not maps or maps != maps_of(a):
        raise SystemExit(f"the folders have different maps: {len(maps_of(a))} and {len(maps)}")
    errors = [relative(read_npy(os.path.join(a, m)), read_npy(os.path.join(b, m))) for m in maps]
    same = classes_of(a) == classes_of(b)
    print(f"{len(maps)} files of maps: difference {statistics.median(errors):.2e} in the median, {max(errors):.2e} at most; "
          f"classes {'the same' if same else 'DIFFERENT'}")
    return 0 if same and statistics.median(errors) <= allowed and max(errors) <= 10 * allowed else 1


if __name__ == "__main__":
    sys.exit(main())
