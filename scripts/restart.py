#!/usr/bin/env python3
"""Starts a gateway again and again as systemd does, and counts what its clients notice.

Usage: restart.py PORTWAY

Plays the part of the service manager for deploy/systemd: listens at the socket, passes it to the gateway
(LISTEN_FDS), hears what it says of itself (NOTIFY_SOCKET), and starts it again whenever it has failed. Meanwhile
clients connect anew for each request. The gateway is killed, stopped in order, and frozen until its watchdog runs
out. Nobody may be refused; cut off may be only whom a process had accepted that was killed. A stop in order closes
connections that it has accepted and whose request it has not read yet: who has heard no byte then asks again.
"""

import os
import pathlib
import signal
import socket
import sys
import tempfile
import threading
import time

CLIENTS = 8
KILLS = 5
SERVED_BETWEEN = 200
RESTART_PAUSE = 0.1
# Long enough that a machine that is busy is not taken for a gateway that hangs.
WATCHDOG = 10.0
PATIENCE = 30.0
# A stop in order has 30 s for what runs, by the gateway's own default.
STOP_WITHIN = 60.0

CONFIG = """\
state_dir: {folder}/state
listeners: [{{ name: http, bind: "127.0.0.1:{port}" }}]
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, respond: {{ status: 200, body: "{answer}" }} }}]
"""


class Unit:
    """A service and its socket, as the unit files say."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(4096)
        self.port = self.socket.getsockname()[1]
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(f"{folder}/notify")
        self.heard = []
        self.hearing = threading.Condition()
        self.pid = None
        threading.Thread(target=self.listen, daemon=True).start()

    def config(self, answer):
        text = CONFIG.format(folder=self.folder, port=self.port, answer=answer)
        (self.folder / "gateway.yaml").write_text(text)

    def listen(self):
        """Hears everything at once, as a service manager does: nobody waits for room in the queue."""
        while True:
            said = self.ear.recv(4096).decode().split("\n")
            with self.hearing:
                self.heard += said
                self.hearing.notify_all()

    def forget(self):
        with self.hearing:
            self.heard.clear()

    def start(self):
        self.forget()
        self.pid = os.fork()
        if self.pid == 0:
            self.become()
        self.hear("READY=1")
        assert f"MAINPID={self.pid}" in self.heard, self.heard

    def become(self):
        """What the service manager does between fork and exec."""
        try:
            os.dup2(self.socket.fileno(), 3)
            os.set_inheritable(3, True)
            env = dict(os.environ)
            env["LISTEN_FDS"] = "1"
            env["LISTEN_PID"] = str(os.getpid())
            env["NOTIFY_SOCKET"] = f"{self.folder}/notify"
            env["WATCHDOG_USEC"] = str(int(WATCHDOG * 1e6))
            env["WATCHDOG_PID"] = str(os.getpid())
            log = os.open(f"{self.folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 2)
            os.execve(self.binary, [self.binary, "run", "--config", f"{self.folder}/gateway.yaml"], env)
        finally:
            os._exit(127)

    def hear(self, word):
        """Waits until the gateway has said this."""
        with self.hearing:
            is_said = self.hearing.wait_for(lambda: word in self.heard, PATIENCE)
            assert is_said, f"{word} was never said: {self.heard}"

    def is_alive_by_its_watchdog(self):
        """Whether it says so in time."""
        with self.hearing:
            before = self.heard.count("WATCHDOG=1")
            return self.hearing.wait_for(lambda: self.heard.count("WATCHDOG=1") > before, WATCHDOG)

    def end(self, how):
        """Ends it, and answers its status; one that goes on all the same is killed, and that is a failure."""
        os.kill(self.pid, how)
        until = time.monotonic() + STOP_WITHIN
        while (ended := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.pid = None
                raise AssertionError(f"the gateway goes on {STOP_WITHIN:.0f} s after {how.name}")
            time.sleep(0.005)
        self.pid = None
        return ended[1]


class Clients:
    """Clients that connect anew for each request."""

    def __init__(self, port):
        self.port = port
        self.served = self.refused = self.cut = self.unheard = 0
        self.longest = 0.0
        self.lock = threading.Lock()
        self.stopping = False
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopping:
            began = time.monotonic()
            what = self.ask()
            took = time.monotonic() - began
            with self.lock:
                setattr(self, what, getattr(self, what) + 1)
                self.longest = max(self.longest, took)

    def ask(self):
        heard = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as to:
                to.sendall(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
                while piece := to.recv(4096):
                    heard += piece
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "cut"
        except OSError:
            return "cut" if heard else "unheard"
        if not heard:
            return "unheard"
        return "served" if heard.startswith(b"HTTP/1.1 200 ") else "cut"

    def more(self, count):
        """Waits until so many more were served."""
        goal, until = self.served + count, time.monotonic() + PATIENCE
        while self.served < goal:
            if time.monotonic() > until:
                raise AssertionError("clients are not served")
            time.sleep(0.005)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def run(binary, folder):
    unit = Unit(binary, folder)
    unit.config("one")
    unit.start()
    clients = Clients(unit.port)
    try:
        for _ in range(KILLS):
            clients.more(SERVED_BETWEEN)
            unit.end(signal.SIGKILL)
            time.sleep(RESTART_PAUSE)
            unit.start()
        clients.more(SERVED_BETWEEN)
        cut, unheard = clients.cut, clients.unheard
        assert cut + unheard <= KILLS * CLIENTS, f"{cut + unheard} clients were cut off by {KILLS} kills"

        assert unit.end(signal.SIGTERM) == 0, "the gateway did not stop in order"
        unit.hear("STOPPING=1")
        unit.start()
        clients.more(SERVED_BETWEEN)
        assert clients.cut == cut, f"{clients.cut - cut} clients were cut off by a stop in order"
        asked_again = clients.unheard - unheard

        unit.forget()
        unit.config("two")
        os.kill(unit.pid, signal.SIGHUP)
        unit.hear("RELOADING=1")
        unit.hear("READY=1")

        assert unit.is_alive_by_its_watchdog(), "the watchdog was not told"
        os.kill(unit.pid, signal.SIGSTOP)
        while unit.is_alive_by_its_watchdog():
            pass
        unit.end(signal.SIGKILL)
        unit.start()
        clients.more(SERVED_BETWEEN)
    finally:
        clients.stop()
        if unit.pid is not None:
            unit.end(signal.SIGTERM)
    print(
        f"{clients.served} requests served over {KILLS + 3} starts; {clients.refused} refused, "
        f"{clients.cut + clients.unheard - asked_again} cut off by kills, {asked_again} not heard by a stop in order; "
        f"the longest took {clients.longest:.2f} s"
    )
    assert clients.refused == 0, "somebody was refused"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    binary = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(binary, pathlib.Path(folder))
        except BaseException:
            log = pathlib.Path(folder, "log")
            print(log.read_text() if log.exists() else "", file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
