#pragma once
// A text that may be a secret, such as a private key.
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace preforkd {

/// Leaves nothing of itself in memory that others get next, however its scope is left.  Source: explicit_bzero(3).
class WipedText {
public:
    WipedText() = default;
    explicit WipedText(std::string text) noexcept : text_{std::move(text)} {}
    ~WipedText() { wipe(); }
    WipedText(const WipedText&) = delete;
    WipedText& operator=(const WipedText&) = delete;

    void append(std::string_view more) {
        if (text_.capacity() - text_.size() < more.size()) {
            std::string larger;
            larger.reserve(2 * (text_.size() + more.size()));
            larger.append(text_);
            wipe();
            text_ = std::move(larger);
        }
        text_.append(more);
    }

    [[nodiscard]] std::string& text() noexcept { return text_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] std::string take() noexcept { return std::move(text_); }

private:
    void wipe() noexcept { ::explicit_bzero(text_.data(), text_.size()); }

    std::string text_{};
};

}  // namespace preforkd
