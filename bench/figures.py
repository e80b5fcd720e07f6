"""The figures of one model on one machine: batchcam beside its peers, in turns, and beside what the machine can do at most.

    python figures.py --model resnet50 --root BUNDLE --out FOLDER [--device cpu --batch 2 --rounds 2 --seconds 0.5]

Writes figures_MODEL.txt (the table), .json (everything) and .csv (every round) to FOLDER. Ceilings are measured first, in the same run. Exit
status 1 where something could not be measured; a floor that is not reached is no error. Standard library only; the peers need their own Python.
"""
import argparse
import csv
import datetime
import json
import os
import platform
import subprocess
import sys
import time

from contest import Contestant, Failed, interleave, summary

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = ("resnet50", "vgg16", "densenet121", "mobilenet_v2", "efficientnet_b0")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="one of " + ", ".join(MODELS) + "; or an ONNX file, without peers")
    parser.add_argument("--root", default=os.path.dirname(HERE), help="where bin/ with the programs is")
    parser.add_argument("--out", default=".")
    parser.add_argument("--work", help="for weights and caches (OUT/work)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", help="fp16; on the CPU fp32")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a round")
    parser.add_argument("--minutes", type=float, default=7.5, help="for everything; what does not fit is left out and said")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--python", default=sys.executable, help="that has the peers' packages")
    parser.add_argument("--only", nargs="*", help="parts: card, default, layer3, layer2, layer1, classes")
    wanted = parser.parse_args()
    wanted.precision = wanted.precision or ("fp32" if wanted.device == "cpu" else "fp16")
    wanted.work = os.path.abspath(wanted.work or os.path.join(wanted.out, "work"))
    return wanted


