#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace preforkd {

/// Makes whole lines of what several processes write into one pipe.  Empty lines are left out: who cannot trust those
/// before him begins with a newline, which ends what they have left unfinished.  Pure.
class WholeLines {
public:
    /// A line that is longer becomes several.
    static constexpr std::size_t limit_bytes = 65536;

    /// `most_at_once_bytes`: for space().
    explicit WholeLines(std::size_t most_at_once_bytes)
        : most_at_once_bytes_{most_at_once_bytes},
          bytes_{std::make_unique_for_overwrite<char[]>(limit_bytes + most_at_once_bytes + 1)} {}

    /// Where the next bytes are to be read to.  Ends the validity of what take() has given.
    [[nodiscard]] std::span<char> space() noexcept {
        std::memmove(bytes_.get(), bytes_.get() + rest_at_, rest_bytes_);
        rest_at_ = 0;
        return {bytes_.get() + rest_bytes_, most_at_once_bytes_};
    }

    /// `read_bytes` have been read there.  The lines that have an end by now.
    [[nodiscard]] std::string_view take(std::size_t read_bytes) noexcept {
        const std::string_view all{bytes_.get(), rest_bytes_ + read_bytes};
        std::size_t begin = 0;
        std::size_t lines_end = 0;
        for (std::size_t end = 0; (end = all.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
            if (end == begin) continue;
            std::memmove(bytes_.get() + lines_end, bytes_.get() + begin, end + 1 - begin);
            lines_end += end + 1 - begin;
        }
        rest_at_ = begin;
        rest_bytes_ = all.size() - begin;
        if (rest_bytes_ < limit_bytes) return {bytes_.get(), lines_end};
        std::memmove(bytes_.get() + lines_end, bytes_.get() + begin, rest_bytes_);
        lines_end += rest_bytes_ + 1;
        bytes_[lines_end - 1] = '\n';
        rest_at_ = rest_bytes_ = 0;
        return {bytes_.get(), lines_end};
    }

    /// What has no end, with one; empty where there is nothing.
    [[nodiscard]] std::string_view end() noexcept {
        if (rest_bytes_ == 0) return {};
        bytes_[rest_at_ + rest_bytes_] = '\n';
        return {bytes_.get() + rest_at_, rest_bytes_ + 1};
    }

private:
    std::size_t most_at_once_bytes_;
    std::unique_ptr<char[]> bytes_;  ///< what is never used is never mapped
    std::size_t rest_at_ = 0;
    std::size_t rest_bytes_ = 0;  ///< of a line that has no end yet; fewer than limit_bytes
};

}  // namespace preforkd
