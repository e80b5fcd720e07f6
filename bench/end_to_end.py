"""The whole job on the CPU, photos to saved maps: batchcam's command beside PyTorch's DataLoader with its ways to Grad-CAM, in turns.

    python end_to_end.py --build FOLDER --from PHOTOS [--only resnet50-500x375 ...] [--steps agree try rounds]

The same photos, made from those in PHOTOS by bench/photos.py, the same networks and weights (bench/peers/export.py). A part is one network with one
size of photos and has three steps: every program's maps of the first photos are held against batchcam's (agree.py); settings of the DataLoader are
tried on a few photos and the fastest kept for each peer; then rounds in which each program does the whole job once, in a new process, alone on the
machine. What is found is kept in OUT/pipeline-cpu.json; pipeline-cpu.csv (every turn) and .md are written from it after every part.
--short: few photos, one round; its numbers are worth nothing and go to WORK/short. `make pipeline` does it all.

The Python is the one of bench/peers/setup.sh. Exit status 1 where something could not be measured; a floor that is not reached is no error.
"""
import argparse
import csv
import datetime
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import agree
import kept
import table_pipeline
from agree import np
from contest import Failed, interleave
from figures_cpu import HERE, KEPT, ROOT, commit, machine

PHOTOS = {"500x375": ["--bytes", "107000"], "2000x1500": ["--tiles", "4", "--bytes", "795000"]}  # options of photos.py
COUNTS = {"resnet50": 400, "mobilenet_v2": 2000}
TRIED = {"500x375": 128, "2000x1500": 192}  # photos a setting is tried with: workers need some batches to get ahead
PARTS = tuple(f"{model}-{size}" for model in COUNTS for size in PHOTOS)
AGREE_ON = 48
PEERS = {"by_hand": ("by_hand", "fp32"), "by_hand_bf16": ("by_hand", "bf16"), "torch_cam": ("torch_cam", "fp32"), "grad_cam": ("grad_cam", "fp32")}
OURS = {"batchcam": "fp32", "batchcam_bf16": "bf16"}
# The hand-written one is to be the best that there is: it may also keep the memory that it once had (figures_cpu.py), if that is faster.
MEMORY = {"by_hand": ("as installed", "kept"), "by_hand_bf16": ("as installed", "kept")}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "peers"), help="where batchcam is")
    parser.add_argument("--from", dest="source", default=os.path.join(ROOT, "..", "shared", "data", "images", "voc_dogs_40"),
                        help="photos to make others of")
    parser.add_argument("--out", help="bench/results where not given; docs/performance.md then gets the table of figures, too")
    parser.add_argument("--work", help="for photos, networks, caches and what is written (BUILD/pipeline); all on one disk")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=16, help="of the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, help="seconds of a part's rounds, from the third on")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts")
    parser.add_argument("--steps", nargs="*", choices=tuple(STEPS), default=tuple(STEPS))
    parser.add_argument("--short", action="store_true")
    wanted = parser.parse_args()
    wanted.build = os.path.abspath(wanted.build)
    wanted.work = os.path.abspath(wanted.work or os.path.join(wanted.build, "pipeline"))
    if wanted.short:
        wanted.rounds, wanted.out = 1, wanted.out or os.path.join(wanted.work, "short")
    wanted.document = None if wanted.out else os.path.join(ROOT, "docs", "performance.md")
    wanted.out = wanted.out or os.path.join(HERE, "results")
    return wanted


# ---- processes ----

