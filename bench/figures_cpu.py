"""batchcam on the CPU beside its peers: the same networks with the same weights, the same batch and threads, in turns.

    python figures_cpu.py --build FOLDER [--out bench/results] [--only resnet50 vgg16 mobilenet_v2 layer3 layer2 layer1 classes share start decode]

Each part is measured in one go, each contestant alone while the others wait, and kept in OUT/peers-cpu.json beside the parts that are there already;
peers-cpu.csv (every round) and peers-cpu.md (the tables) are written anew from it after every part. A peer whose maps are not batchcam's (agree.py)
is not timed. --short: two quick rounds, to see whether all works; its numbers are worth nothing and go to WORK/short. `make peers` does it all.

The Python is the one of bench/peers/setup.sh. Exit status 1 where something could not be measured; a floor that is not reached is no error.
"""
import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import agree
import kept
import table_cpu
from contest import Contestant, Failed, interleave, milliseconds, summary

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
MODELS = ("resnet50", "vgg16", "mobilenet_v2")
LAYERS = ("layer3", "layer2", "layer1")
SCRIPTS = {"captum": "captum_cam"}
# PyTorch takes memory for each tensor and gives it back, by default to the system, which has to clear and map it again: up to two thirds of its speed.
# Peers run as they are installed; those in whose name KEEPS stands, with an environment by which they keep what they once had.
KEEPS = "_kept"
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}
KINDS = ("onnx_runtime", "torch_eager", "torch_eager_kept", "torch_compile", "torch_compile_kept", "torch_cam", "captum", "grad_cam", "grad_cam_kept")
AT_A_LAYER = ("torch_eager", "torch_eager_kept", "torch_cam")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "peers"), help="where bench_net and batchcam are")
    parser.add_argument("--out", help="bench/results where not given; docs/performance.md then gets the table of figures, too")
    parser.add_argument("--work", help="for networks and caches (BUILD/work)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9, help="of a part, at most")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a contestant's turn; one batch at least")
    parser.add_argument("--budget", type=float, default=90, help="seconds of a part's rounds, from the fourth on")
    parser.add_argument("--photos", nargs="*", default=[], help="part decode: folders made by bench/photos.py; left out without")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--python", default=sys.executable, help="that has the peers' packages")
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), help="parts")
    parser.add_argument("--short", action="store_true")
    wanted = parser.parse_args()
    wanted.work = os.path.abspath(wanted.work or os.path.join(wanted.build, "work"))
    if wanted.short:
        wanted.rounds, wanted.seconds, wanted.budget, wanted.out = 2, 0.1, 30, wanted.out or os.path.join(wanted.work, "short")
    wanted.document = None if wanted.out else os.path.join(ROOT, "docs", "performance.md")
    wanted.out = wanted.out or os.path.join(HERE, "results")
    return wanted


