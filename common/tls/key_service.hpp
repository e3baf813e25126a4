#pragma once
// The process that has the private keys: what it runs, and what its master and it say to each other.
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/tls/openssl.hpp"
#include "common/tls/signing.hpp"

namespace preforkd {

/// A certificate, read by the master, and where its private key is.
struct KeyToServe {
    std::string listener{};     ///< as a sentence about it begins
    std::string certificate{};  ///< its file
    std::string file{};         ///< the key's
    X509* parsed = nullptr;     ///< borrowed
};

/// Everything from the first line of the child of the master to its exit code.  `master`: the socket that leads there.
///
/// Reads the keys, checks that each is its certificate's, becomes a user of its own where it may, takes on a filter of
/// system calls if `filtered` and there can be one, and signs for every worker whose pipes it is given, in a thread
/// each, until the last of them has gone and the master wants it no more.
[[nodiscard]] int run_key_service(const std::vector<KeyToServe>& keys, UniqueFd master, bool filtered);

/// What it tells the master.
struct KeyReport {
    enum class Kind {
        Reading,  ///< `text`: which key is being read
        Ready,    ///< `user`: as whom it runs
        Failed,   ///< `text`: why; it ends
    } kind{};
    std::string text{};
    ExitCode code = ExitCode::Ok;  ///< Failed
    uid_t user = 0;                ///< Ready
};

struct KeyServiceSocket {
    UniqueFd master{};
    UniqueFd service{};
};

/// Throws std::system_error.
[[nodiscard]] KeyServiceSocket open_key_service_socket();

/// The next report, without waiting; nullopt: there is none, or there will never be one.
[[nodiscard]] std::optional<KeyReport> receive_key_report(int master);

/// Passes what the process needs for one worker; `again`: whose requests were another process's to answer before.
/// False: not now, or never.
[[nodiscard]] bool pass_signing_end(int master, const SigningEnd& end, bool again) noexcept;

}  // namespace preforkd
