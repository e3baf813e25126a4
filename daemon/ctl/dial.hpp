#pragma once
// From an endpoint to an address that works: its addresses in turn, each with a fair share of the patience.
#include <string>
#include <system_error>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/ctl/patience.hpp"
#include "daemon/ctl/send.hpp"
#include "daemon/ctl/trace.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The addresses of `endpoint`; those of this machine if the host is empty.
///
/// getaddrinfo(3) knows no deadline, so it is asked by a thread that is left behind when it takes too long.
/// Throws std::runtime_error with one sentence.
[[nodiscard]] std::vector<SocketAddress> look_up(const Endpoint& endpoint, const Patience& patience);

/// As --verbose and errors name it: `[::1]:80`, `/run/x`.
[[nodiscard]] std::string name_of(const SocketAddress& address);

/// A non-blocking socket connected to `address`.  Throws std::system_error; ETIMEDOUT when `until` passes first.
[[nodiscard]] UniqueFd connect_within(Deadline until, const SocketAddress& address, int socket_type);

/// Collects why each address failed.
class Failures {
public:
    /// `name`: the endpoint, as it was asked for.
    Failures(const Endpoint& endpoint, std::string name) : endpoint_{endpoint}, name_{std::move(name)} {}

    /// Returns the reason, in words.
    std::string add(const SocketAddress& address, const std::error_code& error);

    /// Throws std::runtime_error: all reasons in one sentence, each once.
    [[noreturn]] void raise() const;

private:
    struct Failure {
        std::string address;
        std::string reason;
    };
    const Endpoint& endpoint_;
    std::string name_;
    std::vector<Failure> failures_{};
};

/// What `attempt(address, until)` returns for the first address where it does not throw a std::system_error.
template <class Attempt>
auto first_that_works(const SendRequest& request, const Patience& patience, Trace& trace, Attempt attempt) {
    Failures failures{request.endpoint, to_string(request)};
    const std::vector<SocketAddress> addresses = look_up(request.endpoint, patience);
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        trace.trying(name_of(addresses[i]));
        try {
            return attempt(addresses[i], patience.share(addresses.size() - i));
        } catch (const std::system_error& error) {
            trace.failed(name_of(addresses[i]), failures.add(addresses[i], error.code()));
        }
    }
    failures.raise();
}

}  // namespace preforkd
