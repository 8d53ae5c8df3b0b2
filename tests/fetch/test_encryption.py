"""Encrypted connections: a certificate that nobody vouches for is refused, not tried again."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from aio_tune.errors import FetchError
from aio_tune.fetch import Sources, fetch
from tests.fetch.conftest import ACCESSION, EXPRESSION, EXPRESSION_PATH, MATRIX_PATH, QUICK, table
from tests.fetch.server import Site, cut_after, redirect, serving

x509 = pytest.importorskip("cryptography.x509", reason="makes a certificate; comes with MLflow")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this computer, and its key, in one file."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as site:
        site.put(EXPRESSION_PATH, table(1))
        site.put(MATRIX_PATH, table(2, 3000))
        yield site


def test_a_certificate_that_nobody_vouches_for(secure: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED") as refusal:
        fetch([ACCESSION], tmp_path, Sources(secure.address), patience=QUICK)
    assert "times" not in str(refusal.value), "asked once"
    assert secure.asked == []


def test_a_certificate_of_the_users_own(
    secure: Site, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    secure.will(cut_after(20_000), path=EXPRESSION_PATH)
    fetch([ACCESSION], tmp_path, Sources(secure.address), patience=QUICK)
    assert (tmp_path / ACCESSION / EXPRESSION).read_bytes() == secure.pages[EXPRESSION_PATH].content


def test_no_way_down_to_plain_http(
    secure: Site, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    secure.will(redirect("http://mirror.example/x.gz"), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="encrypted address"):
        fetch([ACCESSION], tmp_path, Sources(secure.address), patience=QUICK)
