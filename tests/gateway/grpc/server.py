#!/usr/bin/env python3
"""A server of gRPC for the tests: messages are bytes, and what its methods do is said beside them.

    server.py [CERTIFICATE KEY]

It listens on a free port of 127.0.0.1, by TLS where it is given a certificate, says the port on its first
line, and ends with its standard input.
"""

import sys
import threading
from concurrent import futures

import grpc


class Calls(grpc.GenericRpcHandler):
    """`/calls.Calls/NAME` and `/secret.Calls/NAME`."""

    def __init__(self):
        self.ended = 0
        self.lock = threading.Lock()

    def service(self, details):
        service, _, name = details.method.lstrip("/").partition("/")
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Metadata": grpc.unary_unary_rpc_method_handler(self.metadata),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Ended": grpc.unary_unary_rpc_method_handler(self.how_many_ended),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Tick": grpc.unary_stream_rpc_method_handler(self.tick),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
        }
        return methods.get(name) if service in ("calls.Calls", "secret.Calls") else None

    def unary(self, request, context):
        """What it was sent, with metadata before and after."""
        context.send_initial_metadata((("x-before", "1"), ("x-before-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-after", "2"), ("x-after-bin", b"\xff\x00")))
        return request

    def metadata(self, _request, context):
        """The metadata it was sent, a line each."""
        lines = (f"{key}={value!r}" for key, value in context.invocation_metadata())
        return "\n".join(lines).encode()

    def refuse(self, _request, context):
        """A status of its own, with words that need escaping."""
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not yet: 50 % \u00e4")

    def how_many_ended(self, _request, _context):
        """How many calls of `Wait` and `Tick` have been ended by their clients."""
        with self.lock:
            return str(self.ended).encode()

    def until_its_end(self, context):
        """Is set when a call is over, which is counted."""
        over = threading.Event()

        def note():
            with self.lock:
                self.ended += 1
            over.set()

        context.add_callback(note)
        return over

    def wait(self, _request, context):
        """No answer, until its client gives it up."""
        self.until_its_end(context).wait(60)
        return b""

    def count(self, request, _context):
        """So many messages."""
        for number in range(int(request)):
            yield str(number).encode()

    def tick(self, _request, context):
        """A message every 20 ms, until its client gives it up."""
        over = self.until_its_end(context)
        while not over.wait(0.02):
            yield b"tick"

    def sum(self, requests, _context):
        """The sum of the numbers it is sent."""
        return str(sum(int(request) for request in requests)).encode()

    def echo(self, requests, _context):
        """Each message as it comes."""
        yield from requests


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    server.add_generic_rpc_handlers((Calls(),))
    if len(sys.argv) == 3:
        chain, key = (open(path, "rb").read() for path in sys.argv[1:])
        credentials = grpc.ssl_server_credentials([(key, chain)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
