#!/usr/bin/env python3
"""Checks two running data centres from outside, as a browser meets them.

It signs in at data centre A, goes to B, comes back, signs out at B, and tries the old cookies at both.
Each rule is reported on a line `ok N - RULE ...` or `not ok N - RULE ...`; the exit status is 0 when all
are ok, 1 when one is not, 2 when the check could not be made.

    tests/conformance/federation.py \\
        --app https://app.example.com/ \\
        --a 203.0.113.10:443 --b 198.51.100.10:443 \\
        --credentials FILE [--other https://mail.example.com/] [--ca FILE]

FILE holds the name of a user on its first line and the password on its second; the user may see the
applications, and signs in with nothing but the password. `--a` and `--b` are where each data centre is
reached; names are not resolved, so no balancer comes in between. Where the data centres are reached on
ports of their own, `--app-b` is the application's address as B has it. With `--other`, a second
application, signing in once for both is checked too. Only the session that is made here is touched. It
needs nothing but Python 3.8.
"""

import argparse
import html.parser
import http.client
import socket
import ssl
import sys
import time
import urllib.parse

STEPS_MAX = 20
SIGN_IN = "/.portway/sign-in"
LOGOUT = "/.portway/logout"


class Unable(Exception):
    """The check cannot be made."""


class Jar:
    """Cookies by name and by the host or domain they go to."""

    def __init__(self, cookies=None):
        self.cookies = dict(cookies or {})

    def copy(self):
        return Jar(self.cookies)

    def take(self, host, header):
        parts = [part.strip() for part in header.split(";")]
        name, _, value = parts[0].partition("=")
        attributes = {}
        for part in parts[1:]:
            key, _, said = part.partition("=")
            attributes[key.lower()] = said
        domain = attributes.get("domain", "").lstrip(".")
        key = (name, domain or host, bool(domain))
        if attributes.get("max-age") == "0":
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = value

    def header(self, host):
        fitting = []
        for (name, scope, below), value in self.cookies.items():
            if host == scope or (below and host.endswith("." + scope)):
                fitting.append(f"{name}={value}")
        return "; ".join(fitting)

    def portway(self):
        return [name for name, _, _ in self.cookies if "portway" in name.lower()]


class Form(html.parser.HTMLParser):
    """The first form of a page."""

    def __init__(self, page):
        super().__init__()
        self.action = None
        self.fields = {}
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action", "")
            self.inside = True
        if tag == "input" and self.inside and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False


class Answer:
    """What came back."""

    def __init__(self, url, response, body):
        self.url = url
        self.status = response.status
        self.location = response.getheader("Location")
        self.cookies = response.msg.get_all("Set-Cookie") or []
        self.body = body

    def path(self):
        return urllib.parse.urlsplit(self.url).path

    def is_sign_in(self):
        return self.status == 200 and self.path() == SIGN_IN


