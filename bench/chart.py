"""Draws docs/img/peers-cpu.png from bench/results/peers-cpu.csv: python chart.py [CSV [PNG]]. Needs matplotlib."""
import csv
import os
import sys

import matplotlib
from contest import summary
from table_cpu import MODELS, NAMES

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 - after the choice of how to draw

HERE = os.path.dirname(os.path.abspath(__file__))
OURS, FORWARD, PEER, KEPT, INK, FAINT = "#0f5f8c", "#b9c2ca", "#d8a657", "#f0dcb8", "#20262c", "#7a858e"
LABELS = {"torch_compile": "PyTorch, torch.compile", "onnx_runtime": "ONNX Runtime,\nforward pass only"}


def read(path):
    """-> {(model, contestant): [images a second]}, a row of the file."""
    rates, row = {}, {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rates.setdefault((row["part"], row["contestant"]), []).append(float(row["images_a_second"]))
    return rates, row


def colour(name):
    return OURS if name.startswith("batchcam") else FORWARD if name == "onnx_runtime" else PEER


def number(rate):
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def panel(axes, model, names, rates):
    """One model's bars, each with its number; the quartiles as a thin line. Paler and in brackets: with memory kept."""
    found, kept = ([summary(rates.get((model, name + ending), [])) for name in names] for ending in ("", "_kept"))
    most = max((of[2] for of in found + kept if of), default=1)
    for at, (name, of, more) in enumerate(zip(names, found, kept)):
        if not of:
            axes.text(0.02 * most, at, "not measured", va="center", color=FAINT, fontsize=10)
            continue
        if more:
            axes.barh(at, more[0], height=0.72, color=KEPT, linewidth=0)
        axes.barh(at, of[0], height=0.72, color=colour(name), hatch="////" if name == "onnx_runtime" else None, edgecolor="white", linewidth=0)
        axes.plot(of[1:], (at, at), color=INK, linewidth=1.2)
        axes.text(max(*of, more[0] if more else 0) + 0.03 * most, at, number(of[0]) + (f" ({number(more[0])})" if more else ""), va="center",
                  color=INK, fontsize=11, fontweight="bold" if name.startswith("batchcam") else "normal")
    axes.set_title(MODELS[model], loc="left", color=INK, fontsize=13, fontweight="bold")
    axes.set_xlim(0, 1.27 * most)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(FAINT)


def main():
    source, target = (sys.argv[1:] + [os.path.join(HERE, "results", "peers-cpu.csv"), os.path.join(HERE, "..", "docs", "img", "peers-cpu.png")]
                      [len(sys.argv) - 1:])[:2]
    rates, about = read(source)
    names = [name for name in NAMES if not name.endswith("_kept") and any((model, name) in rates for model in MODELS)]
    names.sort(key=lambda name: name == "onnx_runtime")  # which makes no maps, and so stands last
    figure, all_axes = pyplot.subplots(1, len(MODELS), sharey=True, figsize=(11, 0.8 + 0.47 * (len(names) + 1)), layout="constrained")
    for axes, model in zip(all_axes, MODELS):
        panel(axes, model, names, rates)
    all_axes[0].set_yticks(range(len(names)), [LABELS.get(name, NAMES[name]) for name in names], fontsize=11, color=INK)
    for label, name in zip(all_axes[0].get_yticklabels(), names):
        label.set_fontweight("bold" if name.startswith("batchcam") else "normal")
    figure.suptitle("Grad-CAM maps a second on a CPU: more is better", x=0.01, ha="left", fontsize=15, fontweight="bold", color=INK)
    figure.supxlabel(f"{about['machine'].split(',')[0]}, {about['threads']} threads; 224 × 224, batch {about['batch']}, the same weights and maps, "
                     "in turns, medians, decoding left out.\nPale, in brackets: where the process is told to keep the memory that PyTorch gives back.",
                     x=0.01, ha="left", fontsize=10, color=FAINT)
    figure.savefig(target, dpi=150, facecolor="white", metadata={"Software": None})
    print(target)


if __name__ == "__main__":
    main()
