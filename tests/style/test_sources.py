"""Sources are formatted, public headers stand alone, and the scripts and documents agree with what exists."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CXX_FILES = sorted(file for folder in ("common", "daemon", "packaging/examples", "tests") for file in (ROOT / folder).rglob("*.[ch]pp"))
PUBLIC_HEADERS = sorted((ROOT / "common/include").rglob("*.hpp"))
DOCUMENTS = [ROOT / "README.md", ROOT / "daemon/README.md"]


def misformatted(files) -> set:
    """file:line of what clang-format would change."""
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
    return set(re.findall(r"^(\S+:\d+):\d+: error:", done.stderr, re.MULTILINE))


def test_every_source_is_formatted():
    assert CXX_FILES and misformatted(CXX_FILES) == set(), "run ./dev format"


def test_a_misformatted_source_is_found(tmp_path):
    (tmp_path / ".clang-format").write_text((ROOT / ".clang-format").read_text())
    (tmp_path / "planted.cpp").write_text("int  main( ){return 0 ;}\n")
    assert misformatted([tmp_path / "planted.cpp"]) == {f"{tmp_path}/planted.cpp:1"}


def compiles_alone(header: pathlib.Path) -> subprocess.CompletedProcess:
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{ROOT}/common/include"]
    return subprocess.run(["g++", *flags, "-x", "c++", "-include", header, "/dev/null"], capture_output=True, text=True)


@pytest.mark.parametrize("header", PUBLIC_HEADERS, ids=[header.name for header in PUBLIC_HEADERS])
def test_a_public_header_compiles_alone(header):
    verdict = compiles_alone(header)
    assert verdict.returncode == 0, verdict.stderr


def test_a_header_that_needs_another_is_found(tmp_path):
    (tmp_path / "planted.hpp").write_text("#pragma once\nstd::string forgotten_include();\n")
    assert compiles_alone(tmp_path / "planted.hpp").returncode != 0


COSTLY_HEADERS = {"stream.hpp"}  # seconds of a compiler's time, for those who name them


def test_the_umbrella_header_has_every_public_header_that_costs_little():
    headers = ROOT / "common" / "include" / "preforkd"
    included = re.findall(r'^#include "preforkd/(.*)"$', (headers / "preforkd.hpp").read_text(), re.MULTILINE)
    assert sorted(included) == sorted({header.name for header in headers.iterdir()} - {"preforkd.hpp", "test.hpp"} - COSTLY_HEADERS), \
        "test.hpp is no service's"


def dev(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "dev", *arguments], capture_output=True, text=True)


def dev_commands_in(text: str) -> set:
    return set(re.findall(r"\./dev +([a-z]+)", text))


def dev_commands() -> set:
    return set(re.findall(r"^  ([a-z]+)", dev("help").stdout, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(file.relative_to(ROOT)) for file in DOCUMENTS])
def test_every_dev_command_in_a_document_exists(document):
    assert dev_commands_in(document.read_text()) <= dev_commands()


def test_a_dev_command_that_does_not_exist_is_found():
    assert not dev_commands_in("Then type `./dev dance`.") <= dev_commands()


def test_ci_runs_only_what_the_readme_names():
    readme = (ROOT / "README.md").read_text()
    run_by_ci = re.findall(r"^(?:exec )?(\./\S+ \S+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert run_by_ci and all(command in readme for command in run_by_ci)


def test_every_file_on_the_map_exists():
    named = re.findall(r"`([\w.]+/[\w./]+)`", (ROOT / "daemon/README.md").read_text())
    places = [place for place in named if (ROOT / place).exists() or any((ROOT / "daemon").glob(f"{place}*"))]
    assert len(named) > 40 and sorted(set(named) - set(places)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(file.relative_to(ROOT)) for file in DOCUMENTS])
def test_every_path_that_a_document_links_to_exists(document):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("flaw", ["class a_pool {};", "class Pool { int size = 0; };", "enum class Phase { starting };"])
def test_clang_tidy_holds_the_naming_rules(tmp_path, flaw):
    (tmp_path / ".clang-tidy").write_text((ROOT / ".clang-tidy").read_text())
    (tmp_path / "planted.cpp").write_text(flaw + "\n")
    command = ["clang-tidy", "-quiet", tmp_path / "planted.cpp", "--", "-std=c++20"]
    assert "[readability-identifier-naming" in subprocess.run(command, capture_output=True, text=True).stdout


# Words that this project used for what others call listener, acceptor, handoff, job, history, notifier, capacity.
PRIVATE_WORDS = re.compile(r"(?<![a-z])(rooms?|seats?|errands?|vigils?|youngs?|bells?|gates?|receptions?|ears?|keepers?)(?![a-z])", re.IGNORECASE)


def private_words(text):
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return {match.lower() for match in PRIVATE_WORDS.findall(apart)}


def test_no_private_words_are_used():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split()] or [*CXX_FILES, *DOCUMENTS]  # a copy of the tree is no checkout
    here = pathlib.Path(__file__)
    found = {str(file.relative_to(ROOT)): words for file in files if file != here and file.is_file()
             and (words := private_words(str(file.relative_to(ROOT)) + " " + file.read_text(errors="ignore")))}
    assert found == {}


def test_a_private_word_is_found():
    assert private_words("class WorkerSeat; stop_bell_; // no room\n") == {"seat", "bell", "room"}
    assert private_words("mushroom, bedroom, aggregate, year, surrogate") == set()


def test_the_linker_script_names_files_that_exist():
    """The linker passes over what it does not find."""
    script = (ROOT / "daemon/worker/model/child_path.ld").read_text()
    named = set(re.findall(r"libpreforkd\.a:(\w+\.cpp)\.o\(", script))
    assert named <= {file.name for file in CXX_FILES}
    assert named >= {file.name for file in (ROOT / "daemon/handlers").glob("*.cpp")}
