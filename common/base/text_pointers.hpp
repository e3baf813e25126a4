#pragma once
#include <string>
#include <vector>

namespace preforkd {

/// As execve(2) takes them, with a null pointer behind the last; they point into `texts`.
[[nodiscard]] inline std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace preforkd
