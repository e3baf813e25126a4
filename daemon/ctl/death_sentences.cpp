#include "daemon/ctl/death_sentences.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <string_view>
#include <tuple>

#include "common/base/counted.hpp"
#include "common/base/shortage.hpp"
#include "daemon/ctl/figures.hpp"

namespace preforkd {
namespace {

struct Reason {
    std::string why{};
    std::string remedy{};
};

DeathOrder order_of(const DeathReport& death) {
    for (int order = 0; order <= static_cast<int>(last_death_order); ++order)
        if (death.ordered_by == name_of(static_cast<DeathOrder>(order))) return static_cast<DeathOrder>(order);
    return DeathOrder::None;
}

bool was_killed(const DeathReport& death) { return death.cause.starts_with("killed"); }

Reason reason_of_master(const DeathReport& death) {
    switch (order_of(death)) {
        case DeathOrder::Hang:
            return {"a handler of its ran for longer than --worker-timeout",
                    "its stack is in the log; raise --worker-timeout if handlers may take so long"};
        case DeathOrder::Lifeless:
            return {"somebody had stopped it by a signal, and nobody let it go on", "find out who stopped it"};
        case DeathOrder::BootTimeout:
            return {"it was not ready within --boot-timeout",
                    "the log says how far it came; raise --boot-timeout if it may take so long"};
        case DeathOrder::StopTimeout:
            return {"it had not finished its clients within --stop-timeout, after a reload --reload-timeout",
                    "raise that, or limit clients by --request-timeout"};
        case DeathOrder::OutOfTurn:
            return {"it reported to the master what it could not know: somebody may have taken it over",
                    "the log says what it reported"};
        case DeathOrder::Stop: return {"the daemon stops", ""};
        // In good order they are told several at a time.
        case DeathOrder::Recycle: return {"due to be replaced (--max-requests, --max-memory)", ""};
        case DeathOrder::Resize: return {"there were to be fewer workers", ""};
        case DeathOrder::Reload: return {"replaced by a reload", ""};
        case DeathOrder::Rebind:
            return {"replaced by workers that serve a listener which had lost its file, or had been shut down, again",
                    ""};
        case DeathOrder::Upgrade: return {"replaced by an upgrade", ""};
        case DeathOrder::None: break;
    }
    return {"ordered by " + death.ordered_by, "the log says more"};
}

Reason reason_of(const DeathReport& death) {
    if (death.out_of_memory)
        return {fmt::format("the kernel wanted the memory of its group back, of which it had {} at most",
                            size_text(death.used.max_rss_bytes)),
                fmt::format("{}, or lower --workers, --connections or --max-memory", what_helps_against(ENOMEM))};
    if (death.ordered_by == ordered_by_nobody)
        return was_killed(death)
                   ? Reason{"it crashed", "its stack is in the log; --core-dumps yes leaves its memory, too"}
                   : Reason{"it failed by itself", "the log says what of"};
    if (death.ordered_by == ordered_by_another) {
        // Of a signal that it can tell of, a worker tells who has sent it.
        if (death.expected) return {"told to by another process than the master, which the log names", ""};
        return {was_killed(death) ? "another process than its master killed it"
                                  : "another process than its master told it to leave",
                "find out who did: an operator, a watchdog, another program"};
    }
    return reason_of_master(death);
}

/// `worker 3 (pid 17)`, `3 workers (pids 5, 6 and 7)`.
std::string names_of(const std::vector<const DeathReport*>& group) {
    if (group.size() == 1) return fmt::format("worker {} (pid {})", group[0]->number, group[0]->pid);
    const auto pids = group | std::views::transform([](const DeathReport* each) { return each->pid; });
    return fmt::format("{} (pids {})", counted(group.size(), "worker"), fmt::join(pids, ", "));
}

std::string details_of(const DeathReport& death) {
    std::string text = fmt::format("at {}, {} old", death.time, age_text(death.age));
    if (death.served) text += fmt::format(", having served {} to the end", counted(*death.served, "client"));
    if (!death.last_peer.empty()) text += fmt::format(", the last to come being {}", death.last_peer);
    if (!death.last_error.empty()) text += fmt::format(", with the error \"{}\"", death.last_error);
    return text;
}

ExplainedDeaths explain(const std::vector<const DeathReport*>& group) {
    const DeathReport& last = *group.back();
    const bool one = group.size() == 1;
    const Reason reason = reason_of(last);
    ExplainedDeaths told{.expected = last.expected, .remedy = last.expected ? "" : reason.remedy};
    for (const DeathReport* each : group) told.pids.push_back(each->pid);
    if (last.expected) {
        told.death = fmt::format("{} left in good order: {}", names_of(group), reason.why);
        return told;
    }
    const std::string_view verb = !was_killed(last) ? "" : one ? "was " : "were ";
    told.death = fmt::format("{} {}{}{} {}: {}", names_of(group), verb, last.cause, one ? "" : ", the last of them",
                             details_of(last), reason.why);
    return told;
}

bool is_alike(const DeathReport& one, const DeathReport& other) {
    const auto kind = [](const DeathReport& death) {
        // How one leaves in good order is all the same.
        return std::tuple{death.expected, death.expected ? std::string_view{} : std::string_view{death.cause},
                          std::string_view{death.ordered_by}, death.out_of_memory};
    };
    return kind(one) == kind(other);
}

}  // namespace

std::vector<ExplainedDeaths> explained(const DeathRing& deaths) {
    std::vector<std::vector<const DeathReport*>> groups;
    for (const DeathReport& death : deaths.all() | std::views::reverse) {
        const auto group =
            std::ranges::find_if(groups, [&](const auto& each) { return is_alike(*each.back(), death); });
        if (group == groups.end())
            groups.push_back({&death});
        else
            group->insert(group->begin(), &death);
    }
    std::vector<ExplainedDeaths> all;
    for (const auto& group : groups) all.push_back(explain(group));
    std::ranges::stable_partition(all, [](const ExplainedDeaths& each) { return !each.expected; });
    return all;
}

std::string sentence_of(const ExplainedDeaths& deaths) {
    return deaths.remedy.empty() ? deaths.death : fmt::format("{}; {}", deaths.death, deaths.remedy);
}

}  // namespace preforkd
