#!/usr/bin/python3
"""Writes into a man page what each option is: the heading and first paragraph of its entry in OPTIONS are those of
--help, which is printed from the table in the code.  What stands below the first paragraph is written by hand.

    packaging/man/options.py build/release/preforkd packaging/man/preforkd.8.scd
"""
import pathlib
import re
import subprocess
import sys
import textwrap


def options_in(help_text):
    """(letter, name, argument, meaning, default) of each line of --help that has an option."""
    joined = re.sub(r"\n {30,}", "  ", help_text.partition("\nEndpoints:")[0])
    found = re.findall(r"^  (?:-(\w),|   ) --([a-z-]+)(?: (\S+))?  +(.*)$", joined, re.MULTILINE)
    for letter, name, argument, text in found:
        meaning, _, default = re.sub(r"  +", " ", text).removesuffix(")").partition(" (default: ")
        yield letter, name, argument, meaning, default


def marked(text):
    """In scdoc's marks: options bold, nothing else taken for a mark."""
    text = re.sub(r"([\\_*])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*|`[^`]+`)", lambda word: f"*{word[1].strip('`')}*", text)


def heading(letter, name, argument):
    parts = re.findall(r"[A-Z]+|[a-z]+|[^A-Za-z]+", argument)
    shape = "".join(f"_{part}_" if part.isupper() else f"*{part}*" if part.isalpha() else part for part in parts)
    return (f"*-{letter}*, " if letter else "") + f"*--{name}*" + (f" {shape}" if argument else "")


def entry(letter, name, argument, meaning, default):
    text = marked(meaning[0].upper() + meaning[1:]) + "." + (f" Default: {marked(default)}." if default else "")
    lines = textwrap.wrap(text, 76, break_long_words=False, break_on_hyphens=False)
    return heading(letter, name, argument) + "\n" + "".join(f"\t{line}\n" for line in lines)


def with_options(page, help_text):
    """The page, its entries brought up to date; an option that has none gets one at the end of OPTIONS."""
    before, title, rest = page.partition("# OPTIONS\n")
    options, end, after = re.split(r"(\n# )", rest, maxsplit=1)
    for option in options_in(help_text):
        new = entry(*option)
        old = re.compile(rf"^(?:\*-\w\*, )?\*--{option[1]}\*(?: .*)?\n(?:\t.*\n)+", re.MULTILINE)
        if old.search(options):
            options = old.sub(lambda _: new, options, count=1)
        else:
            options += "\n" + new
    return before + title + options + end + after


def main(program, page):
    help_text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    file = pathlib.Path(page)
    file.write_text(with_options(file.read_text(), help_text))


if __name__ == "__main__":
    main(*sys.argv[1:])
