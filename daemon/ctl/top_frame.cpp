#include "daemon/ctl/top_frame.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>

#include "common/base/quoted.hpp"
#include "common/base/take_until.hpp"
#include "common/control/readiness.hpp"
#include "daemon/ctl/figures.hpp"
#include "daemon/ctl/findings.hpp"
#include "daemon/ctl/text_table.hpp"

namespace preforkd {
namespace {

constexpr std::string_view unknown = "-";

using Cells = std::vector<std::string>;

/// However long it is.
std::string one_line(const std::string& text) {
    std::string line = printable_lines(text);
    std::ranges::replace(line, '\n', ' ');
    return line;
}

/// Of something that was counted between the two looks.
class Rates {
public:
    explicit Rates(const TopView& view) : looks_{view.looks}, known_{view.has_rates} {}

    [[nodiscard]] std::string each_second(std::uint64_t count) const {
        return known_ ? rate_text(rate_of(count, looks_)) : std::string{unknown};
    }
    [[nodiscard]] std::string bytes_a_second(std::uint64_t bytes) const {
        return known_ ? size_text(static_cast<std::uint64_t>(rate_of(bytes, looks_))) : std::string{unknown};
    }
    [[nodiscard]] std::string within(const HistogramCounts& histogram, double share) const {
        return known_ ? bound_cell(histogram, share) : std::string{unknown};
    }
    [[nodiscard]] std::string percent(double processors) const {
        return known_ ? fmt::format("{:.0f}", 100 * processors) : std::string{unknown};
    }

private:
    const Looks& looks_;
    bool known_;
};

/// A table of which `kept` rows are shown, under a title.
struct Section {
    std::vector<TextTable::Column> columns{};
    std::vector<Cells> rows{};
};

/// Its end, which tells more; 0: all of it.
std::string shortened(const std::string& text, std::size_t longest) {
    constexpr std::string_view dots = "...";
    if (longest == 0 || text.size() <= longest) return text;
    return std::string{dots} + text.substr(text.size() - (longest - dots.size()));
}

/// What matters most comes first, and fits beside the endpoint into `columns`: what is behind is cut off.
Section listeners_of(const TopView& view, std::size_t columns) {
    constexpr std::size_t beside_endpoint = 52;  // as far as NEW/S
    constexpr std::size_t shortest_endpoint = 12;
    const std::size_t longest = columns == 0 ? 0 : std::max(growth(columns, beside_endpoint), shortest_endpoint);
    const Rates rates{view};
    Section section{.columns = {{"LISTENER"},
                                {"QUEUED", right},
                                {"LIMIT", right},
                                {"WAIT P99", right},
                                {"TOOK P99", right},
                                {"OPEN", right},
                                {"NEW/S", right},
                                {"DROPPED", right},
                                {"WAIT P50", right},
                                {"TOOK P50", right},
                                {"IN/S", right},
                                {"OUT/S", right},
                                {"HANDLER"}}};
    for (const ListenerStatus& each : view.looks.now.listeners) {
        const auto [counts, dropped, refused, queued_before, program_starts] = change_of(each, view.looks);
        const auto bytes = [&](std::uint64_t count) {
            return each.counts_traffic ? rates.bytes_a_second(count) : std::string{unknown};
        };
        const bool counted = each.counts || (counts_clients(view.looks.now) && !each.program);
        const auto if_counted = [&](std::string cell) { return counted ? std::move(cell) : std::string{unknown}; };
        section.rows.push_back(
            {shortened(printable(each.endpoint), longest), queue_text(each.queue.queued, each.queue.in_bytes),
             queue_text(each.queue.limit, each.queue.in_bytes), if_counted(rates.within(counts.accept_wait, 0.99)),
             if_counted(rates.within(counts.duration, 0.99)), if_counted(std::to_string(each.connections)),
             if_counted(rates.each_second(counts.accepted)), or_dash(each.dropped),
             if_counted(rates.within(counts.accept_wait, 0.5)), if_counted(rates.within(counts.duration, 0.5)),
             bytes(counts.received_bytes), bytes(counts.sent_bytes), each.handler});
    }
    return section;
}

/// What a worker has counted between the looks; all of it, where it was not there before.
std::uint64_t grown(const WorkerStatus& worker, const Looks& looks, auto count) {
    const WorkerStatus* const before = find_before(worker, looks);
    return growth(count(worker), before == nullptr ? 0 : count(*before));
}

Section workers_of(const TopView& view) {
    const Rates rates{view};
    Section section{.columns = {{"WORKER", right},
                                {"PID", right},
                                {"CPU%", right},
                                {"STATE"},
                                {"SINCE", right},
                                {"OPEN", right},
                                {"NEW/S", right},
                                {"IN/S", right},
                                {"OUT/S", right},
                                {"MEMORY", right},
                                {"FDS", right},
                                {"AGE", right}}};
    const bool services = have_services(view.looks.now);
    if (services) section.columns.push_back({"SERVICE"});
    section.columns.push_back({"LAST ERROR"});
    const bool clients = counts_clients(view.looks.now);
    std::vector<std::pair<double, const WorkerStatus*>> sorted;
    for (const WorkerStatus& each : view.looks.now.workers)
        sorted.emplace_back(view.has_rates ? processors_of(each, view.looks) : 0, &each);
    std::ranges::stable_sort(sorted, std::greater{}, [](const auto& each) { return each.first; });
    for (const auto& [processors, worker] : sorted) {
        const auto bytes = [&, &each = *worker](std::optional<std::uint64_t> WorkerStatus::*count) {
            if (!(each.*count)) return std::string{unknown};
            return rates.bytes_a_second(
                grown(each, view.looks, [count](const WorkerStatus& of) { return (of.*count).value_or(0); }));
        };
        Cells& cells = section.rows.emplace_back(Cells{
            std::to_string(worker->number),
            std::to_string(worker->program_pid.value_or(static_cast<std::uint64_t>(worker->pid))),
            rates.percent(processors), worker->state, age_text(worker->since),
            clients ? std::to_string(worker->connections) : std::string{unknown},
            clients ? rates.each_second(grown(*worker, view.looks, [](const WorkerStatus& of) { return of.accepted; }))
                    : std::string{unknown},
            bytes(&WorkerStatus::received_bytes), bytes(&WorkerStatus::sent_bytes),
            size_or_dash(worker->used.resident_bytes), or_dash(worker->used.open_descriptors), age_text(worker->age)});
        if (services) cells.push_back(or_dash(worker->service));
        cells.push_back(or_dash(worker->last_error));
    }
    return section;
}

/// The latest first.
Section deaths_of(const TopView& view) {
    Section section{.columns = {{"DIED AT"},
                                {"WORKER", right},
                                {"PID", right},
                                {"CAUSE"},
                                {"ORDERED BY"},
                                {"AGE", right},
                                {"SERVED", right}}};
    for (const DeathReport& each : view.deaths.all() | std::views::reverse)
        section.rows.push_back({each.time, std::to_string(each.number), std::to_string(each.pid), each.cause,
                                each.ordered_by, age_text(each.age), or_dash(each.served)});
    return section;
}

/// In `kept` lines below the titles; where these are fewer than there are rows, the last tells how many are left out.
void append(std::vector<FrameLine>& frame, Section section, std::size_t kept, std::size_t columns) {
    if (section.rows.empty() || kept == 0) return;
    const std::size_t all = section.rows.size();
    const std::size_t shown = all <= kept ? all : std::max<std::size_t>(kept - 1, 1);
    TextTable table{std::move(section.columns)};
    for (Cells& row : section.rows | std::views::take(shown)) {
        for (std::string& cell : row) cell = printable(cell);
        table.add(std::move(row));
    }
    const std::string text = table.text(columns);
    std::string_view left = text;
    frame.push_back({});
    for (bool is_title = true; !left.empty(); is_title = false)
        frame.push_back({.text = std::string{take_until(left, '\n')}, .is_title = is_title});
    if (shown < all) frame.push_back({.text = fmt::format("(and {} more)", all - shown)});
}

std::string daemon_line(const TopView& view) {
    const StatusReport& now = view.looks.now;
    if (!view.has_looked) return fmt::format("{}  {}", view.clock, printable(view.control));
    return fmt::format("{}  preforkd {}, pid {}, {} for {}, generation {}", view.clock, printable(now.version), now.pid,
                       printable(now.phase), age_text(now.uptime), now.generation);
}

std::string health_line(const TopView& view) {
    if (!view.trouble.empty()) return "NO NEWS: " + one_line(view.trouble);
    if (!view.has_looked) return "asking";
    std::string text = why_not_ready(view.looks.now).value_or("ready");
    if (!view.event.empty()) text += "; " + view.event;
    return one_line(text);
}

std::string traffic_line(const TopView& view) {
    const Rates rates{view};
    const StatusReport& now = view.looks.now;
    const StatusReport& before = view.looks.before;
    if (!counts_clients(now)) return "connections: not seen, the program accepts by itself";
    const auto bytes = [&](std::optional<std::uint64_t> StatusReport::*count) {
        return now.*count ? rates.bytes_a_second(growth(*(now.*count), (before.*count).value_or(0)))
                          : std::string{unknown};
    };
    return fmt::format("connections {}/s, {} open of {}; bytes in {}/s, out {}/s",
                       rates.each_second(growth(now.accepted, before.accepted)), now.connections, now.connection_slots,
                       bytes(&StatusReport::received_bytes), bytes(&StatusReport::sent_bytes));
}

std::string times_line(const TopView& view) {
    const Rates rates{view};
    const ListenerCounts counts = change_of_listeners(view.looks);
    return fmt::format("wait in the queue p50 {} p99 {}; took p50 {} p99 {}", rates.within(counts.accept_wait, 0.5),
                       rates.within(counts.accept_wait, 0.99), rates.within(counts.duration, 0.5),
                       rates.within(counts.duration, 0.99));
}

std::string pool_line(const TopView& view) {
    const StatusReport& now = view.looks.now;
    const auto busy = std::ranges::count(now.workers, "busy", &WorkerStatus::state);
    std::string text = fmt::format("workers {} ready of {}", ready_workers(now), now.workers_wanted);
    if (counts_clients(now)) text += fmt::format(", {} busy", busy);
    if (view.has_rates) text += fmt::format("; processors {:.2f}", processors_of_all(view.looks));
    if (view.has_rates && now.processors > 0) text += fmt::format(" of {}", now.processors);
    if (const std::string deaths = named_text(death_cause_names, now.counts.deaths); !deaths.empty())
        text += "; deaths " + deaths;
    return text;
}

/// What preforkctl explain would begin with.
std::string limit_text(const TopView& view) {
    if (!view.trouble.empty()) return "what follows, and the lines above it, are of the last answer";
    const std::vector<Finding> findings = findings_of(view.looks, view.now);
    return limits_now(findings) ? "limit: " + one_line(sentence_of(findings.front())) : "nothing limits it";
}

/// At blanks, into lines of so many columns, 0: one line; of more than `most` lines the last ends with dots.
std::vector<std::string> wrapped(std::string_view text, std::size_t columns, std::size_t most) {
    constexpr std::string_view dots = "...";
    std::vector<std::string> lines;
    while (columns != 0 && text.size() > columns) {
        const std::size_t blank = text.rfind(' ', columns);
        const std::size_t end = blank == text.npos || blank == 0 ? columns : blank;
        lines.emplace_back(text.substr(0, end));
        if (lines.size() == most) {
            cut_to_width(lines.back(), growth(columns, dots.size()));
            lines.back() += dots;
            return lines;
        }
        text.remove_prefix(std::min(text.find_first_not_of(' ', end), text.size()));
    }
    lines.emplace_back(text);
    return lines;
}

constexpr std::size_t around_section = 2;  // an empty line and the titles

std::size_t lines_of(const Section& section) { return section.rows.empty() ? 0 : around_section + section.rows.size(); }

/// The text may have three lines, and what the tables leave.
std::size_t most_limit_lines(ScreenSize size, std::size_t used) {
    constexpr std::size_t fewest = 3;
    return size.rows == 0 ? std::numeric_limits<std::size_t>::max() : std::max(growth(size.rows, used), fewest);
}

/// Of `rows`, how many each of the sections gets: the first and the last a third at most, the workers what is left.
struct Shares {
    std::size_t listeners;
    std::size_t workers;
    std::size_t deaths;
};

Shares shares_of(std::size_t rows, std::size_t listeners, std::size_t deaths) {
    constexpr std::size_t around = around_section;
    constexpr std::size_t fewest = 1;
    const std::size_t third = std::max(rows / 3, around + fewest) - around;
    Shares shares{.listeners = std::min(listeners, third), .workers = 0, .deaths = std::min(deaths, third)};
    const std::size_t used = around + shares.listeners + (shares.deaths > 0 ? around + shares.deaths : 0) + around;
    shares.workers = std::max(rows, used + fewest) - used;
    return shares;
}

}  // namespace

std::vector<FrameLine> frame_of(const TopView& view, ScreenSize size) {
    std::vector<FrameLine> frame{{.text = daemon_line(view)}, {.text = health_line(view)}};
    if (view.has_looked) {
        frame.push_back({.text = traffic_line(view)});
        frame.push_back({.text = times_line(view)});
        frame.push_back({.text = pool_line(view)});
        Section listeners = listeners_of(view, size.columns);
        Section workers = workers_of(view);
        Section deaths = deaths_of(view);
        const std::size_t used = frame.size() + lines_of(listeners) + lines_of(workers) + lines_of(deaths);
        if (view.has_rates || !view.trouble.empty())
            for (std::string& line : wrapped(limit_text(view), size.columns, most_limit_lines(size, used)))
                frame.push_back({.text = std::move(line)});
        Shares shares{.listeners = listeners.rows.size(), .workers = workers.rows.size(), .deaths = deaths.rows.size()};
        if (size.rows != 0) shares = shares_of(growth(size.rows, frame.size()), shares.listeners, shares.deaths);
        append(frame, std::move(listeners), shares.listeners, size.columns);
        append(frame, std::move(workers), shares.workers, size.columns);
        append(frame, std::move(deaths), shares.deaths, size.columns);
    }
    if (size.rows != 0 && frame.size() > size.rows) frame.resize(size.rows);
    if (size.columns != 0)
        for (FrameLine& line : frame) cut_to_width(line.text, size.columns);
    return frame;
}

std::string event_between(const StatusReport& before, const StatusReport& now) {
    if (!counts_on(now, before)) return fmt::format("started anew as pid {}", now.pid);
    if (now.version != before.version) return fmt::format("upgraded from {} to {}", before.version, now.version);
    if (now.counts.upgrades.done > before.counts.upgrades.done) return "upgraded to the same version";
    if (now.counts.upgrades.failed > before.counts.upgrades.failed) return "an upgrade failed";
    if (now.counts.reloads.failed > before.counts.reloads.failed) return "a reload failed";
    if (now.generation != before.generation) return fmt::format("reloaded: generation {}", now.generation);
    return {};
}

}  // namespace preforkd
