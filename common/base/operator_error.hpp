#pragma once
#include <stdexcept>
#include <string>

namespace preforkd {

/// The exit codes an operator meets.  Source: sysexits.h.
enum class ExitCode {
    Ok = 0,
    Usage = 64,          ///< EX_USAGE: the command line
    Unavailable = 69,    ///< EX_UNAVAILABLE: no worker became ready
    Internal = 70,       ///< EX_SOFTWARE
    System = 71,         ///< EX_OSERR: the kernel said no
    Permission = 77,     ///< EX_NOPERM
    Configuration = 78,  ///< EX_CONFIG: file, environment, endpoints, sockets
};

/// What the operator can mend: one line that names the option and the remedy, and the code to exit with.
class OperatorError : public std::runtime_error {
public:
    OperatorError(ExitCode code, const std::string& sentence) : std::runtime_error{sentence}, code_{code} {}
    [[nodiscard]] ExitCode code() const noexcept { return code_; }

private:
    ExitCode code_;
};

}  // namespace preforkd
