"""The commands of README.md that begin with ./dev fleet, as they stand there."""
import subprocess

from hosts import ROOT

README = (ROOT / "README.md").read_text()
LINES = [line for line in README.splitlines() if line.startswith("./dev fleet ")]


def test_the_commands_of_the_readme_answer_as_it_says(fleet):
    first, *others, last = LINES
    assert (first, last) == ("./dev fleet up", "./dev fleet down"), "which are run before all tests, and after them"
    assert others
    for line in others:
        command, _, answer = line.partition("  # ")
        done = subprocess.run(["sh", "-c", command], cwd=ROOT, text=True, timeout=300, stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert answer in done.stdout, (command, done.stdout)
