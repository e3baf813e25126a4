"""The code that preforkd-handler(3) shows is compiled, as an author would copy it."""
import re
from pathlib import Path

import pytest

from built_handlers import pkg_config, run

PAGE = (Path(__file__).parents[2] / "packaging/man/preforkd-handler.3.scd").read_text()

# What a block uses that is its reader's own.
AROUND = """
#include <preforkd/preforkd.hpp>
#include <string>
#include <boost/asio.hpp>
using preforkd::Model;
std::string read(const std::string& file);
double ask_the_bank();
std::string select(std::string_view line);
extern std::string id;
extern int ms;
void show(std::string_view text);
struct Answering : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override;
};
struct Mine : preforkd::StreamHandler {
    double rates_ = 0;
    preforkd::Worker* worker_ = nullptr;
};
"""


def compilable(block):
    """In a place where such a thing may stand: a program, members of a class, statements."""
    if re.search(r"^(struct|class|int main)\b", block, re.MULTILINE):
        return block
    if re.search(r"\boverride\b|^static\b|^preforkd::awaitable", block, re.MULTILINE):
        return f"struct Member : Mine {{ {block} }};"
    return f"inline void statements() {{ {block} }}"


def test_the_code_of_the_page_compiles(prefix, tmp_path):
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    parts = [f"namespace block_{number} {{\n{compilable(re.sub('^#include.*', '', block, flags=re.MULTILINE))}\n}}"
             for number, block in enumerate(blocks)]
    includes = sorted(set(re.findall(r"^#include.*", PAGE, re.MULTILINE)))
    source = tmp_path / "page.cpp"
    source.write_text("\n".join([*includes, AROUND, *parts]))
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()
    run("g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", source, *flags)


def test_what_the_synopsis_needs_is_included_and_a_sign_is_no_character():
    [synopsis] = re.findall(r"^# SYNOPSIS\n\n```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert "#include <cctype>\n" in synopsis and "std::toupper(static_cast<unsigned char>(c))" in synopsis


def test_each_level_of_the_log_is_named():
    header = (Path(__file__).parents[2] / "common/include/preforkd/log.hpp").read_text()
    levels = re.search(r"enum class LogLevel \{ (.*) \};", header)[1].split(", ")
    assert f"LogLevel::{', '.join(levels[:-1])} and {levels[-1]}." in PAGE


@pytest.mark.parametrize("block, place", [("static constexpr int a = 1;", "struct Member"), ("int a = f();", "inline void"),
                                          ("struct A {};", "struct A")])
def test_a_block_is_put_where_it_may_stand(block, place):
    assert compilable(block).startswith(place)
