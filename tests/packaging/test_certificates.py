"""Certificates of the packaged service: certbot's, by the package's hook; and those that systemd passes to it."""
import ssl

import pytest

from machine import Clients, eventually, read_to_end

UNIT = "preforkd.service"
CONFIG = "/etc/preforkd/preforkd.conf"
HOOK = "/usr/share/preforkd/certbot-deploy-hook"
LINEAGE = "/etc/letsencrypt/live/localhost"
DEPLOYED = "/etc/preforkd/tls/localhost"
PORT = 10443


@pytest.fixture
def certbot(host):
    """certbot(1) as far as a hook sees it: where it keeps pairs, and how it runs what is to be done with a new one."""
    host.shell(f"rm -rf /etc/letsencrypt /etc/preforkd/tls; mkdir -p -m 0700 {LINEAGE} /etc/letsencrypt/archive")
    yield Certbot(host)
    host.shell("rm -rf /etc/letsencrypt /etc/preforkd/tls")


class Certbot:
    def __init__(self, host):
        self._host, self._renewals = host, 0

    def renew(self):
        """Another pair, in files that links lead to."""
        self._renewals += 1
        files = f"/etc/letsencrypt/archive/{self._renewals}"
        self._host.shell(f"""
            preforkctl certificate localhost --out {files}
            ln -sf {files}.pem {LINEAGE}/fullchain.pem
            ln -sf {files}.key {LINEAGE}/privkey.pem""")

    def deploy(self, hook=HOOK, lineage=LINEAGE):
        return self._host.run("env", f"RENEWED_LINEAGE={lineage}", "RENEWED_DOMAINS=localhost", "sh", "-c", hook, check=False)


def listen(certificate, key):
    return f"[tls://:{PORT}]\ncertificate = {certificate}\nkey = {key}\n"


SERVE_DEPLOYED = "listen = tcp://:10000\n" + listen(f"{DEPLOYED}/fullchain.pem", f"{DEPLOYED}/privkey.pem")


def restart_with(host, config):
    host.write(CONFIG, config)
    host.run("systemctl", "restart", UNIT)


def believing():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def visit(host, context=None, session=None):
    """(what it was shown, its session, whether that was resumed) of a client that is greeted."""
    with host.connect(PORT) as client, (context or believing()).wrap_socket(client, session=session) as tls:
        assert read_to_end(tls) == b"connected\n"
        return tls.getpeercert(binary_form=True), tls.session, tls.session_reused


def served(host):
    return visit(host)[0]


def in_file(host, name=f"{LINEAGE}/fullchain.pem"):
    return ssl.PEM_cert_to_DER_cert(host.run("cat", name).stdout)


def test_a_renewed_pair_is_served_without_a_restart(host, certbot):
    certbot.renew()
    assert certbot.deploy().returncode == 0
    restart_with(host, SERVE_DEPLOYED)
    master = host.main_pid(UNIT)
    assert served(host) == in_file(host)
    certbot.renew()
    with Clients(host):
        assert certbot.deploy().returncode == 0
    assert served(host) == in_file(host)
    assert host.main_pid(UNIT) == master


def test_the_service_alone_may_read_a_key(host, certbot):
    certbot.renew()
    certbot.deploy()
    certbot.renew()
    certbot.deploy()
    for path, expected in ((f"{DEPLOYED}/privkey.pem", "root preforkd-tls 640"), (f"{DEPLOYED}/", "root preforkd-tls 750"),
                           ("/etc/preforkd/tls", "root preforkd-tls 750")):
        assert host.run("stat", "--format=%U %G %a", path).stdout.strip() == expected
    assert host.shell("ls -A /etc/preforkd/tls | wc -l").stdout.strip() == "2", "the pair and the link to it, none of before"
    restart_with(host, SERVE_DEPLOYED)
    group = host.run("getent", "group", "preforkd-tls").stdout.split(":")[2]
    status = host.path(f"/proc/{host.main_pid(UNIT)}/status").read_text()
    assert group in next(line for line in status.splitlines() if line.startswith("Groups:")).split()
    assert host.run("setpriv", "--reuid=61183", "--clear-groups", "cat", f"{DEPLOYED}/privkey.pem", check=False).returncode != 0


