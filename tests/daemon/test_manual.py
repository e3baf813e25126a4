"""The man pages and the bash completion name the options, signals and exit codes that exist, and no others."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

import daemon_process

PACKAGING = Path(__file__).parents[2] / "packaging"
sys.path.append(str(PACKAGING / "man"))
from options import with_options  # noqa: E402: it is a tool of the man pages
README = (PACKAGING.parent / "README.md").read_text()


def page(name):
    """Its text without scdoc's marks: `*--listen*` is `--listen`, `PREFORKD\\_\\*` is `PREFORKD_*`."""
    text = (PACKAGING / "man" / f"{name}.scd").read_text()
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)\*", "", text))


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def section(text, heading):
    return re.split(r"\n##? ", text.partition(f"# {heading}\n")[2])[0]


def first_column(table):
    """Of a table of scdoc's: `[[ TERM, QUIT`, then `|  INT`."""
    return [cell for row in re.findall(r"^(?:\[\[|\|) +(.*)", table, re.MULTILINE) for cell in row.split(", ")]


@pytest.fixture
def help_of(run_preforkd, preforkctl):
    return {"preforkd": run_preforkd("--help").stdout, "preforkctl": preforkctl("--help").stdout}


@pytest.mark.parametrize("name, program", [("preforkd.8", "preforkd"), ("preforkctl.1", "preforkctl")])
def test_a_page_has_the_options_of_its_program(help_of, name, program):
    assert options_in(page(name)) == options_in(help_of[program])


@pytest.mark.parametrize("name", ["preforkd.conf.5", "preforkd-handler.3"])
def test_a_page_names_no_option_that_does_not_exist(help_of, name):
    assert options_in(page(name)) - {"--cflags", "--libs", "--deploy-hook", "--standalone", "--unix-socket",
                                 "--inetd", "--base-path", "--export-all"} <= options_in(help_of["preforkd"])


def test_a_missing_option_is_found(help_of):
    assert options_in(page("preforkd.8").replace("--umask", "")) != options_in(help_of["preforkd"])


def test_the_page_says_of_each_option_what_the_table_in_the_code_says(help_of):
    written = (PACKAGING / "man" / "preforkd.8.scd").read_text()
    assert with_options(written, help_of["preforkd"]) == written, \
        "run packaging/man/options.py build/release/preforkd packaging/man/preforkd.8.scd"


@pytest.mark.parametrize("before, after", [("(default: 30s)", "(default: 31s)"), ("--umask OCTAL", "--umask NUMBER"),
                                           ("      --umask OCTAL", "      --umasks OCTAL")])
def test_an_option_that_the_page_tells_wrong_is_found(help_of, before, after):
    written = (PACKAGING / "man" / "preforkd.8.scd").read_text()
    assert before in help_of["preforkd"]
    assert with_options(written, help_of["preforkd"].replace(before, after)) != written


def test_the_signals_are_those_of_the_readme_and_of_the_help(help_of):
    in_page = first_column(section(page("preforkd.8"), "SIGNALS"))
    in_readme = re.findall(r"\b[A-Z]+[12]?\b(?=[A-Z12, ]* \|)", section(README, "Signals"))
    in_help = re.findall(r"\b(?:TERM|QUIT|INT|HUP|USR1|USR2|TTIN|TTOU)\b", help_of["preforkd"].partition("\nSignals")[2])
    assert set(in_page) == set(in_readme) == set(in_help) and in_page


def test_the_exit_codes_are_those_of_the_readme_and_of_the_help(help_of):
    in_page = first_column(section(page("preforkd.8"), "EXIT STATUS"))
    in_help = re.findall(r"\b\d+(?= )", help_of["preforkd"].partition("\nExit codes:")[2])
    assert in_page == re.findall(r"^\| (\d+) \|", section(README, "Exit codes"), re.MULTILINE) == in_help and in_page


def test_the_keys_of_an_endpoint_are_those_of_the_help(help_of):
    in_help = re.findall(r"^  ([a-z0-9-]+)=", help_of["preforkd"], re.MULTILINE)
    in_page = re.findall(r"(?:^\[\[|^\||,) +([a-z0-9-]+)=", page("preforkd.8"), re.MULTILINE)
    assert sorted(in_page) == sorted(in_help) and in_page


def test_the_example_of_a_configuration_is_valid(run_preforkd, tmp_path):
    (tmp_path / "example.conf").write_text(section(page("preforkd.conf.5"), "EXAMPLE").replace("```", ""))
    done = run_preforkd("--config", str(tmp_path / "example.conf"), "--check-config")
    assert (done.returncode, done.stdout) == (0, "configuration is valid\n"), done.stderr


