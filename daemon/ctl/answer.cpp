#include "daemon/ctl/answer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/sys_error.hpp"

namespace preforkd {

void Expectation::see(std::string_view piece) {
    if (met_) return;
    tail_ += piece;
    met_ = tail_.find(text_) != std::string::npos;
    tail_.erase(0, tail_.size() - std::min(tail_.size(), text_.size() - std::min<std::size_t>(text_.size(), 1)));
}

Answer::Answer(int output, const std::optional<std::string>& expected) : output_{output} {
    if (expected) expectation_.emplace(*expected);
}

void Answer::pass_on(std::string_view piece) {
    if (expectation_) expectation_->see(piece);
    if (!piece.empty()) mid_line_ = piece.back() != '\n';
    while (!piece.empty()) {
        const ssize_t written = ::write(output_, piece.data(), piece.size());
        if (written >= 0) {
            piece.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {  // somebody who shares the terminal or pipe made it non-blocking
            pollfd output{.fd = output_, .events = POLLOUT, .revents = 0};
            ::poll(&output, 1, -1);
        } else if (errno != EINTR) {
            throw_errno("write the answer");
        }
    }
}

}  // namespace preforkd
