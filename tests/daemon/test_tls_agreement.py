"""tls://: what server and client agree on: versions, ciphers, protocols, certificates of either, sessions."""
import ssl

import pytest

from clients import address_of, connect, read_to_end
from proxy_sender import LINE
from tls_authority import Pair, openssl
from tls_clients import TlsClient, below, exchange_tls, read_to_end_tls, trusting

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HERE = "tls://127.0.0.1:0"


@pytest.fixture
def told(preforkd, trouble, pair):
    """Starts a daemon that says what was agreed on."""
    return lambda keys="", *arguments, pairs=None, **how: preforkd(
        "--handler", trouble("tls_coroutine"), *arguments, listen=f"{HERE} {pairs or pair} {keys}", **how)


def tell(daemon, context=None, **how):
    return exchange_tls(daemon.endpoint, b"tell\n", context, **how).decode().strip()


def is_turned_away(daemon, context=None, **how):
    """TLS 1.3 ends a handshake for the client before the server has seen all of it."""
    try:
        return tell(daemon, context, **how) == ""
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return True


def assert_quiet(daemon):
    """What clients can bring about is no news."""
    assert not daemon.log.find(lambda line: line["level"] in ("warning", "error") or "handshake" in line["message"])


# --- versions, ciphers, protocols -----------------------------------------------------------------------------------------

def test_both_versions_are_spoken_unless_one_is_asked_for(told):
    daemon = told()
    assert tell(daemon, trusting(version=V12)).startswith("TLSv1.2 ECDHE-ECDSA-")
    assert tell(daemon, trusting(version=V13)).startswith("TLSv1.3 TLS_")
    newer = told("tls-min=1.3")
    assert tell(newer).startswith("TLSv1.3 ")
    assert is_turned_away(newer, trusting(version=V12))
    assert_quiet(newer)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_spoken_by_no_one(told):
    daemon = told()
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        assert is_turned_away(daemon, trusting(version=version, ciphers="DEFAULT:@SECLEVEL=0"))


@pytest.mark.parametrize("offered, agreed", [("ECDHE-RSA-CHACHA20-POLY1305", True), ("ECDHE-RSA-AES128-GCM-SHA256", True),
                                             ("ECDHE-RSA-AES256-SHA384", False), ("AES256-GCM-SHA384", False),
                                             ("DHE-RSA-AES256-GCM-SHA384", False)])
def test_only_ciphers_with_authentication_and_forward_secrecy_are_agreed_on(told, rsa_pair, offered, agreed):
    daemon = told(pairs=rsa_pair)
    context = trusting(version=V12, ciphers=offered)
    assert is_turned_away(daemon, context) if not agreed else tell(daemon, context).startswith(f"TLSv1.2 {offered} ")


def test_ciphers_names_those_that_are(told, rsa_pair):
    daemon = told("ciphers=AES256-GCM-SHA384", pairs=rsa_pair)
    assert tell(daemon, trusting(version=V12)).startswith("TLSv1.2 AES256-GCM-SHA384 ")
    assert tell(daemon).startswith("TLSv1.3 TLS_AES_256_GCM_SHA384 "), "it is about 1.2"


def test_the_first_protocol_of_ours_that_the_client_speaks_is_spoken(told):
    daemon = told("alpn=h2,http/1.1,x")
    assert " alpn=http/1.1 " in tell(daemon, trusting(alpn=["x", "http/1.1"]))
    assert " alpn= " in tell(daemon), "one that names none does as it likes"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        tell(daemon, trusting(alpn=["smtp"]))
    assert_quiet(daemon)
    assert " alpn= " in tell(told(), trusting(alpn=["smtp"])), "nor are we asked to"


# --- our certificates ------------------------------------------------------------------------------------------------------

