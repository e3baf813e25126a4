#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/epoll_set.hpp"
#include "common/base/operator_error.hpp"
#include "common/process/child_process.hpp"
#include "common/tls/key_service.hpp"
#include "daemon/master/pool/respawn_policy.hpp"

namespace preforkd {

/// The child that has the private keys of one generation, seen from the master, which never sees a key.
///
/// It reads the files itself, and is ready once it has checked them.  It ends by itself: when this is destroyed, and
/// the last worker has gone that it signs for.  One that dies is replaced by another, which reads the files anew.
class KeyProcess {
public:
    /// What the child runs; `master`: its end of the socket.
    using Body = std::function<int(UniqueFd master)>;

    /// How long reading the files may take.
    static constexpr std::chrono::seconds patience{10};

    /// As whom it runs.
    struct Identity {
        pid_t pid = 0;
        uid_t user = 0;
    };

    explicit KeyProcess(Body body) : body_{std::move(body)} {}
    ~KeyProcess();
    KeyProcess(const KeyProcess&) = delete;
    KeyProcess& operator=(const KeyProcess&) = delete;

    /// Forks it.  Throws std::system_error.
    void begin(Clock::time_point now);
    /// From now on what it says wakes `events`, which outlives this, with its pid as the key; what a later one says,
    /// too.
    void wake(EpollSet& events) noexcept;

    /// Reads what it has said.
    void hear();
    /// Ready, or not yet; one that was, and died before anybody asked, has a successor.  Throws OperatorError with the
    /// reason why it will never be.
    [[nodiscard]] bool becomes_ready(Clock::time_point now);
    /// Where nothing else can go on: until it is ready.  Throws OperatorError.
    void wait();
    /// Kills it.
    void give_up();

    // Once a generation has it:
    /// Starts another in the place of one that has died, and ends one that reads for too long.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept;
    /// Collects the child `pid`, which has ended; false if it is another.
    bool reap(pid_t pid, Clock::time_point now);
    /// Lets it sign for a worker.  False: not now.  `again`: see pass_signing_end().
    [[nodiscard]] bool attach(const SigningEnd& end, bool again) noexcept;
    /// Unset: there is none that signs.
    [[nodiscard]] std::optional<Identity> serving() const noexcept;
    [[nodiscard]] pid_t pid() const noexcept { return process_ ? process_->pid() : 0; }

private:
    /// Ends one that reads for too long.
    void mind_the_time(Clock::time_point now);
    void replace_dead(Clock::time_point now);
    void fail(ExitCode code, std::string sentence);
    void close_socket() noexcept;
    void note_end(const ExitReport& end, Clock::time_point now);
    void tell_of(const std::string& cause);

    Body body_;
    EpollSet* events_ = nullptr;
    UniqueFd socket_{};
    std::optional<ChildProcess> process_{};
    std::string reads_{};  ///< which key
    bool ready_ = false;
    std::optional<OperatorError> failure_{};  ///< of the last that was begun
    std::string told_{};                      ///< of these what is in the log
    uid_t user_ = 0;
    Clock::time_point begun_{};
    Respawn respawn_{};
};

}  // namespace preforkd
