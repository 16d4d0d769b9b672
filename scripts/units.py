#!/usr/bin/env python3
"""Runs the units of deploy/systemd as they are, under a systemd of their own.

Usage: units.py PORTWAY

Installs Portway as docs/guide/systemd.md says, in a file system that is there for it alone, and goes through what
happens to a service: a user signs in, changes the password, and stays signed in while the service is reloaded,
upgraded, killed, frozen until its watchdog runs out, and stopped; with its sockets, and once more without. With the
sockets any system call that the unit forbids ends the process, so that none is refused unseen; without them
everything is as it ships.

Needs root and namespaces. Where the machine does not allow them, or its systemd cannot confine services there, it
says why, and ends with 77.
"""

import contextlib
import encodings.idna  # Hosts are looked up by it, and there is no Python to load it from in the own root.
import http.client
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True

import own_systemd

SKIPPED = 77
PATIENCE = 60.0
# All of it; whatever hangs is ended then.
BOUND = 200.0
# Long enough that a machine that is busy is not taken for a gateway that hangs.
WATCHDOG = 10
PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "staple battery horse correct"
LARGE = 32 << 20
NET_BIND_SERVICE = 1 << 10

ROOT = pathlib.Path(__file__).resolve().parent.parent
DROP_IN = own_systemd.UNITS / "portway.service.d/test.conf"
STRICT = f"[Service]\nSystemCallErrorNumber=kill\nWatchdogSec={WATCHDOG}\n"

# What a systemd has to be able to do before anything can be said of the gateway's unit.
CONFINED = """\
[Service]
Type=oneshot
ExecStart=/bin/true
User=nobody
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictNamespaces=yes
StateDirectory=confined
SystemCallFilter=@system-service
"""

CONFIG = """\
state_dir: /var/lib/portway
listeners:
  - name: https
    bind: "0.0.0.0:443"
    tls: {{ certificates: [{{ certificate_file: server.crt, key_file: server.key }}] }}
  - {{ name: http, bind: "0.0.0.0:80" }}
  - {{ name: local, bind: "unix:/run/portway/http.sock", proxy_protocol: {{}} }}
limits: {{ send_timeout: 2s }}
collector: {{ host: login.test }}
authentication: {{ users_file: /var/lib/portway/users.yaml }}
logs: {{ access: {{ to: /var/log/portway/access.log }} }}
pools: {{ app: {{ primary: ["127.0.0.1:3000"] }} }}
policies: {{ anybody: [{{ allow: signed_in }}] }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes:
      - {{ path: /answer, access: excluded, respond: {{ status: 200, body: "{answer}" }} }}
      - {{ path: /large, access: excluded, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
"""


class Manager:
    """The systemd, as operators meet it."""

    def run(self, *words, code=0, give=None):
        """What a program says on both channels; it has to end with this code, or with any when that is None."""
        ended = subprocess.run(
            words, input=give, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE
        )
        assert code is None or ended.returncode == code, f"{words}: {ended.returncode}: {ended.stdout}"
        return ended.stdout

    def __call__(self, *words, code=0):
        return self.run("systemctl", *words, code=code)

    def show(self, name):
        return self("show", "--value", "-p", name, "portway.service").strip()

    def pid(self):
        return int(self.show("MainPID"))

    def upgrade(self):
        """As the guide has it."""
        self.run("install", "-m", "0755", "/root/portway", "/usr/local/bin/portway")
        self.run("portway", "upgrade", "--config", "/etc/portway/gateway.yaml")

    def until(self, what, holds):
        until = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < until, f"{what}: not within {PATIENCE:.0f} s"
            time.sleep(0.02)

    def until_active(self):
        self.until("it serves again", lambda: self.show("ActiveState") == "active")

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", *words, code=None)


