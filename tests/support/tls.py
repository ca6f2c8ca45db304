"""Certificates for tests, made by the openssl command in a temporary directory and trusted by nobody else."""

from __future__ import annotations

import pathlib
import ssl
import subprocess
from dataclasses import dataclass

from support.server import Server, free_port
from support.wait import wait_for


@dataclass
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    """A certificate authority of its own, with what it has signed, in `directory`."""

    def __init__(self, directory: pathlib.Path, name: str = "authority"):
        self.directory = directory
        self.own = self._make(name, "-addext", "keyUsage=critical,keyCertSign")

    @property
    def file(self) -> pathlib.Path:
        return self.own.certificate

    def issue(self, name: str, *, subject: str = "", password: str = "", algorithm: str = "ec") -> Certificate:
        """A certificate for this machine's loopback addresses, and for clients."""
        encryption = ["-passout", f"pass:{password}"] if password else ["-noenc"]
        return self._make(name, "-CA", str(self.own.certificate), "-CAkey", str(self.own.key),
                          "-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost",
                          subject=subject, encryption=encryption, algorithm=algorithm)

    def _make(self, name: str, *options: str, subject: str = "", encryption: list[str] | None = None,
              algorithm: str = "ec") -> Certificate:
        made = Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        parameters = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}[algorithm]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *parameters, *(encryption or ["-noenc"]),
                        "-days", "2", "-subj", f"/CN={subject or name}", "-keyout", str(made.key), "-out", str(made.certificate), *options],
                       check=True, capture_output=True, timeout=60)
        return made

    def client(self, certificate: Certificate | None = None, **options: object) -> ssl.SSLContext:
        """What a client needs that trusts this authority. `options` are attributes of the context."""
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate:
            context.load_cert_chain(certificate.certificate, certificate.key)
        for name, value in options.items():
            setattr(context, name, value)
        return context


class TlsServer(Server):
    """A server that listens for TLS on `tls_port`, and without on `port` unless that is off."""

    def __init__(self, authority: Authority, certificate: Certificate, *options: str, plain: bool = True, settings: str = ""):
        self.tls_port = free_port()
        self.plain = plain
        super().__init__("--tls-port", str(self.tls_port), "--tls-cert-file", str(certificate.certificate),
                         "--tls-key-file", str(certificate.key), "--tls-ca-cert-file", str(authority.file),
                         *([] if plain else ["--port", "0"]), *options, settings=settings)

    def start(self) -> "TlsServer":
        if self.plain:
            super().start()
        else:
            self._spawn()
            wait_for(lambda: "Ready to accept connections" in self.read_log() or self.process.poll() is not None, "the server starts")
        return self
