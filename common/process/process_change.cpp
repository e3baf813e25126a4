#include "common/process/process_change.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

constexpr IdentityOptions keys_of_a_listener{
    .user = "run-user=",
    .group = "run-group=",
    .both = "run-user=, run-group=",
    .without_root = "start preforkd as root, under systemd with services-as-users.conf, or leave them away",
    .without_capabilities = "grant it (systemd: services-as-users.conf; docker run --cap-add), or leave them away"};

void set_nice(int nice) {
    if (::setpriority(PRIO_PROCESS, 0, nice) == 0) return;
    if (errno == EACCES) errno = EPERM;  // what it says of a missing right.  Source: setpriority(2)
    throw_errno(fmt::format("nice={}", nice));
}

std::string print_value(std::uint64_t value) {
    return value == no_resource_limit ? "infinity" : fmt::format("{}", value);
}

void set_limit(std::string_view key, const ResourceLimit& wanted) {
    const rlimit limit{.rlim_cur = wanted.soft, .rlim_max = wanted.hard};
    check(::setrlimit(wanted.resource, &limit),
          fmt::format("{}={}:{}", key, print_value(wanted.soft), print_value(wanted.hard)));
}

void become_as_asked(const Identity& identity, const RunAs& wanted) {
    try {
        assume(identity);
    } catch (const std::system_error& error) {
        throw std::system_error{error.code(),
                                wanted.user.empty() ? "run-group=" + wanted.group : "run-user=" + wanted.user};
    }
}

std::string_view variable_name(std::string_view variable) { return variable.substr(0, variable.find('=')); }

}  // namespace

ProcessChange::ProcessChange(const RunAs& wanted)
    : wanted_{wanted}, identity_{look_up_identity(wanted.user, wanted.group, keys_of_a_listener)} {}

void ProcessChange::make() const {
    if (wanted_.nice) set_nice(*wanted_.nice);
    for (const auto& [key, limit] : wanted_.limits) set_limit(key, limit);
    if (wanted_.umask) ::umask(static_cast<mode_t>(*wanted_.umask));
    become_as_asked(identity_, wanted_);
    if (!wanted_.chdir.empty()) check(::chdir(wanted_.chdir.c_str()), "chdir=" + wanted_.chdir);
}

std::vector<std::string> ProcessChange::environment(std::vector<std::string> inherited) const {
    if (identity_.uid) inherited = environment_of(identity_, std::move(inherited));
    for (const std::string& own : wanted_.environment)
        std::erase_if(inherited, [&](const std::string& each) { return variable_name(each) == variable_name(own); });
    std::ranges::copy(wanted_.environment, std::back_inserter(inherited));
    return inherited;
}

std::string_view capabilities_for(std::string_view attempt) noexcept {
    if (attempt.starts_with("run-")) return "CAP_SETUID, CAP_SETGID and CAP_KILL";
    if (attempt.starts_with("nice=")) return "CAP_SYS_NICE";
    if (attempt.starts_with("limit-")) return "CAP_SYS_RESOURCE";
    return "";
}

}  // namespace preforkd
