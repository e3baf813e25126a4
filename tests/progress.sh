# What ./dev says, what it shows of the programs that it runs, and how these are interrupted.  Sourced by ./dev.
# shellcheck shell=bash disable=SC2154  # root
progress_every=10  # seconds

# Ctrl-C is for the program in front first, which may have to clean up; then nothing more is begun.
trap 'trap - INT; kill -INT $$' INT

say() { printf 'dev: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
misused() { say "$*"; exit 64; }

# narrate LOG: copies its input there, and tells how it goes: a line of say() at once, of the others the latest every 10 s;
# on a terminal every second, in place.
narrate() {
    trap '' INT  # the others get it too, clean up, and may have to say something; the end of their output is the end here
    local line text='' latest='' begun=$SECONDS every=$progress_every clear='' end='\n' status=0
    if [ -t 2 ]; then every=1 clear='\r\033[K' end=''; fi
    local due=$((SECONDS + every))
    while [ $status != 1 ]; do  # 1 is the end of the input, more is the end of the time
        status=0
        IFS= read -r -t 1 line || status=$?
        text+=$line  # which is what has come of one when the time is up
        if [ $status = 0 ]; then
            printf '%s\n' "$text" >&3
            case $text in
                'dev: '*) printf '%b%s\n' "$clear" "$text" >&2 ;;
                *) latest=$text ;;
            esac
            text=
        fi
        if [ $SECONDS -ge $due ]; then
            printf '%bdev: %4d s  %.100s%b' "$clear" $((SECONDS - begun)) "${text:-$latest}" "$end" >&2
            due=$((SECONDS + every))
        fi
    done 3>"$1"
    printf '%s' "$text" >>"$1"
    printf '%b' "$clear" >&2
}

# logged NAME COMMAND...: runs it with what it prints in build/log/NAME.log.  Shows that where it fails, without what went
# well in it; else nothing but what the compiler warns of, what tests were skipped for, and what they have found, in rows of a table.
logged() {
    local log=build/log/$1.log result=0
    shift
    mkdir -p "$root/build/log"
    "$@" 2>&1 | narrate "$root/$log" || result=1
    if [ $result = 0 ]; then
        grep -aE '^[^ ]+:[0-9]+:[0-9]+: warning: |^SKIPPED |^\| ' "$root/$log" || true
    else
        grep -avE '^dev: |^\[[0-9]+/[0-9]+\] |^ +Start +[0-9]+: | Passed +[0-9.]+ sec$|\<PASSED\>' "$root/$log" || true
        say "failed; everything that was printed is in $log"
    fi >&2
    return $result
}
