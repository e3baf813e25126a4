#include "daemon/worker/forward/targets.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <random>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/config/config_file.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::vector<SocketAddress> look_up(const ForwardTarget& target) try {
    if (target.endpoint.transport == Transport::Unix || !target.endpoint.host.empty()) return resolve(target.endpoint);
    // Numbers, because a container may have no /etc/hosts to look localhost up in.
    Endpoint here = target.endpoint;
    here.host = "127.0.0.1";
    std::vector<SocketAddress> addresses = resolve(here);
    here.host = "::1";
    addresses.push_back(resolve(here).front());
    return addresses;
} catch (const std::system_error& error) {
    throw OperatorError{ExitCode::Unavailable,
                        fmt::format("forward to {}: {}; name what can be looked up, or an address",
                                    printable(to_string(target)), error.what())};
}

std::unique_ptr<TlsClient> make_tls(const ForwardTarget& target, const ForwardSettings& settings) {
    if (!target.tls) return nullptr;
    TlsClientSettings wanted{.server_name = settings.name.empty() ? target.endpoint.host : settings.name,
                             .explains = false};
    try {
        (void)openssl();
        constexpr std::size_t largest_bytes = std::size_t{16} << 20;  // a system's authorities are 200 KiB
        if (!settings.ca.empty()) wanted.authorities = read_certificates(read_config_file(settings.ca, largest_bytes));
        return std::make_unique<TlsClient>(std::move(wanted));
    } catch (const std::system_error& error) {
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("to-ca={}: {}", printable(settings.ca), error.code().message())};
    } catch (const std::runtime_error& error) {
        const std::string subject = settings.ca.empty() ? to_string(target) : "to-ca=" + settings.ca;
        throw OperatorError{ExitCode::Configuration, fmt::format("{}: {}", printable(subject), error.what())};
    }
}

}  // namespace

Target::Target(const ForwardTarget& target, const ForwardSettings& settings, TargetNotes& notes)
    : name_{to_string(target)}, addresses_{look_up(target)}, tls_{make_tls(target, settings)}, notes_{notes} {}

std::vector<SocketAddress> Target::addresses() const {
    std::vector<SocketAddress> addresses = addresses_;
    const auto preferred = static_cast<std::ptrdiff_t>(notes_.preferred.load(std::memory_order_relaxed));
    std::rotate(addresses.begin(), addresses.begin() + preferred, addresses.begin() + preferred + 1);
    return addresses;
}

void Target::has_worked(const SocketAddress& address) noexcept {
    const auto found = static_cast<std::size_t>(std::ranges::find(addresses_, address) - addresses_.begin());
    if (notes_.preferred.load(std::memory_order_relaxed) != found) notes_.preferred = found;
    if (notes_.resting_until.load(std::memory_order_relaxed) == 0) return;
    if (notes_.resting_until.exchange(0) != 0)
        log(LogLevel::Notice, "{target} takes connections again", {{"target", name_}});
}

void Target::has_failed(const std::string& reason) noexcept {
    const auto now = Clock::now();
    const Deadline before = resting_until();
    notes_.resting_until = (now + rest_of_failed).time_since_epoch().count();
    if (before && !has_passed(before, now)) return;
    log(LogLevel::Warning, "cannot forward to {target}: {cause}; it rests for {rest_s} s while others take clients",
        {{"target", name_}, {"cause", reason}, {"rest_s", std::int64_t{rest_of_failed.count()}}});
}

Deadline Target::resting_until() const noexcept {
    const Clock::rep until = notes_.resting_until.load(std::memory_order_relaxed);
    return until == 0 ? Deadline{} : Clock::time_point{Clock::duration{until}};
}

Targets::Targets(const ForwardSettings& settings) : notes_{settings.to.size()} {
    for (const ForwardTarget& target : settings.to) all_.emplace_back(target, settings, notes_[all_.size()]);
    // Else the first client of each worker would go to the same.
    turn_[0] = std::random_device{}();
}

std::vector<Target*> Targets::next() {
    const std::size_t turn = turn_[0].fetch_add(1, std::memory_order_relaxed);
    if (all_.size() == 1) return {&all_.front()};
    std::vector<Deadline> resting;
    for (const Target& target : all_) resting.push_back(target.resting_until());
    std::vector<Target*> targets;
    for (const std::size_t number : order_of_targets(turn, resting, recent_time())) targets.push_back(&all_[number]);
    return targets;
}

}  // namespace preforkd
