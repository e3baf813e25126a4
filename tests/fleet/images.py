"""Images that no registry is asked for: of this checkout's programs, as its Dockerfile has them, and of Debian's."""
import re
import shutil
from pathlib import Path

from hosts import HOME, ROOT, run

PREFORKD = "preforkd:0.1.0"  # what packaging/swarm/stack.yaml names
NEXT = "preforkd:next"  # the same, as a release after it
HAPROXY = "haproxy:2.6"
PROMETHEUS = "prom/prometheus:v2.42.0"
# What preforkd opens for a moment or for good, without being linked with it; as the Dockerfile has it.
OPENED = ("libsystemd.so.0", "libseccomp.so.2", "libssl.so.3")


def libraries(programs):
    """Each that one of `programs` is linked with, the loader included, where the loader looks for it."""
    told = run("ldd", *programs)
    return sorted(set(re.findall(r"(/\S*\.so\S*) \(0x", told)))


def opened():
    known = run("/sbin/ldconfig", "-p")
    return [re.search(rf"{re.escape(name)} .*=> (\S+)", known)[1] for name in OPENED]


def fill(directory, programs, more=()):
    """Copies `programs`, {place in the image: file}, and what they are linked with to directory/image."""
    shutil.rmtree(directory, ignore_errors=True)
    for place, file in programs.items():
        target = directory / "image" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        run("install", "--strip", file, target)
    for library in {*libraries([*programs.values(), *more]), *more}:
        target = directory / f"image{library}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def preforkd_context(build):
    directory = HOME / "image-preforkd"
    fill(directory, {"usr/sbin/preforkd": build / "preforkd", "usr/bin/preforkctl": build / "preforkctl"}, opened())
    _, _, last_stage = (ROOT / "Dockerfile").read_text().partition("\nFROM scratch\n")
    text, copies = re.subn(r"^COPY --from=build /image /$", "COPY image /", last_stage, flags=re.MULTILINE)
    assert copies == 1, "the last stage of the Dockerfile is another one"
    (directory / "Dockerfile").write_text(f"FROM scratch\n{text}")
    return directory


def debian_context(name, program, dockerfile):
    """An image of a program of Debian's, which is called as the project's own image calls it."""
    directory = HOME / f"image-{name}"
    fill(directory, {program.lstrip("/"): Path(program)})
    (directory / "image/tmp").mkdir()
    (directory / "Dockerfile").write_text(f"FROM scratch\nCOPY image /\n{dockerfile}")
    return directory


HAPROXY_IMAGE = """\
USER 65532:65532
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/sbin/haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
PROMETHEUS_IMAGE = """\
ENTRYPOINT ["/usr/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/data"]
"""


def build_all(host, build):
    """On one host; returns the names of those that all hosts need."""
    context = preforkd_context(build)
    for tag, label in ((PREFORKD, "0.1.0"), (NEXT, "next")):
        host.docker("build", "--quiet", f"--label=org.opencontainers.image.version={label}", f"--tag={tag}", context,
                    env={"DOCKER_BUILDKIT": "0"}, timeout=300)
    for tag, name, program, text in ((HAPROXY, "haproxy", "/usr/sbin/haproxy", HAPROXY_IMAGE),
                                     (PROMETHEUS, "prometheus", "/usr/bin/prometheus", PROMETHEUS_IMAGE)):
        host.docker("build", "--quiet", f"--tag={tag}", debian_context(name, program, text), env={"DOCKER_BUILDKIT": "0"}, timeout=300)
    return [PREFORKD, NEXT, HAPROXY]


def hand_on(host, names, others):
    archive = HOME / "images.tar"
    host.docker("save", "--output", archive, *names, timeout=300)
    for other in others:
        other.docker("load", "--quiet", "--input", archive, timeout=300)
    archive.unlink()
