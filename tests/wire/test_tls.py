"""TLS: who is let in, that bytes arrive whole and in order, and certificates that change while the server runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from support.raw import Error, RawClient, encode, info
from support.server import free_port
from support.tls import Authority, TlsServer
from support.wait import wait_for

MEGABYTE = 1 << 20
BUSY = Error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")


@pytest.fixture(scope="module")
def trusting(authority):
    """A client that trusts the server and has no certificate of its own."""
    return authority.client()


@pytest.fixture(scope="module")
def server(authority, certificate):
    with TlsServer(authority, certificate, "--tls-auth-clients", "no", "--busy-reply-threshold", "20") as server:
        yield server


@pytest.fixture
def connect(server, trusting):
    clients = []

    def make(**options) -> RawClient:
        clients.append(RawClient(server.tls_port, tls=options.pop("tls", trusting), **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def plain(server):
    with RawClient(server.port) as client:
        client.call("FLUSHALL")
        yield client


class TestBytes:
    def test_requests_and_replies(self, connect, plain):
        client = connect()
        assert client.socket.version() == "TLSv1.3"
        assert client.call("SET", "key", b"a\r\nb\0") == b"OK"
        assert client.call("GET", "key") == plain.call("GET", "key") == b"a\r\nb\0"
        address, port = client.socket.getsockname()
        assert f"addr={address}:{port} " in client.call("CLIENT", "INFO").decode()

    def test_a_value_of_many_records_in_both_directions(self, connect):
        client = connect()
        value = os.urandom(8 * MEGABYTE)
        assert client.call("SET", "big", value) == b"OK"
        assert client.call("GET", "big") == value

    def test_a_pipeline_of_replies_of_all_lengths(self, connect, plain):
        """Short ones are joined to records, long ones are sent from where they lie."""
        values = {f"key:{size}": os.urandom(size) for size in (0, 1, 100, 8191, 8192, 16383, 16384, 16385, 40000, 300000)}
        for key, value in values.items():
            plain.call("SET", key, value)
        client = connect()
        client.send_raw(b"".join(encode("GET", key) + encode("PING") for key in values) * 5)
        for _ in range(5):
            for value in values.values():
                assert client.read() == value
                assert client.read() == b"PONG"

    def test_byte_by_byte(self, connect):
        client = connect()
        for byte in encode("ECHO", "slow") + b"PING\r\n":
            client.send_raw(bytes([byte]))  # a record each
        assert [client.read(), client.read()] == [b"slow", b"PONG"]

    def test_many_records_in_one_segment_are_all_executed(self, server, trusting):
        """More than is decrypted in a turn: the rest must not lie unseen until the next byte comes."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=30) as raw:
            def exchange(action):
                while True:
                    try:
                        return action()
                    except ssl.SSLWantReadError:
                        raw.sendall(outgoing.read())
                        incoming.write(raw.recv(1 << 16))

            exchange(tls.do_handshake)
            count = 20_000
            for _ in range(count):
                tls.write(b"PING\r\n")
            raw.sendall(outgoing.read())
            received = b""
            while len(received) < count * 7:
                received += exchange(lambda: tls.read(1 << 16))
            assert received == b"+PONG\r\n" * count

    def test_a_client_that_does_not_read_for_a_while_gets_everything_in_order(self, connect, plain):
        plain.call("SET", "long", os.urandom(MEGABYTE))
        expected = plain.call("GET", "long")
        client = connect(receive_buffer=4096)
        client.send_raw((encode("GET", "long") + encode("ECHO", "x" * 10)) * 30)
        wait_for(lambda: "omem=0 " not in [line for line in plain.call("CLIENT", "LIST").decode().splitlines()
                                           if f":{client.socket.getsockname()[1]} " in line][0], "replies pile up")
        for _ in range(30):
            assert client.read() == expected
            assert client.read() == b"x" * 10

    def test_output_limits_hold(self, connect, plain):
        slow = connect(receive_buffer=4096)
        assert slow.call("SUBSCRIBE", "channel") == [b"subscribe", b"channel", 1]
        assert plain.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 2mb 0 0") == b"OK"
        for _ in range(100):
            plain.call("PUBLISH", "channel", b"m" * (MEGABYTE // 4))
        assert plain.call("PUBSUB", "NUMSUB", "channel") == [b"channel", 0]
        plain.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")

    def test_blocking_and_messages(self, connect, plain):
        blocked, subscriber = connect(), connect()
        assert subscriber.call("SUBSCRIBE", "channel") == [b"subscribe", b"channel", 1]
        blocked.send("BLPOP", "list", 0)
        wait_for(lambda: info(plain, "blocked_clients") == "1", "the client waits")
        plain.call("RPUSH", "list", "element")
        plain.call("PUBLISH", "channel", "message")
        assert blocked.read() == [b"list", b"element"]
        assert subscriber.read() == [b"message", b"channel", b"message"]


class TestEnds:
    def test_the_server_says_that_it_closes(self, connect):
        client = connect()
        assert client.call("QUIT") == b"OK"
        assert client.closed()  # which would raise, had the end been a plain one

    def test_a_client_that_sends_no_more_still_gets_its_replies(self, server, trusting, plain):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        plain.call("SET", "long", b"v" * MEGABYTE)
        with socket.create_connection(("127.0.0.1", server.tls_port), timeout=30) as raw:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(1 << 16))
            tls.write(encode("GET", "long"))
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()  # sends the announcement, and waits for the other one
            raw.sendall(outgoing.read())
            while data := raw.recv(1 << 16):
                incoming.write(data)
            # What came is the reply, encrypted, and then the end.
            assert incoming.pending > MEGABYTE

    @pytest.mark.parametrize("lasts", ["PING\r\n", ""])
    def test_a_client_that_goes_away_is_forgotten(self, connect, plain, lasts):
        client = connect()
        number = client.call("CLIENT", "ID")
        client.send_raw(lasts.encode())
        client.close()
        wait_for(lambda: f"id={number} " not in plain.call("CLIENT", "LIST").decode(), "it is noticed")

    def test_the_end_of_the_process_is_told(self, authority, certificate, trusting):
        with TlsServer(authority, certificate, "--tls-auth-clients", "no") as server:
            with RawClient(server.tls_port, tls=trusting) as client:
                assert client.call("PING") == b"PONG"
                server.stop()
                assert client.closed()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger").issue("impostor")


class TestClientCertificates:
    def test_are_demanded_by_default(self, authority, certificate, trusting, stranger):
        with TlsServer(authority, certificate) as server:
            with RawClient(server.tls_port, tls=authority.client(authority.issue("client"))) as client:
                assert client.call("PING") == b"PONG"
            for refused in (trusting, authority.client(stranger)):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    with RawClient(server.tls_port, tls=refused) as client:
                        client.call("PING")
            with RawClient(server.port) as plain:
                wait_for(lambda: info(plain, "handshake_failures") == "2", "both are counted")

    def test_are_checked_where_they_are_optional(self, authority, certificate, trusting, stranger):
        with TlsServer(authority, certificate, "--tls-auth-clients", "optional") as server:
            for accepted in (trusting, authority.client(authority.issue("client"))):
                with RawClient(server.tls_port, tls=accepted) as client:
                    assert client.call("PING") == b"PONG"
            with pytest.raises((ssl.SSLError, ConnectionError)):
                with RawClient(server.tls_port, tls=authority.client(stranger)) as client:
                    client.call("PING")

    def test_of_a_directory_of_authorities(self, authority, certificate, tmp_path):
        shutil.copy(authority.file, tmp_path / "authority.pem")
        subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
        with TlsServer(authority, certificate, "--tls-ca-cert-file", "", "--tls-ca-cert-dir", str(tmp_path)) as server:
            with RawClient(server.tls_port, tls=authority.client(authority.issue("client"))) as client:
                assert client.call("PING") == b"PONG"


class TestProtocols:
    @pytest.mark.parametrize("offered, wanted, version", [
        ("TLSv1.2", None, "TLSv1.2"), ("TLSv1.3", None, "TLSv1.3"), ("tlsv1.2 TLSv1.3", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("TLSv1.3", ssl.TLSVersion.TLSv1_2, None), ("", ssl.TLSVersion.TLSv1_1, None)])
    def test_those_of_the_setting(self, server, authority, plain, offered, wanted, version):
        assert plain.call("CONFIG", "SET", "tls-protocols", offered) == b"OK"
        options = {"maximum_version": wanted} if wanted else {}
        if wanted == ssl.TLSVersion.TLSv1_1:
            options["minimum_version"] = ssl.TLSVersion.TLSv1_1
        context = authority.client(**options)
        try:
            if version:
                with RawClient(server.tls_port, tls=context) as client:
                    assert client.socket.version() == version
                    assert client.call("PING") == b"PONG"
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    RawClient(server.tls_port, tls=context).call("PING")
        finally:
            plain.call("CONFIG", "SET", "tls-protocols", "")

    def test_ciphers(self, server, authority, plain):
        assert plain.call("CONFIG", "SET", "tls-ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305", "tls-ciphersuites",
                          "TLS_AES_128_GCM_SHA256") == b"OK"
        for version, cipher in ((ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
                                (ssl.TLSVersion.TLSv1_3, "TLS_AES_128_GCM_SHA256")):
            with RawClient(server.tls_port, tls=authority.client(maximum_version=version)) as client:
                assert client.call("PING") == b"PONG"
                assert client.socket.cipher()[0] == cipher
        plain.call("CONFIG", "SET", "tls-ciphers", "", "tls-ciphersuites", "")

    def test_the_order_of_the_server_where_it_is_preferred(self, server, authority, plain):
        order = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
        context = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(":".join(reversed(order.split(":"))))
        for preferred, cipher in (("no", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("yes", "ECDHE-ECDSA-AES256-GCM-SHA384")):
            plain.call("CONFIG", "SET", "tls-ciphers", order, "tls-prefer-server-ciphers", preferred)
            with RawClient(server.tls_port, tls=context) as client:
                assert client.socket.cipher()[0] == cipher
        plain.call("CONFIG", "SET", "tls-ciphers", "", "tls-prefer-server-ciphers", "no")

    def test_dh_parameters(self, server, authority, plain, tmp_path):
        file = tmp_path / "dh.pem"
        file.write_text(subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"],
                                       check=True, capture_output=True, text=True).stdout)
        certificate = authority.issue("rsa", algorithm="rsa")
        assert plain.call("CONFIG", "SET", "tls-cert-file", str(certificate.certificate), "tls-key-file", str(certificate.key),
                          "tls-dh-params-file", str(file), "tls-ciphers", "DHE-RSA-AES256-GCM-SHA384") == b"OK"
        with RawClient(server.tls_port, tls=authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)) as client:
            assert client.call("PING") == b"PONG"
        server_certificate = authority.directory / "server.crt"
        assert plain.call("CONFIG", "SET", "tls-cert-file", str(server_certificate), "tls-key-file",
                          str(authority.directory / "server.key"), "tls-dh-params-file", "", "tls-ciphers", "") == b"OK"

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_sessions_are_resumed_unless_turned_off(self, server, authority, plain, version):
        def resumed() -> int:
            """How many of five further connections resume the first one's session."""
            output = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-CAfile", str(authority.file),
                                     "-reconnect", version], input="", capture_output=True, text=True, timeout=60).stdout
            return output.count("Reused, TLS")

        def resumed_13() -> bool:
            context = authority.client()
            with RawClient(server.tls_port, tls=context) as first:
                assert first.call("PING") == b"PONG"  # behind which the ticket has come
                session = first.socket.session
            with RawClient(server.tls_port, tls=context, session=session) as second:
                assert second.call("PING") == b"PONG"
                return second.socket.session_reused

        try:
            for setting, expected in (("yes", True), ("no", False)):
                assert plain.call("CONFIG", "SET", "tls-session-caching", setting) == b"OK"
                assert (resumed() > 0 if version == "-tls1_2" else resumed_13()) == expected
        finally:
            plain.call("CONFIG", "SET", "tls-session-caching", "yes")

    def test_renegotiation_is_refused(self, server, authority, plain):
        output = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-CAfile", str(authority.file), "-tls1_2"],
                                input="R\n", capture_output=True, text=True, timeout=60)
        assert "no renegotiation" in output.stderr
        assert plain.call("PING") == b"PONG"

    def test_new_keys_are_agreed_on(self, server, authority, tmp_path):
        """K has openssl's client change its keys and ask the server to do the same, in the middle of the stream."""
        output = tmp_path / "output"
        with output.open("wb") as file:
            client = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-CAfile", str(authority.file),
                                       "-tls1_3", "-msg"], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.DEVNULL)
        read = lambda: output.read_bytes().decode(errors="replace")  # noqa: E731
        try:
            for word in ("one", "two", "three"):
                client.stdin.write(f"ECHO {word}\n".encode())
                client.stdin.flush()
                wait_for(lambda: f"{word}\r\n" in read(), "the reply has come")
                client.stdin.write(b"K\n")
                client.stdin.flush()
                wait_for(lambda: re.search(f"{word}\r\n.*>>> TLS 1.3, Handshake .*, KeyUpdate", read(), re.DOTALL), "it is sent")
            assert client.stdin.write(b"ECHO four\n")
            client.stdin.flush()
            wait_for(lambda: "four\r\n" in read(), "the reply has come")
            assert "<<< TLS 1.3, Handshake [length 0005], KeyUpdate" in read()
        finally:
            client.kill()
            client.wait()


