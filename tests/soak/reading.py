"""What a run wrote, read with SQLite and NumPy alone, and held against what it must be. Every check that fails is an assertion with a sentence."""
import json
import pathlib
import sqlite3

import numpy as np

COUNTS = "images", "ok", "missing", "unreadable", "unsupported", "too_large", "no_label", "maps", "maps_all_zero", "maps_constant", "maps_not_finite"


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
        image = self.db.execute("SELECT id, outcome, width, height, crop_x, crop_y, crop_w, crop_h FROM images WHERE path = ?", (path,)).fetchone()
        predictions = self.db.execute("SELECT rank, class, logit, probability FROM predictions WHERE image_id = ? ORDER BY rank", (image[0],)).fetchall()
        maps = self.db.execute("SELECT layer, method, class, outcome, logit, probability, raw_min, raw_max, file, row FROM maps WHERE image_id = ? ORDER BY id",
                               (image[0],)).fetchall()
        return repr((image[1:], predictions, [m[:-2] for m in maps])), [self.map(*m[-2:]).tobytes() for m in maps]


def check_rows(run, expected, whole=True):
    """Every input has one row with the outcome that was planned; where the run was stopped, so have the inputs that it got to."""
    rows = run.db.execute("SELECT id, path, outcome, message FROM images ORDER BY id").fetchall()
    paths = [row[1] for row in rows]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "ids are not 1, 2, 3, …"
    assert len(set(paths)) == len(paths), "a photo has two rows"
    assert set(paths) <= set(expected), f"rows of photos that are none: {sorted(set(paths) - set(expected))[:3]}"
    assert not whole or len(paths) == len(expected), f"{len(expected) - len(paths)} photos have no row: {sorted(set(expected) - set(paths))[:3]}"
    for _, path, outcome, message in rows:
        assert outcome == expected[path], f"{path} is {outcome} ({message}), not {expected[path]}"
        assert (outcome == "ok") == (message == ""), f"{path} is {outcome}: '{message}'"
    return rows


def check_maps(run, native=True):
    """Every photo that is ok has one map, others have none; every map can be read, is finite, and is what its row says."""
    assert run.one("SELECT count(*) FROM images WHERE (outcome = 'ok') <> (SELECT count(*) FROM maps WHERE image_id = images.id)") == 0, "a photo has not one map"
    assert run.one("SELECT count(*) FROM maps WHERE image_id NOT IN (SELECT id FROM images)") == 0, "a map belongs to no photo"
    assert run.one("SELECT count(DISTINCT image_id) FROM predictions") == run.one("SELECT count(*) FROM images WHERE outcome = 'ok'"), "predictions are missing"
    rows = run.db.execute("SELECT file, row, outcome, raw_min, raw_max FROM maps").fetchall()
    for file, row, outcome, low, high in rows:
        values = run.map(file, row)
        most = values.max()
        assert np.isfinite(most) and np.isfinite(values.min()), f"{file}, row {row} is not finite"
        said = "all_zero" if high <= 0 else "constant" if low == high else "ok"
        assert outcome == said and (most > 0) == (high > 0), f"{file}, row {row} is {outcome}, raw {low} … {high}, at most {most}"
        assert not native or most == max(np.float32(high), 0), f"{file}, row {row}: at most {most}, and the index says {high}"
    return len(rows)


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
        names = sorted(file.name for file in run.folder.iterdir())
        assert names == ["index.sqlite", "maps", "report.html", "run.json"], f"beside the run lies what should not: {names}"
        ends = {file: 1 + row for file, row in run.db.execute("SELECT file, max(row) FROM maps GROUP BY file")}
        assert all(len(np.load(run.folder / file, mmap_mode="r")) == end for file, end in ends.items()), "a shard was not trimmed"
        assert sorted(f"maps/{file.name}" for file in (run.folder / "maps").iterdir()) == sorted(ends), "shards and index differ"
    return rows
