"""Time against peak RSS as an SVG: one point an allocator, one panel a workload, the geometric means first.

Both axes are ratios to the oracle on a logarithmic scale, the same in every panel: left and down is better, and the
lines at 1.00 are the best peer of all in each measure. What lies beyond the scale stands at its edge, as a ring.
"""
import html
import math

from .allocators import OURS

LOWEST, HIGHEST = 0.5, 16.0
TICKS = [0.5, 1, 2, 4, 8, 16]
COLUMNS, PANEL, MARGIN, HEAD = 5, 190, 34, 26
# Distinct for most kinds of colour blindness, ours apart from the others by size and outline as well.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#b8a400", "#6a3d9a",
           "#a6761d", "#1b9e77", "#666666"]
OUR_COLOUR = "#000000"


def place(ratio):
    """From 0 to 1 along the axis, and whether it is within the scale."""
    position = math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)
    return min(max(position, 0.0), 1.0), LOWEST <= ratio <= HIGHEST


def points_of(figures):
    """Panels as (title, {allocator: (RSS ratio, time ratio)}), the means first."""
    means = {name: (figures.geometric_mean("peak RSS", name), figures.geometric_mean("time", name))
             for name in figures.allocators}
    panels = [("geometric mean", means)]
    for workload in figures.workloads:
        panels.append((workload, {name: (figures.ratio("peak RSS", workload, name),
                                         figures.ratio("time", workload, name)) for name in figures.allocators}))
    return [(title, {name: pair for name, pair in points.items() if None not in pair}) for title, points in panels]


def colours(figures):
    others = [name for name in figures.allocators if name != OURS]
    return {OURS: OUR_COLOUR, **{name: COLOURS[i % len(COLOURS)] for i, name in enumerate(others)}}


def point(left, top, pair, colour, name):
    (across, within_x), (up, within_y) = place(pair[0]), place(pair[1])
    radius = 5 if name == OURS else 3.5
    fill = colour if within_x and within_y else "none"
    said = f"{html.escape(name)}: time {pair[1]:.2f}, peak RSS {pair[0]:.2f}"
    return (f'<circle cx="{left + across * PANEL:.1f}" cy="{top + (1 - up) * PANEL:.1f}" r="{radius}" fill="{fill}" '
            f'stroke="{colour}" fill-opacity="0.8"><title>{said}</title></circle>')


def panel(left, top, title, points, palette):
    lines = [f'<text x="{left}" y="{top - 6}" class="title">{html.escape(title)}</text>',
             f'<rect x="{left}" y="{top}" width="{PANEL}" height="{PANEL}" class="frame"/>']
    for tick in TICKS:
        offset = place(tick)[0] * PANEL
        kind = "one" if tick == 1 else "grid"
        across, up = left + offset, top + PANEL - offset
        lines += [f'<line x1="{across:.1f}" y1="{top}" x2="{across:.1f}" y2="{top + PANEL}" class="{kind}"/>',
                  f'<line x1="{left}" y1="{up:.1f}" x2="{left + PANEL}" y2="{up:.1f}" class="{kind}"/>',
                  f'<text x="{across:.1f}" y="{top + PANEL + 11}" class="tick">{tick:g}</text>',
                  f'<text x="{left - 4}" y="{up + 3:.1f}" class="side">{tick:g}</text>']
    ordered = sorted(points, key=lambda name: name == OURS)  # ours is drawn last, on top
    return lines + [point(left, top, points[name], palette[name], name) for name in ordered]


def svg(figures, about):
    palette, panels = colours(figures), points_of(figures)
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * (PANEL + MARGIN) + MARGIN, HEAD * 3 + rows * (PANEL + MARGIN + HEAD)
    style = ("text{font:11px sans-serif;fill:#222}.title{font-weight:bold}.tick{font-size:8px;text-anchor:middle}"
             ".side{font-size:8px;text-anchor:end}.frame{fill:#fff;stroke:#888}.grid{stroke:#eee}.one{stroke:#aaa}")
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
             f"<style>{style}</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>',
             f'<text x="{MARGIN}" y="18">Time (up) against peak RSS (right), as ratios to the best peer of each '
             f'workload; {html.escape(about)}</text>']
    for index, name in enumerate(palette):
        if name not in figures.allocators:
            continue
        left = MARGIN + index * 105
        lines += [f'<circle cx="{left + 5}" cy="36" r="5" fill="{palette[name]}"/>',
                  f'<text x="{left + 14}" y="40">{html.escape(name)}</text>']
    for index, (title, points) in enumerate(panels):
        left = MARGIN + index % COLUMNS * (PANEL + MARGIN)
        top = HEAD * 3 + index // COLUMNS * (PANEL + MARGIN + HEAD)
        lines += panel(left, top, title, points, palette)
    return "\n".join(lines + ["</svg>"]) + "\n"
