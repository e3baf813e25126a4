# The parts of `./dev test`, how each is run, and the summary.  Sourced by ./dev.
# shellcheck shell=bash disable=SC2154  # what ./dev has set
asked=  # the parts that were named; none: all
all_parts='unit process style lint daemon release chaos asan tsan packaging containers fleet bench'

# rings PRESET LABEL_REGEX: the compiled tests, of which most wait for somebody most of the time.
rings() {
    local tested=$root/build/$1
    ctest --test-dir "$tested" -L "$2" -j $((2 * jobs)) --timeout 120 --output-on-failure --no-tests=error || return
    tell_skips "$tested/Testing/Temporary/LastTest.log"
}

# tell_skips OUTPUT: what GoogleTest has skipped, and why, as pytest tells it.
tell_skips() { awk '/: Skipped$/ { getline why; print "SKIPPED " $1 " " why }' "$1"; }

sanitized() (
    build_tests asan unit_tests process_tests || exit
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    # Pure, so that one process will do: to start one takes 0.1 s.
    "$root/build/asan/tests/unit_tests" --gtest_brief=1 && rings asan '^process$'
)

# Only what has threads; in one process, which takes seconds.
thread_sanitized() {
    build_tests tsan thread_tests || return
    "$root/build/tsan/tests/thread_tests" --gtest_brief=1 2>&1 | tee "$root/build/tsan/output" || return
    tell_skips "$root/build/tsan/output"
}

# pytest_in FILES ARGS: what the tests leave there is of use where one has failed; pytest itself would keep three runs'.
pytest_in() (
    cd "$root" && PREFORKD_BUILD=$root/build/release "$python" -u -m pytest -v -rfEs -o cache_dir="$1/cache" \
        --basetemp="$1/all" "${@:2}"
)

# passes_alone FILES ARGS: whether the few that failed among all the others do not when nobody is beside them.  Real
# processes on a machine that is busy with three more tests can lose a race that they win alone.  Who did is named with
# the result: it is to be mended, but keeps nobody else's work back.
passes_alone() {
    local failed most=3
    [ -z "$asked" ] || return  # who asks for a part wants to see them fail
    mapfile -t failed < <("$python" -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' \
        "$1/cache/v/cache/lastfailed" 2>/dev/null)
    [ "${#failed[@]}" -ge 1 ] && [ "${#failed[@]}" -le "$most" ] && [ -n "${failed[0]}" ] || return
    pytest_in "$1/alone" "${@:2}" -n 0 "${failed[@]}" && echo "$only_alone${failed[*]}"
}
only_alone='PASSED ONLY ALONE '

run_pytest() {
    local suite=$1 files
    shift
    files=$(mktemp -dt preforkd-tests.XXXXXX) || return
    mkdir "$files/alone"
    if pytest_in "$files" "$@" "tests/$suite" || passes_alone "$files" "$@"; then
        rm -rf "$files"
    else
        echo "What the tests have left is in $files"
        return 1
    fi
}

# What the release before this one was built from: with the next one it is the commit of this one.
last_release=a24e743eff550859606f1fe2a8932790c30d01f0
release_tree=$root/build/release-$last_release

# Its daemon alone, once for all runs.  What has not changed since is in the compiler's cache: the same flags, then.
build_last_release() {
    local preforkd=$release_tree/build/release/preforkd werror
    if [ ! -x "$preforkd" ]; then
        say "building the last release in $release_tree"
        mkdir -p "$release_tree"
        git -C "$root" archive "$last_release" | tar -C "$release_tree" -xf - &&
            werror=$(grep '^PREFORKD_WERROR:' "$root/build/release/CMakeCache.txt") &&
            (cd "$release_tree" && cmake --preset release -DPREFORKD_TESTS:BOOL=OFF "-D$werror") &&
            cmake --build "$release_tree/build/release" --parallel "$jobs" --target preforkd || return
    fi
    export PREFORKD_RELEASE=$preforkd
}

packages_tested() {
    # shellcheck disable=SC2086  # lists of words
    need $package_packages $packaging_packages
    build_programs && DEB_BUILD_OPTIONS=noautodbgsym build_debs &&
        PREFORKD_PACKAGES=$root/build/package run_pytest packaging --ignore=tests/packaging/containers "$@"
}

containers_tested() {
    # shellcheck disable=SC2086  # a list of words
    need $container_packages
    # These may come from elsewhere, under other package names.
    command -v kubectl >/dev/null || need kubernetes-client
    command -v npm >/dev/null || need nodejs npm
    build_programs && run_pytest packaging/containers "$@"
}

fleet_tested() {
    # shellcheck disable=SC2086  # a list of words
    need $fleet_packages
    build_programs && run_pytest fleet "$@"
}

# What a run of all parts lints outside CI: what is not upstream yet.
unpublished() { git -C "$root" merge-base HEAD '@{upstream}' 2>/dev/null || git -C "$root" rev-parse HEAD 2>/dev/null; }

# All that workers do which somebody has taken over, for a minute.  Not beside the other one: either would be blamed for
# what the load of both does to it.  A run of all parts has its first seconds, among the daemon's tests.
taken_over_for_a_minute() {
    if [ -z "$asked" ] && [ "${CI-}" != true ]; then return; fi
    run_pytest daemon/test_taken_over.py --seconds 60
}

# Figures take minutes, and a machine that does nothing else.
short_benchmark() {
    if [ -n "$asked" ] || [ "${CI-}" = true ]; then
        benchmark --quick
    else
        echo 'SKIPPED figures: a machine at work has none; ./dev test bench measures'
    fi
}

run_part() {
    local part=$1
    shift
    case $part in
        unit | process) build_tests release && rings release "^$part\$" ;;
        style) run_pytest style -n "$jobs" "$@" ;;
        lint)
            if [ -n "$asked" ] || [ "${CI-}" = true ]; then
                "$root/tests/style/lint.sh"
            else
                LINT_SINCE=$(unpublished) "$root/tests/style/lint.sh"
            fi
            ;;
        daemon)
            # An installed one starts at once, and is no business of whoever only tests.
            # shellcheck disable=SC2086  # a list of words
            if [ "${CI-}" = true ]; then need $peer_packages; fi
            build_tests release && run_pytest daemon -n 4 --ignore=tests/daemon/test_upgrade_release.py "$@"
            ;;
        release) build_tests release && build_last_release && run_pytest daemon/test_upgrade_release.py -n 2 "$@" ;;
        asan) sanitized ;;
        tsan) thread_sanitized ;;
        packaging) packages_tested "$@" ;;
        containers) containers_tested "$@" ;;
        fleet) fleet_tested "$@" ;;
        chaos) build_tests release && run_pytest chaos -n 2 && chaos --seed 1 && taken_over_for_a_minute ;;
        bench) build_tests release && compile release bench_tools && run_pytest bench -n 2 && short_benchmark ;;
    esac
}

