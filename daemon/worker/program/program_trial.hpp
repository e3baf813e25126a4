#pragma once
// Whether a program can be started at all, found out before anybody is served.
#include <string>
#include <vector>

#include "common/config/settings.hpp"
#include "common/process/identity.hpp"

namespace preforkd {

class Sandbox;

/// Starts `file`, which the first of `words` names, as it would be started for a client, and kills it before its first
/// instruction.
///
/// What only the kernel knows is learnt so: that the interpreter in its first line is missing, that it is no program
/// for this machine or a broken one, that `identity` or `sandbox` may not execute it.  Throws OperatorError (78) with
/// one sentence, which its name begins.  Where tracing is not allowed (seccomp, Yama), or the machine is short of
/// something, nothing is found out, and the first client's log line tells.  The program's libraries are its own
/// loader's business. Source: ptrace(2), PTRACE_TRACEME; execve(2).
void try_program(const std::string& file, const std::vector<std::string>& words, const Settings& settings,
                 const Identity& identity, const Sandbox& sandbox);

}  // namespace preforkd
