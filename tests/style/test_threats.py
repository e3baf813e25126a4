"""Of each thing that preforkd(8) says somebody cannot do, it names tests that show it, and they exist."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
SECURITY = (ROOT / "packaging/man/preforkd.8.scd").read_text().partition("\n# SECURITY\n")[2].partition("\n# ")[0]
EXISTING = {name for file in (ROOT / "tests").rglob("test_*.py")
            for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)}


def claims(section):
    """{what nobody can do: the tests that show it}, from its tables: `|  CLAIM`, and below it `:  TEST, TEST`."""
    rows = re.findall(r"^\| +(.*)\n: +(.*)$", section, re.MULTILINE)
    return {claim: set(re.findall(r"\btest_\w+", shown)) for claim, shown in rows}


def unfounded(section, existing):
    """Claims without a test, and names that are no test's."""
    found = claims(section)
    return [claim for claim, tests in found.items() if not tests] + sorted(set().union(*found.values()) - existing)


def test_everybody_is_told_of():
    assert re.findall(r"^## (.*)", SECURITY, re.MULTILINE) == [
        "A client on the network", "A worker that was taken over", "A local user",
        "The author of a handler or a program"]


def test_what_nobody_can_do_is_shown_by_tests_that_exist():
    assert len(claims(SECURITY)) > 20
    assert unfounded(SECURITY, EXISTING) == []


def test_a_claim_without_a_test_is_found():
    table = "[[ *It cannot*\n:< *shown by*\n|  fly\n:  test_that_it_cannot_fly\n|  swim\n:  nothing\n"
    assert unfounded(table, {"test_that_it_cannot_fly"}) == ["swim"]
    assert unfounded(table, set()) == ["swim", "test_that_it_cannot_fly"]