class Run:
    """What was asked for, what was found out, and the clock."""

    def __init__(self, wanted):
        self.wanted, self.end = wanted, time.monotonic() + 60 * wanted.minutes
        self.notes, self.rounds, self.facts, self.found, self.rates = [], [], {}, {}, {}
        self.failed = False
        os.makedirs(wanted.out, exist_ok=True)
        os.makedirs(wanted.work, exist_ok=True)
        name = os.path.splitext(os.path.basename(wanted.model))[0]
        self.name = os.path.basename(os.path.dirname(os.path.abspath(wanted.model))) if name == "model" else name
        self.model = wanted.model
        self.card = wanted.device.startswith("cuda")
        self.environment = {"XDG_CACHE_HOME": os.path.join(wanted.work, "cache"), "PYTHONUNBUFFERED": "1",
                            "TORCHINDUCTOR_CACHE_DIR": os.path.join(wanted.work, "inductor"),
                            "TRITON_CACHE_DIR": os.path.join(wanted.work, "triton")}
        # CUDA's libraries for our own programs; a Python brings its own.
        library = os.environ.get("BATCHCAM_LIBRARY_PATH")
        self.own_environment = {**self.environment, **({"LD_LIBRARY_PATH": library} if library else {})}

    def left(self):
        return self.end - time.monotonic()

    def note(self, text, failed=True):
        print(text, flush=True)
        self.notes.append(text)
        self.failed |= failed

    def program(self, name):
        return os.path.join(self.wanted.root, "bin", name)

    def log(self, name):
        return os.path.join(self.wanted.out, f"log_{self.name}_{name}.txt")

    def tool(self, name, *args, limit=120):
        """Runs a program to its end -> its lines; none, or those until then, where it fails, which is noted."""
        try:
            done = subprocess.run([self.program(name), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=max(5, min(limit, self.left())), check=False,
                                  env={**os.environ, **self.own_environment})
        except subprocess.TimeoutExpired as problem:
            self.note(f"{name} was not done in {problem.timeout:.0f} seconds")
            return (problem.stdout or b"").decode(errors="replace").splitlines()
        except OSError as problem:
            self.note(f"{name}: {problem}")
            return []
        text = done.stdout.decode(errors="replace")
        with open(self.log(name), "ab") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            self.note(f"{name} ended with status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]}")
            return []
        return text.splitlines()


def objects(lines):
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


# ---- making ready ----

def fill_model(run):
    """A graph of bench/models gets random weights; any other file is taken as it is."""
    if os.path.isfile(run.model):
        return
    folder, graph = os.path.join(run.wanted.work, "models"), os.path.join(HERE, "models", run.model + ".onnx")
    ready = os.path.join(folder, run.model + ".onnx")
    with open(os.path.splitext(graph)[0] + ".json", encoding="utf-8") as file:
        weights = os.path.join(folder, json.load(file)["file"])
    if not (os.path.exists(ready) and os.path.exists(weights)):
        subprocess.run([run.wanted.python, os.path.join(HERE, "models", "fill.py"), graph, folder], check=True)
    run.model = ready


def ours(run, name, layer=None, classes=1):
    w = run.wanted
    command = [run.program("bench_net"), run.model, "--device", w.device, "--precision", w.precision, "--batch", str(w.batch),
               "--classes", str(classes), "--name", name, "--contestant"]
    return Contestant(name, command + (["--layer", layer] if layer else []), run.log(name), run.own_environment)


def peer(run, script, name, layer=None, batch=None, mode=None):
    w = run.wanted
    command = [w.python, os.path.join(HERE, "peers", script), "--model", run.name, "--device", w.device, "--precision",
               w.precision, "--batch", str(batch or w.batch), "--name", name]
    for option, value in (("--layer", layer), ("--mode", mode)):
        command += [option, value] if value else []
    return Contestant(name, command, run.log(name), run.environment)


def enter(run, contestants, make, seconds):
    """Starts one and waits until it is ready; notes where it does not get there."""
    contestant = None
    try:
        contestant = make()
        contestants.append(contestant.ready(max(10, min(seconds, run.left() - 40))))
        run.facts[contestant.name] = contestant.facts
        print(f"{contestant.name} is ready after {contestant.facts.get('ready_seconds')} seconds", flush=True)
        return True
    except (Failed, OSError) as problem:
        run.note(str(problem))
        if contestant:
            contestant.end()
            if contestant in contestants:
                contestants.remove(contestant)
        return False


def enter_compiled(run, contestants, name, layer, seconds):
    """With the best mode, which takes minutes; in a simpler one where that is not ready in time."""
    quick = "default" if run.left() < 150 else None
    if not enter(run, contestants, lambda: peer(run, "torch_compile.py", name, layer, mode=quick), seconds) and run.left() > 100:
        run.note(f"{name}: tried again with mode=default", failed=False)
        enter(run, contestants, lambda: peer(run, "torch_compile.py", name, layer, mode="default"), 90)


def compete(run, part, contestants):
    """Rounds in turns; rates go to run.rates[part]."""
    w = run.wanted
    try:
        if contestants:
            share = max(0.1, min(1.0, (run.left() - 15) / (len(contestants) * (w.rounds + 1) * w.seconds * 1.3)))
            seconds = max(0.2, w.seconds * share)
            rates = interleave(contestants, w.rounds, seconds, w.seed, run.note)
            run.rates[part] = rates
            for name, numbers in rates.items():
                run.rounds += [(part, name, i, rate) for i, rate in enumerate(numbers)]
    finally:
        for contestant in contestants:
            contestant.end()


# ---- parts ----

def part_card(run):
    """Ceilings, then what is measured of batchcam alone."""
    if not run.card:
        return
    small = ["--small"] if run.wanted.batch < 32 else []
    ceilings = objects(run.tool("bench_ceiling", *small))
    run.found["ceilings"] = ceilings[0] if ceilings else {}
    rate, precision = run.found["ceilings"].get("copy_tbps"), run.wanted.precision
    peak = run.found["ceilings"].get(precision + "_tflops")
    common = [run.model, "--device", run.wanted.device, "--precision", precision, "--batch", str(run.wanted.batch)]
    roof = ["--roofline", str(peak), str(rate)] if peak and rate else []
    if roof:
        said = objects(run.tool("bench_net", *common, "--rounds", "3", *roof))
        run.found["roofline"] = next((o for o in said if "limit_images_a_second" in o), {})
    lines = run.tool("bench_steps", *common, *roof)
    run.found["steps"] = (objects(lines) or [{}])[-1]
    with open(os.path.join(run.wanted.out, f"steps_{run.name}.tsv"), "w", encoding="utf-8") as file:
        file.write("\n".join(line for line in lines if not line.startswith("{")) + "\n")
    said = objects(run.tool("bench_net", *common, "--segments"))
    run.found["segments"] = next((o for o in said if "cam_share_of_sum" in o), {})
    run.found["warm_ready_seconds"] = said[0].get("ready_seconds") if said else None
    if run.name == "resnet50" or small:
        run.found["cam"] = objects(run.tool("bench_cam", str(run.wanted.batch)))


def part_default(run):
    contestants = []
    enter(run, contestants, lambda: ours(run, "batchcam"), 150)
    if run.name in MODELS:
        enter_compiled(run, contestants, "torch_compile", None, 200)
        enter(run, contestants, lambda: peer(run, "torch_eager.py", "torch_eager"), 60)
        if run.name == "resnet50" or not run.card:
            enter(run, contestants, lambda: peer(run, "grad_cam.py", "grad_cam", batch=min(32, run.wanted.batch)), 60)
    compete(run, "default", contestants)


def part_layer(layer):
    def part(run):
        if run.name != "resnet50":
            return
        contestants = []
        enter(run, contestants, lambda: ours(run, "batchcam_" + layer, layer), 90)
        enter_compiled(run, contestants, "torch_compile_" + layer, layer, 120)
        compete(run, layer, contestants)

    return part


def part_classes(run):
    if run.name == "resnet50" or run.name not in MODELS:
        layer, contestants = "layer3", []
        enter(run, contestants, lambda: ours(run, "batchcam_K1", layer), 90)
        enter(run, contestants, lambda: ours(run, "batchcam_K5", layer, 5), 90)
        compete(run, "classes", contestants)


PARTS = (("card", part_card, 0), ("classes", part_classes, 40), ("default", part_default, 40), ("layer3", part_layer("layer3"), 60),
         ("layer2", part_layer("layer2"), 60), ("layer1", part_layer("layer1"), 60))


# ---- the table ----

def ratio(run, part, a, b):
    found = [summary(run.rates.get(part, {}).get(name, [])) for name in (a, b)]
    return found[0][0] / found[1][0] if all(found) else None


def cam_share(run, gradient):
    for row in run.found.get("cam", []):
        if row.get("kernel") == "cam" and row.get("classes") == 1 and "layer4" in row["case"] and row["case"].endswith(
                "fp16, g " + gradient):
            return row.get("share_of_copy")
    return None


def roofline_share(run):
    rates = summary(run.rates.get("default", {}).get("batchcam", []))
    limit = run.found.get("roofline", {}).get("limit_images_a_second")
    return rates[0] / limit if rates and limit else None


def table(run):
    """-> rows of (figure, floor, aim, measured, whether less is better)."""
    compiled = ("÷ torch.compile, hand-batched", 1.0, 1.2, ratio(run, "default", "batchcam", "torch_compile"), False)
    if run.name != "resnet50":
        rows = [compiled] if run.name in MODELS else []
    else:
        rows = [("÷ PyTorch eager", 2.0, 3.0, ratio(run, "default", "batchcam", "torch_eager"), False), compiled,
                ("÷ pytorch-grad-cam as installed", 7.0, 12.0, ratio(run, "default", "batchcam", "grad_cam"), False)]
        for layer in ("layer3", "layer2", "layer1"):
            rows.append((f"target {layer} ÷ torch.compile there", 1.0, 1.3,
                         ratio(run, layer, "batchcam_" + layer, "torch_compile_" + layer), False))
    if run.card:
        rows.insert(0, ("share of the layer-by-layer roofline", 0.55, 0.65, roofline_share(run), False))
        rows.append(("CAM tail: share of the step", 0.01, 0.005, run.found.get("steps", {}).get("cam_share"), True))
        if "cam" in run.found:
            rows.append(("CAM kernel: of copy bandwidth, g read", 0.6, 0.75, cam_share(run, "read"), False))
            rows.append(("CAM kernel: of copy bandwidth, g constant", 0.6, 0.75, cam_share(run, "constant"), False))
    if "classes" in run.rates:
        one = ratio(run, "classes", "batchcam_K1", "batchcam_K5")
        rows.append(("K = 5 at layer3: time ÷ five of one class", 0.45, 0.35, one / 5 if one else None, True))
    return rows


def verdict(floor, aim, measured, less):
    if measured is None:
        return "not measured"
    reached = [measured <= bound if less else measured >= bound for bound in (floor, aim)]
    return "aim reached" if reached[1] else "floor reached" if reached[0] else "MISSED"


def write_text(run, rows, path):
    w, lines = run.wanted, []
    lines += [f"{run.name}, batch {w.batch}, {w.precision}, {w.device}, {run.facts_of_machine['machine']}",
              f"batchcam {run.facts_of_machine.get('version', '?')} commit {run.facts_of_machine.get('commit', '?')}, "
              f"{run.facts_of_machine['date']}, rounds in turns with seed {w.seed}", ""]
    lines.append(f"{'figure':46} {'floor':>7} {'aim':>7} {'measured':>9}")
    for figure, floor, aim, measured, less in rows:
        bound = "≤" if less else "≥"
        number = f"{measured:9.3f}" if measured is not None else "        -"
        lines.append(f"{figure:46} {bound}{floor:6.3g} {bound}{aim:6.3g} {number}  {verdict(floor, aim, measured, less)}")
    lines += ["", f"{'images a second':46} {'median':>9} {'lower':>9} {'upper':>9}  ready after"]
    for part, rates in run.rates.items():
        for name, numbers in rates.items():
            found = summary(numbers)
            ready = run.facts.get(name, {}).get("ready_seconds")
            text = "  ".join(f"{v:9.1f}" for v in found) if found else "failed"
            lines.append(f"{part + ': ' + name:46} {text}  {ready} s")
    for name, facts in run.facts.items():
        if "compiled" in facts:
            lines.append(f"{name}: {facts['compiled']}; difference to eager {facts['difference_to_eager']:.1e} {facts['notes']}")
    for name in ("ceilings", "roofline", "steps", "segments"):
        if run.found.get(name):
            lines += ["", name + ": " + ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                                                 for k, v in run.found[name].items())]
    for row in run.found.get("cam", []):
        if "share_of_copy" in row:
            lines.append(f"{row['kernel']:9} {row['case']:40} K={row['classes']:.0f} {row['microseconds']:9.2f} us "
                         f"{row['gb_a_second']:8.1f} GB/s {row['share_of_copy']:6.1%} of copying")
    lines += ["", *run.notes]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)


