#!/bin/sh
# The sources below common and daemon to look at again, because they, or a header that they include themselves, have changed
# since COMMIT: changed.sh COMMIT
set -eu
git diff --quiet "$1" -- .clang-tidy CMakeLists.txt || exec find common daemon -name '*.cpp'
changed=$(git diff --name-only --diff-filter=d "$1" -- common daemon)
for file in $changed; do
    case $file in
        *.cpp) echo "$file" ;;
        *.hpp) grep -rlE --include='*.cpp' "^#include \"([^\"]*/)?${file##*/}\"" common daemon || true ;;
    esac
done | sort -u