class Application(threading.Thread):
    """An upstream that answers with who is signed in."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 3000))

    def run(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            heard = b""
            while b"\r\n\r\n" not in heard:
                piece = connection.recv(65536)
                if not piece:
                    return
                heard += piece
            user = re.search(rb"(?i)\r\nremote-user: ([^\r]*)", heard)
            is_large = heard.startswith(b"GET /large ")
            body = bytes(LARGE) if is_large else b"hello " + (user.group(1) if user else b"nobody")
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + body)


class Browser:
    """Follows redirects, keeps cookies, fills in the login page."""

    def __init__(self):
        self.cookies = {}
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def ask(self, method, url, body=None):
        to = urllib.parse.urlsplit(url)
        own = self.cookies.setdefault(to.hostname, {})
        headers = {
            "Accept": "text/html",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": "same-origin" if body else "none",
            "Cookie": "; ".join(f"{name}={value}" for name, value in own.items()),
        }
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"https://{to.hostname}"
        connection = http.client.HTTPSConnection(to.hostname, 443, context=self.tls, timeout=PATIENCE)
        try:
            connection.request(method, urllib.parse.urlunsplit(("", "", to.path or "/", to.query, "")), body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.split(";")[0].partition("=")
            own[name] = value
        onward = answer.headers.get("Location")
        return answer.status, onward and urllib.parse.urljoin(url, onward), text

    def get(self, url):
        """Where it ends after all redirects, and what is there."""
        for _ in range(10):
            status, onward, text = self.ask("GET", url)
            if onward is None:
                return url, status, text
            url = onward
        raise AssertionError(f"redirects without an end: {url}")

    def fill_in(self, url, wanted, **fields):
        """Fills in the page that an address leads to, and answers where that leads."""
        url, status, page = self.get(url)
        assert status == 200 and wanted in url, f"no {wanted}: {url}: {status} {page}"
        for tag in re.findall(r'<input type="hidden"[^>]*>', page):
            fields[re.search(r' name="([^"]*)"', tag).group(1)] = re.search(r' value="([^"]*)"', tag).group(1)
        action = re.search(r'<form\b[^>]* action="([^"]*)"', page).group(1)
        url = urllib.parse.urljoin(url, action)
        return self.ask("POST", url, urllib.parse.urlencode({"username": "alice", **fields}))

    def sign_in(self, password):
        status, onward, text = self.fill_in("https://app.test/", "/.portway/sign-in", password=password)
        assert status == 303, f"no sign-in: {status} {text}"
        self.get(onward)
        self.is_known()

    def change_password(self):
        """Writes the users file."""
        words = {"password": PASSWORD, "new": NEW_PASSWORD, "again": NEW_PASSWORD}
        status, _, text = self.fill_in("https://login.test/.portway/password", "/.portway/password", **words)
        assert status in (200, 303) and 'role="alert"' not in text, f"no other password: {status} {text}"

    def is_known(self):
        found = self.get("https://app.test/")
        assert found == ("https://app.test/", 200, "hello alice"), f"not signed in: {found}"


def plain():
    """The answer over plain http; empty when nobody listens."""
    connection = http.client.HTTPConnection("app.test", 80, timeout=PATIENCE)
    try:
        connection.request("GET", "/answer")
        return connection.getresponse().read().decode()
    except ConnectionRefusedError:
        return ""
    finally:
        connection.close()


def local():
    """The answer at the socket of the file system."""
    with socket.socket(socket.AF_UNIX) as to:
        to.settimeout(PATIENCE)
        to.connect("/run/portway/http.sock")
        to.sendall(b"PROXY TCP4 10.1.2.3 127.0.0.1 4711 80\r\nGET /answer HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
        heard = b""
        while piece := to.recv(4096):
            heard += piece
    return heard.decode().partition("\r\n\r\n")[2]


def configure(answer):
    pathlib.Path("/etc/portway/gateway.yaml").write_text(CONFIG.format(answer=answer))


def install(manager):
    """By the words of the guide."""
    folder = pathlib.Path("/root")
    (folder / "gateway.yaml").write_text(CONFIG.format(answer="one"))
    add = ["/root/portway", "users", "add", "alice", "--file", "/root/users.yaml", "--password-stdin"]
    manager.run(*add, give=PASSWORD + "\n")
    commands = re.search(r"```sh\n(.*?)```", (folder / "systemd.md").read_text(), re.DOTALL).group(1)
    os.chdir(folder)
    manager.run("sh", "-exc", commands)


def is_confined(manager):
    """The kernel's own words."""
    status = pathlib.Path(f"/proc/{manager.pid()}/status").read_text()
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert found["Uid"].split()[0] != "0", status
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2", status
    for kind in ["CapAmb", "CapBnd", "CapEff", "CapPrm"]:
        assert int(found[kind], 16) == NET_BIND_SERVICE, status


