#pragma once
// Whether a program can be started at all, found out before anybody is served.
#include <string>
#include <vector>

#include "common/config/settings.hpp"
#include "common/process/identity.hpp"
#include "common/process/process_change.hpp"

namespace preforkd {

class Sandbox;

/// Starts `file`, which the first of `words` names, as it would be started for a client, and kills it before its first
/// instruction.
///
/// What only the kernel knows is learnt so: that the interpreter in its first line is missing, that it is no program
/// for this machine or a broken one, that `identity` or `sandbox` may not execute it.  Throws OperatorError (78) with
/// one sentence, which its name begins.  Where tracing is not allowed (seccomp, Yama), or the machine is short of
/// something, nothing is found out, and the first client's log line tells.  The program's libraries are its own
/// loader's business. Source: ptrace(2), PTRACE_TRACEME; execve(2).  `change`: as what it
/// runs, nullptr for its worker.
void try_program(const std::string& file, const std::vector<std::string>& words, const Settings& settings,
                 const Identity& identity, const Sandbox& sandbox, const ProcessChange* change);

/// Makes `change` in a child, where a worker would.  So whatever forbids it is known: capabilities, a filter of system
/// calls, a user namespace.  Throws OperatorError with one sentence, which the key begins: 77 where a right is missing,
/// else 78.
void try_change(const ProcessChange& change, const Settings& settings, const Identity& identity);

}  // namespace preforkd
