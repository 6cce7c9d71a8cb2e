"""Certificates for Redis over TLS, made for a run and good for nothing else."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import trustme

from metrics.tls import CA_FILE, CERT_FILE, KEY_FILE, TlsFiles

NAMES = ("127.0.0.1", "localhost")


class Certificates:
    """A CA, a server that it signed, and a client that it signed, as files.

    Args:
        folder: Where the files lie; it must exist.
        names: What the server is called.

    Attributes:
        client: What a process of ours is given.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES) -> None:
        authority = trustme.CA()
        self._ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self._ca))
        self._server = _kept(authority.issue_cert(*names), folder, "server")
        certificate, key = _kept(authority.issue_cert("metrics.example"), folder, "client")
        self.client = TlsFiles(str(self._ca), str(certificate), str(key))

    @property
    def environ(self) -> Mapping[str, str]:
        """The same as variables of a process."""
        return {
            CA_FILE: self.client.ca,
            CERT_FILE: self.client.certificate,
            KEY_FILE: self.client.key,
        }

    def redis_options(self, port: int) -> tuple[str, ...]:
        """Return arguments for a redis-server that is to take TLS at a port, besides its own."""
        certificate, key = map(str, self._server)
        return (
            *("--tls-port", str(port), "--tls-ca-cert-file", str(self._ca)),
            *("--tls-cert-file", certificate, "--tls-key-file", key),
        )

    def server_context(self) -> ssl.SSLContext:
        """Return how to serve those who have a certificate of the same CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._server)
        context.load_verify_locations(self._ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def _kept(issued: trustme.LeafCert, folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(certificate), append=True)
    return certificate, key