class TestCertificatesThatChange:
    @pytest.fixture
    def own(self, authority, tmp_path):
        """A server with a certificate of its own to change."""
        made = authority.issue("first", subject="first")
        certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
        shutil.copy(made.certificate, certificate)
        shutil.copy(made.key, key)
        made.certificate, made.key = certificate, key
        with TlsServer(authority, made, "--tls-auth-clients", "no") as server:
            yield server

    def subject(self, server, authority) -> str:
        with RawClient(server.tls_port, tls=authority.client()) as client:
            assert client.call("PING") == b"PONG"
            return dict(pair[0] for pair in client.socket.getpeercert()["subject"])["commonName"]

    def test_the_same_file_set_again_and_another_one(self, own, authority, trusting, tmp_path):
        files = {"tls-cert-file": tmp_path / "server.crt", "tls-key-file": tmp_path / "server.key"}
        with RawClient(own.port) as plain, RawClient(own.tls_port, tls=trusting) as early:
            assert self.subject(own, authority) == "first"
            second = authority.issue("second")
            shutil.copy(second.certificate, files["tls-cert-file"])
            shutil.copy(second.key, files["tls-key-file"])
            assert self.subject(own, authority) == "first"
            assert plain.call("CONFIG", "SET", "tls-cert-file", str(files["tls-cert-file"])) == b"OK"
            assert self.subject(own, authority) == "second"
            third = authority.issue("third")
            assert plain.call("CONFIG", "SET", "tls-cert-file", str(third.certificate), "tls-key-file", str(third.key)) == b"OK"
            assert self.subject(own, authority) == "third"
            assert early.call("ECHO", "still here") == b"still here"

    def test_by_sighup(self, own, authority, tmp_path):
        second = authority.issue("by-signal")
        shutil.copy(second.certificate, tmp_path / "server.crt")
        shutil.copy(second.key, tmp_path / "server.key")
        own.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "by-signal" in own.read_log(), "the signal is heard")
        assert self.subject(own, authority) == "by-signal"
        (tmp_path / "server.key").write_text("nothing")
        own.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "TLS stays as it was" in own.read_log(), "the signal is heard")
        assert self.subject(own, authority) == "by-signal"

    @pytest.mark.parametrize("settings", [
        ["tls-cert-file", "/nowhere/to/be/found"], ["tls-cert-file", ""], ["tls-key-file", "{other}"], ["tls-ca-cert-file", "/nowhere"],
        ["tls-protocols", "SSLv3"], ["tls-ciphers", "nonsense"], ["tls-ciphersuites", "nonsense"], ["tls-dh-params-file", "/nowhere"],
        ["tls-ca-cert-file", "", "tls-auth-clients", "yes"]])
    def test_what_does_not_work_changes_nothing(self, own, authority, settings):
        settings = [word.format(other=authority.own.key) for word in settings]
        with RawClient(own.port) as plain:
            before = plain.call("CONFIG", "GET", "tls-*")
            assert plain.call("CONFIG", "SET", *settings) == Error(
                f"ERR CONFIG SET failed (possibly related to argument '{settings[0]}') - Unable to update TLS configuration. "
                "Check server logs.")
            assert plain.call("CONFIG", "GET", "tls-*") == before
        assert "TLS stays as it was: " in own.read_log()
        assert self.subject(own, authority) == "first"

    def test_the_port(self, own, authority):
        with RawClient(own.port) as plain:
            old, new = own.tls_port, free_port()
            assert plain.call("CONFIG", "SET", "tls-port", new) == b"OK"
            own.tls_port = new
            assert self.subject(own, authority) == "first"
            with pytest.raises(ConnectionRefusedError):
                RawClient(old)
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                assert plain.call("CONFIG", "SET", "tls-port", port) == Error(
                    "ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port. Check server logs.")
            assert self.subject(own, authority) == "first"
            assert plain.call("CONFIG", "SET", "tls-port", 0) == b"OK"
            with pytest.raises(ConnectionRefusedError):
                RawClient(new)


