"""A run over very many photos, watched: what must not grow with their number does not, and every row is right.

    soak.py COMMAND DATA [OPTION ...]       --help lists them

Prints a table of figures and limits; exit status 1 where one is missed, 77 where NumPy or Pillow are not there. A share of the photos
is broken on purpose (photos.py). BCAM_SEED repeats a run.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

try:
    import photos
    import reading
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

TIME = 1.05  # at most
FILES = 2  # the index's journal and its folder come and go; what is never given back is far more in a quarter of a run
SAMPLE_SECONDS = 0.05

Sample = collections.namedtuple("Sample", "seconds memory files")  # memory: resident, in kB


class Watched:
    """A run of the command: samples of it while it went on, its status lines, and how it ended."""

    def __init__(self, command, arguments):
        self.samples, self.lines = [], []
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as errors:
            line = [command, "run", *arguments, "--json", "--quiet"]
            child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True)
            reader = threading.Thread(target=lambda: self.lines.extend(json.loads(line) for line in child.stdout))
            reader.start()
            while True:
                try:
                    child.wait(SAMPLE_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    self._sample(child.pid, time.monotonic() - started)
            reader.join()
            errors.seek(0)
            self.errors = errors.read()
        assert child.returncode == 0, f"{arguments} ended with {child.returncode}: {self.errors}"
        self.summary = self.lines[-1]

    def _sample(self, pid, seconds):
        try:
            with open(f"/proc/{pid}/status") as status:
                fields = dict(line.split(":", 1) for line in status)
            self.peak = int(fields["VmHWM"].split()[0])
            self.samples.append(Sample(seconds, int(fields["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd"))))
        except (OSError, KeyError):
            pass  # it has just ended

    def seconds_at(self, photo):
        """When so many photos were done, between the two status lines around it."""
        before = (0, 0.0)
        for line in self.lines:
            if line["message_type"] == "status":
                after = (line["done"], line["seconds"])
                if after[0] >= photo:
                    return before[1] + (after[1] - before[1]) * (photo - before[0]) / max(after[0] - before[0], 1)
                before = after
        return self.summary["seconds"]

    def a_photo(self, first, last):
        return (self.seconds_at(last) - self.seconds_at(first)) / (last - first)


def quarters(samples):
    """Those of the second quarter of a run, in which everything is open and under way, and those of the last."""
    quarter = max(len(samples) // 4, 1)
    return samples[quarter:2 * quarter] or samples, samples[-quarter:]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--photos", type=int, default=100000)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--again", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0, help="of the command; 0: all cores")
    parser.add_argument("--no-timing", action="store_true")
    parser.add_argument("--memory", type=float, default=1.05, help="how many times the memory of few photos many may take")
    parser.add_argument("--no-memory", action="store_true", help="a sanitizer keeps what is freed")
    parser.add_argument("--save", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, help="where the photos and runs are made; removed at the end")
    return parser.parse_args()


class Soak:
    def __init__(self, args, folder, seed):
        self.args, self.folder, self.dice = args, folder, random.Random(seed)
        self.many = photos.make(folder / "many", args.data, args.photos, seed)
        self.few = photos.make(folder / "few", args.data, args.few, seed)
        os.sync()  # or the first commits of a run would wait for these files too, and its beginning would look slow
        self.figures = []  # (what, value, limit, whether it holds)

    def add(self, what, value, limit, holds):
        self.figures.append((what, value, limit, holds))
        print(f"{what:66} {value:>12}  {limit:>10}  {'' if holds else 'MISSED'}", flush=True)

    def run(self, photos_of, name, *options):
        arguments = [str(self.args.data / "model.onnx"), str(photos_of), "-o", str(self.folder / name), "--size", "native",
                     "--device", "cpu", "--preset", "torchvision", "--threads", str(self.args.threads or os.cpu_count()), *options]
        return Watched(self.args.command, arguments)

    def again(self, run):
        """Some photos, once more and in another order: the same rows and bytes."""
        good = [path for path, outcome in self.many.items() if outcome == "ok"]
        chosen = self.dice.sample(good, min(self.args.again, len(good)))
        listed = self.folder / "again.csv"
        listed.write_text("path\n" + "".join(f"{self.folder}/many/photos/{path}\n" for path in chosen))
        self.run(listed, "again")
        other = reading.Run(self.folder / "again")
        return sum(run.photo(path) == other.photo(f"{self.folder}/many/photos/{path}") for path in chosen), len(chosen)

    def all(self):
        args = self.args
        self.run(self.folder / "few" / "photos", "warm", "--limit", "64")  # chooses algorithms, once
        few = self.run(self.folder / "few" / "photos", "few-out")
        reading.check_run(reading.Run(self.folder / "few-out"), self.few)
        many = self.run(self.folder / "many" / "photos", "many-out")
        run = reading.Run(self.folder / "many-out")
        rows = reading.check_run(run, self.many)
        broken = sum(row[2] != "ok" for row in rows)
        self.add("photos that have their one row, with the outcome that was planned", f"{len(rows)}", f"{args.photos}",
                 len(rows) == args.photos)
        self.add("of them broken, in six ways", f"{broken}", "", True)
        maps = run.info["counts"]["maps"]
        self.add("maps that can be read and are what their row says", f"{maps}", f"{args.photos - broken}", maps == args.photos - broken)
        same, chosen = self.again(run)
        self.add("random photos explained again that are equal, to the byte", f"{same}", f"{chosen}", same == chosen)
        self.growth(many, few)
        if not args.no_timing:
            self.timing(many)
        return all(figure[3] for figure in self.figures)

    def growth(self, many, few):
        early, late = quarters(many.samples)
        files = min(s.files for s in late) - min(s.files for s in early)  # one that is never given back raises the fewest
        self.add("more descriptors open in the last quarter than in the second", f"{files}", f"≤ {FILES}", files <= FILES)
        if self.args.no_memory:
            return
        peaks = f"{many.peak / 1024:.1f} MiB ÷ {few.peak / 1024:.1f} MiB"
        ratio, most = many.peak / few.peak, self.args.memory
        self.add(f"peak memory, {self.args.photos} photos ÷ {self.args.few} ({peaks})", f"{ratio:.3f}", f"≤ {most}", ratio <= most)
        grown = statistics.median(s.memory for s in late) / statistics.median(s.memory for s in early)
        self.add("resident memory, last quarter ÷ second quarter of the run", f"{grown:.3f}", f"≤ {most}", grown <= most)

    def timing(self, many):
        tenth = self.args.photos // 10
        first, last = many.a_photo(0, tenth), many.a_photo(self.args.photos - tenth, self.args.photos)
        times = f"{1e6 * last:.0f} µs ÷ {1e6 * first:.0f} µs"
        self.add(f"time a photo, last {tenth} ÷ first {tenth} ({times})", f"{last / first:.3f}", f"≤ {TIME}", last / first <= TIME)
        self.add("photos a second", f"{many.summary['images_per_second']:.0f}", "", True)

    def save(self, file):
        with open("/proc/cpuinfo") as info:
            processor = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
        lines = ["# The soak run on the CPU", "",
                 f"`make soak`: {self.args.photos} photos of {len(photos.SIZES)} sizes (96 × 96 to 500 × 375) with the demonstration model,",
                 f"one in {photos.BROKEN_EVERY} broken, `--size native`; {os.cpu_count()} cores of {processor}.",
                 "How each figure is made stands in `tests/soak/soak.py`.", "",
                 "| figure | value | limit |", "| --- | --- | --- |"]
        lines += [f"| {what} | {value}{'' if holds else ' (missed)'} | {limit} |" for what, value, limit, holds in self.figures]
        file.write_text("\n".join(lines) + "\n")
        print(file)


def main():
    args = parse()
    seed = int(os.environ.get("BCAM_SEED", 0)) or random.SystemRandom().randrange(1, 2**32)
    print(f"BCAM_SEED={seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="batchcam-", dir=args.folder and os.path.abspath(args.folder)))
    try:
        soak = Soak(args, folder, seed)
        held = soak.all()
        if args.save:
            soak.save(args.save)
    except AssertionError as why:
        print(f"soak: {why}")
        held = False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
