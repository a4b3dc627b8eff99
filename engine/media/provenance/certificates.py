"""The key that files are signed with: a person's own, or a self-signed one that is made at first use."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from engine.media.errors import MediaError

FOLDER: Final = "provenance"
CHAIN, KEY, ROOT = "certificate.pem", "key.pem", "root.pem"
_YEARS: Final = 10


@dataclass(frozen=True)
class KeyFiles:
    """Where the certificate chain (the signing one first) and its private key are, and for which algorithm."""

    certificate: Path
    key: Path
    algorithm: str = "es256"

    def read(self) -> tuple[bytes, bytes]:
        """The PEM bytes of both. Raises MediaError, which never shows what is in the key's file."""
        try:
            return self.certificate.read_bytes(), self.key.read_bytes()
        except OSError as error:
            raise MediaError(
                f"Content credentials: {error.filename} cannot be read: {error.strerror}. "
                "See `certificate` and `key` under [provenance] in safelight.toml."
            ) from error


def own_files(user: Path) -> KeyFiles:
    """The self-signed certificate in the folder `user`, made when there is none.

    Raises MediaError where the package `cryptography` is missing, or the folder cannot be written.
    """
    folder = user / FOLDER
    files = KeyFiles(folder / CHAIN, folder / KEY)
    if not files.key.is_file():
        _make(folder)
    return files


def check(files: KeyFiles, now: datetime | None = None) -> None:
    """Raise MediaError for a key that is not the certificate's, or a certificate that is not valid now, or not for this.

    Needs `cryptography`; without it the library that signs says what it does not take.
    """
    chain, key = files.read()
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        return
    where = f"{files.certificate}: the certificate"
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise MediaError(
            f"{files.certificate} holds no certificate in PEM form. Give the chain, yours first."
        ) from error
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise MediaError(
            f"{files.key} holds no private key in PEM form without a password. Convert it to one."
        ) from error
    if _public(private) != _public(leaf):
        raise MediaError(f"{files.key} is not the key of {files.certificate}. Give the two that belong together.")
    now = now or datetime.now(UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise MediaError(
            f"{where} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}, which is not "
            "now. Renew it; one that was made here is made again once its folder is deleted."
        )


def _public(holder: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    found: bytes = holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


def _make(folder: Path) -> None:
    """Write chain, key and root in one step: of two processes that do so at once, the second takes the first one's."""
    try:
        files = _new_chain()
    except ImportError as error:
        raise MediaError(
            "Content credentials need the package `cryptography` to make a certificate. Install `safelight[provenance]`, or "
            "set `certificate` and `key` under [provenance] in safelight.toml."
        ) from error
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        new.mkdir(parents=True, mode=0o700)
        for name, data in files.items():
            with os.fdopen(os.open(new / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        with suppress(OSError):  # another was faster
            new.rename(folder)
        if not (folder / KEY).is_file():
            raise MediaError(f"{folder} is there, but has no {KEY}. Move that folder away, and a new key is made.")
    except OSError as error:
        raise MediaError(f"Content credentials: cannot write to {folder}: {error.strerror}.") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _new_chain() -> dict[str, bytes]:
    """A root, whose key is thrown away, and a certificate under it with what C2PA 2.x (14.5.1) wants of one that signs.

    That is: no authority itself, `digitalSignature` as its only use, a purpose of those that signers have (here the
    protection of mail, which asks for no list of C2PA's), and the identifiers of both keys.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    mark = secrets.token_hex(4)
    root = _certificate(f"Safelight self-signed root {mark}", root_key, None, root_key)
    leaf = _certificate(f"Safelight self-signed {mark}", key, root, root_key)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root_pem = root.public_bytes(pem)
    return {CHAIN: leaf.public_bytes(pem) + root_pem, ROOT: root_pem, KEY: private}


def _certificate(name: str, key: Any, issuer: Any, issuer_key: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Safelight (self-signed)"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    authority = issuer is None
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_usage(authority), critical=True)
    )
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        built = built.add_extension(purpose, critical=False)
    return built.sign(issuer_key, hashes.SHA256())


def _usage(authority: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