class TestPasswordOfTheKey:
    def test_opens_it_and_is_not_told(self, authority, trusting):
        certificate = authority.issue("locked", password="top secret")
        with TlsServer(authority, certificate, "--tls-auth-clients", "no", "--tls-key-file-pass", "top secret",
                       "--slowlog-log-slower-than", "0", "--loglevel", "debug") as server:
            with RawClient(server.tls_port, tls=trusting) as client:
                assert client.call("CONFIG", "SET", "tls-key-file-pass", "top secret") == b"OK"
                entries = client.call("SLOWLOG", "GET", "-1")
                assert [b"CONFIG", b"SET", b"tls-key-file-pass", b"(redacted)"] in [entry[3] for entry in entries]
                assert "Unable to update" in client.call("CONFIG", "SET", "tls-key-file-pass", "wrong one")
            assert "top secret" not in server.read_log() and "wrong one" not in server.read_log()

    @pytest.mark.parametrize("password", ["", "wrong one", "x" * 5000])
    def test_a_wrong_one_ends_the_start_without_a_question(self, authority, password):
        certificate = authority.issue("locked", password="top secret")
        server = TlsServer(authority, certificate, "--tls-auth-clients", "no", "--tls-key-file-pass", password)
        server.start_and_fail()
        line, = server.read_log().splitlines()
        assert line.startswith(f"quartet: tls-key-file {certificate.key}: ") and "wrong one" not in line
        server.remove()


