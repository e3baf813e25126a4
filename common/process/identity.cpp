#include "common/process/identity.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "common/base/operator_error.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

/// All groups of `user`, `primary` included.
std::vector<gid_t> groups_of(const char* user, gid_t primary) {
    int count = 64;
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    while (::getgrouplist(user, primary, groups.data(), &count) == -1) groups.resize(static_cast<std::size_t>(count));
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

gid_t look_up_group(const std::string& group, const IdentityOptions& options) {
    if (const struct group* entry = ::getgrnam(group.c_str())) return entry->gr_gid;
    if (const auto gid = parse_id(group)) return *gid;
    throw OperatorError{ExitCode::Configuration,
                        std::string{options.group} + group + ": no such group; see getent group, or give a number"};
}

std::string no_such_user(const std::string& user, const IdentityOptions& options) {
    const std::string sentence = std::string{options.user} + user + ": no such user; ";
    const std::string_view group = options.group;
    if (user.find(':') != user.npos)
        return sentence + "a group is named with " + std::string{group.substr(0, group.find(' '))};
    return sentence + "see getent passwd, or give a number";
}

/// Of these capabilities, those that root has not, as a container's may: `CAP_SETGID, CAP_SETUID`.
std::string missing_of(std::initializer_list<std::pair<unsigned, std::string_view>> needed) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) == -1) return {};  // then the change itself will tell
    std::string missing;
    for (const auto& [capability, name] : needed) {
        if ((sets.at(CAP_TO_INDEX(capability)).effective & CAP_TO_MASK(capability)) != 0) continue;
        missing += (missing.empty() ? "" : ", ") + std::string{name};
    }
    return missing;
}

/// A master without CAP_KILL could end no worker that is somebody else.
void check_capabilities(const Identity& identity, const IdentityOptions& options) {
    const bool other_user = identity.uid.value_or(0) != 0;
    const std::string missing =
        other_user ? missing_of({{CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"}, {CAP_KILL, "CAP_KILL"}})
                   : missing_of({{CAP_SETGID, "CAP_SETGID"}});
    if (missing.empty()) return;
    throw OperatorError{ExitCode::Permission, std::string{options.both} + ": this root has no " + missing + ": " +
                                                  std::string{options.without_capabilities}};
}

Account account_of(const passwd& entry) {
    const std::string_view shell = entry.pw_shell;
    return {.name = entry.pw_name, .home = entry.pw_dir, .shell = std::string{shell.empty() ? "/bin/sh" : shell}};
}

/// Whether a user's environment has it of its own, or it tells of whoever started us.
bool is_of_a_user(std::string_view variable) {
    constexpr std::array names{"HOME", "USER", "LOGNAME", "SHELL", "MAIL"};
    const std::string_view name = variable.substr(0, variable.find('='));
    return name.starts_with("SUDO_") || name.starts_with("XDG_") || std::ranges::find(names, name) != names.end();
}

struct Variable {
    const char* name;
    std::string value;
};

std::vector<Variable> variables_of(const std::optional<Account>& account) {
    if (!account) return {{"HOME", "/"}};
    return {{"HOME", account->home},
            {"USER", account->name},
            {"LOGNAME", account->name},
            {"SHELL", account->shell},
            {"MAIL", "/var/mail/" + account->name}};
}

void take_environment_of(const std::optional<Account>& account) {
    std::vector<std::string> others;
    for (char** line = environ; *line != nullptr; ++line) {
        const std::string_view variable{*line};
        if (is_of_a_user(variable)) others.emplace_back(variable.substr(0, variable.find('=')));
    }
    for (const std::string& name : others) ::unsetenv(name.c_str());
    for (const Variable& own : variables_of(account))
        check(::setenv(own.name, own.value.c_str(), 1), "set the environment of --user");
}

}  // namespace

std::optional<id_t> parse_id(std::string_view text) noexcept {
    const auto id = parse_number<id_t>(text);
    return id == static_cast<id_t>(-1) ? std::nullopt : id;
}

Identity look_up_identity(const std::string& user, const std::string& group, const IdentityOptions& options) {
    Identity identity;
    if (!user.empty()) {
        const passwd* entry = ::getpwnam(user.c_str());
        const auto uid = parse_id(user);
        if (entry == nullptr && uid) entry = ::getpwuid(*uid);
        if (entry == nullptr && !uid) throw OperatorError{ExitCode::Configuration, no_such_user(user, options)};
        identity.uid = entry != nullptr ? entry->pw_uid : *uid;
        identity.gid = entry != nullptr ? entry->pw_gid : *uid;  // a bare number, as containers use it, is both
        if (entry != nullptr) identity.account = account_of(*entry);
        if (entry != nullptr) identity.groups = groups_of(entry->pw_name, entry->pw_gid);
    }
    if (!group.empty()) identity.gid = look_up_group(group, options);
    if (identity.gid && identity.groups.empty()) identity.groups = {*identity.gid};
    const bool already =
        identity.uid.value_or(::geteuid()) == ::geteuid() && identity.gid.value_or(::getegid()) == ::getegid();
    if (!already && ::geteuid() != 0)
        throw OperatorError{ExitCode::Permission, std::string{options.both} + ": only root can change user; " +
                                                      std::string{options.without_root}};
    if (::geteuid() == 0 && (identity.uid || identity.gid)) check_capabilities(identity, options);
    return identity;
}

void assume(const Identity& identity) {
    if (!identity.uid && !identity.gid) return;
    if (::geteuid() == 0)
        check(::setgroups(identity.groups.size(), identity.groups.data()), "set supplementary groups");
    if (const auto gid = identity.gid) {
        check(::setresgid(*gid, *gid, *gid), "change to --group");
        gid_t real = 0, effective = 0, saved = 0;
        check(::getresgid(&real, &effective, &saved), "verify --group");
        if (real != *gid || effective != *gid || saved != *gid) throw std::runtime_error{"--group did not take effect"};
    }
    if (const auto uid = identity.uid) {
        check(::setresuid(*uid, *uid, *uid), "change to --user");
        uid_t real = 0, effective = 0, saved = 0;
        check(::getresuid(&real, &effective, &saved), "verify --user");
        if (real != *uid || effective != *uid || saved != *uid) throw std::runtime_error{"--user did not take effect"};
        take_environment_of(identity.account);
        if (*uid != 0 && ::setuid(0) == 0) throw std::runtime_error{"--user did not take effect: root can be had back"};
    }
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
}

std::vector<std::string> environment_of(const Identity& identity, std::vector<std::string> inherited) {
    std::erase_if(inherited, [](const std::string& each) { return is_of_a_user(each); });
    for (const Variable& own : variables_of(identity.account))
        inherited.push_back(std::string{own.name} + '=' + own.value);
    return inherited;
}

}  // namespace preforkd
