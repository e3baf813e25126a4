"""Every line of the log is understood without its fields, which journalctl and systemctl status hide: each log() call names
its fields in its sentence, but for what is mere context."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SOURCES = sorted(file for folder in ("common", "daemon", "packaging/examples") for file in (ROOT / folder).rglob("*.[ch]pp"))

# What a sentence may leave to its field: which line it is, not what has happened.
CONTEXT = {"worker", "generation", "listener", "passed", "child_pid", "last_peer", "out_of_memory", "user_seconds",
           "system_seconds", "max_rss_bytes"}

# Whose sentences are put together from pieces, with everything in them.
BUILT = {"daemon/master/pool/queue_watch.cpp", "daemon/worker/process/stack_report.cpp"}

STRING = r'"(?:[^"\\]|\\.)*"'


def closing(text, opening):
    """Where the bracket that opens at `opening` closes."""
    depth = 0
    for token in re.finditer(STRING + r"|'(?:[^'\\]|\\.)'|[(){}\[\]]", text[opening:]):
        depth += (token[0] in "({[") - (token[0] in ")}]") if len(token[0]) == 1 else 0
        if depth == 0:
            return opening + token.start()
    raise ValueError(f"unbalanced: {text[opening:opening + 80]}")


def arguments(text):
    """`text` at the commas that stand in no bracket and no string."""
    parts, depth, start = [], 0, 0
    for token in re.finditer(STRING + r"|'(?:[^'\\]|\\.)'|[(){}\[\],]", text):
        if token[0] == "," and depth == 0:
            parts.append(text[start:token.start()])
            start = token.end()
        elif len(token[0]) == 1:
            depth += (token[0] in "({[") - (token[0] in ")}]")
    return [part.strip() for part in (*parts, text[start:])]


def calls(source):
    """(line number, sentence, fields) of each log() call."""
    source = re.sub(r"//.*", "", source)
    for match in re.finditer(r"(?<![\w.>])log\(", source):
        end = closing(source, match.end() - 1)
        level, *rest = arguments(source[match.end():end])
        if "LogLevel" in level and "LogLevel level" not in level or level == "level":
            yield source.count("\n", 0, match.start()) + 1, rest[0], rest[1] if len(rest) > 1 else ""


def flaw(sentence, fields):
    """What is wrong with a call, if anything is."""
    alternatives = ["".join(re.findall(STRING, group)) for group in re.findall(rf"{STRING}(?:\s*{STRING})*", sentence)]
    names = set(re.findall(r'\{\s*"(\w+)",', fields))
    if not fields:
        named = [name for each in alternatives for name in re.findall(r"\{([a-z]\w*)\}", each)]
        return f"placeholders without fields: {named}" if named else None
    if not alternatives or re.search(r"format\(|\+", re.sub(STRING, "", sentence)):
        return "the sentence is no literal"
    for each in alternatives:
        placeholders = set(re.findall(r"\{([a-z]\w*)\}", each))
        if placeholders - names:
            return f"placeholders without a field: {sorted(placeholders - names)}"
        if names - placeholders - CONTEXT:
            return f"not in the sentence: {sorted(names - placeholders - CONTEXT)}"
    return None


def flaws(files):
    return [f"{file}:{line}: {found}: {sentence}" for file in files if str(file.relative_to(ROOT)) not in BUILT
            for line, sentence, fields in calls(file.read_text()) if (found := flaw(sentence, fields))]


def test_every_line_is_understood_without_its_fields():
    assert sum(len(list(calls(file.read_text()))) for file in SOURCES) > 100
    assert flaws(SOURCES) == []


@pytest.mark.parametrize("call, found", [
    ('log(LogLevel::Error, "reload failed", {{"cause", why}});', "not in the sentence"),
    ('log(ok ? LogLevel::Info : LogLevel::Error, ok ? "a {x}" : "b", {{"x", f(1, "}")}});', "not in the sentence"),
    ('log(LogLevel::Info, "cause: {casue}", {{"cause", why}});', "placeholders without a field"),
    ('log(LogLevel::Info, "cause: {cause}");', "placeholders without fields"),
    ('log(level, sentence, {{"cause", why}});', "no literal"),
    ('log(LogLevel::Info, "from " + peer, {{"listener", where}});', "no literal"),
])
def test_a_line_that_needs_its_fields_is_found(call, found):
    (_, sentence, fields), = calls(call)
    assert found in flaw(sentence, fields)


def test_context_may_stay_in_its_field():
    (_, sentence, fields), = calls('log(LogLevel::Info, "got {a} "\n  "and {b}", {{"a", a}, {"b", b}, {"listener", l}});')
    assert flaw(sentence, fields) is None
