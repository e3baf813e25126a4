#pragma once
// The threads of model thread, one for each client.
#include <pthread.h>

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/stream/serve_here.hpp"

namespace preforkd {

/// What a thread does for one client.
class ThreadTask {
public:
    virtual ~ThreadTask() = default;
    virtual void run(const ServeHere& how) noexcept = 0;  ///< in the thread
    virtual void over() = 0;                              ///< in the main thread, afterwards; also if it never ran
    /// Whether it runs a loop of its own, so that sleeping there is no hang.
    [[nodiscard]] virtual bool has_loop() const noexcept = 0;
};

struct ThreadSettings {
    // Zero means never.
    std::chrono::milliseconds idle_timeout{};
    std::chrono::milliseconds request_timeout{};
    std::size_t line_max_bytes = 0;
    SharedHistogram& handler_busy;  ///< of all threads, once each has ended
};

/// Starts threads, and learns of their ends in the main thread, whose reactor sleeps until there is something to learn.
/// All members but those of a thread of its own are for the main thread.
class ThreadCrew {
public:
    ThreadCrew(Reactor& reactor, const ThreadSettings& settings);
    ~ThreadCrew();
    ThreadCrew(const ThreadCrew&) = delete;
    ThreadCrew& operator=(const ThreadCrew&) = delete;

    /// Runs `task` in a thread of its own.  When the system has none to give, the task is kept until it has; who asks
    /// short_of_threads() first adds no second one.
    void start(std::unique_ptr<ThreadTask> task);

    [[nodiscard]] bool short_of_threads() const noexcept { return kept_ != nullptr; }

    /// No thread waits for a request that has not begun any more.
    void drain() { halt_.drain(); }

    /// No thread waits for its client any more.
    void hurry();

    /// Waits for threads whose task is over; they are about to end.
    void join_finished() noexcept;

    /// A thread that has been in its handler since then, without waiting for its client.
    struct Stuck {
        pid_t thread = 0;
        std::int64_t since_ns = 0;  ///< CLOCK_MONOTONIC
    };
    /// The one that has been there longest, if that is longer than `limit`.
    [[nodiscard]] std::optional<Stuck> longest_stuck(std::chrono::nanoseconds limit) const;

    [[nodiscard]] std::size_t running() const noexcept { return members_.size(); }

    /// Lets go of the threads that do not come back.  They use this object and all that their tasks use for as long as
    /// the process lives, so none of that may be destroyed; nor may exit() destroy static objects.
    void abandon() noexcept;

private:
    struct Member {
        explicit Member(ThreadCrew& its_crew) noexcept : crew{its_crew} {}

        ThreadCrew& crew;
        std::unique_ptr<ThreadTask> task{};
        std::list<Member>::iterator self{};
        pthread_t thread{};
        std::atomic<pid_t> id{0};
        WorkerRecord record{};  ///< its own: the worker's has one writer
    };
    class Halt final : public StopWatch {
    public:
        Halt();
        void drain();
        void hurry();
        [[nodiscard]] int fd() const noexcept override { return readable_.get(); }
        void hear() override {}
        [[nodiscard]] bool hurried() const noexcept override { return hurried_.load(std::memory_order_relaxed); }
        [[nodiscard]] bool draining() const noexcept override { return draining_.load(); }
        [[nodiscard]] int drain_fd() override;

    private:
        UniqueFd readable_;  ///< for all threads at once, and for ever once hurried
        std::atomic<bool> hurried_{false};
        std::atomic<bool> draining_{false};
        std::mutex making_{};
        UniqueFd drained_{};  ///< likewise, once a thread has asked for it
    };

    static void* run(void* member) noexcept;
    [[nodiscard]] int try_to_start(std::unique_ptr<ThreadTask>& task);
    void start_kept();
    void report(Member& member) noexcept;
    void collect();

    Reactor& reactor_;
    ThreadSettings settings_;
    Halt halt_{};
    pthread_attr_t attributes_{};
    std::list<Member> members_{};
    std::vector<pthread_t> finished_{};  ///< to be joined
    std::unique_ptr<ThreadTask> kept_{};
    std::unique_ptr<Timer> try_again_;
    bool said_short_ = false;

    UniqueFd wakeup_;  ///< rung by the first that reports
    std::mutex reporting_{};
    std::vector<Member*> reported_{};
};

}  // namespace preforkd