class Run:
    """What was asked for, what is known from before, and the part in hand."""

    def __init__(self, wanted):
        self.wanted, self.failed, self.part = wanted, False, None
        for folder in (wanted.out, os.path.join(wanted.work, "logs")):
            os.makedirs(folder, exist_ok=True)
        self.environment = {"XDG_CACHE_HOME": os.path.join(wanted.work, "cache"), "PYTHONUNBUFFERED": "1",
                            "OMP_NUM_THREADS": str(wanted.threads), "TORCHINDUCTOR_CACHE_DIR": os.path.join(wanted.work, "inductor")}
        self.results = {"machine": machine(), "threads": wanted.threads, "batch": wanted.batch, "formats": {}, "parts": {}}
        before = self.file("json")
        if os.path.exists(before):
            with open(before, encoding="utf-8") as file:
                old = json.load(file)
            if all(old.get(key) == self.results[key] for key in ("machine", "threads", "batch")):
                self.results = old

    def file(self, suffix):
        return os.path.join(self.wanted.out, "peers-cpu." + suffix)

    def bare(self, text):
        """Without the folders of this machine."""
        for path, word in ((self.wanted.work, "WORK"), (os.path.abspath(self.wanted.build), "BUILD"), (ROOT, ".")):
            text = text.replace(path, word) if isinstance(text, str) else text
        return text

    def note(self, text, failed=True):
        text = self.bare(text)
        print(text, flush=True)
        self.part["notes"].append(text)
        self.failed |= failed

    def program(self, name):
        return os.path.join(self.wanted.build, name)

    def log(self, name):
        return os.path.join(self.wanted.work, "logs", name + ".txt")

    def tool(self, name, *args, limit=300):
        """Runs a program to its end -> its lines; none where it fails, which is noted."""
        try:
            done = subprocess.run([self.program(name), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False,
                                  env={**os.environ, **self.environment})
        except (OSError, subprocess.TimeoutExpired) as problem:
            self.note(f"{name}: {problem}")
            return []
        if done.returncode:
            self.note(f"{name} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        return [] if done.returncode else done.stdout.splitlines()


# ---- what is here ----

def machine():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "include", "bench", ":!bench/results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-changed" if changed else "")


def network(run, name):
    """The ONNX file with the weights that the peers have."""
    path = os.path.join(run.wanted.work, name + ".onnx")
    if not os.path.exists(path):
        subprocess.run([run.wanted.python, "-W", "ignore", os.path.join(HERE, "peers", "export.py"), name, path], check=True,
                       env={**os.environ, **run.environment})
    return path


# ---- contestants ----

def ours(run, model, name="batchcam", precision="fp32", layer=None, classes=1, further=()):
    w = run.wanted
    command = [run.program("bench_net"), network(run, model), "--device", "cpu", "--precision", precision, "--batch", str(w.batch), "--threads",
               str(w.threads), "--classes", str(classes), "--name", name, "--contestant", *further]
    return Contestant(name, command + (["--layer", layer] if layer else []), run.log(f"{model}_{name}"), run.environment)


def peer(run, model, kind, layer=None, memory_format="channels_last"):
    w = run.wanted
    script = kind.removesuffix(KEEPS)
    command = [w.python, os.path.join(HERE, "peers", SCRIPTS.get(script, script) + ".py"), "--model", model, "--device", "cpu", "--precision", "fp32",
               "--batch", str(w.batch), "--threads", str(w.threads), "--name", kind, "--format", memory_format, "--onnx", network(run, model),
               "--mode", "default"]
    return Contestant(kind, command + (["--layer", layer] if layer else []), run.log(f"{model}_{kind}"),
                      {**run.environment, **(KEPT if kind.endswith(KEEPS) else {})})


def enter(run, contestants, make, failed=True, agreed=None):
    """Starts one, waits until it is ready, and asks `agreed` about it; a note, and it is left out, where one of these fails."""
    contestant = None
    try:
        contestant = make().ready(400)
        run.part["facts"][contestant.name] = {key: run.bare(value) for key, value in contestant.facts.items()}
        if agreed:
            found = run.part["agreed"][contestant.name] = agreed(contestant)
            print(f"{contestant.name}: {table_cpu.say_verdict(found)}", flush=True)
            if not found["same"]:
                raise Failed(f"{contestant.name} is not timed, for it computes something else: {table_cpu.say_verdict(found)}")
        contestants.append(contestant)
    except (Failed, OSError, RuntimeError) as problem:
        run.note(str(problem), failed)
        if contestant:
            contestant.end()


def compete(run, contestants):
    """Rounds in turns; the rates go to the part, and the most memory that each had."""
    w = run.wanted
    try:
        if contestants:
            run.part["rates"] = interleave(contestants, w.rounds, w.seconds, w.seed, run.note, w.budget, min(3, w.rounds))
            run.part["memory"] = {c.name: c.peak_memory() for c in contestants}
    finally:
        for contestant in contestants:
            contestant.end()


def faster_format(run, model, kind):
    """Which way of laying activations and weights out in memory a peer is faster with: tried with two of them, and kept; the others do alike."""
    if kind == "onnx_runtime":
        return "channels_last"
    like = "grad_cam" if kind.startswith("grad_cam") else "torch_eager"
    tried = run.results["formats"].setdefault(model, {})
    if like not in tried:
        contestants = []
        for way in ("channels_last", "contiguous"):
            contestant = peer(run, model, like + KEEPS, memory_format=way)
            contestant.name = way
            contestants.append(contestant.ready(400))
        rates = interleave(contestants, 1 if run.wanted.short else 2, run.wanted.seconds, run.wanted.seed, run.note)
        for contestant in contestants:
            contestant.end()
        tried[like] = {way: statistics.median(numbers) for way, numbers in rates.items() if numbers}
        print(f"{model}, {like}: {tried[like]}", flush=True)
    return max(tried[like], key=tried[like].get, default="channels_last")


# ---- what is compared before it is timed ----

class Agreement:
    """The photos, batchcam's maps of them, and what a contestant has to show."""

    def __init__(self, run, model, layer=None):
        w = run.wanted
        self.run, self.model = run, model
        self.options = ["--batch", str(w.batch), "--threads", str(w.threads), *(["--layer", layer] if layer else [])]
        self.pixels = agree.photos(min(16, w.batch), w.seed)
        self.ours = self.maps("fp32")

    def maps(self, precision):
        work = self.run.wanted.work
        return agree.Ours(self.run.program("batchcam"), network(self.run, self.model), os.path.join(work, "agree"), self.pixels,
                          [*self.options, "--precision", precision], "input")

    def of_peer(self, contestant):
        if contestant.facts.get("compiled") == "not compiled":
            raise Failed(f"{contestant.name} is not timed: {contestant.facts['notes']}")
        files = [os.path.join(self.run.wanted.work, name) for name in ("pixels.npy", "maps.npz")]
        agree.np.save(files[0], self.pixels)
        contestant.maps(*files)
        with agree.np.load(files[1]) as made:
            if "logits" in made:
                return agree.compare_logits(made["logits"], self.ours)
            return agree.compare_maps(contestant.name, made["maps"], self.ours)

    def of_precision(self, precision):
        return lambda _: agree.compare_precision(self.maps(precision), self.ours)


# ---- parts ----

def part_model(model):
    def part(run):
        agreement, contestants = Agreement(run, model), []
        formats = {kind: faster_format(run, model, kind) for kind in KINDS}
        enter(run, contestants, lambda: ours(run, model))
        enter(run, contestants, lambda: ours(run, model, "batchcam_bf16", "bf16"), failed=False, agreed=agreement.of_precision("bf16"))
        for kind in KINDS:
            enter(run, contestants, lambda kind=kind: peer(run, model, kind, None, formats[kind]), agreed=agreement.of_peer)
        compete(run, contestants)

    return part


def part_layer(layer):
    def part(run):
        agreement, contestants = Agreement(run, "resnet50", layer), []
        enter(run, contestants, lambda: ours(run, "resnet50", layer=layer))
        for kind in AT_A_LAYER:
            way = faster_format(run, "resnet50", kind)
            enter(run, contestants, lambda kind=kind, way=way: peer(run, "resnet50", kind, layer, way), agreed=agreement.of_peer)
        compete(run, contestants)

    return part


def part_classes(run):
    contestants = []
    for name, classes in (("batchcam_K1", 1), ("batchcam_K5", 5)):
        enter(run, contestants, lambda name=name, classes=classes: ours(run, "resnet50", name, layer="layer3", classes=classes))
    compete(run, contestants)


def steps(run, model):
    """-> rows of bench_net --steps, with algorithms that are not chosen by timing."""
    w = run.wanted
    lines = run.tool("bench_net", network(run, model), "--device", "cpu", "--precision", "fp32", "--batch", str(w.batch), "--threads", str(w.threads),
                     "--direct", "--steps")
    lines = [line.split("\t") for line in lines if line.count("\t") > 5]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def winograd(row):
    return "wino" in row["algorithm"].lower()


def part_share(run):
    """Of the peak of this run, before and after: what convolutions reach, and whole networks."""
    w = run.wanted

    def peak():
        said = [json.loads(line) for line in run.tool("bench_verbs", "--peak", "--threads", str(w.threads)) if line.startswith("{")]
        return said[-1] if said else {}

    peaks = [peak()]
    for model in MODELS:
        contestants, name = [], model
        rows = [row for row in steps(run, model) if float(row["GFLOP"]) > 0]
        enter(run, contestants, lambda: ours(run, model, name, further=["--direct"]))
        rates = interleave(contestants, w.rounds, w.seconds, w.seed, run.note, w.budget / 4, min(3, w.rounds)).get(name)
        for contestant in contestants:
            contestant.end()
        if not rates or not rows:
            continue
        run.part["rates"][name] = rates
        heavy = [row for row in rows if row["verb"].startswith(("CONV", "GEMM"))]
        convolutions = [row for row in heavy if row["verb"].startswith("CONV") and not winograd(row)]
        run.part["found"][model] = {
            # Winograd multiplies less often than the count says; with it a share of the peak means nothing.
            "gflop_an_image": None if any(map(winograd, heavy)) else sum(float(row["GFLOP"]) for row in heavy) / w.batch,
            "convolutions_gflops": sum(float(row["GFLOP"]) for row in convolutions) / max(1e-9, sum(float(row["ms"]) for row in convolutions)) * 1e3,
            "algorithms": sorted({row["algorithm"] for row in convolutions})}
        peaks.append(peak())
    peaks = [p for p in peaks if p]
    run.part["found"]["peak"] = {key: max(p[key] for p in peaks) for key in peaks[0] if isinstance(peaks[0][key], float)} if peaks else {}


def part_start(run):
    """The command's start; and one photo explained by the whole command, from its start to its end, everything that it reads in the page cache."""
    w, found = run.wanted, run.part["found"]
    command, folder = run.program("batchcam"), os.path.join(w.work, "start")
    os.makedirs(folder, exist_ok=True)
    photo = os.path.join(folder, "photo.png")
    agree.Image.fromarray(agree.photos(2, w.seed)[1]).save(photo)
    starts = 5 if w.short else 50
    found["true"] = milliseconds(["true"], starts)
    found["version"] = milliseconds([command, "--version"], starts)
    once = [command, "run", network(run, "resnet50"), photo, "-o", os.path.join(folder, "out"), "--overwrite", "--device", "cpu", "--quiet",
            "--threads", str(w.threads)]
    kept = {"XDG_CACHE_HOME": os.path.join(folder, "cache")}
    for name, options, further in (("first_map", kept, ["--batch", "1"]), ("first_map_default_batch", kept, [])):
        milliseconds(once + further, 1, options)
        found[name] = milliseconds(once + further, 2 if w.short else 9, options)
    cold = []
    for number in range(2 if w.short else 5):
        nothing = os.path.join(folder, f"empty-{os.getpid()}-{number}")
        cold.append(milliseconds(once + ["--batch", "1"], 1, {"XDG_CACHE_HOME": nothing})["median"])
    found["first_map_nothing_chosen"] = {"median": statistics.median(cold), "least": min(cold), "most": max(cold), "count": len(cold)}


def part_decode(run):
    """Photos to the network's input on one core, beside Pillow and torchvision: bench/decode.py; without --photos, what it found before."""
    w = run.wanted
    path = os.path.join(w.work, "decode.csv") if w.photos else os.path.join(HERE, "results", "decode-cpu.csv")
    if w.photos:
        subprocess.run([w.python, os.path.join(HERE, "decode.py"), *w.photos, "--bench", run.program("bench_decode"), "--python", w.python,
                        "--csv", path, "--log", run.log("decode"), "--rounds", str(w.rounds), "--seconds", "0.5"], check=True)
    elif not os.path.exists(path):
        run.note("no --photos: decoding is left out", failed=False)
        return
    with open(path, newline="", encoding="utf-8") as file:
        run.part["found"]["rows"] = list(csv.DictReader(file))


PARTS = {**{model: part_model(model) for model in MODELS}, **{layer: part_layer(layer) for layer in LAYERS}, "classes": part_classes,
         "share": part_share, "start": part_start, "decode": part_decode}


def write(run):
    kept.write_json(run.file("json"), run.results)
    table_cpu.write_csv(run.results, run.file("csv"))
    table_cpu.write_markdown(run.results, run.file("md"))
    if run.wanted.document:
        table_cpu.renew(run.results, run.wanted.document)


def main():
    run = Run(arguments())
    print(f"{run.results['machine']}, seed {run.wanted.seed}", flush=True)
    for name in run.wanted.only or PARTS:
        begin = time.monotonic()
        run.part = {"date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "commit": commit(), "seed": run.wanted.seed,
                    "facts": {}, "agreed": {}, "rates": {}, "memory": {}, "found": {}, "notes": []}
        print(f"-- {name}", flush=True)
        try:
            PARTS[name](run)
        except Exception as problem:  # noqa: BLE001 - the other parts still count
            run.note(f"{name}: {type(problem).__name__}: {problem}")
        run.results["parts"][name] = run.part
        for contestant, numbers in run.part["rates"].items():
            found = summary(numbers)
            print(f"{contestant:24} " + ("  ".join(f"{v:8.2f}" for v in found) + f"  {len(numbers)} rounds" if found else "failed"), flush=True)
        print(f"-- {name}: {time.monotonic() - begin:.0f} seconds", flush=True)
        write(run)
    table_cpu.print_figures(run.results)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