# why_not PART: why it cannot be run here, in one sentence; nothing if it can.
why_not() {
    case $1 in unit | style | lint) return ;; esac
    if [ ! -e /proc/self/stat ]; then
        echo '/proc is not mounted here'
    elif [ "$1" = release ]; then
        if ! git -C "$root" cat-file -e "$last_release^{commit}" 2>/dev/null; then
            echo "the history here does not reach back to $last_release: git fetch --unshallow"
        elif [ -z "$asked" ] && [ "${CI-}" != true ] && [ ! -x "$release_tree/build/release/preforkd" ]; then
            echo 'the last release is not built; ./dev test release does so, in minutes'
        fi
    elif [ "$1" = asan ] || [ "$1" = tsan ]; then
        if [ -z "$asked" ] && [ "${CI-}" != true ] && [ ! -e "$root/build/$1/libpreforkd.a" ]; then
            echo "what it needs is not built; ./dev test $1 does so, in minutes"
        fi
    elif [ "$1" != packaging ] && [ "$1" != containers ] && [ "$1" != fleet ]; then
        return
    elif ! command -v dpkg-query >/dev/null; then
        echo 'this is not Debian'
    elif [ "$(id -u)" != 0 ]; then
        echo 'needs root, to boot a system of its own'
    elif ! grep -q ' cgroup' /proc/self/mounts; then
        echo 'no control groups are mounted here'
    elif [ "$1" = containers ] && [ -z "$asked" ] && [ "${CI-}" != true ] && ! command -v podman >/dev/null; then
        echo 'podman is not installed; ./dev test containers installs it and what else this part needs'
    elif [ "$1" = fleet ] && [ -z "$asked" ] && [ "${CI-}" != true ] && ! command -v dockerd >/dev/null; then
        echo 'Docker is not installed; ./dev test fleet installs it and what else this part needs'
    else
        local probe
        probe=$(mktemp -d)
        mkdir "$probe/up" "$probe/work" "$probe/root"
        unshare --mount --net mount -t overlay overlay "$probe/root" \
            -o "lowerdir=/,upperdir=$probe/up,workdir=$probe/work" 2>/dev/null ||
            echo 'root may make no namespace, or mount no overlay, here'
        rm -rf "$probe"
    fi
}

run_tests() {
    local part parts='' status=0 summary='' result begun why
    while [ $# -gt 0 ]; do
        case " $all_parts " in
            *" $1 "*) parts+=" $1" ;;
            *) [ "$1" = -- ] || misused "no part of the tests is called '$1': $all_parts" ; break ;;
        esac
        shift
    done
    if [ $# -gt 1 ] && [ -z "$parts" ]; then parts=daemon; fi
    if [ $# -gt 0 ]; then shift; fi

    asked=$parts
    # shellcheck disable=SC2086  # lists of words
    logged packages need $build_packages $test_packages
    for part in ${parts:-$all_parts}; do
        say "testing $part"
        begun=$SECONDS why=$(why_not "$part")
        if [ -n "$why" ]; then
            result="skipped: $why"
            [ "${CI-}" != true ] || status=1
        elif logged "$part" run_part "$part" "$@"; then
            result=passed$(sed -n "s/^$only_alone/; only alone: /p" "$root/build/log/$part.log")
        else
            result="FAILED (build/log/$part.log)" status=1
        fi
        summary+=$(printf '%-9s %s, %s s' "$part" "$result" $((SECONDS - begun)))$'\n'
    done
    printf '\n%s' "$summary"
    exit $status
}
