#include "daemon/master/observe/observer_process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/process/spawn.hpp"
#include "daemon/master/pool/health_policy.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

using namespace std::chrono_literals;

/// It keeps what it was told for longer than that; one that asks all the time shall not cost more.
constexpr auto between_answers = 200ms;

/// As workers have it without --worker-timeout.
constexpr auto longest_stop = 2s;

/// Without a question, and without reading an answer.
constexpr std::chrono::milliseconds longest_silence = 5 * observer_asks_every;
constexpr std::chrono::milliseconds between_looks = longest_silence / 2;

/// Of one that is no longer needed: longer than it takes to finish with those whom it answers.
constexpr auto longest_leaving = 5s;

struct Pipe {
    UniqueFd reader{};
    UniqueFd writer{};
};

Pipe open_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "open a pipe to the observer");
    return {.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
}

/// Of the settings of a generation that is over, or has not come.
bool is_wanted(const Generation& generation) noexcept { return !generation.observed->empty() && generation.observe; }

}  // namespace

void ObserverProcess::maintain(const Generation& current, int log_pipe, Clock::time_point now) noexcept try {
    const bool wanted = is_wanted(current);
    if (process_ && (!wanted || generation_ != current.number)) dismiss(now);
    for (Leaving& each : leaving_) {
        if (!has_passed(each.until, now)) continue;
        each.until.reset();
        each.process.signal(SIGKILL);
    }
    if (wanted && !process_ && respawn_.not_before <= now) start(current, log_pipe, now);
    if (process_ && has_passed(stopped_until_, now)) kill_for("was stopped for too long");
    if (process_ && last_look_ + between_looks <= now) look_at_silence(now);
    if (process_ && asked_ && unsent_.empty() && next_answer_ <= now) answer(now);
} catch (const std::exception& error) {
    respawn_ = after_failed_fork(respawn_, now);
    if (!std::exchange(failed_, true))
        log(LogLevel::Error, "cannot start the observer; retrying: {cause}", {{"cause", with_remedy(error)}});
}

Deadline ObserverProcess::deadline() const noexcept {
    Deadline next;
    for (const Leaving& each : leaving_) next = earlier(next, each.until);
    if (!process_) return generation_ != 0 ? earlier(next, respawn_.not_before) : next;
    if (asked_ && unsent_.empty()) next = earlier(next, next_answer_);
    return earlier(next, earlier(stopped_until_, last_look_ + between_looks));
}

void ObserverProcess::start(const Generation& current, int log_pipe, Clock::time_point now) {
    generation_ = current.number;  // also where it fails: deadline()
    Pipe questions = open_pipe();
    Pipe answers = open_pipe();
    process_ = spawn(
        [&] {
            forget_secrets_();
            return current.observe({.questions = std::move(questions.writer),
                                    .answers = std::move(answers.reader),
                                    .log_pipe = log_pipe,
                                    .listeners = *current.observed});
        },
        ChildProcess::Handle::Later);
    details_ = current.settings->observe_details;
    questions_ = std::move(questions.reader);
    answers_ = std::move(answers.writer);
    failed_ = false;
    started_ = now;
    note_life(now);
    stopped_until_.reset();
    killed_for_ = {};
    events_.watch(questions_.get(), observer_questions_key);
    log(LogLevel::Debug, "observer forked (pid {observer_pid})", {{"observer_pid", std::int64_t{process_->pid()}}});
}

void ObserverProcess::drop_pipes() noexcept {
    if (questions_) (void)events_.remove(questions_.get());
    if (answers_) (void)events_.remove(answers_.get());
    questions_ = {};
    answers_ = {};
    asked_ = false;
    unsent_.clear();
}

/// It leaves by itself, unless it is stopped or hangs.
void ObserverProcess::dismiss(Clock::time_point now) {
    leaving_.push_back({.process = *std::move(process_), .until = now + (stopped_until_ ? 0s : longest_leaving)});
    process_.reset();
    drop_pipes();
    stopped_until_.reset();
    generation_ = 0;
    respawn_ = {};
}

void ObserverProcess::hear_question(Clock::time_point now) {
    if (!questions_) return;
    std::array<char, 64> bytes;
    const ssize_t read = ::read(questions_.get(), bytes.data(), bytes.size());
    if (read == -1 && (errno == EAGAIN || errno == EINTR)) return;
    (void)events_.remove(questions_.get());  // until this one is answered; at its end, until it is reaped
    if (read <= 0) return;
    asked_ = true;
    note_life(now);
    if (next_answer_ <= now) answer(now);
}

void ObserverProcess::answer(Clock::time_point now) {
    next_answer_ = now + between_answers;
    unsent_ = snapshot_(details_);
    go_on_answering(now);
}

void ObserverProcess::go_on_answering(Clock::time_point now) {
    if (!answers_ || unsent_.empty()) return;
    const ssize_t written = ::write(answers_.get(), unsent_.data(), unsent_.size());
    if (written == -1 && errno != EAGAIN && errno != EINTR) return drop_pipes();  // it has gone, or is about to
    if (written > 0) {
        unsent_.erase(0, static_cast<std::size_t>(written));
        note_life(now);
    }
    if (!unsent_.empty()) {
        if (!events_.add(answers_.get(), observer_answers_key, EPOLLOUT) && errno != EEXIST) drop_pipes();
        return;
    }
    (void)events_.remove(answers_.get());
    asked_ = false;
    events_.watch(questions_.get(), observer_questions_key);
}

bool ObserverProcess::note_stop(pid_t pid, bool stopped, Clock::time_point now) noexcept {
    if (this->pid() != pid) return false;
    stopped_until_ = stopped ? Deadline{now + longest_stop} : Deadline{};
    note_life(now);
    return true;
}

void ObserverProcess::note_life(Clock::time_point now) noexcept {
    silent_ = {};
    last_look_ = now;
}

/// As of workers: a time in which the master itself was not awake says nothing.
void ObserverProcess::look_at_silence(Clock::time_point now) {
    silent_ += awake_of(std::chrono::duration_cast<std::chrono::milliseconds>(now - last_look_), between_looks);
    last_look_ = now;
    if (silent_ >= longest_silence) kill_for("was silent for too long");
}

void ObserverProcess::kill_for(std::string_view reason) {
    stopped_until_.reset();
    killed_for_ = reason;
    process_->signal(SIGKILL);
}

bool ObserverProcess::reap(pid_t pid, Clock::time_point now) {
    const auto left = std::ranges::find(leaving_, pid, [](const Leaving& each) { return each.process.pid(); });
    if (left != leaving_.end()) {
        if (left->process.try_reap()) leaving_.erase(left);
        return true;
    }
    if (this->pid() != pid) return false;
    const auto report = process_->try_reap();
    if (!report) return true;
    drop_pipes();
    process_.reset();
    stopped_until_.reset();
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
    respawn_ = after_death(respawn_, {.age = age, .at = now});
    log(LogLevel::Error, "observer (pid {observer_pid}) {end}: starting another",
        {{"end", killed_for_.empty() ? describe(*report) : std::string{killed_for_} + ", and killed"},
         {"observer_pid", std::int64_t{pid}}});
    return true;
}

void ObserverProcess::kill() noexcept try {
    drop_pipes();
    if (process_) process_->signal(SIGKILL);
    for (Leaving& each : leaving_) each.process.signal(SIGKILL);
} catch (const std::exception&) {}

}  // namespace preforkd
