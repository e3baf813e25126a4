#pragma once
// A line being built, on the stack, never longer than what one write can hold.  Pure.
#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

namespace preforkd {

/// With a newline before it PIPE_BUF: up to there a write to a pipe is one piece, however many processes share it.
/// Source: pipe(7).
inline constexpr std::size_t log_line_limit_bytes = 4095;

/// A bounded text.  Once something did not fit, it is cut() and takes nothing more but its ending.
class LogLine {
public:
    /// Keeps `reserve_bytes` free for append_ending(): whatever happens before, the line can be finished properly.
    explicit LogLine(std::size_t reserve_bytes) noexcept : limit_{log_line_limit_bytes - reserve_bytes} {
        bytes_[0] = '\n';
    }

    /// Appends as much as fits.
    void append(std::string_view text) noexcept {
        if (cut_) return;
        const std::size_t fitting = std::min(text.size(), free_bytes());
        put(text.substr(0, fitting));
        cut_ = fitting < text.size();
    }

    /// Appends all or nothing: an escape sequence or a character is never cut in two.
    void append_whole(std::string_view text) noexcept {
        if (cut_ || text.size() > free_bytes()) {
            cut_ = true;
            return;
        }
        put(text);
    }

    template <class Number>
        requires std::integral<Number> || std::floating_point<Number>
    void append_number(Number number) noexcept {
        std::array<char, 32> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        append_whole({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }

    /// Calls `write`, which appends at most `most_bytes`.  Whether it was cut; the line itself goes on.
    template <class Write>
    bool append_within(std::size_t most_bytes, Write write) {
        const std::size_t limit = std::exchange(limit_, std::min(limit_, size_ + most_bytes));
        const bool cut_before = std::exchange(cut_, false);
        write();
        limit_ = limit;
        return std::exchange(cut_, cut_before);
    }

    /// Appends into the reserve too, cut or not.
    void append_ending(std::string_view text) noexcept { put(text.substr(0, log_line_limit_bytes - size_)); }

    /// Takes back everything behind `size_bytes`; a cut stays a cut.
    void shorten_to(std::size_t size_bytes) noexcept { size_ = std::min(size_, size_bytes); }

    /// Overwrites what stands at `offset_bytes` already: a length that was not known before.
    void overwrite(std::size_t offset_bytes, std::string_view bytes) noexcept {
        std::memcpy(bytes_.data() + 1 + offset_bytes, bytes.data(), bytes.size());
    }

    [[nodiscard]] bool cut() const noexcept { return cut_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data() + 1, size_}; }
    /// With a newline before it, which ends what somebody else has left unfinished.
    [[nodiscard]] std::string_view view_from_newline() const noexcept { return {bytes_.data(), 1 + size_}; }

private:
    [[nodiscard]] std::size_t free_bytes() const noexcept { return limit_ - std::min(size_, limit_); }
    void put(std::string_view text) noexcept {
        if (text.empty()) return;  // of which the address may be null, which memcpy(3) must not be given
        std::memcpy(bytes_.data() + 1 + size_, text.data(), text.size());
        size_ += text.size();
    }

    std::size_t limit_;
    std::size_t size_ = 0;
    bool cut_ = false;
    std::array<char, 1 + log_line_limit_bytes> bytes_;  // not initialised: clearing 4 KiB would cost more than the line
};

}  // namespace preforkd
