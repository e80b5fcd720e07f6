#!/usr/bin/env python3
"""Decoding and exact preprocessing beside Pillow and torchvision, on one core, in turns: photos a second, their ratio, and whether all made the same.

    python3 bench/decode.py --bench build/bench_decode --python VENV/bin/python FOLDER ... [--csv FILE]

FOLDERs are made by bench/photos.py; VENV by bench/peers/setup.sh. A ratio is the median of the rounds' ratios."""
import argparse
import csv
import os
import pathlib
import statistics
import subprocess
import tempfile

import contest

HERE = pathlib.Path(__file__).resolve().parent


def machine():
    """-> the processor's name, the commit measured."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    git = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {"machine": name, "commit": git.stdout.strip()}


def compare(wanted, folder, until):
    """-> a row of the table; our and their rate, the ratio's median and quartiles, ms by stage."""
    log = wanted.log or os.path.join(tempfile.gettempdir(), "bench_decode.log")
    both = [contest.Contestant("batchcam", [wanted.bench, folder, "--contestant", "--until", until], log),
            contest.Contestant("Pillow + torchvision",
                               [wanted.python, str(HERE / "peers" / "pil_resize.py"), folder, "--until", until], log)]
    for c in both:
        c.ready(300)
    ours, theirs = both
    if ours.facts["sha256"] != theirs.facts["sha256"]:
        raise SystemExit(f"{folder}, {until}: not the same was made")
    rates = contest.interleave(both, wanted.rounds, wanted.seconds, 1, lambda text: print(text, flush=True))
    for c in both:
        c.end()
    if not all(rates.values()):
        raise SystemExit("a contestant failed")
    ratios = [a / b for a, b in zip(rates[ours.name], rates[theirs.name])]
    middle, low, high = contest.summary(ratios)
    return {"photos": os.path.basename(os.path.normpath(folder)), "until": until, "ours_ms": 1e3 / statistics.median(rates[ours.name]),
            "peer_ms": 1e3 / statistics.median(rates[theirs.name]), "ratio": middle, "ratio_low": low, "ratio_high": high,
            "sha256": ours.facts["sha256"][:12], "pillow": theirs.facts["pillow"], "torchvision": theirs.facts["torchvision"], **machine()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--until", choices=("bytes", "values", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--core", type=int, default=0, help="the one that all run on")
    parser.add_argument("--csv")
    parser.add_argument("--log")
    wanted = parser.parse_args()
    os.sched_setaffinity(0, {wanted.core})
    rows = []
    for folder in wanted.folders:
        for until in ("values", "bytes") if wanted.until == "both" else (wanted.until,):
            rows.append(compare(wanted, folder, until))
            print("{photos}, until {until}: {ours_ms:.3f} ms beside {peer_ms:.3f} ms, {ratio:.2f} times as fast ({ratio_low:.2f} … {ratio_high:.2f}), "
                  "sha256 {sha256}".format(**rows[-1]), flush=True)
    if wanted.csv:
        with open(wanted.csv, "w", newline="") as file:
            out = csv.DictWriter(file, rows[0])
            out.writeheader()
            out.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


main()
