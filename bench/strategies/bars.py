#!/usr/bin/env python3
"""The bars that the library's strategies are held to, each measured in one run of strategies_benchmark; losses first.

Prints a table in Markdown, as in docs/benchmarks/strategies.md. Times are medians of processor time, of repetitions
that are interleaved; where a bar is another figure of the run, what is allowed for noise stands beside it. That a
cache is never a byte beyond its bound is for tests (cache_stress_test), whose oracle is malloc.

  bench/strategies/bars.py [--repetitions 3] [--min-time 0.1] [--check] [--quick] PATH_OF_strategies_benchmark

--quick measures each for a moment, of few objects and one stream: whether all of it runs, and not how fast.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys

FILTERS = [
    r"^arena/(tenure|std_monotonic)$|^pair/(tenure_fixed_pool|malloc_free)$|^secret/|^shared/tenure"
    r"|^cache_hit/(tenure_adaptive|sharded_mutex_lru)/10000/threads:(1|16)$"
    r"|^cache_mix/(tenure_adaptive|sharded_mutex_lru)/10000/threads:(1|16)$"
    r"|^intern/known/(tenure_interner|asking_alone)/"
    r"|^reference/copy/threads/(plain_increment|tenure_rc|tenure_arc|tenure_brc|std_shared_ptr)$",
]
ONCE = [r"^destroy/(tenure_object_pool|one_word_written|delete)/", r"^ratio/"]
ONCE_QUICK = [r"^destroy/(tenure_object_pool|one_word_written|delete)/(1000|10000)/",
              r"^ratio/turning_500/(adaptive|lru|lirs)/"]
SIZES = [1000, 10_000, 100_000, 1_000_000, 10_000_000]


def run(program, pattern, options):
    command = [program, f"--benchmark_filter={pattern}", "--benchmark_format=json", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return [one for one in json.loads(done.stdout)["benchmarks"] if one["run_type"] == "iteration"]


class Figures:
    """What was measured, by the name of a benchmark without the notes that follow it."""

    def __init__(self, measured):
        self.runs = {}
        for one in measured:
            self.runs.setdefault(re.sub(r"/(iterations|min_time|real_time)\b.*", "", one["name"]), []).append(one)

    def median(self, name, what="cpu_time"):
        return statistics.median(one[what] for one in self.runs[name])

    def has(self, name):
        return name in self.runs

    def each_ns(self, name):
        return self.median(name, "each") * 1e9

    def percents(self, kind):
        """Of each policy, by name."""
        prefix = f"ratio/{kind}/"
        return {name[len(prefix) :]: self.median(name, "percent") for name in self.runs if name.startswith(prefix)}

    def kinds(self):
        return sorted({name.split("/")[1] for name in self.runs if name.startswith("ratio/")})


def pools(of):
    yield "arena, ns an object", "1.0", f"{of.each_ns('arena/tenure'):.2f}", of.each_ns("arena/tenure") <= 1.0
    pair = of.median("pair/tenure_fixed_pool")
    yield "`fixed_pool`, ns a pair", "2.5", f"{pair:.2f}", pair <= 2.5
    shared = {count: of.median(f"shared/tenure_object_pool/threads:{count}") for count in (1, 2, 4, 8, 16)}
    told = ", ".join(f"{shared[count]:.1f}" for count in shared)
    yield "`object_pool` shared by 1, 2, 4, 8, 16 threads, ns a pair", "5", told, max(shared.values()) <= 5
    flat = max(shared[count] for count in (2, 4, 8, 16)) / min(shared[count] for count in (2, 4, 8, 16))
    yield "the same, slowest of 2 to 16 threads against quickest", "flat: 1.25", f"{flat:.2f}", flat <= 1.25
    sizes = [count for count in SIZES if of.has(f"destroy/tenure_object_pool/{count}")]
    ended = {count: of.each_ns(f"destroy/tenure_object_pool/{count}") for count in sizes}
    written = {count: of.each_ns(f"destroy/one_word_written/{count}") for count in sizes}
    told = ", ".join(f"{ended[count]:.1f}" for count in sizes)
    is_flat = max(ended.values()) <= 1.5 * min(ended.values())
    what = f"`object_pool`, destroy in random order, of 1,000 to {sizes[-1]:,} objects, ns each"
    yield what, "flat: 1.5 times", told, is_flat
    told = ", ".join(f"{written[count]:.1f}" for count in sizes)
    is_near = all(ended[count] <= 3 * written[count] + 5 for count in sizes)
    yield "the same, and one word written in each: what memory takes", "a third, less 5", told, is_near
    secret = of.median("secret/tenure_secure")
    yield "`secure`, ns a secret", "100", f"{secret:.1f}", secret <= 100


def caches(of):
    hit = {count: of.median(f"cache_hit/tenure_adaptive/10000/threads:{count}") for count in (1, 16)}
    yield "cache hit, 1 thread, ns", "60", f"{hit[1]:.1f}", hit[1] <= 60
    yield "cache hit, 16 threads, ns", f"{hit[1]:.1f} and a tenth", f"{hit[16]:.1f}", hit[16] <= hit[1] * 1.1
    mixed = of.median("cache_mix/tenure_adaptive/10000/threads:16")
    maps = of.median("cache_mix/sharded_mutex_lru/10000/threads:16")
    yield "get, and put where it was missed, 16 threads, ns", f"{maps:.0f} (16 maps)", f"{mixed:.0f}", mixed <= maps
    worst = (100.0, "")
    for kind in of.kinds():
        percents = of.percents(kind)
        best = max(hits for name, hits in percents.items() if name != "adaptive")
        worst = min(worst, (percents["adaptive"] - best, kind.replace("_", ", capacity ")))
    told = f"{worst[0]:+.2f} ({worst[1]})"
    yield "adaptive against the best single policy, points, worst of all streams", "-1", told, worst[0] >= -1
    turning = of.percents("turning_500")
    told = f"{turning['adaptive']:.1f} (LRU {turning['lru']:.1f})"
    yield "adaptive where recency turns to loops and back, percent", "40", told, turning["adaptive"] >= 40


def references(of):
    copy = {name: of.median(f"reference/copy/threads/{name}") for name in
            ("plain_increment", "tenure_rc", "tenure_arc", "tenure_brc", "std_shared_ptr")}
    plain, shared, third = copy["plain_increment"], copy["std_shared_ptr"], copy["tenure_arc"] / 3
    rc, arc, brc = copy["tenure_rc"], copy["tenure_arc"], copy["tenure_brc"]
    yield "`rc` copied and let go of, ns", f"{plain:.2f} (increments) and a tenth", f"{rc:.2f}", rc <= plain * 1.1
    yield "`arc`, ns", f"{shared:.2f} (shared_ptr) and a twentieth", f"{arc:.2f}", arc <= shared * 1.05
    yield "`brc`, unshared, ns", f"{third:.2f} (a third of arc)", f"{brc:.2f}", brc <= third
    for count in (1000, 100_000):
        for threads in (1, 2, 16):
            known = of.median(f"intern/known/tenure_interner/{count}/threads:{threads}")
            asking = of.median(f"intern/known/asking_alone/{count}/threads:{threads}")
            what = f"`interner`, one of {count:,} known strings, {threads} threads, ns"
            yield what, "25", f"{known:.1f} (asking alone {asking:.1f})", known <= 25


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", default=None, help="3")
    parser.add_argument("--min-time", default=None, help="seconds each: 0.1")
    parser.add_argument("--check", action="store_true", help="end with 1 where one does not hold")
    parser.add_argument("--quick", action="store_true", help="only that all of it runs")
    parser.add_argument("program")
    given = parser.parse_args()
    repetitions = given.repetitions or ("1" if given.quick else "3")
    min_time = given.min_time or ("0.001" if given.quick else "0.1")
    often = [f"--benchmark_repetitions={repetitions}", f"--benchmark_min_time={min_time}",
             "--benchmark_enable_random_interleaving=true"]
    measured = [one for pattern in FILTERS for one in run(given.program, pattern, often)]
    measured += [one for pattern in (ONCE_QUICK if given.quick else ONCE) for one in run(given.program, pattern, [])]
    of = Figures(measured)
    rows = sorted([*pools(of), *caches(of), *references(of)], key=lambda row: row[3])
    print("| what | bar | measured | holds |\n|---|---|---|---|")
    for what, bar, value, holds in rows:
        print(f"| {what} | {bar} | {value} | {'yes' if holds else '**no**'} |")
    lost = sum(not row[3] for row in rows)
    print(f"\n{len(rows) - lost} of {len(rows)} hold.")
    return 1 if given.check and lost else 0


if __name__ == "__main__":
    sys.exit(main())
