"""The certificates of ``rediss://``: whose Redis is trusted, and who we are to it."""

import ssl
from dataclasses import dataclass

from metrics.errors import SettingsError

CA_FILE = "METRICS_REDIS_CA_FILE"
CERT_FILE = "METRICS_REDIS_CERT_FILE"
KEY_FILE = "METRICS_REDIS_KEY_FILE"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files of PEM blocks; empty for none.

    Attributes:
        ca: Who may sign the certificate of Redis, and nobody else may; without it, whoever this
            machine trusts.
        certificate: Ours, and those up to the one that Redis trusts.
        key: Of ours, without a passphrase; without it, it is in the same file.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Return how to connect; the files are read, so that renewed ones are taken.

        Raises:
            OSError: If one cannot be used.
        """
        context = ssl.create_default_context(cafile=self.ca or None)
        if self.certificate:
            # A passphrase, for else OpenSSL would ask the terminal for that of a key which has one.
            context.load_cert_chain(self.certificate, self.key or None, password="")
        return context

    def check(self) -> None:
        """Read all of them.

        Raises:
            SettingsError: If one cannot be used; it names the variable.
        """
        _check(TlsFiles(ca=self.ca), f"{CA_FILE} {self.ca!r} must be certificates in PEM")
        _check(
            self,
            f"{CERT_FILE} {self.certificate!r} and {KEY_FILE} {self.key!r} must be a certificate "
            "and its key in PEM, without a passphrase",
        )


def _check(files: TlsFiles, rule: str) -> None:
    try:
        files.context()
    except OSError as error:
        raise SettingsError(f"{rule}: {error.strerror or error}") from error
