#pragma once
// A master's loop around a pool, with real children and a clock of its own.
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "common/log/log_output.hpp"
#include "common/process/signal_fd.hpp"
#include "daemon/master/pool/pool.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd::pool_test {

using namespace std::chrono_literals;

/// What a worker tells the test beside its master.
struct Note {
    enum class What { Born, Looked, EmptiedQueue, TimeToFinish, AskedToLeave } what{};
    int number = 0;
    pid_t pid = 0;
    std::uint32_t argument = 0;  ///< of the order
};

/// A worker's way to the test: what happened, and a barrier that the test opens.
struct Wires {
    testing::Pipe notes = testing::make_pipe();
    testing::Pipe barrier = testing::make_pipe();

    void note(const WorkerHandoff& handoff, Note::What what, std::uint32_t argument = 0) const {
        const Note note{.what = what, .number = handoff.number, .pid = ::getpid(), .argument = argument};
        (void)!::write(notes.writer.get(), &note, sizeof note);
    }
    void pass_barrier() const {
        char byte = 0;
        (void)!::read(barrier.reader.get(), &byte, 1);
    }
    void lift_barrier() const { (void)!::write(barrier.writer.get(), "x", 1); }
};

/// What a worker does when it hears that the queue is to be emptied: the test's cue for anything.
using Cue = std::function<void(WorkerHandoff&)>;

/// Notes each order, leaves when asked to.
inline int obey(const Wires& wires, WorkerHandoff& handoff, const SignalFd& signals, const Cue& cue = {}) {
    for (;;) {
        std::array<pollfd, 2> watched{{{.fd = signals.get(), .events = POLLIN, .revents = 0},
                                       {.fd = handoff.channel.orders.get(), .events = POLLIN, .revents = 0}}};
        ::poll(watched.data(), watched.size(), -1);
        const bool leaves = signals.next().has_value();
        for (;;) {  // as a worker does, which reads its orders before it obeys a signal
            const auto received = receive_order(handoff.channel.orders.get());
            const auto* order = std::get_if<ReceivedOrder>(&received);
            if (order == nullptr) break;
            if (order->order == Order::EmptyQueue && cue) cue(handoff);
            switch (order->order) {
                case Order::LookForClients: wires.note(handoff, Note::What::Looked); break;
                case Order::EmptyQueue: wires.note(handoff, Note::What::EmptiedQueue); break;
                case Order::FinishWithin: wires.note(handoff, Note::What::TimeToFinish, order->argument); break;
            }
        }
        if (!leaves) continue;
        wires.note(handoff, Note::What::AskedToLeave);
        return 0;
    }
}

/// Reports in, and does the same.
inline int serve(const Wires& wires, WorkerHandoff& handoff, const Cue& cue = {}) {
    const SignalFd signals{SIGQUIT, SIGTERM};
    send_report(handoff.channel.reports.get(), Report::Kind::Ready);
    return obey(wires, handoff, signals, cue);
}

/// Waits for events as the supervisor does.  Its time stands still unless it is skipped, so delays can be read exactly.
class Master {
public:
    using Body = std::function<int(const Wires&, WorkerHandoff&)>;

    Master(const PoolSettings& settings, Body body,
           std::shared_ptr<std::vector<Listener>> listeners = std::make_shared<std::vector<Listener>>())
        : pool{{.pool = settings,
                .listeners = std::move(listeners),
                .body =
                    [this, body](WorkerHandoff handoff) {
                        ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nobody behind
                        wires.note(handoff, Note::What::Born);
                        return body(wires, handoff);
                    }},
               events_} {
        events_.watch(signals_.get(), signals_key);
        check(::fcntl(wires.notes.reader.get(), F_SETFL, O_NONBLOCK), "fcntl");
        events_.watch(wires.notes.reader.get(), notes_key);
    }
    ~Master() {
        pool.signal_all(SIGKILL);
        EXPECT_TRUE(until([&] { return pool.empty(); }));
    }
    Master(const Master&) = delete;
    Master& operator=(const Master&) = delete;

