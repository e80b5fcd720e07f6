"""The tables of figures_cpu.py, from its results. Standard library only."""
import csv

import kept
from contest import summary

MODELS = {"resnet50": "ResNet-50", "vgg16": "VGG-16", "mobilenet_v2": "MobileNetV2"}
NAMES = {"batchcam": "batchcam, fp32", "batchcam_bf16": "batchcam, bf16", "onnx_runtime": "ONNX Runtime, forward only",
         "torch_eager": "PyTorch by hand", "torch_eager_kept": "PyTorch by hand, memory kept", "torch_compile": "torch.compile of that",
         "torch_compile_kept": "torch.compile of that, memory kept", "torch_cam": "torch-cam", "captum": "Captum",
         "grad_cam": "pytorch-grad-cam", "grad_cam_kept": "pytorch-grad-cam, memory kept"}


def middle(results, part, name):
    found = summary(results["parts"].get(part, {}).get("rates", {}).get(name, []))
    return found[0] if found else None


def ratio(results, part, ours, *theirs):
    """Of medians; to the fastest of several, and to none where one of them is not there."""
    own, others = middle(results, part, ours), [middle(results, part, name) for name in theirs]
    return own / max(others) if own and all(others) else None


def found(results, part, *keys):
    value = results["parts"].get(part, {}).get("found", {})
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def share(results, model, whole):
    peak = found(results, "share", "peak", "gflops_fp32")
    own = found(results, "share", model, "gflop_an_image" if whole else "convolutions_gflops")
    rate = middle(results, "share", model) if whole else 1
    return own * rate / peak if peak and own and rate else None


def classes(results):
    one = ratio(results, "classes", "batchcam_K1", "batchcam_K5")
    return one / 5 if one else None


def memory(results, model):
    """The most memory of PyTorch by hand over batchcam's."""
    had = results["parts"].get(model, {}).get("memory", {})
    return had["torch_eager"] / had["batchcam"] if had.get("torch_eager") and had.get("batchcam") else None


def figures(results):
    """-> rows (figure, less is better, {model: (floor, aim, measured)})."""
    def each(bounds, value):
        return {model: (*bound, value(model)) for model, bound in bounds.items() if bound}

    def over(ours, *theirs):
        return lambda model: ratio(results, model, ours, *theirs)

    def all_of(*bound):
        return dict.fromkeys(MODELS, bound)

    by_hand, rows = ("torch_eager", "torch_cam"), []
    rows.append(("fp32 ÷ ONNX Runtime fp32, forward only", False,
                 each({"resnet50": (1, 1.2), "vgg16": (2, 2.5), "mobilenet_v2": (1, 1.2)}, over("batchcam", "onnx_runtime"))))
    rows.append(("bf16 ÷ ONNX Runtime fp32, forward only", False,
                 each({"resnet50": (1.75, 2), "vgg16": (1.75, 2), "mobilenet_v2": (1.5, 1.8)}, over("batchcam_bf16", "onnx_runtime"))))
    rows.append(("fp32 ÷ pytorch-grad-cam", False, each(all_of(4, 6), over("batchcam", "grad_cam"))))
    rows.append(("fp32 ÷ the same, memory kept", False, each(all_of(None, None), over("batchcam", "grad_cam_kept"))))
    rows.append(("fp32 ÷ the faster of PyTorch by hand and torch-cam", False,
                 each({"resnet50": (1.5, None), "vgg16": (2.5, None), "mobilenet_v2": (1.5, None)}, over("batchcam", *by_hand))))
    rows.append(("fp32 ÷ PyTorch by hand, memory kept", False, each(all_of(None, None), over("batchcam", "torch_eager_kept"))))
    rows.append(("fp32 ÷ torch.compile of that, memory kept", False, each(all_of(None, None), over("batchcam", "torch_compile_kept"))))
    for layer in ("layer3", "layer2", "layer1"):
        rows.append((f"at {layer}: fp32 ÷ the faster of PyTorch by hand and torch-cam", False,
                     {"resnet50": (1.3, None, ratio(results, layer, "batchcam", *by_hand))}))
        rows.append((f"at {layer}: fp32 ÷ PyTorch by hand, memory kept", False,
                     {"resnet50": (None, None, ratio(results, layer, "batchcam", "torch_eager_kept"))}))
    rows.append(("five classes at layer3: time ÷ five runs of one", True, {"resnet50": (0.45, None, classes(results))}))
    rows.append(("convolutions, direct fp32: share of the peak", False, each(all_of(0.88, 0.93), lambda m: share(results, m, False))))
    rows.append(("whole network, direct fp32: share of the peak", False, each(all_of(0.82, 0.90), lambda m: share(results, m, True))))
    rows.append(("peak memory, PyTorch's ÷ batchcam's", False, each(all_of(None, None), lambda m: memory(results, m))))
    return rows


def single_figures(results):
    """-> rows (figure, floor, aim, measured, less is better) of what has one number."""
    def ms(name):
        return found(results, "start", name, "median")

    rows = [("`batchcam --version`, from start to end, ms", 5, None, ms("version"), True),
            ("`true`, for comparison, ms", None, None, ms("true"), True),
            ("ResNet-50: one photo by the whole command, `--batch 1`, ms", 1000, None, ms("first_map"), True),
            ("the same with the batch that it chooses itself, ms", None, None, ms("first_map_default_batch"), True),
            ("the same with `--batch 1` and an empty cache of choices, ms", None, None, ms("first_map_nothing_chosen"), True)]
    for row in found(results, "decode", "rows") or []:
        rows.append((f"photos {row['photos']} to {row['until']} on one core ÷ Pillow and torchvision", 2.5, 3.2, float(row["ratio"]), False))
    return rows


