#include "common/process/identity.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

gid_t look_up_group(const std::string& group) {
    if (const struct group* entry = ::getgrnam(group.c_str())) return entry->gr_gid;
    if (const auto gid = parse_id(group)) return *gid;
    throw OperatorError{ExitCode::Configuration,
                        "--group " + group + ": no such group; see getent group, or give a number"};
}

std::string no_such_user(const std::string& user) {
    const std::string sentence = "--user " + user + ": no such user; ";
    if (user.find(':') != user.npos) return sentence + "a group is named with --group";
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
void check_capabilities(const Identity& identity) {
    const bool other_user = identity.uid.value_or(0) != 0;
    const std::string missing =
        other_user ? missing_of({{CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"}, {CAP_KILL, "CAP_KILL"}})
                   : missing_of({{CAP_SETGID, "CAP_SETGID"}});
    if (missing.empty()) return;
    throw OperatorError{ExitCode::Permission, "--user, --group: this root has no " + missing +
                                                  ": grant it (docker run --cap-add), or start preforkd as that user "
                                                  "without these options"};
}

Account account_of(const passwd& entry) {
    const std::string_view shell = entry.pw_shell;
    return {.name = entry.pw_name, .home = entry.pw_dir, .shell = std::string{shell.empty() ? "/bin/sh" : shell}};
}

void set_variable(const char* name, const std::string& value) {
    check(::setenv(name, value.c_str(), 1), "set the environment of --user");
}

void take_environment_of(const std::optional<Account>& account) {
    std::vector<std::string> others;
    for (char** line = environ; *line != nullptr; ++line) {
        const std::string_view variable{*line};
        if (variable.starts_with("SUDO_") || variable.starts_with("XDG_"))
            others.emplace_back(variable.substr(0, variable.find('=')));
    }
    for (const char* name : {"USER", "LOGNAME", "SHELL", "MAIL"}) others.emplace_back(name);
    for (const std::string& name : others) ::unsetenv(name.c_str());
    set_variable("HOME", account ? account->home : "/");
    if (!account) return;
    set_variable("USER", account->name);
    set_variable("LOGNAME", account->name);
    set_variable("SHELL", account->shell);
    set_variable("MAIL", "/var/mail/" + account->name);
}

}  // namespace

std::optional<id_t> parse_id(std::string_view text) noexcept {
    const auto id = parse_number<id_t>(text);
    return id == static_cast<id_t>(-1) ? std::nullopt : id;
}

Identity look_up_identity(const std::string& user, const std::string& group) {
    Identity identity;
    if (!user.empty()) {
        const passwd* entry = ::getpwnam(user.c_str());
        const auto uid = parse_id(user);
        if (entry == nullptr && uid) entry = ::getpwuid(*uid);
        if (entry == nullptr && !uid) throw OperatorError{ExitCode::Configuration, no_such_user(user)};
        identity.uid = entry != nullptr ? entry->pw_uid : *uid;
        identity.gid = entry != nullptr ? entry->pw_gid : *uid;  // a bare number, as containers use it, is both
        if (entry != nullptr) identity.account = account_of(*entry);
        if (entry != nullptr) identity.groups = groups_of(entry->pw_name, entry->pw_gid);
    }
    if (!group.empty()) identity.gid = look_up_group(group);
    if (identity.gid && identity.groups.empty()) identity.groups = {*identity.gid};
    const bool already =
        identity.uid.value_or(::geteuid()) == ::geteuid() && identity.gid.value_or(::getegid()) == ::getegid();
    if (!already && ::geteuid() != 0)
        throw OperatorError{ExitCode::Permission,
                            "--user, --group: only root can change user; start preforkd "
                            "as root, or as that user without these options"};
    if (::geteuid() == 0 && (identity.uid || identity.gid)) check_capabilities(identity);
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

}  // namespace preforkd
