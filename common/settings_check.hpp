#pragma once
// Settings that are each valid, but not together.  Pure.
#include <string>
#include <vector>

#include "common/option_origin.hpp"
#include "common/settings.hpp"

namespace preforkd {

/// Throws OperatorError for the first contradiction; `handlers` are the names that exist, `origins` who gave what.
///
/// Refused are: a handler that does not exist, a PROGRAM beside a --handler, an endpoint that is there twice, a count
/// of workers or connections out of its range (embedders fill Settings without the option reader), and a journal format
/// that would go to a file.  The exit code is Usage if the command line gave the value, otherwise Configuration.
void check_settings(const Settings& settings, const std::vector<std::string>& handlers, const Origins& origins = {});

}  // namespace preforkd
