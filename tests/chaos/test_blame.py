"""The judge of a chaos run: it finds what it has to find, and forgives nothing else."""
from blame import acquit
from load import Visit


def took(pid, name, when, listener="tcp://x:1"):
    return {"message": f"got connection from {name}", "listener": listener, "pid": pid, "time": f"1970-01-01T00:00:{when:06.3f}Z"}


def broken(name, began, ended, outcome="reset"):
    return Visit("echo", "tcp://x:1", float(began), name, outcome, ended=float(ended))


def unexplained(visits, strikes, entries):
    return [visit for visit, _ in acquit(visits, strikes, entries)[1]]


def test_a_connection_that_a_killed_worker_held_is_explained():
    assert not unexplained([broken("a:1", 10, 20)], [(15.0, 7)], [took(7, "a:1", 11)])


def test_a_connection_of_a_sibling_is_not():
    visit = broken("a:1", 10, 20)
    assert unexplained([visit], [(15.0, 8)], [took(7, "a:1", 11)]) == [visit]


def test_a_connection_that_broke_before_the_kill_is_not():
    visit = broken("a:1", 10, 14)
    assert unexplained([visit], [(15.0, 7)], [took(7, "a:1", 11)]) == [visit]


def test_an_earlier_client_of_the_same_address_has_nothing_to_do_with_it():
    visit = broken("a:1", 30, 40)
    assert unexplained([visit], [(35.0, 7)], [took(7, "a:1", 11), took(8, "a:1", 31)]) == [visit]


def test_nor_has_a_later_one_of_another_listener():
    entries = [took(7, "a:1", 11), took(8, "a:1", 12, "tcp://y:2")]
    assert not unexplained([broken("a:1", 10, 20)], [(15.0, 7)], entries)


def test_a_kill_explains_one_client_that_nobody_has_on_record():
    visits = [broken("a:1", 10, 20), broken("a:2", 10, 20)]
    assert unexplained(visits, [(15.0, 7)], []) == visits[1:]
    assert unexplained(visits[:1], [(25.0, 7)], []) == visits[:1]


def test_a_kill_never_explains_a_refusal_a_timeout_or_a_wrong_answer():
    for outcome in ("refused", "timed out", "wrong"):
        visit = broken("a:1", 10, 20, outcome)
        assert unexplained([visit], [(15.0, 7)], [took(7, "a:1", 11)]) == [visit]
