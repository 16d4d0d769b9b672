#!/usr/bin/env python3
"""Puts 9,999 other routes before the one of a configuration, and becomes Portway with it.

Usage: many_routes.py PORTWAY CONFIGURATION
"""
import os
import sys

ROUTES = 9_999


def main():
    portway, path = sys.argv[1:]
    with open(path) as file:
        text = file.read()
    others = "".join(
        f"      - {{path: /area-{n % 100}/{n}, access: protected, pool: app, "
        f"policy: [{{allow: {{group: g{n}}}}}]}}\n"
        for n in range(ROUTES)
    )
    with open(path, "w") as file:
        file.write(text.replace("    routes:\n", "    routes:\n" + others, 1))
    os.execv(portway, [portway, "run", "--config", path, "--log", "warn"])


main()
