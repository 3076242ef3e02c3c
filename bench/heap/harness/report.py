"""What is said about the figures: losses first, then the means, then every number."""
import math
import statistics

from .allocators import OURS

MEBIBYTE = 1024 * 1024
MEASURES = {"time": ("time_seconds", 1, "{:.3f}"), "peak RSS": ("peak_rss_bytes", MEBIBYTE, "{:.1f}")}
UNITS = {"time": "seconds", "peak RSS": "MiB"}


class Figures:
    """Medians and ratios over the samples: samples[workload][allocator] is a list of dictionaries, failures alike."""

    def __init__(self, workloads, allocators, samples, failures):
        self.workloads, self.allocators = workloads, allocators
        self.samples, self.failures = samples, failures
        self.peers = [name for name in allocators if name != OURS]

    def median(self, measure, workload, allocator):
        """None where it failed even once: a time that stands for the rounds it survived would flatter it."""
        taken = self.samples[workload].get(allocator, [])
        if not taken or self.failures[workload].get(allocator):
            return None
        return statistics.median(sample[MEASURES[measure][0]] for sample in taken)

    def spread(self, measure, workload, allocator):
        values = [sample[MEASURES[measure][0]] for sample in self.samples[workload].get(allocator, [])]
        return (max(values) - min(values)) / statistics.median(values) if len(values) > 1 else 0.0

    def oracle(self, measure, workload):
        """The best of all peers, never of Tenure: (value, name), or None where no peer finished."""
        values = [(self.median(measure, workload, peer), peer) for peer in self.peers]
        return min(((value, peer) for value, peer in values if value is not None), default=None)

    def ratio(self, measure, workload, allocator):
        best, own = self.oracle(measure, workload), self.median(measure, workload, allocator)
        return own / best[0] if best and own is not None else None

    def held_out_ratio(self, workload, allocator):
        """In time, with the oracle of each round chosen by the other rounds: the least of many medians that vary is
        less than what the best peer takes, and the more so the noisier the machine. The peer that was best in the
        others says nothing about its luck in this one. None below three rounds, and where anything failed."""
        times = {name: [sample["time_seconds"] for sample in self.samples[workload].get(name, [])]
                 for name in {*self.peers, allocator}
                 if not self.failures[workload].get(name)}
        rounds = len(times.get(allocator, []))
        peers = [name for name in self.peers if len(times.get(name, [])) == rounds]
        if rounds < 3 or not peers:
            return None
        ratios = []
        for one in range(rounds):
            rest = {name: statistics.median(times[name][:one] + times[name][one + 1:]) for name in peers}
            ratios.append(times[allocator][one] / times[min(rest, key=rest.get)][one])
        return statistics.median(ratios)

    def held_out_mean(self, allocator):
        ratios = [self.held_out_ratio(workload, allocator) for workload in self.workloads]
        known = [ratio for ratio in ratios if ratio is not None]
        return math.exp(statistics.fmean(map(math.log, known))) if known else None

    def ratios(self, measure, allocator):
        every = {workload: self.ratio(measure, workload, allocator) for workload in self.workloads}
        return {workload: ratio for workload, ratio in every.items() if ratio is not None}

    def geometric_mean(self, measure, allocator):
        ratios = self.ratios(measure, allocator).values()
        return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios)) if ratios else None


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join("---" for _ in heads) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def shown(value):
    return "–" if value is None else f"{value:.2f}"


def losses(figures):
    lines = ["## Where Tenure loses", ""]
    for measure in MEASURES:
        ratios = sorted(figures.ratios(measure, OURS).items(), key=lambda item: -item[1])
        lost = [(workload, ratio) for workload, ratio in ratios if ratio > 1.05]
        lines.append(f"{measure}, more than 5 % above the oracle, {len(lost)} of {len(ratios)} workloads:")
        lines.append("")
        lines += [f"- {workload} {ratio:.2f} (best: {figures.oracle(measure, workload)[1]})"
                  for workload, ratio in lost]
        lines += [""] if lost else ["- none", ""]
    return lines


def failure_lines(figures):
    lines = []
    for workload in figures.workloads:
        for allocator, said in figures.failures[workload].items():
            lines += [f"- {allocator} on {workload}: {said[0]}" + (f" ({len(said)} times)" if len(said) > 1 else "")]
    return ["## Failures", ""] + (lines or ["- none"]) + [""]


def means(figures):
    rows = []
    for allocator in figures.allocators:
        row = [allocator]
        for measure in MEASURES:
            ratios = figures.ratios(measure, allocator)
            worst = max(ratios.items(), key=lambda item: item[1], default=None)
            row += [shown(figures.geometric_mean(measure, allocator)),
                    f"{worst[0]} {worst[1]:.2f}" if worst else "–"]
        row.insert(2, shown(figures.held_out_mean(allocator)))
        rows.append(row + [f"{len(figures.ratios('time', allocator))} of {len(figures.workloads)}"])
    heads = ["allocator", "time", "held out", "worst in time", "peak RSS", "worst in peak RSS", "workloads"]
    rows.sort(key=lambda row: (row[0] != OURS, figures.geometric_mean("time", row[0]) or math.inf))
    return ["## Geometric means against the oracle", ""] + table(heads, rows) + [""]


