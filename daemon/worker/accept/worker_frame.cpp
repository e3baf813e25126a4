#include "daemon/worker/accept/worker_frame.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <vector>

#include "common/channel/channel.hpp"
#include "common/channel/stopping.hpp"
#include "common/process/recycle_policy.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {
constexpr auto last_grace = 500ms;  // how late this loop may be in keeping the time

bool is_connection(int fd) noexcept {
    int listening = 0;
    socklen_t size = sizeof listening;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 0;
}

/// Descriptors that may be open.  Without /proc the first 65536 are tried, in some milliseconds: the kernel hands out
/// the lowest that is free.
std::vector<int> open_descriptors() {
    std::vector<int> found;
    std::error_code no_proc;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd", no_proc})
        found.push_back(std::atoi(entry.path().filename().c_str()));
    if (no_proc) {
        found.resize(static_cast<std::size_t>(std::clamp(::sysconf(_SC_OPEN_MAX), 0L, 65536L)));
        std::iota(found.begin(), found.end(), 0);
    }
    return found;
}

/// A connection accepted between the master's refuse_new_connections() and its order to us has inherited the refusal.
void lift_refusal_of_open_connections() {
    for (const int fd : open_descriptors())
        if (is_connection(fd)) lift_refusal(fd);
}

}  // namespace

WorkerFrame::WorkerFrame(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, Reactor& reactor,
                         ModelHooks hooks)
    : plan_{plan},
      handoff_{handoff},
      control_{control},
      reactor_{reactor},
      hooks_{std::move(hooks)},
      acceptor_{reactor, handoff.record, acceptor_settings()},
      deadline_{reactor.make_timer()},
      printed_timer_{reactor.make_timer()} {
    handoff.record.counts_traffic.store(starts_programs(plan.settings) ? 0 : 1, std::memory_order_relaxed);
}

AcceptorSettings WorkerFrame::acceptor_settings() {
    const bool has_master = control_.has_master();
    const int reports = control_.reports_fd();
    const bool single =
        plan_.model == Model::Async || (plan_.model == Model::Serial && !starts_programs(plan_.settings));
    return {.writers = single ? Writers::One : Writers::Many,
            .rows = handoff_.rows,
            .limit = plan_.connections,
            .retire_after =
                has_master ? requests_before_retiring(plan_.settings.max_requests, handoff_.number) : plan_.leave_after,
            .column = SourceCells::column_of(handoff_.number),
            .has_siblings = has_master,
            .lifeline = control_.lifeline(),
            .ask_sibling =
                [=] {
                    if (has_master) send_report(reports, Report::Kind::Paused);
                },
            .ask_retirement =
                [this] {
                    handoff_.record.retirement.store(RetirementReason::MaxRequests, std::memory_order_relaxed);
                    retire();
                },
            .full = has_master ? [=] { send_report(reports, Report::Kind::Full); } : std::function<void()>{},
            .between_full = is_range(plan_.settings.workers) ? 0s : between_full_reports,
            .finished = [this] { hooks_.finish([this] { reactor_.stop(); }); },
            .awake = plan_.settings.max_memory_bytes == 0 || !has_master ? hooks_.awake : [this] {
                hooks_.awake();
                memory_->on_client();
            }};
}

void WorkerFrame::retire() {
    if (control_.has_master())
        send_report(control_.reports_fd(), Report::Kind::Retiring);
    else
        drain({}, {});
}

void WorkerFrame::add_listeners(const std::function<Acceptor::Take(const Listener&)>& take_for) {
    const QueueShare share{.slot = handoff_.slot, .workers = plan_.workers};
    for (std::uint32_t index = 0; Listener & listener : plan_.listeners) {
        // The rows of counts are in the order of all listeners.
        if (is_own(listener, plan_))
            acceptor_.add(listener, index, take_for(listener),
                          share.takes_before_yielding(listener.queue, listener.queues));
        else
            (void)acceptor_.open_counter(listener);
        ++index;
    }
}

void WorkerFrame::serve(const std::function<void()>& ready) {
    for (const int fd : control_.signal_fds()) reactor_.watch(fd, [this] { control_.read_signals(*this); });
    if (control_.has_master())
        reactor_.watch(control_.orders_fd(), [this] {
            if (!control_.read_orders(*this)) reactor_.forget(control_.orders_fd());
        });
    if (control_.lifeline() != nullptr && control_.lifeline()->unread() != nullptr) watch_printed();
    if (plan_.rehearsal) return ready();
    if (const auto limit = bytes_before_retiring(plan_.settings.max_memory_bytes, handoff_.number);
        limit != 0 && control_.has_master())
        memory_.emplace(
            reactor_, limit, [this] { return acceptor_.active() != 0; },
            [this] {
                handoff_.record.retirement.store(RetirementReason::MaxMemory, std::memory_order_relaxed);
                retire();
            });
    acceptor_.open();
    ready();
    reactor_.run();
    acceptor_.losses().say_rest();
}

void WorkerFrame::watch_printed() {
    PrintedLines& printed = *control_.lifeline()->unread();
    reactor_.watch(printed.fd(), [this, &printed] {
        // Some for each wake-up: children that print without end must not keep the worker from their siblings.
        switch (printed.log_lines()) {
            case PrintedLines::Left::More:
            case PrintedLines::Left::Nothing: return;
            case PrintedLines::Left::Unfinished:
                reactor_.forget(printed.fd());
                return printed_timer_->set(patience_with_a_line, [this, &printed] {
                    printed.log_rest();
                    watch_printed();
                });
            case PrintedLines::Left::Ended: reactor_.forget(printed.fd());
        }
    });
}

void WorkerFrame::look() {
    if (hooks_.show_threads)
        hooks_.show_threads();
    else
        enter(handoff_.record, handoff_.record.state.load(std::memory_order_relaxed));  // a sign of life
    acceptor_.look();
}

void WorkerFrame::drain(const ClosingListeners& closing, FinishTime within) {
    shorten_drain(within.value_or(plan_.settings.stop_timeout));
    if (acceptor_.draining()) return;
    if (closing.any()) lift_refusal_of_open_connections();
    acceptor_.close(closing);
}

/// What runs has `patience` from now on, unless it has less already: a stop may come while a reload's drain goes on.
void WorkerFrame::shorten_drain(std::chrono::milliseconds patience) {
    Lifeline* const lifeline = control_.lifeline();
    if (lifeline != nullptr) {
        if (control_.orphaned()) lifeline->arm(patience);  // unless its thread has been faster than this loop
        // Counted from the order, which a handler that blocked may have kept from this loop for a while.
        patience = lifeline->left(patience);
    }
    const Deadline end = deadline_after(Clock::now(), patience);
    if (acceptor_.draining() && earlier(drain_end_, end) == drain_end_) return;
    drain_end_ = end;
    if (lifeline != nullptr) lifeline->postpone(patience + last_grace);
    if (patience != 0ms) deadline_->set(patience, [this] { hurry(); });
    hooks_.drain(patience);
}

void WorkerFrame::hurry() {
    std::uint64_t cut = 0;
    if (handoff_.record.cut.compare_exchange_strong(cut, acceptor_.active(), std::memory_order_relaxed)) {
        if (control_.orphaned()) log_cut_connections(acceptor_.active());  // else the master does, for all of them
    }
    drain_end_ = Clock::now();
    deadline_->set(fast_stop, [this] { reactor_.stop(); });
    if (Lifeline* lifeline = control_.lifeline()) lifeline->postpone(fast_stop + last_grace);
    acceptor_.cancel_unstarted();
    hooks_.hurry();
}

}  // namespace preforkd
