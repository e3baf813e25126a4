"""Plots of a case as SVG, written by hand: bars of ratios, and curves."""
import html

from figures import number
from packages import ROOT
from results import replace_file

DIRECTORY = ROOT / "build/bench"
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
COLOUR_OF_VERDICT = {"ok": "#2ca02c", "MISS": "#d62728"}
OURS, OTHERS = "#1f77b4", "#9aa5b1"
LENIENT = "#ff7f0e"  # what only a quick run says
BAR, LABEL_WIDTH, PLOT_WIDTH, NUMBERS_WIDTH = 18, 430, 360, 130
LONGEST = 3  # limits: what misses by more is cut off, or nothing could be read beside it
ABOUT = ""  # of which run a plot is; run.py says


def of_case(name, figures, quick):
    """build/bench/NAME.svg: each figure that has a limit, as its part of that limit."""
    judged = [figure for figure in figures if figure.limit is not None]
    if judged:
        write(name, bars(name, judged, quick))


def remove_old(cases):
    """Those of `cases`, which are about to be made anew; without any, all: a plot of another run must not look like one
    of this."""
    for plot in DIRECTORY.glob("*.svg"):
        if not cases or any(plot.stem == case or plot.stem.startswith(case + "-") for case in cases):
            plot.unlink()


def write(name, svg):
    replace_file(DIRECTORY / f"{name}.svg", svg)


def text(x, y, content, anchor="start", size=12):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{html.escape(content)}</text>'


def line(x1, y1, x2, y2, colour="#bbb", extra=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {extra}/>'


def document(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n" +
            text(width - 6, height - 6, ABOUT, "end", 9) + "\n</svg>\n")


def bars(title, figures, quick=False):
    """Bars to the part of its limit that each figure needs; the line is the limit."""
    top = 52
    shares = [share_of_limit(figure) for figure in figures]
    scale = PLOT_WIDTH / max(1.2, *shares)
    parts = [text(10, 20, f"{title}: the part of the limit that is used", size=14)]
    for index, (figure, share) in enumerate(zip(figures, shares)):
        at = top + index * BAR
        colour = COLOUR_OF_VERDICT.get(figure.verdict(quick), LENIENT)
        parts.append(text(LABEL_WIDTH - 6, at + 12, figure.name, "end", 11))
        if figure.missing:
            parts.append(text(LABEL_WIDTH, at + 12, f"not measured: {figure.missing}", size=10))
            continue
        parts.append(f'<rect x="{LABEL_WIDTH}" y="{at + 2}" width="{share * scale:.1f}" height="{BAR - 5}" '
                     f'fill="{colour}"/>')
        parts.append(text(LABEL_WIDTH + PLOT_WIDTH + 8, at + 12, f"{number(figure.judged)} of {figure.limit:.4g}", size=10))
    at_limit, bottom = LABEL_WIDTH + scale, top + len(figures) * BAR
    parts.append(line(at_limit, top - 4, at_limit, bottom, "black", 'stroke-dasharray="4 3"'))
    parts.append(text(at_limit, top - 8, "limit", "middle", 10))
    return document(LABEL_WIDTH + PLOT_WIDTH + NUMBERS_WIDTH, bottom + 24, parts)


def costs(title, groups):
    """Bars for those who read a README.  `groups`: (heading, {label: microseconds}, {label: why it has none}), each with a
    scale of its own, or what is cheap would not be seen."""
    label_width, height, at = 190, 22, 40
    parts = [text(10, 22, title, size=15)]
    for heading, values, lacking in groups:
        at += 14
        parts.append(text(10, at + 4, heading, size=12))
        at += 14
        scale = PLOT_WIDTH / max(values.values(), default=1)
        for label in sorted(values, key=values.get):
            colour = OURS if label.startswith("preforkd") else OTHERS
            parts.append(text(label_width - 8, at + 14, label, "end", 12))
            parts.append(f'<rect x="{label_width}" y="{at + 3}" width="{values[label] * scale:.1f}" height="{height - 6}" '
                         f'fill="{colour}"/>')
            parts.append(text(label_width + values[label] * scale + 6, at + 14, f"{values[label]:.0f}", size=12))
            at += height
        for label, why in lacking.items():
            parts.append(text(label_width - 8, at + 14, label, "end", 12))
            parts.append(text(label_width, at + 14, why, size=10))
            at += height
    return document(label_width + PLOT_WIDTH + 70, at + 30, parts)


def share_of_limit(figure):
    """0 to LONGEST.  Of a limit of nothing, nothing is used or far too much."""
    if figure.missing:
        return 0
    if figure.limit == 0:
        return 0 if figure.judged <= 0 else LONGEST
    return min(max(figure.judged / figure.limit, 0), LONGEST)


def curves(title, x_name, y_name, series):
    """Lines over a logarithmic x axis.  `series`: {label: [(x, y)]}."""
    import math
    left, top, width, height = 70, 48, 560, 300
    xs = sorted({x for points in series.values() for x, _ in points})
    highest = max(y for points in series.values() for _, y in points) * 1.1 or 1
    low, high = math.log(xs[0]), math.log(xs[-1]) if len(xs) > 1 else math.log(xs[0]) + 1

    def place(x, y):
        return left + (math.log(x) - low) / (high - low) * width, top + height - y / highest * height

    parts = [text(10, 20, title, size=14), text(left + width / 2, top + height + 38, x_name, "middle"),
             text(left, top - 10, y_name, "middle", 11)]
    for step in range(6):
        y = highest * step / 5
        at = place(xs[0], y)[1]
        parts += [line(left, at, left + width, at), text(left - 6, at + 4, f"{y:.3g}", "end", 10)]
    for x in xs:
        parts.append(text(place(x, 0)[0], top + height + 16, f"{x:g}", "middle", 10))
    for index, (label, points) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(x, y) for x, y in sorted(points)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<rect x="{left + width + 14}" y="{top + index * 18}" width="12" height="12" fill="{colour}"/>')
        parts.append(text(left + width + 32, top + 10 + index * 18, label, size=11))
    return document(left + width + 230, top + height + 52, parts)