def matrix(figures, measure):
    _, scale, form = MEASURES[measure]
    rows = []
    for workload in figures.workloads:
        best = figures.oracle(measure, workload)
        row = [workload, form.format(best[0] / scale) + f" {best[1]}" if best else "–"]
        for allocator in figures.allocators:
            own, ratio = figures.median(measure, workload, allocator), figures.ratio(measure, workload, allocator)
            failed = figures.failures[workload].get(allocator)
            row.append("FAILED" if failed else "–" if own is None else f"{form.format(own / scale)} ({shown(ratio)})")
        rows.append(row)
    title = f"## {measure.capitalize() if measure == 'time' else 'Peak RSS'}, {UNITS[measure]} (ratio to the oracle)"
    return [title, ""] + table(["workload", "oracle"] + figures.allocators, rows) + [""]


def noise(figures):
    spreads = {workload: max(figures.spread("time", workload, allocator) for allocator in figures.allocators)
               for workload in figures.workloads}
    typical = statistics.median(spreads.values()) if spreads else 0
    wild = [f"{workload} {spread:.0%}" for workload, spread in sorted(spreads.items(), key=lambda item: -item[1])
            if spread > 0.25]
    return [f"Spread between rounds, (highest − lowest) / median, of the noisiest allocator of each workload: median "
            f"{typical:.0%}; above 25 %: {', '.join(wild) or 'none'}.", ""]


def burst_lines(bursts):
    """One column leaves out what the program holds before its first block, where that is least; the last ones take
    the blocks at the size that the allocator gave them, and the OS pages that they lie on, without which no allocator
    can do that moves nothing."""
    starts = [said.get("start_rss_bytes", 0) for said in bursts.values() if not isinstance(said, str)]
    own = min(starts, default=0)
    rows = []
    for allocator, said in bursts.items():
        if isinstance(said, str):
            rows.append([allocator, said] + [""] * 8)
            continue
        by_second, live = said["rss_bytes_by_second"], said["live_bytes"]
        cells = [f"{by_second[second] / MEBIBYTE:.0f}" for second in (0, 1, 5, 10)]
        ratios = [f"{(by_second[10] - left_out) / live:.2f}" for left_out in (0, own)]
        at_least = [said.get("usable_bytes"), said.get("touched_page_bytes")]
        rows.append([allocator, f"{live / MEBIBYTE:.0f}"] + cells + ratios +
                    [f"{by_second[10] / one:.2f}" if one else "–" for one in at_least])
    heads = ["allocator", "live MiB", "RSS at once", "1 s", "5 s", "10 s", "RSS / live after 10 s",
             f"without the program's own {own / MEBIBYTE:.1f} MiB", "RSS / usable size of the live blocks",
             "RSS / OS pages they lie on"]
    return ["## Burst: 1 GiB freed, then sleep", ""] + table(heads, rows) + [""]


def overview(figures):
    """One line a workload: Tenure and the oracle, and glibc, which is what a program has without any of them."""
    reference = "glibc" if "glibc" in figures.allocators and OURS in figures.allocators else None
    shown_as = [name for name in (OURS, reference) if name in figures.allocators]
    rows = []
    for workload in sorted(figures.workloads, key=lambda one: -(figures.ratio("time", one, OURS) or 0)):
        row = [workload]
        for measure, (_, scale, form) in MEASURES.items():
            best = figures.oracle(measure, workload)
            row.append(f"{form.format(best[0] / scale)} {best[1]}" if best else "–")
            for allocator in shown_as:
                failed = figures.failures[workload].get(allocator)
                row.append("FAILED" if failed else shown(figures.ratio(measure, workload, allocator)))
        rows.append(row)
    heads = ["workload"]
    for measure in MEASURES:
        heads += [f"{measure}, {UNITS[measure]}: best peer"] + [f"{name} to it" for name in shown_as]
    return table(heads, rows) + [""]


def summary(figures, about, bursts):
    """What fits a terminal and the README: the means, one line a workload with the worst first, and what failed."""
    lines = [about, ""] + means(figures)[2:] + overview(figures)
    if any(figures.failures.values()):
        lines += failure_lines(figures)[2:]
    return "\n".join(lines + (burst_lines(bursts)[2:] if bursts else [])).rstrip() + "\n"


def markdown(figures, about, bursts):
    lines = ["# bench/heap", "", about, ""]
    if OURS in figures.allocators:
        lines += losses(figures)
    lines += failure_lines(figures) + means(figures) + matrix(figures, "time") + matrix(figures, "peak RSS")
    lines += burst_lines(bursts) if bursts else []
    return "\n".join(lines + noise(figures))
