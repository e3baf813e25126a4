"""What the compiler says of mistakes that an author of a handler makes, in its first line."""
import subprocess

import pytest

from built_handlers import pkg_config, run

PROGRAM = """#include <preforkd/preforkd.hpp>
%s
int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Mine>("mine")); }
"""
SERVE = "void serve(preforkd::BlockingConnection&) override {}"
CO_SERVE = "preforkd::awaitable<void> serve(preforkd::Connection& client) override {%s}"


def blocking(members):
    return "struct Mine : preforkd::BlockingHandler { %s };" % members


@pytest.mark.parametrize("code, sentence", [
    (blocking(""), "the handler class lacks serve()"),
    (blocking("void serve(preforkd::BlockingConnection&) const {}"), "the handler class lacks serve()"),
    (blocking("explicit Mine(int) {}" + SERVE), "without arguments or from const preforkd::HandlerOptions&"),
    ("struct Mine { void serve(preforkd::BlockingConnection&) {} };", "a handler class derives publicly from StreamHandler"),
    ("struct Mine : private preforkd::BlockingHandler { %s };" % SERVE, "a handler class derives publicly from StreamHandler"),
    ("struct Mine : preforkd::StreamHandler { " + CO_SERVE % 'client.write("no co_await"); co_return;' + " };", "ignoring return value"),
    (blocking(SERVE), None)])
def test_a_mistake_is_named(prefix, tmp_path, code, sentence):
    source = tmp_path / "mine.cpp"
    source.write_text(PROGRAM % code)
    flags = run("pkg-config", "--cflags", "preforkd", env=pkg_config(prefix)).split()
    done = subprocess.run(["g++", "-std=c++20", "-fsyntax-only", "-Werror=unused-result", source, *flags],
                          capture_output=True, text=True, timeout=300)
    errors = [line for line in done.stderr.splitlines() if " error: " in line]
    assert sentence in errors[0] if sentence else not errors, done.stderr
