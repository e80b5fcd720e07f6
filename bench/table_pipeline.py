"""The tables of end_to_end.py, from its results. Standard library only."""
import csv

import kept
from contest import summary
from table_cpu import MODELS, cell, say_verdict

NAMES = {"batchcam": "batchcam, fp32", "batchcam_bf16": "batchcam, bf16", "by_hand": "DataLoader + PyTorch by hand, fp32",
         "by_hand_bf16": "DataLoader + PyTorch by hand, bf16", "torch_cam": "DataLoader + torch-cam", "grad_cam": "DataLoader + pytorch-grad-cam"}
# figure, ours, theirs, floor, aim
FIGURES = (("÷ DataLoader + pytorch-grad-cam", "batchcam", "grad_cam", 5, 8), ("÷ DataLoader + torch-cam", "batchcam", "torch_cam", None, None),
           ("÷ DataLoader + PyTorch by hand, fp32", "batchcam", "by_hand", 1.5, 2),
           ("bf16 ÷ DataLoader + PyTorch by hand, bf16", "batchcam_bf16", "by_hand_bf16", 1.5, 2))


def rates(part, name, of="work"):
    """Photos a second in each turn; the time is "work", from the first photo to the last map, or "whole", from the process's start to its end."""
    return [turn["photos"] / turn[of] for turn in part["turns"].get(name, [])]


def ratios(part, ours, theirs, of="work"):
    """Round by round."""
    return [a / b for a, b in zip(rates(part, ours, of), rates(part, theirs, of))]


def title(name):
    model, size = name.split("-")
    return f"{MODELS[model]}, {size.replace('x', ' × ')}"


def best(tried):
    """-> memory, setting: the fastest of those tried; None where there is none."""
    return max(((memory, setting) for memory, found in tried.items() for setting in found), key=lambda way: tried[way[0]][way[1]], default=None)


def say_setting(setting):
    workers, threads, _ = setting.split(",")
    return f"{workers} worker{'' if workers == '1' else 's'} and {threads} thread{'' if threads == '1' else 's'}"


def say_tried(tried):
    chosen = best(tried)
    said = ["; ".join(f"{'**' * ((memory, setting) == chosen)}{say_setting(setting)} {rate:.1f}{'**' * ((memory, setting) == chosen)}"
                      for setting, rate in found.items()) for memory, found in tried.items()]
    return " | ".join(f"memory {memory}: {text}" for memory, text in zip(tried, said))


# ---- Markdown ----

def with_quartiles(numbers, digits=1):
    of = summary(numbers)
    return f"{of[0]:.{digits}f} ({of[1]:.{digits}f} – {of[2]:.{digits}f})" if of else "not measured"


def measured(results):
    return {name: part for name, part in results["parts"].items() if any(part["turns"].values())}


def row(first, parts, say):
    return f"| {first} | " + " | ".join(say(part) for part in parts.values()) + " |"


def top(first, parts):
    return [row(first, {name: title(name) for name in parts}, str), "| --- |" + " --- |" * len(parts)]


def head(results):
    parts = measured(results).values()
    commits, dates = sorted({part["commit"] for part in parts}), sorted(part["date"] for part in parts)
    return [f"{results['machine']}; {results['threads']} threads; peers with batches of {results['batch']}; {dates[0] if dates else '?'} to "
            f"{dates[-1] if dates else '?'}; batchcam at {', '.join(commits)}; {', '.join(results['versions'])}."]


def table_of_figures(results):
    parts = measured(results)
    lines = top("photos → saved maps, from the first photo to the last map", parts)
    for figure, ours, theirs, floor, aim in FIGURES:
        def say(part, ours=ours, theirs=theirs, floor=floor, aim=aim):
            found = summary(ratios(part, ours, theirs))
            return cell(floor, aim, found[0] if found else None, False) + (f"; {found[1]:.2f} – {found[2]:.2f}" if found else "")
        lines.append(row(figure, parts, say))
    for figure, ours, theirs, *_ in FIGURES:
        lines.append(row(f"the same with start and end: {figure}", parts, lambda part, a=ours, b=theirs: with_quartiles(ratios(part, a, b, "whole"), 2)))
    return lines


