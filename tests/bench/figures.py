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
    idle_pool_sizes: tuple
    idle_connections: int
    idle_seconds: int


FULL = Effort(quick=False, starts=3, turns=15, connections=600, round_trips=20_000, samples=21, sequential=10_000,
              sequential_rounds=3, pool_sizes=(2, 8, 32, 128), idle_pool_sizes=(2, 8, 32, 128), idle_connections=100_000, idle_seconds=60)
QUICK = Effort(quick=True, starts=1, turns=9, connections=400, round_trips=5_000, samples=7, sequential=2_000,
               sequential_rounds=1, pool_sizes=(2, 32), idle_pool_sizes=(8,), idle_connections=8_000, idle_seconds=3)


QUICK_MARGIN = 1.5  # few rounds on a machine that others use: only what is clearly wrong fails


@dataclasses.dataclass
class Figure:
    """A line of the table.  `limit` holds for `ratio` if there is one, else for `value`."""
    name: str
    unit: str
    value: float  # None: not measured, `missing` says why
    peers: dict = dataclasses.field(default_factory=dict)  # label: value
    ratio: float = None  # to the peer it is judged by
    limit: float = None
    steady: bool = True  # a clock that others on the machine slow down is not: then a quick run does not judge it
    slack: float = 0  # what a quick run grants beyond its margin: of a limit of nothing, none is wide
    missing: str = ""  # what the measurement would have needed
    note: str = ""
    samples: dict = dataclasses.field(default_factory=dict)

    @property
    def judged(self):
        return self.value if self.ratio is None else self.ratio

    def verdict(self, quick):
        """Empty if there is no limit.  `near` and `not judged` are the leniency of a quick run."""
        if self.missing:
            return f"not measured: {self.missing}"
        if self.limit is None:
            return ""
        if self.judged <= self.limit:
            return "ok"
        if quick and not self.steady:
            return "not judged"
        return "near" if quick and self.judged <= self.limit * QUICK_MARGIN + self.slack else "MISS"


def not_measured(name, unit, limit, why):
    """A limit that this machine cannot judge has its line all the same, or nobody would miss it."""
    return Figure(name=name, unit=unit, value=None, limit=limit, missing=why)


def number(value):
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def is_ours(label):
    return label.startswith("preforkd")


def medians(samples):
    return {label: statistics.median(values) for label, values in samples.items() if values}


def peers_of(samples):
    return {label: value for label, value in medians(samples).items() if not is_ours(label)}


def median_ratio(ours, theirs):
    """Of turns of the same round, so that what disturbs the machine for a second disturbs both sides."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def beside(name, readings, peer, limit, steady=True):
    """What preforkd needs without the lingering close, as a ratio to a peer that need not be there."""
    for label in readings:
        if not (is_ours(label) and label.endswith("linger=off")):
            continue
        name_of_both = f"{name}, {label.removeprefix('preforkd ')} / {peer}"
        if peer in readings:
            yield Figure(name=name_of_both, unit="", value=median_ratio(readings[label], readings[peer]), limit=limit,
                         steady=steady)
        else:
            yield not_measured(name_of_both, "", limit, f"no {peer}")


def compared(name, unit, samples, limits, judge="raw C", **how):
    """A figure for each way preforkd was started, beside its peers.  `limits`: of the ratio to `judge`, by label's
    end, "" being any.  `how`: further fields of the figures."""
    values, peers = medians(samples), peers_of(samples)
    for label in values:
        if not is_ours(label):
            continue
        limit = next((limits[end] for end in sorted(limits, key=len, reverse=True) if label.endswith(end)), None)
        ratio = median_ratio(samples[label], samples[judge]) if judge in samples else None
        yield Figure(name=f"{name}, {label.removeprefix('preforkd ')}", unit=unit, value=values[label], peers=peers,
                     ratio=ratio, limit=limit if ratio is not None else None, samples=dict(samples), **how)


def judged_by_value(name, unit, samples, limit, **how):
    """The same, judged by what preforkd itself needs."""
    values, peers = medians(samples), peers_of(samples)
    for label in values:
        if is_ours(label):
            model = label.removeprefix("preforkd ").split(",")[0]
            yield Figure(name=f"{name}, {model}", unit=unit, value=values[label], peers=peers, limit=limit,
                         samples=dict(samples), **how)
