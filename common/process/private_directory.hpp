#pragma once
// A directory that is this user's alone.
#include <string>

namespace preforkd {

/// Makes `path`, or makes sure of it: a directory of this user's, no symbolic link, closed to all others.  So nobody
/// else can put anything in it, or put another in its place where its parent is sound.
/// Throws std::system_error where it cannot be made, std::runtime_error with one sentence where it must not be used.
void make_private_directory(const std::string& path);

}  // namespace preforkd