def cell(floor, aim, measured, less):
    if measured is None:
        return "not measured"
    text = f"{measured:.2f}"
    if floor is None:
        return text
    missed = measured > floor if less else measured < floor
    sign = "≤" if less else "≥"
    return f"**{text}** (missed: {sign} {floor:g})" if missed else f"{text} ({sign} {floor:g}{f', aim {aim:g}' if aim else ''})"


def say_verdict(verdict):
    if verdict["worst"] is None:
        return "NOT COMPARED: " + verdict["compared"]
    counts = f" of {verdict['photos']} photos" if "photos" in verdict else ""
    near = f", {verdict['too_near']} left out" if verdict.get("too_near") else ""
    return (f"{'the same' if verdict['same'] else 'NOT THE SAME'}: {verdict['compared']}{counts}{near}; median {verdict['median']:.5g} "
            f"(bound {verdict['bounds'][0]:g}), worst {verdict['worst']:.5g} (bound {verdict['bounds'][1]:g})")


# ---- Markdown ----

def head(results):
    dates = sorted(part["date"] for part in results["parts"].values())
    commits = sorted({part["commit"] for part in results["parts"].values()})
    versions = {}
    for part in results["parts"].values():
        for facts in part["facts"].values():
            if "torch" in facts:
                versions["torch " + facts["torch"]] = True
            if "library" in facts:
                versions[facts["library"]] = True
    return [f"{results['machine']}; {results['threads']} threads, batch {results['batch']}, 224 × 224; {dates[0]} to {dates[-1]}; "
            f"batchcam at {', '.join(commits)}; {', '.join(sorted(versions))}."]


def table_of_figures(results):
    lines = ["| figure | " + " | ".join(MODELS.values()) + " |", "| --- |" + " --- |" * len(MODELS)]
    for figure, less, of in figures(results):
        lines.append(f"| {figure} | " + " | ".join(cell(*of[model], less) if model in of else "" for model in MODELS) + " |")
    for figure, *of in single_figures(results):
        lines.append(f"| {figure} | {cell(*of)} |" + "  |" * (len(MODELS) - 1))
    return lines


def table_of_rates(results):
    lines = ["| images a second, median (quartiles); most memory | " + " | ".join(MODELS.values()) + " |", "| --- |" + " --- |" * len(MODELS)]
    for name, said in NAMES.items():
        cells = []
        for model in MODELS:
            part = results["parts"].get(model, {})
            of = summary(part.get("rates", {}).get(name, []))
            had = part.get("memory", {}).get(name)
            cells.append((f"{of[0]:.1f} ({of[1]:.1f} – {of[2]:.1f})" + (f"; {had / 2**20:.0f} MiB" if had else "")) if of else "not measured")
        lines.append(f"| {said} | " + " | ".join(cells) + " |")
    return lines


def table_of_parts(results):
    lines = ["| part | contestant | images a second | rounds |", "| --- | --- | --- | --- |"]
    for part, of in results["parts"].items():
        if part in MODELS:
            continue
        for name, numbers in of["rates"].items():
            rates = summary(numbers)
            text = f"{rates[0]:.1f} ({rates[1]:.1f} – {rates[2]:.1f})" if rates else "failed"
            lines.append(f"| {part} | {NAMES.get(name, name)} | {text} | {len(numbers)} |")
    return lines


def lines_of_agreement(results):
    lines = []
    for part, of in results["parts"].items():
        lines += [f"- {part}, {NAMES.get(name, name)}: {say_verdict(verdict)}" for name, verdict in of["agreed"].items()]
    return lines


def lines_of_notes(results):
    lines = []
    for model, tried in results["formats"].items():
        for kind, rates in tried.items():
            said = ", ".join(f"{way} {rate:.1f}" for way, rate in rates.items())
            lines.append(f"- {MODELS[model]}, {NAMES[kind]}: {said} images a second, tried once with memory kept; the faster was taken")
    for part, of in results["parts"].items():
        lines += [f"- {part}: {note}" for note in of["notes"]]
    return lines


def write_markdown(results, path):
    kept.write_markdown(path, ["# batchcam on the CPU beside its peers", "", "Written by `bench/figures_cpu.py`; every round is in `peers-cpu.csv`.", "",
                               *head(results)],
                        (("Figures", table_of_figures(results)), ("Rates at the default layer", table_of_rates(results)),
                         ("Other parts", table_of_parts(results)), ("Held against each other before timing", lines_of_agreement(results)),
                         ("Notes", lines_of_notes(results))))


BEGIN, END = "<!-- figures_cpu.py writes from here -->", "<!-- to here -->"


def renew(results, path):
    kept.renew(path, BEGIN, END, [*head(results), "", *table_of_figures(results)])


def print_figures(results):
    print("\n".join(table_of_figures(results)), flush=True)


# ---- CSV ----

def write_csv(results, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("part", "contestant", "round", "images_a_second", "batch", "threads", "machine", "commit", "date"))
        for part, of in results["parts"].items():
            about = (results["batch"], results["threads"], results["machine"], of["commit"], of["date"])
            for name, numbers in of["rates"].items():
                writer.writerows((part, name, number, f"{rate:.3f}", *about) for number, rate in enumerate(numbers))
