#!/usr/bin/python3
"""Writes into a man page what each metric is, from what a daemon tells at /metrics: the section METRICS.

    printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' | nc -U SOCKET | packaging/man/metrics.py packaging/man/preforkd.8.scd
"""
import pathlib
import re
import sys
import textwrap

TITLE = "## Metrics\n"


def metrics_in(told):
    """(name, kind, help, labels) of each family, in their order."""
    for name, text, kind, samples in re.findall(
            r"^# HELP (\S+) (.*)\n# TYPE \1 (\S+)\n((?:[^#\n].*\n?)+)", told.replace("\r", ""), re.MULTILINE):
        labels = re.findall(r'(?<=[{,])([a-z_]+)(?==")', samples.splitlines()[0])
        yield name, kind, text, [label for label in labels if label != "le"]


def entry(name, kind, text, labels):
    head = "*{}*{}, {}".format(name.replace("_", "\\_"), "{" + ",".join(f"_{label}_" for label in labels) + "}" if labels else "", kind)
    return head + "\n" + "".join(f"\t{line}\n" for line in textwrap.wrap(text.replace("_", "\\_"), 76, break_on_hyphens=False))


def with_metrics(page, told):
    before, title, rest = page.partition(TITLE)
    assert title, "the page has no section for metrics"
    section, end, after = re.split(r"(\n# )", rest, maxsplit=1)
    new = {name: entry(name, *metric) for name, *metric in metrics_in(told)}
    # What there was none of yet is not told, and stays as it is.
    old = re.findall(r"^\*preforkd(?:\\_[a-z]+)+\*.*\n(?:\t.*\n)+", section, re.MULTILINE)
    kept = [each for each in old if each[1:].partition("*")[0].replace("\\_", "_") not in new]
    return before + title + "\n" + "\n".join([*new.values(), *kept]) + end + after


if __name__ == "__main__":
    file = pathlib.Path(sys.argv[1])
    file.write_text(with_metrics(file.read_text(), sys.stdin.read()))