class Memory(threading.Thread):
    """Looks from time to time for the most memory that a process and its children had at once: each one's VmHWM, added up."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.first, self.found, self.ended = pid, {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.2):
            self.look(self.first)

    def look(self, pid):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                self.found[pid] = next((1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM")), self.found.get(pid, 0))
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            return
        for child in children:
            self.look(int(child))

    def end(self):
        """-> bytes of the first process, bytes of all."""
        self.ended.set()
        self.join()
        return self.found.get(self.first, 0), sum(self.found.values())


class Job:
    """A program that does the whole job once, in a process of its own, and prints lines of JSON, the last one when all is written."""

    def __init__(self, run, name, command, out, environment=None):
        self.name, self.run, self.command, self.out, self.turns, self.lines = name, run, command, out, [], []
        self.environment = {**os.environ, **run.environment, **(environment or {})}

    def once(self):
        """-> what is known of this turn: seconds and memory."""
        shutil.rmtree(self.out, ignore_errors=True)
        os.sync()  # what others have written is on the disk before
        with open(os.path.join(self.run.wanted.work, "log.txt"), "ab") as log:
            begin, last = time.monotonic(), 0
            process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.environment)
            memory, limit = Memory(process.pid), threading.Timer(1200, process.kill)
            limit.start()
            self.lines = []
            for line in process.stdout:
                last = time.monotonic()
                self.lines.append(json.loads(line))
            status, end = process.wait(), time.monotonic()
            limit.cancel()
        alone, together = memory.end()
        if status or not self.lines:
            raise Failed(f"{self.name} ended with status {status}: {self.lines[-1:] or 'it said nothing'}; see log.txt")
        turn = {"whole": end - begin, "memory": together, "memory_first_process": alone}
        if "begun" in self.lines[0]:
            turn["start"] = self.lines[0]["begun"] - begin  # both by the machine's clock
        else:
            with open(os.path.join(self.out, "run.json"), encoding="utf-8") as file:
                turn["stages"] = json.load(file)["seconds"]
            turn["start"] = turn["stages"]["load"]
        turn["work"] = last - begin - turn["start"]
        return turn

    def go(self, _):
        """-> photos, seconds without the start, as contest.interleave wants it."""
        turn = self.once()
        turn["photos"] = photos = self.lines[-1].get("ok", self.lines[-1].get("photos"))
        if photos != self.run.count:
            raise Failed(f"{self.name} made {photos} of {self.run.count} maps")
        self.turns.append(turn)
        self.run.write()
        shutil.rmtree(self.out, ignore_errors=True)
        print(f"  {self.name:14} {photos / turn['work']:7.1f} a second; {turn['work']:.1f} seconds, {turn['whole']:.1f} in all", flush=True)
        return photos, turn["work"]

    def tried(self):
        """Of several settings -> {setting: photos a second}; the first one is there to warm up."""
        self.once()
        begun = [said["begun"] for said in self.lines if "begun" in said]
        done = [said for said in self.lines if "done" in said]
        return {",".join(map(str, said["setting"])): said["photos"] / (said["done"] - at) for at, said in list(zip(begun, done))[1:]}


class Run:
    """What was asked for, what is known from before, and the part in hand."""

    def __init__(self, wanted):
        self.wanted, self.failed = wanted, False
        for folder in (wanted.out, wanted.work):
            os.makedirs(folder, exist_ok=True)
        self.environment = {"XDG_CACHE_HOME": os.path.join(wanted.work, "cache"), "PYTHONUNBUFFERED": "1"}
        self.results = {"machine": machine(), "threads": wanted.threads, "batch": wanted.batch, "versions": versions(), "parts": {}}
        if os.path.exists(self.file("json")):
            with open(self.file("json"), encoding="utf-8") as file:
                old = json.load(file)
            if all(old.get(key) == self.results[key] for key in ("machine", "threads", "batch", "versions")):
                self.results = old

    def file(self, suffix):
        return os.path.join(self.wanted.out, "pipeline-cpu." + suffix)

    def begin(self, part):
        self.model, self.size = part.split("-")
        self.count = COUNTS[self.model] // (20 if self.wanted.short else 1)
        self.part = self.results["parts"].setdefault(part, {"agreed": {}, "tried": {}, "turns": {}})
        self.part["notes"] = []

    def note(self, text):
        for path, word in ((self.wanted.work, "WORK"), (self.wanted.build, "BUILD"), (ROOT, ".")):
            text = text.replace(path, word)
        print(text, flush=True)
        self.part["notes"].append(text)
        self.failed = True

    def path(self, *names):
        return os.path.join(self.wanted.work, *names)

    def network(self, ending):
        """The network of the part, made once for all programs."""
        if not all(os.path.exists(self.path(self.model + known)) for known in (".onnx", ".pt")):
            subprocess.run([sys.executable, "-W", "ignore", os.path.join(HERE, "peers", "export.py"), self.model, self.path(self.model + ".onnx"),
                            self.path(self.model + ".pt")], check=True)
        return self.path(self.model + ending)

    def photos(self):
        """The folder of the part's photos, made once, and read once, so that they are in the page cache."""
        folder, most = self.path("photos", self.size), str(max(COUNTS.values()))
        if not os.path.exists(folder):
            subprocess.run([sys.executable, os.path.join(HERE, "photos.py"), self.wanted.source, folder + ".part", "--size", self.size, "--count", most,
                            *PHOTOS[self.size]], check=True)
            os.rename(folder + ".part", folder)
        for name in sorted(os.listdir(folder))[:self.count]:
            with open(os.path.join(folder, name), "rb") as file:
                file.read()
        return folder

    def ours(self, name, count):
        out = self.path("out", name)
        return Job(self, name, [os.path.join(self.wanted.build, "batchcam"), "run", self.network(".onnx"), self.photos(), "-o", out, "--device", "cpu",
                                "--precision", OURS[name], "--threads", str(self.wanted.threads), "--limit", str(count), "--json"], out)

    def peer(self, name, count, settings, memory):
        (way, precision), out = PEERS[name], self.path("out", name)
        return Job(self, name, [sys.executable, "-W", "ignore", os.path.join(HERE, "peers", "pipeline.py"), way, self.network(".pt"), self.photos(), out,
                                "--limit", str(count), "--precision", precision, "--settings", *settings], out, KEPT if memory == "kept" else None)

    def write(self):
        kept.write_json(self.file("json"), self.results)
        table_pipeline.write_csv(self.results, self.file("csv"))
        table_pipeline.write_markdown(self.results, self.file("md"))
        if self.wanted.document:
            table_pipeline.renew(self.results, self.wanted.document)


