#!/bin/sh
# Writes the facts of the RustSec advisory database that tests/house/supply_chain.rs judges the dependencies by.
# Usage: scripts/advisories.sh FOLDER > tests/house/advisories.tsv
# FOLDER is a checkout of https://github.com/rustsec/advisory-db. A line is the id, the crate, the versions that are
# patched, those that never had the fault, and the kind of an advisory that is no fault, with tabs between them.
set -eu

folder=${1:?the folder of the database}
commit=$(git -C "$folder" log -1 --format='%cs %h')
printf '# RustSec advisory database of %s (CC0-1.0)\n' "$commit"
find "$folder/crates" -name 'RUSTSEC-*.md' | LC_ALL=C sort | while read -r file; do
    awk '
        /^```toml/ { inside = 1; next }
        inside && /^```/ { exit }
        !inside { next }
        { sub(/#.*/, "") }
        /^withdrawn/ { withdrawn = 1 }
        match($0, /^[a-z]+ *= */) {
            key = $1
            text = substr($0, RLENGTH + 1)
            open = (text ~ /^\[/ && text !~ /\]/)
            value[key] = text
            next
        }
        open { value[key] = value[key] " " $0; if ($0 ~ /\]/) open = 0 }
        function list(text) {
            gsub(/[][]/, "", text)
            gsub(/"[ \t]*,[ \t]*"/, " | ", text)
            gsub(/"[ \t]*,?[ \t]*$/, "", text)
            gsub(/^[ \t]*"/, "", text)
            gsub(/"/, "", text)
            gsub(/^[ \t]+|[ \t]+$/, "", text)
            return text
        }
        END {
            if (!withdrawn)
                printf "%s\t%s\t%s\t%s\t%s\n", list(value["id"]), list(value["package"]), list(value["patched"]),
                    list(value["unaffected"]), list(value["informational"])
        }' "$file"
done