    /// Supervises until `holds`; false if it does not come true.
    bool until(const std::function<bool()>& holds) {
        const auto limit = Clock::now() + 30s;
        for (;;) {
            pool.maintain(now);
            if (holds()) return true;
            if (Clock::now() > limit) return false;
            for (const std::uint64_t key : events_.wait_until(limit)) {
                if (key == signals_key)
                    reap();
                else if (key == notes_key)
                    (void)notes();
                else
                    pool.hear(static_cast<pid_t>(key), now);
            }
        }
    }

    bool until_ready() {
        return until([&] { return pool.all_ready(); });
    }
    bool until_replaced(std::uint64_t deaths) {
        return until([&] { return pool.counts().replaced == deaths; });
    }
    bool until_noted(Note::What what, std::ptrdiff_t times) {
        return until([&] { return noted(what) == times; });
    }

    /// All notes that have been written; a worker writes Born before anything else.
    const std::vector<Note>& notes() {
        Note note{};
        while (::read(wires.notes.reader.get(), &note, sizeof note) == sizeof note) notes_.push_back(note);
        return notes_;
    }
    std::ptrdiff_t noted(Note::What what) { return std::ranges::count(notes(), what, &Note::what); }
    std::ptrdiff_t noted(Note::What what, int number) {
        return std::ranges::count_if(notes(), [&](const Note& n) { return n.what == what && n.number == number; });
    }
    /// The process that was born last as `number`.
    pid_t pid_of(int number) {
        pid_t pid = 0;
        for (const Note& note : notes())
            if (note.what == Note::What::Born && note.number == number) pid = note.pid;
        return pid;
    }

    void kill_worker(int number) { ASSERT_EQ(::kill(pid_of(number), SIGKILL), 0); }

    /// How long the pool is content to wait.
    [[nodiscard]] std::optional<std::chrono::milliseconds> wakes_in() const {
        const Deadline next = pool.next_deadline(now);
        if (!next) return std::nullopt;
        return std::chrono::duration_cast<std::chrono::milliseconds>(*next - now);
    }

    Wires wires{};
    Clock::time_point now = Clock::now();

private:
    static constexpr std::uint64_t signals_key = 0;
    static constexpr std::uint64_t notes_key = ~std::uint64_t{0};

    void reap() {
        while (signals_.next()) {}
        constexpr int stops = WSTOPPED | WCONTINUED;
        for (siginfo_t child{};
             ::waitid(P_ALL, 0, &child, WEXITED | stops | WNOHANG | WNOWAIT) == 0 && child.si_pid != 0; child = {}) {
            if (child.si_code == CLD_STOPPED || child.si_code == CLD_CONTINUED) {
                ::waitid(P_PID, static_cast<id_t>(child.si_pid), &child, stops | WNOHANG);
                pool.note_stop(child.si_pid, child.si_code == CLD_STOPPED ? child.si_status : 0, now);
            } else if (!pool.reap(child.si_pid, now)) {
                ::waitpid(child.si_pid, nullptr, 0);
            }
        }
    }

    std::vector<Note> notes_{};
    SignalFd signals_{SIGCHLD};
    EpollSet events_{};

public:
    Pool pool;
};

/// Does what every worker does, and no more.
inline int idle(const Wires& wires, WorkerHandoff& handoff) { return serve(wires, handoff); }

/// Lets time pass as a master that is awake sees it.
inline void pass(Master& master, std::chrono::milliseconds time) {
    for (const auto until = master.now + time; master.now < until;) {
        const auto next = master.wakes_in();
        master.now = next ? std::min(master.now + std::max(*next, 1ms), until) : until;
        master.pool.maintain(master.now);
    }
}

/// Puts back what a master changes in the test's process.
class PoolTest : public ::testing::Test {
protected:
    void SetUp() override {
        ::sigprocmask(SIG_BLOCK, nullptr, &mask_);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // as the daemon: orphans come to us
        open_log({.file = "/dev/null"});
    }
    void TearDown() override {
        open_log({});
        ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
        ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }

private:
    sigset_t mask_{};
};

}  // namespace preforkd::pool_test
