"""The Debian packages keep Debian's rules."""
import os
import re
import subprocess

import pytest

from places import PACKAGES, ROOT


def run(*command, **how):
    return subprocess.run(command, capture_output=True, text=True, **how)


def contents(package):
    listing = run("dpkg-deb", "--contents", package, check=True).stdout
    return {line.split()[5].removeprefix("."): line.split()[0] for line in listing.splitlines()}


def field(package, name):
    return run("dpkg-deb", "--field", package, name, check=True).stdout.strip()


def complaints_of_lintian(*files):
    """Every line of it: errors, warnings, infos and pedantry."""
    done = run("lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on=none", *files)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_lintian_has_nothing_to_say():
    assert complaints_of_lintian(*PACKAGES.glob("*.changes")) == []


def test_lintian_finds_a_flaw(tmp_path, package):
    run("dpkg-deb", "--raw-extract", package("preforkd"), tmp_path / "planted", check=True)
    (tmp_path / "planted/usr/share/man/man8/preforkd.8.gz").unlink()
    run("dpkg-deb", "--build", "--root-owner-group", tmp_path / "planted", tmp_path / "planted.deb", check=True)
    assert any("no-manual-page" in line for line in complaints_of_lintian(tmp_path / "planted.deb"))


def test_the_packages_have_the_version_of_the_sources(package):
    version = re.search(r"^project\(preforkd VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert {field(package(name), "Version") for name in ("preforkd", "libpreforkd-dev")} == {version[1]}


@pytest.mark.parametrize("path", [
    "/usr/sbin/preforkd", "/usr/bin/preforkctl", "/etc/preforkd/preforkd.conf", "/etc/preforkd/preforkd.conf.d/",
    "/lib/systemd/system/preforkd.service", "/lib/systemd/system/preforkd.socket",
    "/lib/systemd/system/preforkd@.service", "/lib/systemd/system/preforkd@.socket",
    "/lib/systemd/system/preforkd-observe@.socket",
    "/usr/share/man/man8/preforkd.8.gz", "/usr/share/man/man5/preforkd.conf.5.gz",
    "/usr/share/preforkd/certbot-deploy-hook", "/usr/lib/sysusers.d/preforkd.conf",
    "/usr/share/man/man1/preforkctl.1.gz", "/usr/share/bash-completion/completions/preforkd",
    "/usr/share/bash-completion/completions/preforkctl",
    "/usr/share/doc/preforkd/examples/bpftrace/accept-latency.bt",
    "/usr/share/doc/preforkd/examples/swarm/stack.yaml", "/usr/share/doc/preforkd/examples/haproxy/fleet.cfg",
    "/usr/share/doc/preforkd/examples/keepalived/keepalived.conf",
    "/usr/share/doc/preforkd/examples/kubernetes/kustomization.yaml"])
def test_the_daemon_is_packaged(package, path):
    assert path in contents(package("preforkd"))


def test_the_configuration_is_the_operators(package):
    assert run("dpkg-deb", "--info", package("preforkd"), "conffiles").stdout == "/etc/preforkd/preforkd.conf\n"


@pytest.mark.parametrize("name", ["preforkd", "libpreforkd-dev"])
def test_the_library_that_is_loaded_is_installed_too(package, name):
    """No linker tells dpkg-shlibdeps of it."""
    assert {"libseccomp2", "libsystemd0"} <= set(field(package(name), "Depends").split(", "))


def test_the_library_is_packaged_for_authors(package):
    found = contents(package("libpreforkd-dev"))
    architecture = run("dpkg-architecture", "--query", "DEB_HOST_MULTIARCH", check=True).stdout.strip()
    for path in ("/usr/include/preforkd/preforkd.hpp", f"/usr/lib/{architecture}/libpreforkd.a",
                 f"/usr/lib/{architecture}/cmake/preforkd/preforkdConfig.cmake",
                 f"/usr/lib/{architecture}/pkgconfig/preforkd.pc", "/usr/share/man/man3/preforkd-handler.3.gz",
                 "/usr/share/doc/libpreforkd-dev/examples/upper/upper.cpp", "/usr/bin/preforkd-new",
                 "/usr/share/preforkd/new/handler.hpp", "/usr/share/man/man1/preforkd-new.1.gz"):
        assert path in found


@pytest.mark.parametrize("program", ["usr/sbin/preforkd", "usr/bin/preforkctl"])
def test_the_programs_are_hardened(tmp_path, package, program):
    run("dpkg-deb", "--extract", package("preforkd"), tmp_path, check=True)
    headers = run("readelf", "--wide", "--headers", "--dynamic", "--dyn-syms", tmp_path / program, check=True,
                  env=os.environ | {"LC_ALL": "C"}).stdout
    for trait in (r"Type: +DYN ", r"GNU_RELRO", r"FLAGS_1.* NOW.* PIE", r"__stack_chk_fail", r"__\w+_chk@GLIBC"):
        assert re.search(trait, headers), trait
    assert re.search(r"GNU_STACK .* RW ", headers), "the stack is not executable"


def warnings_of_man(path):
    done = run("man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "--ditroff", path,
               env=os.environ | {"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100"})
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_manual_renders_without_a_warning(tmp_path, package):
    for name in ("preforkd", "libpreforkd-dev"):
        run("dpkg-deb", "--extract", package(name), tmp_path, check=True)
    pages = list((tmp_path / "usr/share/man").rglob("*.gz"))
    assert len(pages) == 5 and [warnings_of_man(page) for page in pages] == [""] * 5


def test_a_flaw_in_a_page_is_found(tmp_path):
    (tmp_path / "planted.8").write_text(".TH planted 8\n.SH NAME\n.NONSENSE planted\n")
    assert warnings_of_man(tmp_path / "planted.8") != ""
