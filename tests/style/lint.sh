#!/bin/sh
# clang-tidy over the C++ files named, by default over all of common and daemon: ./dev lint [FILE...]
set -eu
cd "$(dirname "$0")/../.."

# GCC's precompiled header means nothing to clang, so the commands come from a build directory without one.
cmake --preset release -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null

# shellcheck disable=SC2046  # no path here has a space
[ $# -gt 0 ] || set -- $(find common daemon -name '*.cpp')
report=build/lint/report
status=0
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 clang-tidy -p build/lint -quiet \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument >$report 2>&1 || status=$?
[ $status -le 123 ] || { cat $report >&2; exit $status; }  # clang-tidy is missing or crashed

# The compiler is GCC.  What clang 14 alone cannot parse, such as ranges of GCC 12's library, is no finding.
complaints=$(grep -a -E '(warning|error): ' $report | sort -u || true)
printf '%s\n' "$complaints" | grep 'clang-diagnostic-error' | sed 's/^/not understood by clang: /' >&2 || true
! printf '%s\n' "$complaints" | grep -a -v 'clang-diagnostic-' | grep .
