#include "common/process/sandbox.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <ctime>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/process/denied_calls.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_sanitizers = true;
#else
constexpr bool has_sanitizers = false;
#endif

[[noreturn]] void refuse_strict(const std::string& reason) {
    throw OperatorError{ExitCode::Configuration, "--sandbox strict: " + reason};
}

void require_strict() {
    if (has_sanitizers)
        refuse_strict("this preforkd was built with sanitizers, which need more than it leaves; use another build");
    if (const auto reason = why_no_filter())
        refuse_strict(*reason +
                      "; allow seccomp (of systemd's units SystemCallFilter=, of a container its profile), "
                      "or use --sandbox auto");
    if (landlock_version() == 0)
        refuse_strict(
            "there is no Landlock, which limits files: it takes Linux 5.13 with `landlock` among the security "
            "modules (lsm=), and of a filter that it allows landlock_create_ruleset, landlock_add_rule and "
            "landlock_restrict_self; or use --sandbox auto");
}

}  // namespace

Sandbox::Sandbox(Wanted wanted) : wanted_{std::move(wanted)} {
    const SandboxParts& parts = wanted_.parts;
    const bool strict = parts.allows_only || parts.files;
    if (strict) require_strict();
    if (!parts.denies && !parts.allows_only) return;
    try {
        if (const auto reason = why_no_filter()) {
            missing_ = *reason;
            return;
        }
        if (parts.allows_only) {
            filter_ = make_allow_filter(strictly_needed(wanted_.needs), wanted_.immovable);
            call_names_ = names_of_calls();
        } else {
            filter_ = make_deny_filter(wanted_.immovable);
        }
    } catch (const std::runtime_error& error) {
        missing_ = fmt::format("libseccomp cannot make a filter: {}; install libseccomp2", error.what());
        if (strict) refuse_strict(*missing_);
    }
    // What the library has used and freed is 50 pages, which would be in every worker, and copied by each fork for a
    // client.
    ::malloc_trim(0);
}

void Sandbox::put_on() const {
    const SandboxParts& parts = wanted_.parts;
    if (!parts.any()) return;
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
    if (parts.files) {
        ::tzset();  // reads a file, which is read once
        allow_files_only(wanted_.files);
    }
    if (parts.allows_only) answer_denied_calls(call_names_, wanted_.needs);
    if (filter_.empty()) return;
    try {
        install_filter(filter_);
    } catch (const std::system_error& error) {
        if (parts.allows_only || parts.files) throw;
        log(LogLevel::Notice, "no filter of system calls here: {cause}", {{"cause", error.what()}});
    }
}

}  // namespace preforkd
