#pragma once
// The answer on its way to standard output, and whether it is the expected one.
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

/// Finds a text in a stream that comes in pieces, also where it straddles two of them.  Pure.
class Expectation {
public:
    explicit Expectation(std::string text) : text_{std::move(text)} {}

    void see(std::string_view piece);
    [[nodiscard]] bool is_met() const noexcept { return met_; }

private:
    std::string text_;
    std::string tail_{};  ///< the end of what was seen: less than the text, so that memory stays bounded
    bool met_ = false;
};

class Answer {
public:
    /// Writes to `output`, which is borrowed.
    Answer(int output, const std::optional<std::string>& expected);

    /// Writes all of `piece`, and waits for a reader that is slow.  Throws std::system_error.
    void pass_on(std::string_view piece);

    /// False when nothing is expected.
    [[nodiscard]] bool is_as_expected() const noexcept { return expectation_ && expectation_->is_met(); }

    /// Whether what follows it, in the same place, would stand in its last line.
    [[nodiscard]] bool ends_mid_line() const noexcept { return mid_line_; }

private:
    int output_;
    bool mid_line_ = false;
    std::optional<Expectation> expectation_{};
};

}  // namespace preforkd