def machine_facts(run):
    facts = {"machine": platform.processor() or platform.machine(), "date": datetime.datetime.now().isoformat(timespec="seconds")}
    try:
        with open(os.path.join(run.wanted.root, "build.json"), encoding="utf-8") as file:
            facts.update(json.load(file))
    except OSError:
        pass
    if run.card:
        try:
            facts["machine"] = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.mem,power.limit",
                                               "--format=csv,noheader"], capture_output=True, text=True, timeout=20,
                                              check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            facts["machine"] = "a card that nvidia-smi does not tell of"
    return facts


def write_results(run):
    base = os.path.join(run.wanted.out, "figures_" + run.name)
    rows = table(run)
    write_text(run, rows, base + ".txt")
    named = [dict(zip(("figure", "floor", "aim", "measured", "less_is_better"), row)) for row in rows]
    with open(base + ".json", "w", encoding="utf-8") as file:
        json.dump({"machine": run.facts_of_machine, "settings": vars(run.wanted), "figures": named, "rates": run.rates,
                   "contestants": run.facts, "found": run.found, "notes": run.notes}, file, indent=1)
    with open(base + ".csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("model", "part", "contestant", "round", "images_a_second", "machine", "commit"))
        for part, name, number, rate in run.rounds:
            writer.writerow((run.name, part, name, number, f"{rate:.2f}", run.facts_of_machine["machine"],
                             run.facts_of_machine.get("commit", "")))


def main():
    run = Run(arguments())
    run.facts_of_machine = machine_facts(run)
    print(f"seed {run.wanted.seed}", flush=True)
    try:
        fill_model(run)
        for name, part, needed in PARTS:
            if run.wanted.only and name not in run.wanted.only:
                continue
            if run.left() < needed:
                run.note(f"{name}: left out, for only {run.left():.0f} seconds are left")
                continue
            print(f"-- {name}, {run.left():.0f} seconds left", flush=True)
            try:
                part(run)
            except Exception as problem:  # noqa: BLE001 - the other parts still count
                run.note(f"{name}: {type(problem).__name__}: {problem}")
    except Exception as problem:  # noqa: BLE001 - what there is must be written
        run.note(f"{type(problem).__name__}: {problem}")
    write_results(run)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
