#!/usr/bin/env bash
# Runs everything that `make test` promises, one step after the other, and closes with the one line
# `N passed, N failed` over all test runners. A step that fails without counting a test (formatting,
# lints, documentation, a build) counts as one failure. Every step runs, so one run shows every fault. Tests
# that passed only when they were run once more are named before that line.
set -uo pipefail
cd "$(dirname "$0")/.."

# Hundreds of connections of one process, each with two ends in it.
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 8192 ]; then
    ulimit -n 8192 2>/dev/null || true
fi

# What random tests draw is another each time; whoever sets what is printed here has a red run again.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
printf 'PROPTEST_RNG_SEED=%s\n' "$PROPTEST_RNG_SEED"

output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0
failed=0
failed_steps=()
flaky_tests=()

# Sums the closing lines of libtest, nextest and node's TAP reporter: `count passed|failed`.
count() {
    sed 's/\x1b\[[0-9;]*m//g' "$output" | awk -v what="$1" '
        function add(words,    rest) {
            rest = $0
            while (match(rest, "[0-9]+ " words)) {
                sum += substr(rest, RSTART, RLENGTH) + 0
                rest = substr(rest, RSTART + RLENGTH)
            }
        }
        /^test result: / { add(what) }
        /^ *Summary \[/ { add(what) }
        /^ *Summary \[/ && what == "failed" { add("timed out"); add("exec failed") }
        /^# pass [0-9]+$/ && what == "passed" { sum += $3 }
        /^# fail [0-9]+$/ && what == "failed" { sum += $3 }
        END { print sum + 0 }'
}

# The tests that nextest ran more than once until they passed, a line each.
flaky() {
    sed 's/\x1b\[[0-9;]*m//g' "$output" | awk '/^ *FLAKY [0-9]+\/[0-9]+ / { print $(NF - 1), $NF }' | sort -u
}

step() {
    local name=$1 began=$SECONDS status step_failed
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 </dev/null | tee "$output"
    status=${PIPESTATUS[0]}
    passed=$((passed + $(count passed)))
    step_failed=$(count failed)
    mapfile -t -O "${#flaky_tests[@]}" flaky_tests < <(flaky)
    if [ "$status" -ne 0 ]; then
        failed_steps+=("$name")
        [ "$step_failed" -gt 0 ] || step_failed=1
    fi
    failed=$((failed + step_failed))
    printf '== %s: exit %s after %s s\n' "$name" "$status" "$((SECONDS - began))"
}

rust_tests() {
    if command -v cargo-nextest >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast
    else
        cargo test --locked --no-fail-fast --all-targets
    fi
}

# One file after the other, since there are as few processors as files that could run beside each other. A
# file that fails is run once more, as `.config/nextest.toml` has it of other tests with real programs; what
# it said first is shown indented, where nothing counts it.
browser_tests() {
    local file said all=0
    for file in tests/browser/*.mjs; do
        if said=$(browser_test "$file"); then
            printf '%s\n' "$said"
            continue
        fi
        printf 'FLAKY or broken: %s, which said:\n' "$file"
        sed 's/^/    | /' <<<"$said"
        browser_test "$file" || all=1
    done
    return "$all"
}

# The tests of a file have 15 minutes by themselves; who hangs beyond that is stopped, and fails.
browser_test() {
    PORTWAY_BIN="$PWD/target/debug/portway" timeout --kill-after=30 960 node --test --test-reporter=tap "$1" 2>&1
}

# cargo-deny reads the same policy as tests/house; it adds the advisories, where its database is at hand.
deny() {
    cargo deny --offline check bans licenses sources
}

step "dependencies" env CARGO_NET_RETRY=10 cargo fetch --locked
step "format" cargo fmt --check
step "lints" cargo clippy --locked --all-targets -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
step "tests" rust_tests
step "documented examples" cargo test --locked --doc
if command -v cargo-deny >/dev/null 2>&1; then
    step "supply chain" deny
fi
if compgen -G 'tests/browser/*.mjs' >/dev/null; then
    step "browser" browser_tests
fi

printf '\n'
for name in ${flaky_tests[@]+"${flaky_tests[@]}"}; do
    printf 'flaky: %s\n' "$name"
done
for name in ${failed_steps[@]+"${failed_steps[@]}"}; do
    printf 'failed: %s\n' "$name"
done
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "${#failed_steps[@]}" -eq 0 ] && [ "$passed" -gt 0 ]