class Browser:
    """A browser that a balancer sends to one data centre or the other."""

    def __init__(self, context, jar=None):
        self.context = context
        self.jar = jar or Jar()

    def copy(self):
        return Browser(self.context, self.jar.copy())

    def send(self, centre, url, fields=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https":
            raise Unable(f"led to {url}, which is not https")
        connection = Connection(centre, parts.hostname, self.context)
        headers = {
            "Host": parts.netloc,
            "Accept": "text/html",
            "User-Agent": "portway-conformance",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": "none" if fields is None else "same-origin",
        }
        cookies = self.jar.header(parts.hostname)
        if cookies:
            headers["Cookie"] = cookies
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = None
        if fields is not None:
            headers["Origin"] = f"https://{parts.netloc}"
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode(fields)
        try:
            connection.request("GET" if body is None else "POST", target, body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unable(f"{url} at {centre}: {error}") from error
        finally:
            connection.close()
        answer = Answer(url, response, text)
        for cookie in answer.cookies:
            self.jar.take(parts.hostname, cookie)
        return answer

    def follow(self, centre, answer):
        for _ in range(STEPS_MAX):
            if answer.status not in (301, 302, 303) or not answer.location:
                return answer
            answer = self.send(centre, urllib.parse.urljoin(answer.url, answer.location))
        raise Unable(f"more than {STEPS_MAX} redirects, at {answer.url}")

    def visit(self, centre, url):
        return self.follow(centre, self.send(centre, url))

    def sign_in(self, centre, page, user, password):
        form = Form(page.body)
        if form.action is None:
            raise Unable(f"{page.url} has no form")
        fields = dict(form.fields, username=user, password=password)
        url = urllib.parse.urljoin(page.url, form.action)
        return self.follow(centre, self.send(centre, url, fields))


class Connection(http.client.HTTPSConnection):
    """A connection to a data centre for whatever host it is asked for."""

    def __init__(self, centre, name, context):
        super().__init__(name, timeout=30, context=context)
        host, _, port = centre.rpartition(":")
        self.centre = (host.strip("[]"), int(port))
        self.name = name

    def connect(self):
        plain = socket.create_connection(self.centre, self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.name)


class Report:
    """The lines that are printed."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def rule(self, holds, words, why=""):
        self.count += 1
        if not holds:
            self.failed += 1
        print(f"{'ok' if holds else 'not ok'} {self.count} - {words}")
        if not holds and why:
            print(f"# {why}")
        sys.stdout.flush()


def is_served(answer, url):
    """Whether the application itself answered."""
    host = urllib.parse.urlsplit(url).hostname
    there = urllib.parse.urlsplit(answer.url)
    is_own = there.path.startswith("/.portway/")
    return there.hostname == host and not is_own and answer.status < 400


def seen(answer):
    return f"{answer.status} at {answer.url}"


def is_dead(browser, centre, url):
    """Whether these cookies lead to the login page; copies are used, so nothing is changed."""
    answer = browser.copy().visit(centre, url)
    return answer.is_sign_in(), seen(answer)


def until_dead(browser, centre, url, seconds):
    end = time.monotonic() + seconds
    while True:
        dead, why = is_dead(browser, centre, url)
        if dead or time.monotonic() > end:
            return dead, why
        time.sleep(0.05)


def walk(options, user, password, browser, report):
    a, b, app_a, app_b = options.a, options.b, options.app, options.app_b or options.app
    rule = report.rule

    page = browser.visit(a, app_a)
    if is_served(page, app_a):
        raise Unable(f"{app_a} asks nobody to sign in")
    if not page.is_sign_in():
        raise Unable(f"{app_a} at A leads to no login page: {seen(page)}")
    first = browser.sign_in(a, page, user, password)
    if first.is_sign_in() or not is_served(first, app_a):
        raise Unable(f"{user} cannot sign in at A: {seen(first)}")
    rule(True, "M-010 a user signs in at A")
    login = urllib.parse.urlsplit(page.url).hostname
    rule(
        any("-id-" in name and scope == login for name, scope, below in browser.jar.cookies if not below),
        "MDC-COOKIE-1 the ID cookie belongs to the login host alone",
    )
    app_host = urllib.parse.urlsplit(app_a).hostname
    rule(
        any("-authn-" in name and scope == app_host for name, scope, below in browser.jar.cookies if not below),
        "MDC-COOKIE-3 the authn cookie belongs to the application's host alone",
    )

    began = time.monotonic()
    hop = browser.send(b, app_b)
    took = round(1000 * (time.monotonic() - began))
    rule(
        is_served(hop, app_b) and hop.status < 300,
        f"MDC-ADOPT-2 MDC-ADOPT-3 B serves at once who signed in at A ({took} ms)",
        seen(hop),
    )
    again = [browser.send(b, app_b) for _ in range(3)]
    rule(all(is_served(one, app_b) for one in again), "MDC-INDEX-2 B serves later requests too")
    rule(
        not any("-authn-" in cookie for one in [hop, *again] for cookie in one.cookies),
        "M-015 X-06 authorising sets no authn cookie anew",
    )
    if options.other:
        other = browser.visit(b, options.other_b or options.other)
        rule(
            is_served(other, options.other_b or options.other),
            "MDC-ADOPT-6 another application at B needs no sign-in",
            seen(other),
        )
    home = browser.visit(a, app_a)
    rule(is_served(home, app_a), "MDC-ADOPT-5 back at A the user is still signed in", seen(home))
    hops = [browser.visit(*place) for place in [(b, app_b), (a, app_a)] * 3]
    rule(
        all(is_served(one, app_a) for one in hops),
        "S-9 M-042 six more hops without a balancer's affinity",
        ", ".join(seen(one) for one in hops),
    )

    forged = browser.copy()
    for key in list(forged.jar.cookies):
        value = forged.jar.cookies[key]
        middle = len(value) // 2
        other = "A" if value[middle] != "A" else "B"
        forged.jar.cookies[key] = value[:middle] + other + value[middle + 1 :]
    for name, centre, url in [("A", a, app_a), ("B", b, app_b)]:
        dead, why = is_dead(forged, centre, url)
        rule(dead, f"MDC-COOKIE-6 at {name} a cookie that was tampered with is none", why)

    old = browser.copy()
    browser.visit(b, app_b)
    out = browser.visit(b, urllib.parse.urljoin(app_b, LOGOUT))
    rule("signed out" in out.body, "MDC-LOGOUT-1 the user signs out at B", seen(out))
    dead, why = is_dead(old, b, app_b)
    rule(dead, "MDC-LOGOUT-1 the old cookies are dead at B", why)
    dead, why = is_dead(old, a, app_a)
    confirmed = "not confirmed" not in out.body
    if not dead and not confirmed:
        # A was slow to confirm, and the page says so; then it is told as soon as it can be.
        dead, why = until_dead(old, a, app_a, 10)
    rule(dead, "MDC-LOGOUT-1 MDC-FAIL-5 the old cookies are dead at A", why)
    for _ in range(2):
        if confirmed:
            break
        # It has a second for it. One that was busy is asked again, by another browser of the user.
        confirmed = confirms(options, user, password, Browser(browser.context))
    rule(confirmed, "MDC-LOGOUT-3 every data centre confirmed the sign-out")
    # The device cookie is to survive: it opens nothing.
    left = [name for name in browser.jar.portway() if "-device-" not in name]
    rule(not left, "MDC-LOGOUT-1 no cookie is left in the browser", ", ".join(left))
    for name, centre, url in [("A", a, app_a), ("B", b, app_b)]:
        answer = browser.visit(centre, url)
        rule(answer.is_sign_in(), f"MDC-LOGOUT-2 {name} asks to sign in again", seen(answer))


def confirms(options, user, password, browser):
    """Whether every data centre confirms that a user who has just signed in at A signs out at B."""
    a, b, app_a, app_b = options.a, options.b, options.app, options.app_b or options.app
    try:
        page = browser.visit(a, app_a)
        if not page.is_sign_in() or not is_served(browser.sign_in(a, page, user, password), app_a):
            return False
        if not is_served(browser.visit(b, app_b), app_b):
            return False
        out = browser.visit(b, urllib.parse.urljoin(app_b, LOGOUT))
    except Unable:
        return False
    return "signed out" in out.body and "not confirmed" not in out.body


def read_options():
    words = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=words[0],
        epilog=words[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--app", required=True, help="address of a protected application")
    parser.add_argument("--app-b", help="the same as B has it, where its port differs")
    parser.add_argument("--other", help="address of another protected application")
    parser.add_argument("--other-b", help="the same as B has it, where its port differs")
    parser.add_argument("--a", required=True, help="HOST:PORT of data centre A")
    parser.add_argument("--b", required=True, help="HOST:PORT of data centre B")
    parser.add_argument("--credentials", required=True, help="file with a user and a password, a line each")
    parser.add_argument("--ca", help="file with the CA of the certificates, if the system does not have it")
    return parser.parse_args()


def main():
    options = read_options()
    report = Report()
    try:
        with open(options.credentials, encoding="utf-8") as file:
            lines = file.read().splitlines()
        if len(lines) < 2:
            raise Unable(f"{options.credentials} has no user and password")
        context = ssl.create_default_context(cafile=options.ca)
        walk(options, lines[0], lines[1], Browser(context), report)
    except (Unable, OSError, ValueError) as error:
        print(f"Bail out! {error}")
        return 2
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
