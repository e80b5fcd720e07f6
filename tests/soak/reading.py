"""What a run wrote, read with SQLite and NumPy alone, and held against what it must be: an assertion with a sentence for each."""
import json
import pathlib
import sqlite3

import numpy as np

COUNTS = ("images", "ok", "missing", "unreadable", "unsupported", "too_large", "no_label", "maps", "maps_all_zero", "maps_constant",
          "maps_not_finite")
IMAGE = "SELECT id, outcome, width, height, crop_x, crop_y, crop_w, crop_h FROM images WHERE path = ?"
PREDICTIONS = "SELECT rank, class, logit, probability FROM predictions WHERE image_id = ? ORDER BY rank"
MAPS = ("SELECT layer, method, class, outcome, logit, probability, raw_min, raw_max, file, row FROM maps WHERE image_id = ? "
        "ORDER BY id")
NOT_ONE_MAP = """SELECT count(*) FROM images
                 WHERE (outcome = 'ok') <> (SELECT count(*) FROM maps WHERE image_id = images.id)"""


class Run:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.info = json.loads((self.folder / "run.json").read_text())
        self.db = sqlite3.connect(self.folder / "index.sqlite")
        self.shards = {}

    def close(self):
        self.db.close()

    def one(self, sql, *values):
        return self.db.execute(sql, values).fetchone()[0]

    def map(self, file, row):
        if file not in self.shards:
            self.shards[file] = np.load(self.folder / file, mmap_mode="r")
        return self.shards[file][row]

    def photo(self, path):
        """All that the run says of one photo but for its place: rows of the index as text, bytes of its maps."""
        image = self.db.execute(IMAGE, (path,)).fetchone()
        predictions = self.db.execute(PREDICTIONS, image[:1]).fetchall()
        maps = self.db.execute(MAPS, image[:1]).fetchall()
        return repr((image[1:], predictions, [m[:-2] for m in maps])), [self.map(*m[-2:]).tobytes() for m in maps]


def check_rows(run, expected, whole=True):
    """Every input has one row with the outcome that was planned; where the run was stopped, so have those that it got to."""
    rows = run.db.execute("SELECT id, path, outcome, message FROM images ORDER BY id").fetchall()
    paths = {row[1] for row in rows}
    strange, lacking = sorted(paths - set(expected)), sorted(set(expected) - paths)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "ids are not 1, 2, 3, …"
    assert len(paths) == len(rows), "a photo has two rows"
    assert not strange, f"rows of photos that are none: {strange[:3]}"
    assert not whole or not lacking, f"{len(lacking)} photos have no row: {lacking[:3]}"
    for _, path, outcome, message in rows:
        assert outcome == expected[path], f"{path} is {outcome} ({message}), not {expected[path]}"
        assert (outcome == "ok") == (message == ""), f"{path} is {outcome}: '{message}'"
    return rows


def check_maps(run, native=True):
    """Every photo that is ok has one map, others have none; every map can be read, is finite, and is what its row says."""
    good = run.one("SELECT count(*) FROM images WHERE outcome = 'ok'")
    assert run.one(NOT_ONE_MAP) == 0, "a photo has not one map"
    assert run.one("SELECT count(DISTINCT image_id) FROM predictions") == good, "predictions are missing"
    rows = run.db.execute("SELECT file, row, outcome, raw_min, raw_max FROM maps").fetchall()
    assert len(rows) == good, "a map belongs to no photo"
    for file, row, outcome, low, high in rows:
        values, where = run.map(file, row), f"{file}, row {row}"
        most = values.max()
        assert np.isfinite(most) and np.isfinite(values.min()), f"{where} is not finite"
        said = "all_zero" if high <= 0 else "constant" if low == high else "ok"
        assert outcome == said and (most > 0) == (high > 0), f"{where} is {outcome}, raw {low} … {high}, at most {most}"
        assert not native or most == max(np.float32(high), 0), f"{where}: at most {most}, and the index says {high}"
    return len(rows)


def check_files(run):
    """Nothing but what a finished run has, every shard with the rows that the index names."""
    names = sorted(file.name for file in run.folder.iterdir())
    assert names == ["index.sqlite", "maps", "report.html", "run.json"], f"beside the run lies what should not: {names}"
    ends = {file: 1 + row for file, row in run.db.execute("SELECT file, max(row) FROM maps GROUP BY file")}
    shards = sorted(f"maps/{file.name}" for file in (run.folder / "maps").iterdir())
    assert shards == sorted(ends), "shards and index differ"
    for file, end in ends.items():
        assert len(np.load(run.folder / file, mmap_mode="r")) == end, f"{file} was not trimmed"


def check_run(run, expected, status="complete"):
    """Everything at once, and what run.json counts. Returns the rows of images."""
    assert run.info["status"] == status, f"run.json says {run.info['status']}, not {status}"
    assert run.one("PRAGMA integrity_check") == "ok"
    rows = check_rows(run, expected, whole=status == "complete")
    maps = check_maps(run)
    if status != "running":
        counts = {name: run.info["counts"][name] for name in COUNTS}
        outcomes = [row[2] for row in rows]
        assert counts["images"] == len(rows) and counts["maps"] == maps, f"run.json counts {counts}"
        assert all(counts[name] == outcomes.count(name) for name in set(expected.values())), f"run.json counts {counts}"
        check_files(run)
    return rows
