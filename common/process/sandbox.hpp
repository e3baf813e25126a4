#pragma once
// The sandbox of workers: decided and made in the master, put on by each worker.
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/process/call_filter.hpp"
#include "common/process/file_access.hpp"
#include "common/process/sandbox_policy.hpp"
#include "common/process/strict_policy.hpp"

namespace preforkd {

class Sandbox {
public:
    struct Wanted {
        SandboxParts parts{};
        StrictNeeds needs{};                     ///< of an allow-list
        std::vector<AllowedPath> files{};        ///< where files are limited; absolute
        std::span<const std::byte> immovable{};  ///< mappings that shall stay what they are, wherever there is a filter
    };

    /// Makes what has to be made before the fork.  What of the deny-list cannot be had is missing().  Throws
    /// OperatorError (78) where an allow-list or the limits on files cannot be had, with what would help.
    explicit Sandbox(Wanted wanted);

    /// Why there is no filter although one was wanted, in a sentence; nullopt: there is one.
    [[nodiscard]] const std::optional<std::string>& missing() const noexcept { return missing_; }

    /// Puts it on: before the first thread, after the change of user.  For good, and for whatever is started from here.
    /// It has to outlive the process.  Throws std::system_error; where a deny-list alone cannot be put on, there is a
    /// line in the log and the process goes on.
    void put_on() const;

private:
    Wanted wanted_;
    std::optional<std::string> missing_{};
    FilterProgram filter_{};
    std::vector<std::string> call_names_{};
};

}  // namespace preforkd
