#include "daemon/master/pool/key_process.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/base/units.hpp"
#include "common/process/spawn.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto useful_life = 1s;  // of one that is replaced at once; one that dies earlier may do so again

}  // namespace

KeyProcess::~KeyProcess() { close_socket(); }

void KeyProcess::begin(Clock::time_point now) {
    KeyServiceSocket socket = open_key_service_socket();
    process_ = spawn([&] { return body_(std::move(socket.service)); });
    close_socket();
    socket_ = std::move(socket.master);
    ready_ = false;
    failure_.reset();
    reads_.clear();
    begun_ = now;
    if (EpollSet* const events = std::exchange(events_, nullptr)) wake(*events);
}

/// Where there is no memory for that, it is heard when something else wakes.
void KeyProcess::wake(EpollSet& events) noexcept {
    if (std::exchange(events_, &events) == &events || !socket_) return;
    (void)events.add(socket_.get(), static_cast<std::uint64_t>(process_->pid()), EPOLLIN);
}

void KeyProcess::close_socket() noexcept {
    if (events_ != nullptr && socket_) events_->remove(socket_.get());
    socket_ = {};
}

void KeyProcess::fail(ExitCode code, std::string sentence) {
    if (!failure_) failure_.emplace(code, std::move(sentence));
}

void KeyProcess::hear() {
    for (bool has_ended = false; socket_;) {
        auto report = receive_key_report(socket_.get());
        if (!report && has_ended) return close_socket();  // which would only keep us awake
        if (!report) {
            ::pollfd end{.fd = socket_.get(), .events = 0, .revents = 0};
            if (::poll(&end, 1, 0) != 1) return;
            has_ended = true;  // what it said last may have come after we looked
            continue;
        }
        switch (report->kind) {
            case KeyReport::Kind::Reading: reads_ = std::move(report->text); break;
            case KeyReport::Kind::Failed: fail(report->code, std::move(report->text)); break;
            case KeyReport::Kind::Ready:
                ready_ = true;
                user_ = report->user;
                if (!std::exchange(told_, "").empty())
                    log(LogLevel::Notice, "the key process (pid {key_process_pid}) signs again",
                        {{"key_process_pid", std::int64_t{pid()}}});
                break;
        }
    }
}

bool KeyProcess::becomes_ready(Clock::time_point now) {
    hear();
    mind_the_time(now);
    if (failure_) throw OperatorError{*failure_};
    if (!ready_) replace_dead(now);
    return ready_;
}

void KeyProcess::wait() {
    while (!becomes_ready(Clock::now())) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            (process_ ? begun_ + patience : respawn_.not_before) - Clock::now());
        ::pollfd said{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (left.count() > 0 && ::poll(&said, 1, static_cast<int>(left.count())) == -1 && errno != EINTR)
            throw_errno("wait for the key process");
        hear();
        if (!process_ || socket_ || failure_ || ready_) continue;
        siginfo_t ended{};  // it is gone, or as good as that
        ::waitid(P_PID, static_cast<id_t>(pid()), &ended, WEXITED | WNOWAIT);
        (void)reap(pid(), Clock::now());
    }
}

void KeyProcess::mind_the_time(Clock::time_point now) {
    if (!process_ || ready_ || failure_ || now < begun_ + patience) return;
    fail(ExitCode::System, fmt::format("{}: no answer within {}: its file system hangs, or its server is gone", reads_,
                                       to_string(std::chrono::milliseconds{patience})));
    give_up();
}

void KeyProcess::give_up() {
    if (process_) process_->signal(SIGKILL);
}

void KeyProcess::maintain(Clock::time_point now) {
    hear();
    mind_the_time(now);
    if (failure_) tell_of(failure_->what());
    replace_dead(now);
}

void KeyProcess::replace_dead(Clock::time_point now) {
    if (process_ || respawn_.not_before > now) return;
    try {
        begin(now);
    } catch (const std::exception& error) {
        respawn_ = after_failed_fork(respawn_, now);
        tell_of(with_remedy(error));
    }
}

/// Once, however often the same is in the way.
void KeyProcess::tell_of(const std::string& cause) {
    if (std::exchange(told_, cause) == cause) return;
    log(LogLevel::Error, "cannot start the key process; retrying, and TLS handshakes fail until it signs: {cause}",
        {{"cause", cause}});
}

Deadline KeyProcess::deadline() const noexcept {
    if (!process_) return respawn_.not_before;
    return ready_ || failure_ ? Deadline{} : Deadline{begun_ + patience};
}

bool KeyProcess::reap(pid_t pid, Clock::time_point now) {
    if (!process_ || process_->pid() != pid) return false;
    hear();  // why it ends, for instance
    const auto end = process_->try_reap();
    if (end) note_end(*end, now);
    return true;
}

void KeyProcess::note_end(const ExitReport& end, Clock::time_point now) {
    const pid_t pid = process_->pid();
    process_.reset();
    close_socket();
    const bool signed_before = std::exchange(ready_, false);
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - begun_);
    if (signed_before) {
        const bool of_use = age >= useful_life;
        respawn_ = after_death(respawn_, {.age = age, .served = of_use ? 1U : 0U, .at = now});
        told_ = "died";
        log(LogLevel::Error, "key process (pid {key_process_pid}) {end}: starting another",
            {{"end", preforkd::describe(end)}, {"key_process_pid", std::int64_t{pid}}});
        return;
    }
    fail(ExitCode::System, fmt::format("{}: the process that read it {}", reads_, preforkd::describe(end)));
    respawn_ = after_failed_fork(respawn_, now);
}

bool KeyProcess::attach(const SigningEnd& end, bool again) noexcept {
    return serving() && pass_signing_end(socket_.get(), end, again);
}

std::optional<KeyProcess::Identity> KeyProcess::serving() const noexcept {
    if (!process_ || !ready_ || !socket_) return std::nullopt;
    return Identity{.pid = process_->pid(), .user = user_};
}

}  // namespace preforkd
