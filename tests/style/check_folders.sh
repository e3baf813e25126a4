#!/bin/sh
# Keeps each behaviour in its folder.  Every breach prints file:line and one sentence.
# test_folders.py plants a breach of each rule, so that none can go blind.
cd "${1:-.}" || exit 2
failed=0
say() { [ -z "$2" ] || { printf '%s\n' "$2" | sed "s|\$|   <- $1|"; failed=1; }; }
sources() { find common daemon tests -name '*.[ch]pp' 2>/dev/null | sort; }
code() { sources | xargs -r grep -nHE "$@" | grep -vE '^[^:]+:[0-9]+: *//'; }
includes() { code "^ *# *include *[<\"]$1"; }
within() { grep -E "^($1)"; }
outside() { grep -vE "^($1)"; }
pure='(common|daemon)/[^:]*/(lifecycle|endpoint|model|settings[a-z_]*|units|operator_error|[a-z_]*_policy|policies|accept_errors)\.[ch]pp:'
product='common/|daemon/'

say 'fork lives in common/process/spawn.hpp only' \
    "$(code '(^|[^a-zA-Z_.>])(v?fork|clone3?|system|popen) *\(' | within "$product" | outside 'common/process/spawn\.hpp:')"
say 'a daemon never sleeps; it waits for events' \
    "$(code '\b(u|nano|clock_nano)?sleep *\(|sleep_(for|until)' | within "$product")"
say 'catch (...) belongs at a process or connection boundary' \
    "$(code 'catch *\( *\.\.\. *\)' | within "$product" | outside 'common/process/spawn\.hpp:|daemon/(startup/run|worker/(worker|stream/(coroutine_stream|serve_here)|datagram/datagram_request|handler/(handler|handler_trial|handler_hooks|worker_core)|program/program_launch|model/[a-z_]+)|(embed/watched_handler|test_kit/service))\.[ch]pp:')"
say 'a pure file includes no system header' \
    "$(includes '(sys/|linux/|net/|netinet/|arpa/|systemd/|boost/|unistd|poll|pthread|netdb|signal\.h|csignal|ctime|time\.h|fcntl|fstream|iostream|cstdio|thread|mutex)' | within "$pure")"
say 'a pure file reads no clock' \
    "$(code '[cC]lock::now *\(|\brecent_time *\(|(clock_gettime|gettimeofday) *\(|\btime *\( *(nullptr|0|NULL) *\)' | within "$pure")"
say 'a pure file logs nothing' \
    "$(code '\blog *\( *(preforkd::)?(LogLevel|level)|std::cerr|printf *\(' | within "$pure")"
say 'common includes nothing of the daemon' \
    "$(includes '(\.\./)*daemon/' | within 'common/')"
say 'master and worker never include each other' \
    "$(includes '(\.\./|daemon/)+worker/' | within 'daemon/master/'; includes '(\.\./|daemon/)+master/' | within 'daemon/worker/')"
# in_line FOLDER 'NAME...': its folders, each of which includes only itself and those before it.  What stands in FOLDER
# itself comes last.
in_line() {
    includes "$1/" | within "$1/" | outside 'common/include/' | awk -F: -v above="$1/" -v line="$2" '
        function rank(path) {
            sub(".*" above, "", path)
            if (path !~ "/") return last + 1
            sub("/.*", "", path)
            return path in ranks ? ranks[path] : 0
        }
        BEGIN { last = split(line, names, " "); for (at in names) ranks[names[at]] = at + 0 }
        { own = rank($1); other = $3; sub(/^[^"<]*["<]/, "", other)
          if (own == 0 || rank(other) == 0 || rank(other) > own) print }'
}
say 'the folders of common form a line: base log process config tls net systemd channel control' \
    "$(in_line common 'base log process config tls net systemd channel control')"
say 'the folders of daemon/master form a line: control pool observe reload upgrade' \
    "$(in_line daemon/master 'control pool observe reload upgrade')"
say 'the folders of daemon/worker form a line: loop process accept handler stream forward datagram program model' \
    "$(in_line daemon/worker 'loop process accept handler stream forward datagram program model')"
say 'the folders of daemon form a line: handlers worker observe master ctl startup embed test_kit' \
    "$(in_line daemon 'handlers worker observe master ctl startup embed test_kit')"
say 'Boost.Asio lives below the fork: worker, handlers, observe, public headers' \
    "$(includes 'boost/asio' | within "$product" | outside 'daemon/(worker|handlers|observe)/|common/include/preforkd/')"
say 'Boost.Program_options lives in common/config/options only' \
    "$(includes 'boost/program_options' | outside 'common/config/options[a-z_]*\.cpp:')"
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
