"""What the daemon offers to a shared object is what the public headers declare: no less, and nothing else."""
import re
import subprocess
from pathlib import Path

import pytest

import daemon_process

HEADERS = "\n".join(header.read_text() for header in Path(__file__).parents[2].glob("common/include/preforkd/*.hpp"))
PRINTABLE = set(re.findall(r" to_string\((?:const )?(\w+)", HEADERS))  # every part overloads it for its own types
FOR_PROGRAMS = {"run", "Server", "Handlers", "builtin_handlers"}  # who calls these links the library
pytestmark = pytest.mark.programs("nm")


def names_in(header):
    """Of what it declares in the namespace itself; clang-format has all of that in the first column."""
    types = re.findall(r"^(?:class|struct|enum class) (\w+)\b[^;{]*\{", header, re.MULTILINE)
    functions = re.findall(r"^(?!using|template|static_assert)[\[\w].*?\b(\w+(?:>>)?)\(", header, re.MULTILINE)
    return {*types, *functions}


def symbols(file, *options):
    """The kind that nm(1) sees in each, and its name as C++ spells it."""
    listed = subprocess.run(["nm", "--demangle", "--defined-only", *options, file], capture_output=True, text=True, check=True)
    return [(kind, name) for _, kind, name in re.findall(r"^([0-9a-f]+) (\w) (.*)$", listed.stdout, re.MULTILINE)]


def name_of(symbol):
    """Class or free function: `Connection` of `preforkd::Connection::write(...)`; None of what is not ours."""
    found = re.match(r"(?:(?:vtable|typeinfo|typeinfo name) for )?preforkd::(\w+(?:>>)?)", symbol)
    return found and found[1]


def is_public(symbol, names):
    text_of = re.match(r"preforkd::to_string(?:\[abi:\w+\])?\(([^ ,)]*)", symbol)
    return name_of(text_of[1]) in PRINTABLE if text_of else name_of(symbol) in names


def test_a_shared_object_can_use_every_public_name_and_no_other():
    """socketserver's MiscTestCase.test_all: `__all__` has the module's public names."""
    names = names_in(HEADERS) - FOR_PROGRAMS
    offered = {name for _, name in symbols(daemon_process.PREFORKD, "--dynamic") if name_of(name)}
    compiled = {name for kind, name in symbols(daemon_process.BUILD / "libpreforkd.a")
                if kind == "T" and is_public(name, names)}  # what is inline is in the shared object itself
    assert len(compiled) > 20
    assert sorted(compiled - offered) == [], "missing in cmake/handler_symbols.list"
    assert sorted(name for name in offered if name_of(name) not in names) == [], "nobody's business"


def test_names_are_found_in_a_header():
    assert names_in("""
class Forward;
enum class Level { Low };
class Box : public Base {
    int member(int each);
};
[[nodiscard]] std::string text_of(const Box& box);
void shut(Box& box,
          bool quietly) noexcept;
template <class Class>
struct Pair {
""") == {"Level", "Box", "text_of", "shut", "Pair"}
