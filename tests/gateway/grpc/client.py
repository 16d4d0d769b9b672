#!/usr/bin/env python3
"""A client of gRPC for the tests: it calls `server.py` through the gateway.

    client.py calls ADDRESS CA        each kind of call, one after the other; `ok` at the end
    client.py stays ADDRESS CA COOKIE a stream under `/secret.Calls`: says `open` when it has begun, and
                                      the name of the status when it is over
"""

import sys
import threading
import time

import grpc

PATIENCE = 20


def channel(address, ca):
    credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
    options = [("grpc.ssl_target_name_override", "app.test"), ("grpc.default_authority", "app.test")]
    return grpc.secure_channel(address, credentials, options)


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


class Calls:
    def __init__(self, made):
        self.made = made

    def unary(self, name, service="calls.Calls"):
        return self.made.unary_unary(f"/{service}/{name}")

    def check_unary(self):
        for message in (b"", b"hello", b"x" * (3 << 20)):
            reply, call = self.unary("Unary").with_call(message, timeout=PATIENCE)
            assert reply == message
            assert ("x-before", "1") in call.initial_metadata(), call.initial_metadata()
            assert ("x-before-bin", b"\x00\xff") in call.initial_metadata()
            assert ("x-after", "2") in call.trailing_metadata(), call.trailing_metadata()
            assert ("x-after-bin", b"\xff\x00") in call.trailing_metadata()

    def check_metadata(self):
        sent = (("x-tenant", "a b"), ("x-key-bin", b"\x00\x01"), ("remote-user", "evil"))
        text = self.unary("Metadata")(b"", metadata=sent, timeout=PATIENCE).decode()
        assert "x-tenant='a b'" in text, text
        assert "x-key-bin=b'\\x00\\x01'" in text, text
        assert "evil" not in text, text
        assert "x-forwarded-for='127.0.0.1'" in text, text

    def check_status(self):
        code, words = code_of(lambda: self.unary("Refuse")(b"", timeout=PATIENCE))
        assert (code, words) == (grpc.StatusCode.FAILED_PRECONDITION, "not yet: 50 % \u00e4"), (code, words)
        code, _ = code_of(lambda: self.unary("Nothing")(b"", timeout=PATIENCE))
        assert code == grpc.StatusCode.UNIMPLEMENTED, code
        # Who is not signed in is told so in HTTP, which gRPC reads as this.
        code, _ = code_of(lambda: self.unary("Unary", "secret.Calls")(b"", timeout=PATIENCE))
        assert code == grpc.StatusCode.UNAUTHENTICATED, code

    def check_streams_down(self):
        call = self.made.unary_stream("/calls.Calls/Count")(b"1000", timeout=PATIENCE)
        assert [int(message) for message in call] == list(range(1000))

    def check_streams_up(self):
        numbers = (str(number).encode() for number in range(1000))
        reply = self.made.stream_unary("/calls.Calls/Sum")(numbers, timeout=PATIENCE)
        assert int(reply) == sum(range(1000))

    def check_streams_both_ways(self):
        """Each message is sent when the one before has come back."""
        turn = threading.Semaphore(1)

        def messages():
            for number in range(500):
                turn.acquire()
                yield str(number).encode()

        call = self.made.stream_stream("/calls.Calls/Echo")(messages(), timeout=PATIENCE)
        for number, message in enumerate(call):
            assert int(message) == number
            turn.release()
        assert number == 499
        assert call.code() == grpc.StatusCode.OK

    def check_large_streams(self):
        """20 MiB up and down at the same time."""
        pieces = (bytes([number % 256]) * (64 << 10) for number in range(320))
        call = self.made.stream_stream("/calls.Calls/Echo")(pieces, timeout=2 * PATIENCE)
        number = -1
        for number, message in enumerate(call):
            assert message == bytes([number % 256]) * (64 << 10)
        assert number == 319

    def ended(self):
        return int(self.unary("Ended")(b"", timeout=PATIENCE))

    def wait_for_end(self, before):
        by = time.monotonic() + PATIENCE
        while self.ended() == before:
            assert time.monotonic() < by, "the server was not told"

    def check_deadline(self):
        before = self.ended()
        code, _ = code_of(lambda: self.unary("Wait")(b"", timeout=0.5))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED, code
        self.wait_for_end(before)

    def check_cancel(self):
        before = self.ended()
        call = self.made.unary_stream("/calls.Calls/Tick")(b"", timeout=PATIENCE)
        assert next(call) == b"tick"
        call.cancel()
        assert call.code() == grpc.StatusCode.CANCELLED
        self.wait_for_end(before)

    def check_all(self):
        for name in [name for name in dir(self) if name.startswith("check_") and name != "check_all"]:
            getattr(self, name)()
            print(name, flush=True)


def stays(made, cookie):
    tick = made.unary_stream("/secret.Calls/Tick")
    call = tick(b"", metadata=(("cookie", cookie),), timeout=3 * PATIENCE)
    try:
        for number, _ in enumerate(call):
            if number == 0:
                print("open", flush=True)
    except grpc.RpcError as error:
        print(error.code().name, flush=True)


def main():
    what, address, ca, *cookie = sys.argv[1:]
    with channel(address, ca) as made:
        if what == "calls":
            Calls(made).check_all()
            print("ok", flush=True)
        else:
            stays(made, *cookie)


if __name__ == "__main__":
    main()