def table_of_rates(results, of, first):
    parts = measured(results)
    return top(first, parts) + [row(said, parts, lambda part, name=name: with_quartiles(rates(part, name, of))) for name, said in NAMES.items()]


def table_of_starts(results):
    parts = measured(results)

    def say(part, name):
        turns = part["turns"].get(name)
        if not turns:
            return "not measured"
        start, memory, first = (summary([turn[key] for turn in turns])[0] for key in ("start", "memory", "memory_first_process"))
        return f"{start:.1f} s; {memory / 2**20:.0f} MiB ({first / 2**20:.0f})"

    return top("start; most memory of all processes (of the first)", parts) + [row(said, parts, lambda part, name=name: say(part, name))
                                                                               for name, said in NAMES.items()]


def table_of_stages(results):
    """Of batchcam's time from the first photo to the last map: medians of what its run.json says."""
    parts, lines = measured(results), []
    for name in ("batchcam", "batchcam_bf16"):
        for stage in ("decode", "compute", "write"):
            def say(part, name=name, stage=stage):
                found = summary([turn["stages"][stage] / turn["work"] for turn in part["turns"].get(name, []) if stage in turn.get("stages", {})])
                return f"{100 * found[0]:.0f} %" if found else "not known"
            lines.append(row(f"{NAMES[name]}: {stage}", parts, say))
    return top("share of the time", parts) + lines


def notes(results):
    lines = []
    for name, part in results["parts"].items():
        lines += [f"- {title(name)}, {NAMES[peer]}: {say_verdict(verdict)}" for peer, verdict in part["agreed"].items()]
    lines.append("")
    for name, part in results["parts"].items():
        lines += [f"- {title(name)}, {NAMES[peer]}, photos a second: {say_tried(tried)}" for peer, tried in part["tried"].items()]
    lines.append("")
    lines += [f"- {title(name)}: {count} photos, {rounds} round{'' if rounds == 1 else 's'}" for name, part in measured(results).items()
              for count, rounds in {(turns[0]["photos"], len(turns)) for turns in part["turns"].values() if turns}]
    return lines + [f"- {title(name)}: {note}" for name, part in results["parts"].items() for note in part["notes"]]


def write_markdown(results, path):
    kept.write_markdown(path, ["# Photos to saved maps, batchcam on the CPU beside its peers", "",
                               "Written by `bench/end_to_end.py`; every turn is in `pipeline-cpu.csv`.", "", *head(results)],
                        (("Figures", table_of_figures(results)),
                         ("Rates", table_of_rates(results, "work", "photos a second from the first photo to the last map, median (quartiles)")),
                         ("Rates of whole processes", table_of_rates(results, "whole", "photos a second from the process's start to its end")),
                         ("Starts and memory", table_of_starts(results)), ("Where batchcam's time goes", table_of_stages(results)),
                         ("Held against each other, settings tried (the fastest is taken), notes", notes(results))))


BEGIN, END = "<!-- end_to_end.py writes from here -->", "<!-- to here, end_to_end.py -->"


def renew(results, path):
    kept.renew(path, BEGIN, END, [*head(results), "", *table_of_figures(results)])


# ---- CSV ----

def write_csv(results, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("part", "contestant", "round", "photos", "start_seconds", "work_seconds", "whole_seconds", "memory", "memory_first_process",
                         "memory_setting", "workers_threads_batch", "machine", "commit", "date"))
        for name, part in measured(results).items():
            for peer, turns in part["turns"].items():
                setting = best(part["tried"].get(peer, {})) or ("", "")
                writer.writerows((name, peer, number, turn["photos"], *(f"{turn[key]:.3f}" for key in ("start", "work", "whole")), turn["memory"],
                                  turn["memory_first_process"], *(text.replace(",", " ") for text in setting), results["machine"], part["commit"],
                                  part["date"]) for number, turn in enumerate(turns))
