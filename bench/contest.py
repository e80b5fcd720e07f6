"""Contestants, as bench/bench.h describes them: started, warmed up, run in turns. Standard library only."""
import json
import os
import queue
import random
import statistics
import subprocess
import threading
import time


class Failed(Exception):
    """A contestant that cannot go on; the message says why."""


class Contestant:
    """A program that says what it is, and then how many images it did in how many seconds."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.facts = name, {}
        self.log = open(log, "ab")
        self.log.write((" ".join(command) + "\n").encode())
        self.log.flush()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env={**os.environ, **(environment or {})}, start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def hear(self, seconds):
        """The next line that is a JSON object."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise Failed(f"{self.name} said nothing for {seconds:.0f} seconds") from None
            if line is None:
                raise Failed(f"{self.name} ended with status {self.process.wait()}; see its log")
            self.log.write(line)
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                if "error" in said:
                    raise Failed(f"{self.name}: {said['error']}")
                return said

    def ready(self, seconds):
        self.facts = self.hear(seconds)
        return self

    def go(self, seconds):
        """-> images, seconds."""
        try:
            self.process.stdin.write(f"go {seconds}\n".encode())
            self.process.stdin.flush()
        except OSError as problem:
            raise Failed(f"{self.name} is gone ({problem}); see its log") from None
        said = self.hear(seconds + 90)
        return said["images"], said["seconds"]

    def maps(self, pixels, out, seconds=120):
        """A peer makes the maps of PIXELS.npy into OUT.npz (bench/peers/common.py)."""
        self.process.stdin.write(f"maps {pixels} {out}\n".encode())
        self.process.stdin.flush()
        self.hear(seconds)

    def peak_memory(self):
        """The most memory that was resident at once, in bytes; None where the system does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
                return next((1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM")), None)
        except OSError:
            return None

    def end(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.log.close()


def interleave(contestants, rounds, seconds, seed, note, budget=None, least=3, warm=True):
    """Each round all of them in another order -> {name: [images a second, ...]}; one that fails is left out from then on and noted.
    Fewer rounds, but not below `least`, where another one would take it past `budget` seconds. `warm`: one more round first, which does not count."""
    order, going = random.Random(seed), list(contestants)
    rates, begin, longest = {c.name: [] for c in contestants}, time.monotonic(), 0
    for number in range(-1 if warm else 0, rounds):
        at = time.monotonic()
        if budget and number >= least and at - begin + longest > budget:
            break
        order.shuffle(going)
        for c in list(going):
            try:
                images, took = c.go(seconds if number >= 0 else min(seconds, 0.3))
            except Failed as problem:
                going.remove(c)
                rates[c.name] = []
                note(str(problem))
                continue
            if number >= 0:
                rates[c.name].append(images / took)
        longest = max(longest, time.monotonic() - at)
    return rates


def summary(rates):
    """-> median, lower and upper quartile, of the rounds; None for none."""
    if not rates:
        return None
    if len(rates) < 2:
        return rates[0], rates[0], rates[0]
    low, middle, high = statistics.quantiles(rates, n=4, method="inclusive")
    return middle, low, high


def milliseconds(command, count, environment=None):
    """Of a process, from its start to its end."""
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        child = os.posix_spawnp(command[0], command, {**os.environ, **(environment or {})},
                                file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
        _, status = os.waitpid(child, 0)
        found.append(1e3 * (time.perf_counter() - begin))
        if status:
            raise Failed(f"{os.path.basename(command[0])} ended with status {os.waitstatus_to_exitcode(status)}")
    return {"median": statistics.median(found), "least": min(found), "most": max(found), "count": count}
