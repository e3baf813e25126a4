#pragma once
#include <cstdio>
#include <cstdlib>

namespace preforkd::fuzz {

/// libFuzzer keeps the input that ends the process.
inline void require(bool holds, const char* sentence) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", sentence);
    std::abort();
}

}  // namespace preforkd::fuzz