def test_the_packaged_configuration_shows_the_defaults(run_preforkd, tmp_path):
    packaged = (PACKAGING / "conf" / "preforkd.conf").read_text()
    settings = re.findall(r"^#([a-z-]+ = .*)$", packaged, re.MULTILINE)
    (tmp_path / "all.conf").write_text("\n".join(settings))
    shown = {line.split("  # ")[0] for line in run_preforkd("--config", str(tmp_path / "all.conf"), "--print-config")
             .stdout.splitlines()}
    usual = run_preforkd("--print-config").stdout
    for setting in settings:
        name, _, value = setting.partition(" = ")
        value = value.replace("60s", "1m")
        assert f"{name} = {value}" in shown and (f"{name} = {value}" in usual or f"# {name} =" in usual), setting


# --- completion -----------------------------------------------------------------------------------------------------------

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def complete(program, *words, **how):
    """What bash offers behind `program WORD... LAST`; behind a colon only the rest, since it ends a word there."""
    binary = getattr(daemon_process, program.upper())
    script = """
        source "$1"; source "$2"; shift 2
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        "_$PROGRAM" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", script, "bash", BASH_COMPLETION, PACKAGING / "completion" / program, binary,
                           *words], env=daemon_process.clean_environment({"PROGRAM": program}), capture_output=True,
                          text=True, timeout=20, **how)
    assert done.stderr == ""
    return set(done.stdout.split())


needs_completion = pytest.mark.skipif(not BASH_COMPLETION.exists(), reason="bash-completion is not installed")


@needs_completion
@pytest.mark.parametrize("program", ["preforkd", "preforkctl"])
def test_every_option_is_completed(help_of, program):
    assert complete(program, "--") == options_in(help_of[program])


@needs_completion
def test_values_are_completed():
    assert {"greet", "echo"} <= complete("preforkd", "--handler", "")
    assert complete("preforkd", "--model", "s") == {"serial"}
    assert complete("preforkctl", "se") == {"send"}
    assert "/etc/passwd" in complete("preforkctl", "import", "/etc/passw")


@needs_completion
@pytest.mark.parametrize("words, wanted", [
    (["status", "--"], {"--json", "--watch", "--control", "--instance", "--timeout", "--help", "--version"}),
    (["--json", "status", "--"], {"--watch", "--control", "--instance", "--timeout", "--help", "--version"}),
    (["send", ":7", "--timeout=3s", "--verbose", "--"],
     {"--expect", "--no-reply", "--ca", "--cert", "--key", "--servername", "--alpn", "--proxy", "--proxy-source", "--insecure", "--help", "--version"}),
    (["certificate", "localhost", "--"], {"--days", "--out", "--help", "--version"}),
    (["--timeout", "3s", "r"], {"ready", "reload"}), (["status", "r"], set())])
def test_a_command_is_offered_its_own_options_each_once(words, wanted):
    assert complete("preforkctl", *words) == wanted


@needs_completion
def test_the_daemon_is_offered_an_option_once_but_listen():
    offered = complete("preforkd", "--handler", "echo", "--listen", ":7", "--workers=2", "--")
    assert "--listen" in offered and "--model" in offered and not {"--handler", "--workers"} & offered


@needs_completion
def test_endpoints_and_objects_are_offered_as_they_are_accepted(tmp_path):
    for name in ("one.sock", "two.so"):
        (tmp_path / name).touch()
    for program, words in (("preforkctl", ["status"]), ("preforkd", [])):
        assert {"unix:///", "unix://@"} <= complete(program, *words, "--control", "")
        assert complete(program, *words, "--control", f"unix://{tmp_path}/o") == {f"//{tmp_path}/one.sock"}
    for option in ("--ca", "--cert", "--key", "--out"):
        assert complete("preforkctl", option, "tw", cwd=tmp_path) == {"two.so"}
    assert "off" in complete("preforkd", "--control", "") and "off" not in complete("preforkctl", "--control", "")
    assert complete("preforkd", "--listen", f"unixgram://{tmp_path}/o") == {f"//{tmp_path}/one.sock"}
    assert {"./two.so", "echo"} <= complete("preforkd", "--handler", "", cwd=tmp_path)
    assert complete("preforkd", "--handler", "./t", cwd=tmp_path) == {"./two.so"}
    assert "cat" in complete("preforkd", "--workers", "2", "--", "ca")
