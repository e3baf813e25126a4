#!/bin/sh
# Keeps each behaviour in its room.  Every breach prints file:line and one sentence.
# test_rooms.py plants a breach of each rule, so that none can go blind.
cd "${1:-.}" || exit 2
failed=0
say() { [ -z "$2" ] || { printf '%s\n' "$2" | sed "s|\$|   <- $1|"; failed=1; }; }
sources() { find common daemon tests -name '*.[ch]pp' 2>/dev/null | sort; }
code() { sources | xargs -r grep -nHE "$@" | grep -vE '^[^:]+:[0-9]+: *//'; }
includes() { code "^ *# *include *[<\"]$1"; }
within() { grep -E "^($1)"; }
outside() { grep -vE "^($1)"; }
pure='[^:]*/(lifecycle|endpoint|model|settings[a-z_]*|units|operator_error|[a-z_]*_policy|policies|accept_errors)\.[ch]pp:'
product='common/|daemon/'

say 'fork lives in common/spawn.hpp only' \
    "$(code '(^|[^a-zA-Z_.>])(v?fork|clone3?|system|popen) *\(' | within "$product" | outside 'common/spawn\.hpp:')"
say 'a daemon never sleeps; it waits for events' \
    "$(code '\b(u|nano|clock_nano)?sleep *\(|sleep_(for|until)' | within "$product")"
say 'catch (...) belongs at a process or connection boundary' \
    "$(code 'catch *\( *\.\.\. *\)' | within "$product" | outside 'common/spawn\.hpp:|daemon/(run|rehearsal|worker/(worker|coroutine_stream|serve_here|datagram_hooks|handler_failure|program_launch)|handlers/handler(_trial)?|embed/watched_handler|model/[a-z_]+)\.[ch]pp:')"
say 'a pure room includes no system header' \
    "$(includes '(sys/|linux/|net/|netinet/|arpa/|systemd/|boost/|unistd|poll|pthread|netdb|signal\.h|csignal|ctime|time\.h|fcntl|fstream|iostream|cstdio|thread|mutex)' | within "$pure")"
say 'a pure room reads no clock' \
    "$(code '[cC]lock::now *\(|\brecent_time *\(|clock_gettime|gettimeofday|\btime *\( *(nullptr|0|NULL) *\)' | within "$pure")"
say 'a pure room logs nothing' \
    "$(code '\blog *\( *(preforkd::)?(LogLevel|level)|std::cerr|printf *\(' | within "$pure")"
say 'common includes nothing of the daemon' \
    "$(includes '(\.\./)*daemon/' | within 'common/')"
say 'master and worker never include each other' \
    "$(includes '(\.\./|daemon/)+worker/' | within 'daemon/master/'; includes '(\.\./|daemon/)+master/' | within 'daemon/worker/')"
say 'Boost.Asio lives below the fork: worker, model, handlers, public headers' \
    "$(includes 'boost/asio' | within "$product" | outside 'daemon/(worker|model|handlers)/|common/include/preforkd/')"
say 'Boost.Program_options lives in common/options and ctl/options only' \
    "$(includes 'boost/program_options' | outside '(common|daemon/ctl)/options[a-z_]*\.cpp:')"
for file in $(sources); do
    case $file in
        *.hpp) [ "$(head -n 1 "$file")" = '#pragma once' ] || say 'a header starts with #pragma once' "$file:1" ;;
    esac
    lines=$(wc -l <"$file")
    case $file in
        daemon/preforkd.cpp | daemon/preforkctl.cpp) [ "$lines" -lt 50 ] || say 'a main is under 50 lines' "$file:$lines" ;;
    esac
    [ "$lines" -le 400 ] || say 'a file is at most 400 lines' "$file:$lines"
done
exit $failed
