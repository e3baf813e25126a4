"""RLIMIT_NOFILE: raised once, for the benchmark and all it starts, and what it does not allow even then."""
import resource

MOST = 1 << 20  # of a limit of a billion, some peers would close every descriptor one by one before they start
SPARE = 500  # what a process has open beside what a case counts


def raise_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MOST)), hard))


def limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lacking(needed):
    """Why no process can have so many, or nothing."""
    return "" if limit() >= needed + SPARE else f"RLIMIT_NOFILE is {limit()}, needed are {needed + SPARE}"


def lacking_for_pool(workers):
    """A master has two for each worker, a pipe's end and a handle on the process."""
    return lacking(2 * workers)
