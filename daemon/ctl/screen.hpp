#pragma once
// The terminal, as long as a program has all of it.
#include <termios.h>

#include <optional>
#include <vector>

#include "daemon/ctl/top_frame.hpp"

namespace preforkd {

/// The screen behind the usual one, with keys that arrive as they are pressed.  Its end, however it comes about, puts
/// back what was there.  Not for two at once.
class Screen {
public:
    /// Of the terminals behind standard input, if it is one, and standard output.
    Screen();
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    /// Over what is there, without a flash.
    void paint(const std::vector<FrameLine>& frame) const;

    /// For as long as somebody else has the terminal.
    void leave() const noexcept;
    void enter() const;

    [[nodiscard]] bool has_keys() const noexcept { return usual_.has_value(); }
    [[nodiscard]] static ScreenSize size();

private:
    std::optional<termios> usual_{};  ///< unset: standard input is no terminal
};

}  // namespace preforkd
