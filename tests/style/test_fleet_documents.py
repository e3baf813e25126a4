"""What README.md says of the fleet is what its tests tell."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().partition("\n## More than one machine\n")[2].partition("\n## ")[0]
TOLD = {claim for file in (ROOT / "tests/fleet").glob("test_*.py")
        for claim in re.findall(r'\btold\("([^"]+)", "([^"]+)"', file.read_text())}


def claims_in(section):
    """(what happens, who is lost) of each row."""
    return set(re.findall(r"^\| (?!-|what )([^|]+?) \| ([^|]+?) \|", section, re.MULTILINE))


def test_every_claim_in_the_readme_is_a_line_of_the_tests():
    claims = claims_in(SECTION)
    assert len(claims) > 10 and claims - TOLD == set()
    assert TOLD - claims == set(), "what is told there is shown to everybody"


def test_a_claim_without_a_test_is_found():
    assert claims_in("| what happens | who is lost |\n|---|---|\n| a flood | nobody |\n") - TOLD == {("a flood", "nobody")}


def test_who_asks_for_a_fleet_that_is_not_there_is_told_in_a_line():
    """Or that this machine can have none; who has one is answered."""
    told = subprocess.run([sys.executable, ROOT / "tests/fleet/run.py", "status"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0 or re.fullmatch(r"dev: \S.*\n", told.stderr), told.stderr


PAGES = [ROOT / "packaging" / name / "README.md" for name in ("swarm", "haproxy", "kubernetes", "keepalived")]
COMMENTED = [*(ROOT / "packaging/swarm").glob("*.y*ml"), *(ROOT / "packaging/haproxy").glob("*.cfg")]


def missing(text, folder):
    """Links and files of packaging/ that are named there, and do not exist."""
    links = {folder / link for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)}
    files = {ROOT / path for path in re.findall(r"(?<![\w./-])packaging/[\w./-]*\w", text)}
    return sorted(str(path) for path in links | files if not path.exists())


def test_what_the_pages_of_a_fleet_name_exists():
    assert all(page.exists() for page in PAGES)
    assert [name for page in [*PAGES, *COMMENTED] for name in missing(page.read_text(), page.parent)] == []


def test_a_file_that_does_not_exist_is_found():
    assert len(missing("see [it](nowhere.md), or docker stack deploy --compose-file packaging/swarm/none.yaml x", PAGES[0].parent)) == 2
