// libFuzzer's entry for one of the targets: FUZZ_TARGET names it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "targets.hpp"

namespace {

const preforkd::fuzz::Target& chosen() {
    const char* const name = std::getenv("FUZZ_TARGET");
    const auto all = preforkd::fuzz::targets();
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& target) { return name != nullptr && target.name == name; });
    if (found != all.end()) return *found;
    for (const auto& target : all) std::printf("%.*s\n", static_cast<int>(target.name.size()), target.name.data());
    std::exit(name == nullptr ? 0 : 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const preforkd::fuzz::Target& target = chosen();
    target.read({reinterpret_cast<const char*>(data), size});
    return 0;
}
