#!/bin/sh
# clang-tidy over the C++ files named: ./dev lint [FILE...].  By default over all of common and daemon, or, where LINT_SINCE
# names a commit, over what has changed there since.
set -eu
cd "$(dirname "$0")/../.."

# GCC's precompiled header means nothing to clang, so the commands come from a build directory without one, and a file at
# a time.
cmake --preset release -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DCMAKE_UNITY_BUILD=OFF >/dev/null

if [ $# -eq 0 ]; then
    files=$(find common daemon -name '*.cpp')
    if [ -n "${LINT_SINCE-}" ]; then
        files=$(tests/style/changed.sh "$LINT_SINCE")
        [ -n "$files" ] || { echo "nothing in common or daemon has changed since $LINT_SINCE"; exit 0; }
    fi
    # shellcheck disable=SC2086  # no path here has a space
    set -- $files
fi
report=build/lint/report
: >$report
status=0
# shellcheck disable=SC2016  # for the inner shell
printf '%s\n' "$@" | awk -v "files=$#" '{ print "[" NR "/" files "]"; print }' |
    xargs -P "$(nproc)" -n 2 sh -c 'echo "$1 $2"; exec clang-tidy -p build/lint -quiet "$2" \
        --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument >>"$0" 2>&1' $report || status=$?
[ $status -le 123 ] || { cat $report >&2; exit $status; }  # clang-tidy is missing or crashed

# The compiler is GCC.  What clang 14 alone cannot parse, such as ranges of GCC 12's library, is no finding.
! grep -a -E '(warning|error): ' $report | sort -u | grep -a -v 'clang-diagnostic-' | grep .