def shown(daemon, name=None, context=None):
    """The common name of the certificate that this client gets."""
    with TlsClient(daemon.endpoint, context, name=name) as client:
        der = client.tls.getpeercert(binary_form=True)
    return openssl("x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "multiline", input=der).decode().split("= ")[1].strip()


def test_a_client_gets_the_certificate_for_the_name_that_it_asks_for(told, authority, pair):
    wild = authority.issue("wild", "*.example.org", "example.org")
    one = authority.issue("one", "one.example.org")
    nameless = authority.issue("nameless", common_name="nameless.example.net")
    daemon = told(pairs=" ".join(map(str, (pair, wild, one, nameless))))
    expected = {"localhost": "server", "LOCALHOST": "server", "example.org": "wild", "two.example.org": "wild",
                "One.Example.Org": "one", "nameless.example.net": "nameless.example.net", "a.b.example.org": "server",
                "example.net": "server", "xexample.org": "server", None: "server"}
    assert {name: shown(daemon, name) for name in expected} == expected
    for version in (V12, V13):
        assert tell(daemon, trusting(authority, version), name="two.example.org").split()[2] == "name=two.example.org"


def signed_with(authority, kind):
    """A client of TLS 1.2 that knows the one or the other kind of signature."""
    return trusting(authority, V12, ciphers={"ec": "ECDHE+ECDSA+AESGCM", "rsa": "ECDHE+aRSA+AESGCM"}[kind])


def test_a_client_gets_the_kind_of_key_that_it_knows(told, authority, pair, rsa_pair):
    for pairs in ((pair, rsa_pair), (rsa_pair, pair)):
        daemon = told(pairs=" ".join(map(str, pairs)))
        assert shown(daemon, "localhost", signed_with(authority, "ec")) == "server"
        assert shown(daemon, "localhost", signed_with(authority, "rsa")) == "server-rsa"
        assert tell(daemon, trusting(authority)).startswith("TLSv1.3 ")


def test_a_kind_that_the_exact_name_lacks_comes_from_the_wildcard(told, authority, pair):
    wild = authority.issue("wild-rsa", "*.example.org", kind="rsa")
    one = authority.issue("exact-ec", "one.example.org")
    daemon = told(pairs=f"{wild} {one}")
    assert shown(daemon, "one.example.org", signed_with(authority, "ec")) == "exact-ec"
    assert shown(daemon, "one.example.org", signed_with(authority, "rsa")) == "wild-rsa"
    assert shown(daemon, "two.example.org", signed_with(authority, "rsa")) == "wild-rsa"


def test_a_chain_is_shown_whole(told, authority, pair, tmp_path):
    chain = tmp_path / "chain.pem"
    chain.write_text(open(pair.certificate).read() + open(authority.certificate).read())
    daemon = told(pairs=pair._replace(certificate=str(chain)))
    said = openssl("s_client", "-connect", "%s:%d" % address_of(below(daemon.endpoint))[1], "-showcerts", "-ign_eof", input=b"tell\n").decode()
    assert said.count("BEGIN CERTIFICATE") == 2


def test_one_file_may_hold_both(told, authority, pair, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text(open(pair.key).read() + open(pair.certificate).read())
    assert tell(told(pairs=f"certificate={both} key={both}"), trusting(authority)).startswith("TLSv1.3 ")


def test_the_answer_of_an_ocsp_server_is_stapled_to_its_certificate_and_no_other(told, authority, pair, rsa_pair):
    daemon = told(f"ocsp={authority.answer(pair)}", pairs=f"{pair} {rsa_pair}")

    def stapled(*words):
        host, port = address_of(below(daemon.endpoint))[1]
        return openssl("s_client", "-connect", f"{host}:{port}", "-servername", "localhost", "-status", "-CAfile", authority.certificate,
                       "-verify_return_error", *words, input=b"").decode()
    assert "Cert Status: good" in stapled()
    assert "OCSP response: no response sent" in stapled("-tls1_2", "-cipher", "aRSA")


# --- certificates of clients ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [V12, V13])
def test_a_client_has_to_show_a_certificate_or_may_or_is_not_asked(told, authority, pair, version, tmp_path):
    alice = authority.issue("alice", "alice.example")
    strange = self_signed(tmp_path)
    required = told(f"client-ca={authority.certificate}")
    assert tell(required, trusting(version=version, pair=alice)).endswith(" verified")
    assert is_turned_away(required, trusting(version=version))
    assert is_turned_away(required, trusting(version=version, pair=strange))
    optional = told(f"client-ca={authority.certificate} client-cert=optional")
    assert tell(optional, trusting(version=version, pair=alice)).endswith(" verified")
    assert tell(optional, trusting(version=version)).endswith(" full not verified")
    assert is_turned_away(optional, trusting(version=version, pair=strange)), "a bad one is not none"
    assert " subject=" not in tell(told(), trusting(version=version, pair=alice))
    for daemon in (required, optional):
        assert_quiet(daemon)


def self_signed(directory):
    certificate, key = directory / "strange.pem", directory / "strange-key.pem"
    openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=alice", "-keyout", key,
            "-out", certificate)
    return Pair(str(certificate), str(key))


def test_an_expired_certificate_of_a_client_is_none(told, authority):
    daemon = told(f"client-ca={authority.certificate}")
    assert is_turned_away(daemon, trusting(pair=authority.issue("late", "late.example", days=-1)))


def test_a_revoked_certificate_is_none(told, authority):
    alice, bob = authority.issue("alice2", "alice.example"), authority.issue("bob", "bob.example")
    daemon = told(f"client-ca={authority.certificate} crl={authority.revoke(bob)}")
    assert tell(daemon, trusting(pair=alice)).endswith(" verified")
    assert is_turned_away(daemon, trusting(pair=bob))


# --- sessions ----------------------------------------------------------------------------------------------------------------

def session_of(daemon, context, **how):
    """Of a client that has read what its server sent behind the handshake: its tickets."""
    with TlsClient(daemon.endpoint, context, **how) as client:
        client.sendall(b"tell\n")
        client.end()
        read_to_end_tls(client)
        return client.tls.session


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("model", ["async", "fork"])
def test_any_worker_resumes_what_another_has_begun(told, version, model):
    daemon = told("", "--model", model, workers=8)
    context = trusting(version=version)
    session = session_of(daemon, context)
    resumed = [" resumed " in tell(daemon, context, session=session) for _ in range(100)]
    assert sum(resumed) >= 99, resumed


def test_each_resumption_brings_another_ticket(told):
    """With TLS 1.3 one is for one time."""
    daemon, context, session, tickets = told(), trusting(version=V13), None, set()
    for _ in range(5):
        session = session_of(daemon, context, session=session)
        tickets.add(session.id)
    assert len(tickets) == 5


@pytest.mark.parametrize("version", [V12, V13])
def test_without_tickets_nothing_is_resumed(told, version):
    daemon = told("tickets=0")
    context = trusting(version=version)
    session = session_of(daemon, context)
    assert session is None or not session.has_ticket
    assert " full " in tell(daemon, context, session=session)


@pytest.mark.parametrize("tickets", [0, 1, 5])
def test_a_client_gets_as_many_tickets_as_are_asked_for(told, tickets):
    daemon = told(f"tickets={tickets}")
    host, port = address_of(below(daemon.endpoint))[1]
    said = openssl("s_client", "-connect", f"{host}:{port}", "-tls1_3", "-msg", "-ign_eof", input=b"tell\n")
    assert said.count(b"NewSessionTicket") == tickets


def test_a_certificate_of_a_client_comes_along_with_its_session(told, authority):
    daemon = told(f"client-ca={authority.certificate}")
    context = trusting(pair=authority.issue("carol", "carol.example"))
    session = session_of(daemon, context)
    told_again = tell(daemon, context, session=session)
    assert " resumed subject=CN=carol " in told_again and told_again.endswith(" verified")


# --- before the handshake -----------------------------------------------------------------------------------------------------

def test_a_balancer_announces_its_client_before_the_handshake(told):
    daemon = told("proxy=127.0.0.1")
    daemon.expect("without a valid PROXY header")
    assert tell(daemon, first=LINE).startswith("TLSv1.3 ")
    assert daemon.wait_log("got connection from")["peer"] == "192.0.2.1:56324"
    assert is_turned_away(daemon)


def test_who_is_not_admitted_gets_no_handshake(told):
    daemon = told("proxy=127.0.0.1 deny=192.0.2.0/24")
    with connect(below(daemon.endpoint)) as client:
        client.sendall(LINE)
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
    assert tell(daemon, first=b"PROXY UNKNOWN\r\n").startswith("TLSv1.3 ")