@pytest.mark.parametrize("settings, line", [
    (["--tls-cert-file", ""], "tls-cert-file is not set, and TLS needs a certificate"),
    (["--tls-key-file", ""], "tls-key-file is not set, and TLS needs the certificate's key"),
    (["--tls-cert-file", "/nowhere"], "tls-cert-file /nowhere: No such file or directory"),
    (["--tls-ca-cert-file", ""], "tls-ca-cert-file or tls-ca-cert-dir must be set, because tls-auth-clients is not no"),
    (["--tls-protocols", "TLSv9"], "tls-protocols: 'TLSv9' is none; allowed: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"),
])
def test_a_bad_setting_ends_the_start_with_one_line(authority, certificate, settings, line):
    server = TlsServer(authority, certificate, *settings)
    server.start_and_fail()
    assert server.read_log() == f"quartet: {line}\n"
    server.remove()


def test_tls_only(authority, certificate, trusting):
    with TlsServer(authority, certificate, "--tls-auth-clients", "no", plain=False) as server:
        with RawClient(server.tls_port, tls=trusting) as client:
            assert info(client, "tcp_port") == str(server.tls_port)
            assert client.call("CONFIG", "GET", "port") == [b"port", b"0"]
        with pytest.raises(ConnectionRefusedError):
            RawClient(server.port)


def test_who_comes_while_a_script_runs_long_is_let_in(server, connect):
    runner, early = connect(), connect()
    runner.send("EVAL", "while true do redis.call('get', 'key') end", 0)
    wait_for(lambda: early.call("PING") == BUSY, "the script is busy")
    late = connect()
    assert late.call("GET", "key") == BUSY
    assert late.call("SCRIPT", "KILL") == b"OK"
    assert isinstance(runner.read(), Error)
    assert early.call("PING") == late.call("PING") == b"PONG"
