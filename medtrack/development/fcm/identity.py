"""The files that stay the same over restarts: the TLS certificate and the service account.

The secret that signs access tokens is derived from the service account's key.
"""

import datetime
import hashlib
import ipaddress
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE = "certificate.pem"
PRIVATE_KEY = "private-key.pem"
SERVICE_ACCOUNT = "service-account.json"

_VALIDITY = datetime.timedelta(days=3650)
_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(slots=True, frozen=True)
class ServerIdentity:
    project: str
    client_email: str
    public_key: rsa.RSAPublicKey
    token_secret: bytes


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    # Other processes wait for some of these files, and must never see one that is incomplete.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


def ensure_certificate(directory: Path) -> None:
    if (directory / CERTIFICATE).exists() and (directory / PRIVATE_KEY).exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomically(directory / PRIVATE_KEY, _private_pem(key), mode=0o600)
    write_atomically(directory / CERTIFICATE, _certificate(key).public_bytes(Encoding.PEM))


def ensure_service_account(directory: Path, *, project: str, url: str) -> ServerIdentity:
    """Creates the service account, or updates the project and the address of an existing one.

    Raises ValueError or KeyError when the existing file cannot be read.
    """
    path = directory / SERVICE_ACCOUNT
    account = json.loads(path.read_text()) if path.exists() else _new_service_account(project)
    # The port may be another one after a restart.
    account |= {"project_id": project, "token_uri": f"{url}/token"}
    write_atomically(path, json.dumps(account, indent=2) + "\n", mode=0o600)
    key = load_pem_private_key(account["private_key"].encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"the private_key in {path} is not an RSA key")
    return ServerIdentity(
        project=project,
        client_email=account["client_email"],
        public_key=key.public_key(),
        token_secret=hashlib.sha256(b"access tokens" + account["private_key"].encode()).digest(),
    )


def _new_service_account(project: str) -> dict[str, str]:
    email = f"fcm-stand-in@{project}.iam.gserviceaccount.com"
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": _private_pem(rsa.generate_private_key(65537, 2048)).decode(),
        "client_email": email,
        "client_id": str(10**20 + secrets.randbelow(10**20)),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
        "universe_domain": "googleapis.com",
    }


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MedTrack FCM stand-in")])
    public, now = key.public_key(), datetime.datetime.now(datetime.UTC)
    # Clients verify the certificate: it is its own authority, for the loopback interface only.
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName(hosts), False),
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_KEY_USAGE, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())
