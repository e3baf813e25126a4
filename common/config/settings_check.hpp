#pragma once
// Settings that are each valid, but not together.  Pure.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// The least that --max-memory may be, other than 0: a worker that rests has 0.6 MiB of its own, and half as much again
/// after some hundred clients.  Less would retire workers that have not grown.
inline constexpr std::uint64_t least_max_memory_bytes = std::uint64_t{2} << 20;

/// Whether a name without a slash, which is no handler's, is that of a file here.
using IsFile = std::function<bool(const std::string& name)>;

/// Throws OperatorError for the first contradiction; `handlers` are the names that exist, `origins` who gave what.
///
/// Refused are: a handler that does not exist, a PROGRAM beside a --handler, an endpoint that is there twice, a count
/// of workers or connections out of its range (embedders fill Settings without the option reader), memory that no
/// worker can do with, a journal format that would go to a file, and what check_copies() refuses.  The exit code is
/// Usage if the command line gave the value, otherwise Configuration.
void check_settings(const Settings& settings, const std::vector<std::string>& handlers, const Origins& origins = {},
                    const IsFile& is_file = {});

}  // namespace preforkd
