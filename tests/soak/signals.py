"""The command while it is stopped, killed, or nobody listens: what it says, its exit status, and a folder that is valid.

    signals.py COMMAND DATA [--photos N] [NAME ...]

Nothing here waits for a fixed time: a signal is sent when the command is seen to be where it should hit (a handler in place, rows in
the index).
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

try:
    import photos
    import reading
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

PHOTOS = 20000  # more than one thread explains in a few seconds: the first rows are seen after one
FEW = 300
PATIENCE = 120  # seconds for anything to be seen, on a machine that is busy


def seen(what, look, child, every=0.001):
    """Waits until it can be seen; the command must still be running."""
    last = time.monotonic() + PATIENCE
    while not look():
        assert child.poll() is None, f"the command ended with {child.returncode} before {what}"
        assert time.monotonic() < last, f"{what} was not seen"
        time.sleep(every)


def catches(child, number, field="SigCgt"):
    with open(f"/proc/{child.pid}/status") as status:
        mask = next((line.split()[1] for line in status if line.startswith(field)), "0")
    return int(mask, 16) >> (number - 1) & 1


def rows_in(out):
    try:
        with sqlite3.connect(f"file:{out}/index.sqlite?mode=ro", uri=True, timeout=0) as db:
            return db.execute("SELECT count(*) FROM images").fetchone()[0]
    except sqlite3.Error:
        return 0


class Case:
    def __init__(self, command, data, folder, expected):
        self.command, self.data, self.folder, self.expected = command, data, folder, expected
        self.out = folder / "out"
        self.order = sorted(expected)  # folders have names of one length, so that this is the list's own order

    def line(self, *options):
        return [str(self.command), "run", str(self.data / "model.onnx"), str(self.folder / "photos"), "-o", str(self.out),
                "--size", "native", "--preset", "torchvision", "--device", "cpu", *options]

    def start(self, *options, shell=None, few=False, **files):
        """The slow way: one thread and batches of a few photos. `shell`: redirections that Python cannot make."""
        shutil.rmtree(self.out, ignore_errors=True)
        line = self.line("--threads", "1", "--batch", "4", *options, *(["--limit", str(FEW)] if few else []))
        if shell:
            line = ["sh", "-c", f'exec "$@" {shell}', "sh", *line]
        files = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **files}
        self.child = subprocess.Popen(line, text=True, **files)
        return self.child

    def has_rows(self, child):
        seen("the first rows", lambda: rows_in(self.out) > 0, child, 0.02)

    def check(self, status):
        """The folder is valid; returns its rows, which are those of the first photos."""
        run = reading.Run(self.out)
        rows = reading.check_run(run, self.expected, status)
        assert [row[1] for row in rows] == self.order[: len(rows)], "the rows are not those of the first photos"
        run.close()
        return len(rows)

    def ended(self, child, status, words=""):
        output, errors = child.communicate(timeout=PATIENCE)
        assert child.returncode == status, f"ended with {child.returncode}, not {status}: {errors}"
        assert words in (errors or ""), f"'{words}' is not in: {errors}"
        return output, errors

    def stopped(self, child, least):
        output, errors = self.ended(child, 75, "stopped after ")
        said = re.search(r"stopped after (\d+) of (\d+) photos; what was written is valid\n", errors)
        done, total = map(int, said.groups())
        assert total == len(self.expected) and least <= done < total, errors
        assert self.check("stopped") == done, errors
        return output

    def stops(self, number):
        child = self.start("--json", "--quiet")
        self.has_rows(child)
        child.send_signal(number)
        lines = [json.loads(line) for line in self.stopped(child, 1).splitlines()]
        summary, error = lines[-2:]
        assert summary["message_type"] == "summary" and summary["stopped"] is True, summary
        assert summary["images"] == rows_in(self.out), summary
        assert error["message_type"] == "error" and error["code"] == "E_STOPPED" and error["exit_status"] == 75, error

    # ---- the cases ----

    def interrupt(self):
        self.stops(signal.SIGINT)

    def terminate(self):
        self.stops(signal.SIGTERM)

    def before_the_first_photo(self):
        child = self.start()
        seen("a handler", lambda: catches(child, signal.SIGTERM), child)
        child.send_signal(signal.SIGTERM)
        self.stopped(child, 0)

    def a_second_one_kills(self):
        for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)):
            for _ in range(20):  # the batch in hand may end between the two
                child = self.start("--batch", "512")
                self.has_rows(child)
                child.send_signal(first)
                while child.poll() is None and catches(child, second):
                    pass
                child.send_signal(second)
                child.communicate(timeout=PATIENCE)
                if child.returncode == -second:
                    break
                assert child.returncode == 75, child.returncode
            else:
                raise AssertionError("the second signal never came in time")
            assert self.check("running") > 0

    def what_was_killed_is_replaced(self):
        child = self.start()
        self.has_rows(child)
        child.kill()
        child.communicate()
        self.check("running")
        again = subprocess.run(self.line("--overwrite", "--limit", str(FEW), "--quiet"), capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        self.complete()

    def in_the_background(self):
        """A shell without job control starts it with SIGINT ignored: Ctrl-C is meant for what runs in front."""
        child = self.start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        seen("a handler", lambda: catches(child, signal.SIGTERM), child)
        assert catches(child, signal.SIGINT, "SigIgn") and not catches(child, signal.SIGINT)
        child.send_signal(signal.SIGINT)
        self.has_rows(child)
        child.send_signal(signal.SIGTERM)
        self.stopped(child, 1)

    def complete(self):
        first = self.order[:FEW]
        run = reading.Run(self.out)
        reading.check_run(run, {path: self.expected[path] for path in first})
        run.close()

    def nobody_reads_the_output(self):
        """batchcam run ... | head: the run goes on, and says at the end that something did not arrive."""
        read, write = os.pipe()
        os.close(read)
        for options in ((), ("--json", "--quiet")):
            self.ended(self.start(*options, few=True, stdout=write), 1, "could not write to standard output")
            self.complete()
        self.ended(self.start(few=True, stderr=write), 0)
        self.complete()
        self.ended(self.start(few=True, stdout=write, stderr=write), 1)
        self.complete()
        child = self.start("--json", stdout=write)
        self.has_rows(child)
        child.send_signal(signal.SIGTERM)
        self.stopped(child, 1)
        os.close(write)

    def closed_from_the_start(self):
        """Files that are opened must not get the place of what was closed, or messages would be written into them."""
        for shell, status in ((">&-", 1), ("2>&-", 0), (">&- 2>&-", 1), ("<&- >&- 2>&-", 1)):
            self.ended(self.start("--json", shell=shell, few=True), status)
            self.complete()


CASES = ["interrupt", "terminate", "before_the_first_photo", "a_second_one_kills", "what_was_killed_is_replaced",
         "in_the_background", "nobody_reads_the_output", "closed_from_the_start"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--photos", type=int, default=PHOTOS)
    args = parser.parse_intermixed_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="batchcam-"))
    failed = 0
    try:
        case = Case(args.command.resolve(), args.data.resolve(), folder, photos.make(folder, args.data, args.photos, 1))
        for name in args.names or CASES:
            started = time.monotonic()
            try:
                getattr(case, name)()
                print(f"{name}: as it should be ({time.monotonic() - started:.1f} s)", flush=True)
            except (AssertionError, OSError, sqlite3.Error, subprocess.TimeoutExpired) as why:
                print(f"{name}: {why}", flush=True)
                case.child.kill()
                case.child.wait()
                failed += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
