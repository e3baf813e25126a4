"""What a case yields, and how much work it may put into it."""
import dataclasses
import statistics


@dataclasses.dataclass
class Effort:
    """How much is measured."""
    quick: bool
    starts: int  # how often each server is started afresh
    turns: int  # of each server after a start
    connections: int  # per turn
    round_trips: int  # per turn
    samples: int  # of start, respawn
    sequential: int  # connections to an idle pool
    sequential_rounds: int
    pool_sizes: tuple
    idle_connections: int
    idle_seconds: int


FULL = Effort(quick=False, starts=3, turns=15, connections=600, round_trips=20_000, samples=21, sequential=10_000,
              sequential_rounds=3, pool_sizes=(2, 8, 32, 128), idle_connections=100_000, idle_seconds=60)
QUICK = Effort(quick=True, starts=1, turns=9, connections=400, round_trips=5_000, samples=7, sequential=2_000,
               sequential_rounds=1, pool_sizes=(2, 32), idle_connections=8_000, idle_seconds=3)


@dataclasses.dataclass
class Figure:
    """A line of the table.  `limit` holds for `ratio` if there is one, else for `value`."""
    name: str
    unit: str
    value: float
    peers: dict = dataclasses.field(default_factory=dict)  # label: value
    ratio: float = None  # to the peer it is judged by
    limit: float = None
    steady: bool = True  # a clock that others on the machine slow down is not: then a quick run does not judge it
    note: str = ""
    samples: dict = dataclasses.field(default_factory=dict)

    def met(self, margin=1.0):
        judged = self.value if self.ratio is None else self.ratio
        return self.limit is None or judged <= self.limit * margin

    def missed(self, margin, quick):
        return not self.met(margin) and (self.steady or not quick)


def is_ours(label):
    return label.startswith("preforkd")


def medians(samples):
    return {label: statistics.median(values) for label, values in samples.items() if values}


def peers_of(samples):
    return {label: value for label, value in medians(samples).items() if not is_ours(label)}


def median_ratio(ours, theirs):
    """Of turns of the same round, so that what disturbs the machine for a second disturbs both sides."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs) if other > 0)


def compared(name, unit, samples, limits, judge="raw C", steady=True):
    """A figure for each way preforkd was started, beside its peers.  `limits`: of the ratio to `judge`, by label's
    end, "" being any."""
    values, peers = medians(samples), peers_of(samples)
    for label in values:
        if not is_ours(label):
            continue
        limit = next((limits[end] for end in sorted(limits, key=len, reverse=True) if label.endswith(end)), None)
        ratio = median_ratio(samples[label], samples[judge]) if judge in samples else None
        yield Figure(name=f"{name}, {label.removeprefix('preforkd ')}", unit=unit, value=values[label], peers=peers,
                     ratio=ratio, limit=limit if ratio is not None else None, steady=steady, samples=dict(samples))


def judged_by_value(name, unit, samples, limit, steady=True):
    """The same, judged by what preforkd itself needs."""
    values, peers = medians(samples), peers_of(samples)
    for label in values:
        if is_ours(label):
            model = label.removeprefix("preforkd ").split(",")[0]
            yield Figure(name=f"{name}, {model}", unit=unit, value=values[label], peers=peers, limit=limit,
                         steady=steady, samples=dict(samples))