def versions():
    from importlib.metadata import version

    return [f"{name} {version(name)}" for name in ("torch", "torchvision", "pillow", "grad-cam", "torchcam")]


# ---- steps ----

class Theirs:
    """A peer's maps, as agree.Ours has batchcam's."""

    def __init__(self, folder, photos):
        with open(os.path.join(folder, "index.csv"), newline="", encoding="utf-8") as file:
            rows = {photo: (name, int(row), int(label)) for photo, name, row, label in csv.reader(file)}
        if sorted(rows) != sorted(photos):
            raise Failed(f"maps of {len(rows)} photos, not of the same {len(photos)}")
        files = {name: np.load(os.path.join(folder, name)) for name, _, _ in rows.values()}
        self.maps = np.stack([files[name][row] for name, row, _ in map(rows.get, photos)])
        self.classes = np.array([label for _, _, label in map(rows.get, photos)])


def step_agree(run):
    """The first photos' maps of every program beside batchcam's; a 16-bit program's by their cosine to those in float."""
    setting, found = f"0,{run.wanted.threads},{run.wanted.batch}", {}
    run.ours("batchcam", AGREE_ON).once()
    ours = agree.Ours.of(run.path("out", "batchcam"))
    for name in (*list(OURS)[1:], *PEERS):
        try:
            if name in OURS:
                run.ours(name, AGREE_ON).once()
                found[name] = agree.compare_precision(agree.Ours.of(run.path("out", name)), ours)
                continue
            run.peer(name, AGREE_ON, [setting], None).once()
            theirs = Theirs(run.path("out", name), ours.photos)
            found[name] = agree.compare_precision(theirs, ours) if PEERS[name][1] == "bf16" else agree.compare_maps(name, theirs.maps, ours)
        except Failed as problem:
            run.note(str(problem))
    run.part["agreed"] = found
    for name, verdict in found.items():
        print(f"  {name}: {table_pipeline.say_verdict(verdict)}", flush=True)
        shutil.rmtree(run.path("out", name), ignore_errors=True)


def agrees(verdict):
    """Whether a program may be timed. Of 16 bits only the median decides: a network with random weights may be off by more than is allowed for single
    photos, in every program alike; the results say how far."""
    return verdict is not None and (verdict["same"] or (tuple(verdict["bounds"]) == agree.COSINE and verdict["median"] >= agree.COSINE[0]))


def step_try(run):
    """Each peer with a few settings, on a few photos; more of them for the one written by hand.
    -> the part's "tried": {peer: {memory: {setting: photos a second}}}."""
    threads, batch, found = run.wanted.threads, run.wanted.batch, {}
    settings = [f"{workers},{t},{batch}" for workers, t in ((0, threads), (threads, threads), (threads, max(1, threads // 2)))]
    for name in PEERS:
        found[name], some = {}, settings if name in MEMORY else settings[:2]
        for memory in MEMORY.get(name, ("as installed",)):
            try:
                found[name][memory] = run.peer(name, TRIED[run.size] // (4 if run.wanted.short else 1), [some[0], *some], memory).tried()
            except Failed as problem:
                run.note(str(problem))
        print(f"  {name}: {table_pipeline.say_tried(found[name])}", flush=True)
    run.part["tried"] = found


def step_rounds(run):
    contestants = [run.ours(name, run.count) for name in OURS]
    for name in PEERS:
        tried = run.part["tried"].get(name, {})
        memory, setting = table_pipeline.best(tried) or ("as installed", f"{run.wanted.threads},{run.wanted.threads},{run.wanted.batch}")
        contestants.append(run.peer(name, run.count, [setting], memory))
    timed = [c for c in contestants if c.name == "batchcam" or agrees(run.part["agreed"].get(c.name))]
    for contestant in contestants:
        if contestant not in timed:
            run.note(f"{contestant.name} is not timed: its maps are not known to be the same")
    run.part.update(date=datetime.datetime.now().astimezone().isoformat(timespec="minutes"), commit=commit(), seed=run.wanted.seed)
    run.part["turns"] = {c.name: c.turns for c in timed}
    interleave(timed, run.wanted.rounds, 0, run.wanted.seed, run.note, run.wanted.budget, min(2, run.wanted.rounds), warm=False)


STEPS = {"agree": step_agree, "try": step_try, "rounds": step_rounds}


def main():
    run = Run(arguments())
    print(f"{run.results['machine']}, seed {run.wanted.seed}", flush=True)
    for part in run.wanted.only:
        run.begin(part)
        for step in run.wanted.steps:
            begin = time.monotonic()
            print(f"-- {part}, {step}", flush=True)
            try:
                STEPS[step](run)
            except Exception as problem:  # noqa: BLE001 - the other parts still count
                run.note(f"{part}, {step}: {type(problem).__name__}: {problem}")
            print(f"-- {part}, {step}: {time.monotonic() - begin:.0f} seconds", flush=True)
            run.write()
    print("\n".join(table_pipeline.table_of_figures(run.results)), flush=True)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