def is_reset_when_it_does_not_read():
    """What has not been read is not kept, for which the gateway needs a call that most filters forbid."""
    with socket.socket() as to:
        to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        to.connect(("127.0.0.1", 80))
        to.sendall(b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n")
        ended = select.poll()
        ended.register(to, 0)
        assert ended.poll(PATIENCE * 1000), "a client that does not read was not reset"


def lives(manager, browser, has_sockets):
    """Everything that happens to a service which runs."""
    is_confined(manager)
    browser.is_known()
    assert local() == plain() == "one"
    is_reset_when_it_does_not_read()
    configure("two")
    manager("reload", "portway.service")
    assert plain() == "two"
    configure("no }} end")
    broken = pathlib.Path("/etc/portway/gateway.yaml").read_text().replace("pool: app", "pool: none")
    pathlib.Path("/etc/portway/gateway.yaml").write_text(broken)
    manager("reload", "portway.service", code=1)
    assert plain() == "two"
    configure("two")

    first = manager.pid()
    manager.upgrade()
    manager.until("the service manager knows who serves", lambda: manager.pid() != first)
    browser.is_known()
    manager.until("the end of the first", lambda: not pathlib.Path(f"/proc/{first}").exists())
    assert manager.show("ActiveState") == "active"
    assert manager.show("NRestarts") == "0"
    is_confined(manager)

    killed = manager.pid()
    os.kill(killed, signal.SIGKILL)
    manager.until("its end", lambda: manager.pid() != killed)
    if has_sockets:
        assert plain() == "two", "refused while it starts again"
    manager.until("a start after a kill", lambda: manager.show("NRestarts") == "1")
    manager.until_active()
    browser.is_known()
    assert local() == plain() == "two"


def hangs(manager, browser):
    """One that hangs is killed and started again, also when it has taken over from another."""

    def heard():
        return int(manager.show("WatchdogTimestampMonotonic"))

    manager.upgrade()
    for _ in range(3):
        before = heard()
        manager.until("a sign of life", lambda: heard() > before)
    starts = int(manager.show("NRestarts"))
    os.kill(manager.pid(), signal.SIGSTOP)
    manager.until("a start by the watchdog", lambda: int(manager.show("NRestarts")) > starts)
    manager.until_active()
    browser.is_known()


def is_mended(manager, browser):
    """A configuration with faults ends the tries and the sockets; the guide says how to begin again."""
    pathlib.Path("/etc/portway/gateway.yaml").write_text("nothing: true\n")
    manager("restart", "portway.service", code=1)
    manager.until("the end of the tries", lambda: manager("is-failed", "portway.socket", code=None) == "failed\n")
    configure("two")
    manager("reset-failed", "portway.socket", "portway.service")
    manager("start", "portway.socket", "portway.service")
    manager("is-active", "portway.socket", "portway.service")
    browser.is_known()


def stops(manager, *units):
    manager("stop", *units)
    assert manager.show("Result") == "success"


def go_through(manager):
    with_sockets = Browser()
    DROP_IN.parent.mkdir()
    DROP_IN.write_text(STRICT)
    install(manager)
    with_sockets.sign_in(PASSWORD)
    with_sockets.change_password()
    lives(manager, with_sockets, has_sockets=True)
    hangs(manager, with_sockets)
    is_mended(manager, with_sockets)
    stops(manager, "portway.service")
    assert plain() == "two", "not started by its socket"
    with_sockets.is_known()
    stops(manager, "portway.socket", "portway.service")
    assert plain() == "", "somebody listens"

    DROP_IN.unlink()
    configure("one")
    manager("disable", "portway.socket")
    manager("daemon-reload")
    manager("reset-failed")
    manager("start", "portway.service")
    assert manager("is-active", "portway.socket", code=3).strip() == "inactive"
    by_itself = Browser()
    by_itself.sign_in(NEW_PASSWORD)
    lives(manager, by_itself, has_sockets=False)
    stops(manager, "portway.service")
    assert plain() == "", "somebody listens"
    said = manager.journal("--identifier=portway")
    refused = re.findall(r"(?i).*(?:permission denied|not permitted|read-only file system|cannot be reset).*", said)
    assert not refused, refused


def drive():
    """Runs beside the systemd."""
    manager = Manager()
    try:
        manager.until("systemd", pathlib.Path("/run/systemd/private").exists)
        manager("start", "systemd-journald.service", "confined.service")
    except AssertionError as error:
        raise own_systemd.Refused(f"its systemd cannot confine a service there: {error}") from error
    Application().start()
    began = time.monotonic()
    try:
        go_through(manager)
    except BaseException as error:
        raise AssertionError(manager.journal()) from error
    return f"with its sockets and by itself: all well after {time.monotonic() - began:.0f} s"


def prepare(root, binary, certificates):
    for path in [binary, *certificates.iterdir(), ROOT / "docs/guide/systemd.md"]:
        shutil.copy(path, root / "root")
    (root / "root" / binary.name).rename(root / "root/portway")
    shutil.copytree(ROOT / "deploy", root / "root/deploy")
    (root / "etc/systemd/system/confined.service").write_text(CONFINED)
    with open(root / "etc/hosts", "a") as hosts:
        hosts.write("127.0.0.1 app.test login.test\n")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as certificates:
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=trial"
        names = ["-addext", "subjectAltName=DNS:app.test,DNS:login.test"]
        files = ["-keyout", "server.key", "-out", "server.crt"]
        made = subprocess.run([*make.split(), *names, *files], cwd=certificates, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        try:
            if os.geteuid() != 0:
                raise own_systemd.Refused("only root may")
            print(own_systemd.run(lambda root: prepare(root, binary, pathlib.Path(certificates)), drive, BOUND))
        except own_systemd.Refused as reason:
            print(f"skipped: no systemd of one's own here: {reason}")
            sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
