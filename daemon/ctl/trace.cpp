#include "daemon/ctl/trace.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>

#include "common/base/counted.hpp"

namespace preforkd {

void Trace::connected(const std::string& address) {
    tell(fmt::format("connected to {} after {:.2f} ms", address, elapsed_ms()));
}

void Trace::secured(const std::string& how) { tell(fmt::format("TLS after {:.2f} ms: {}", elapsed_ms(), how)); }

void Trace::received(std::size_t size_bytes) {
    if (!answered_) tell(fmt::format("first byte after {:.2f} ms", elapsed_ms()));
    answered_ = true;
    received_bytes_ += size_bytes;
}

void Trace::ended() {
    tell(fmt::format("ended after {:.2f} ms: {} sent, {} received", elapsed_ms(), counted(sent_bytes_, "byte"),
                     received_bytes_));
}

void Trace::tell(std::string_view note) const {
    if (notes_ == -1) return;
    const std::string line = fmt::format("* {}\n", note);
    if (::write(notes_, line.data(), line.size()) == -1) return;  // a note that nobody can read is no failure
}

double Trace::elapsed_ms() const { return std::chrono::duration<double, std::milli>{Clock::now() - began_}.count(); }

}  // namespace preforkd
