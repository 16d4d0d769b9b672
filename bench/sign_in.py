#!/usr/bin/env python3
"""Signs user7 in at a running Portway and prints the request headers that a benchmark sends.

Usage: sign_in.py PORTWAY RUN_DIRECTORY TLS_PORT
"""
import http.client
import re
import ssl
import subprocess
import sys
from urllib.parse import urlencode, urlsplit


def ask(port, host, method, target, cookies, body=None):
    """One request over a connection of its own; answers status, headers and body."""
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
    headers = {"Host": host, "Accept": "text/html", "Cookie": "; ".join(cookies)}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        cookies.append(cookie.split(";")[0])
    return answer, text


def target_of(location):
    parts = urlsplit(location)
    return parts.path + ("?" + parts.query if parts.query else "")


def main():
    portway, run, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    application, collector = f"localhost:{port}", f"login.test:{port}"
    own, its = [], []
    answer, _ = ask(port, application, "GET", "/1k", own)
    target = target_of(answer.headers["Location"])
    _, page = ask(port, collector, "GET", target, its)
    hidden = dict(re.findall(r'name="(r|form)" value="([^"]*)"', page))
    form = urlencode({**hidden, "username": "user7", "password": "benchmark"})
    answer, _ = ask(port, collector, "POST", "/.portway/sign-in", its, form)
    ask(port, application, "GET", target_of(answer.headers["Location"]), own)
    print("X-Forwarded-Proto: https")
    print("Cookie: " + "; ".join(own))


main()
