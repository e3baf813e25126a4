#pragma once
// Values of --run, --pass, --ready and signals, and of the keys of an endpoint that are named so.  What cannot be read
// throws std::invalid_argument with a sentence; printed is what can be read again.
#include <string>
#include <string_view>

#include "common/config/copy_settings.hpp"

namespace preforkd {

[[nodiscard]] RunMode read_run_mode(std::string_view text);
[[nodiscard]] std::string print(RunMode mode);

[[nodiscard]] PassStyle read_pass(std::string_view text);
[[nodiscard]] std::string print(PassStyle style);

/// `alive:TIME`, `notify` or `fd:N`.
[[nodiscard]] ReadyCheck read_ready(std::string_view text);
[[nodiscard]] std::string print(const ReadyCheck& ready);

/// TERM and others that ask a program to end, or to read its settings anew.
[[nodiscard]] int read_program_signal(std::string_view text);
[[nodiscard]] std::string print_program_signal(int signo);

}  // namespace preforkd