def test_a_pair_that_is_none_is_told_to_certbot_and_the_old_one_served_on(host, certbot):
    certbot.renew()
    certbot.deploy()
    restart_with(host, SERVE_DEPLOYED)
    before = served(host)
    certbot.renew()
    host.shell(f"ln -sf /etc/letsencrypt/archive/1.key {LINEAGE}/privkey.pem")
    failed = certbot.deploy()
    assert failed.returncode == 1 and UNIT in failed.stderr, failed
    assert served(host) == before
    host.shell(f"rm {LINEAGE}/privkey.pem")
    cut = certbot.deploy()
    assert cut.returncode == 1 and "privkey.pem" in cut.stderr
    assert "not the key of" in host.run("systemctl", "reload", UNIT, check=False).stderr + "".join(
        entry["MESSAGE"] for entry in host.journal(UNIT)[-10:]), "what was there before the failure is there"
    certbot.renew()
    assert certbot.deploy().returncode == 0 and served(host) == in_file(host)


def test_without_certbot_s_word_the_hook_does_nothing(host, certbot):
    done = host.run(HOOK, check=False)
    assert done.returncode != 0 and "RENEWED_LINEAGE" in done.stderr
    assert not host.path("/etc/preforkd/tls").exists()


def test_other_units_are_named_and_one_that_does_not_run_is_left(host, certbot):
    host.write("/etc/preforkd/web.conf", "listen = fd://preforkd\n" + SERVE_DEPLOYED.partition("\n")[2].replace("tls://:10443", "tls+unix://@web"))
    host.write("/etc/systemd/system/preforkd@web.service.d/adapted.conf", "[Service]\nSupplementaryGroups=preforkd-tls\n")
    host.run("systemctl", "daemon-reload")
    certbot.renew()
    named = f"{HOOK} preforkd@web.service"
    assert certbot.deploy(named).returncode == 0
    assert host.show("preforkd@web.service", "ActiveState") == "inactive"
    host.run("systemctl", "start", "preforkd@web.service")
    cursor = host.cursor()
    assert certbot.deploy(named).returncode == 0
    for unit, expected in (("preforkd@web.service", True), (UNIT, False)):
        said = [entry["MESSAGE"] for entry in host.journal(unit, f"--after-cursor={cursor}")]
        assert any(line.startswith("reloaded") for line in said) == expected, said


@pytest.fixture
def credentials(host, certbot):
    """The service with LoadCredential= of certbot's files."""
    certbot.renew()
    host.write(f"/etc/systemd/system/{UNIT}.d/adapted.conf", f"""[Service]
        LoadCredential=fullchain.pem:{LINEAGE}/fullchain.pem
        LoadCredential=privkey.pem:{LINEAGE}/privkey.pem
        """)
    host.run("systemctl", "daemon-reload")
    there = f"/run/credentials/{UNIT}"
    restart_with(host, listen(f"{there}/fullchain.pem", f"{there}/privkey.pem"))
    return certbot


def test_credentials_change_with_a_restart_and_not_with_a_reload(host, credentials):
    """If the second has come true, with a newer systemd, the manual can say so."""
    old = in_file(host)
    assert served(host) == old
    credentials.renew()
    host.run("systemctl", "reload", UNIT)
    assert served(host) == old
    host.run("systemctl", "restart", UNIT)
    assert served(host) == in_file(host) != old


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_sessions_are_resumed_over_restarts_and_crashes(host, credentials, version):
    context = believing()
    context.minimum_version = context.maximum_version = version
    _, session, _ = visit(host, context)
    for change in ("restart", "kill --kill-whom=main --signal=KILL", "reload", "restart"):
        master = host.main_pid(UNIT)
        host.run("systemctl", *change.split(), UNIT)
        assert change == "reload" or eventually(lambda: host.main_pid(UNIT) not in (0, master))
        _, session, resumed = visit(host, context, session)
        assert resumed, change


def test_a_stop_forgets_the_sessions(host, credentials):
    context = believing()
    _, session, _ = visit(host, context)
    host.run("systemctl", "stop", UNIT)
    host.run("systemctl", "start", UNIT)
    assert not visit(host, context, session)[2]
