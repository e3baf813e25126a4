#include "common/process/child_call.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "common/log/log_output.hpp"
#include "common/process/child_process.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/spawn.hpp"

namespace preforkd {

namespace {

// What stands in the file: how long the rest is, a kind, and behind that a text.
constexpr char attempt = 'a';   // what is tried
constexpr char returned = 'r';  // the result
constexpr char failed = 'f';    // a sentence

// The file keeps this size, whatever the child's code writes there.  A configuration has 1 MiB at most.
constexpr std::size_t longest_answer_bytes = std::size_t{2} << 20;
constexpr std::size_t longest_sentence_bytes = 4096;

/// Any other: an OperatorError's, and its sentence.
char of_operator(ExitCode code) { return static_cast<char>(128 + static_cast<int>(code)); }

void replace(int file, char kind, std::string_view text) {
    const auto size = static_cast<std::uint32_t>(1 + text.size());
    std::string whole(sizeof size, '\0');
    std::memcpy(whole.data(), &size, sizeof size);
    whole += kind;
    whole += text;
    for (std::size_t done = 0; done < whole.size();)
        done += static_cast<std::size_t>(
            check(static_cast<int>(::pwrite(file, whole.data() + done, whole.size() - done, static_cast<off_t>(done))),
                  "answer"));
}

/// Whoever holds the file may write anything there.
std::string contents(int file) {
    std::uint32_t size = 0;
    check(static_cast<int>(::pread(file, &size, sizeof size, 0)), "read an answer");
    std::string text(std::min<std::size_t>(size, longest_answer_bytes - sizeof size), '\0');
    text.resize(static_cast<std::size_t>(
        check(static_cast<int>(::pread(file, text.data(), text.size(), sizeof size)), "read an answer")));
    return text.empty() ? std::string{attempt} : text;
}

int call(const ChildCall::Function& function, int answer, std::optional<int> printed, int also_kept) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (const int standard : {STDOUT_FILENO, STDERR_FILENO})
        if (printed) check(::dup2(*printed, standard), "redirect what is printed");
    // One that hangs must keep no listener open, and no worker's channel.
    std::array<int, 3> kept{answer, printed ? -1 : log_fd(), also_kept};
    close_all_descriptors_except(kept);
    try {
        replace(answer, returned, function([&](std::string_view what) { replace(answer, attempt, what); }));
    } catch (const OperatorError& error) {
        replace(answer, of_operator(error.code()), error.what());
    } catch (const std::system_error& error) {
        replace(answer, of_operator(ExitCode::System), with_remedy(error));
    } catch (const std::exception& error) { replace(answer, failed, error.what()); }
    return 0;
}

}  // namespace

UniqueFd make_bounded_file(const char* name, std::size_t bytes) {
    UniqueFd file{check(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), "reserve space for an answer")};
    check(::ftruncate(file.get(), static_cast<off_t>(bytes)), "reserve space for an answer");
    check(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), "reserve space for an answer");
    return file;
}

ChildCall::ChildCall(const Function& function, std::chrono::milliseconds patience, std::optional<int> printed, int kept)
    : patience_{patience},
      deadline_{deadline_after(Clock::now(), patience)},
      answer_{make_bounded_file("preforkd-answer", longest_answer_bytes)} {
    replace(answer_.get(), attempt, "");
    child_.emplace(spawn([&] { return call(function, answer_.get(), printed, kept); }));
}

bool ChildCall::reap(pid_t pid) {
    if (child_->pid() != pid || end_) return false;
    end_ = child_->try_reap();
    return true;
}

void ChildCall::mind_the_time(Clock::time_point now) {
    if (has_passed(deadline(), now)) give_up();
}

void ChildCall::give_up() {
    if (over()) return;
    given_up_ = true;
    child_->signal(SIGKILL);
}

bool ChildCall::wait(int interrupt) {
    while (!over()) {
        const auto left = deadline_ ? std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now())
                                    : std::chrono::milliseconds{-1};
        const int timeout = deadline_ ? static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX)) : -1;
        std::array<pollfd, 2> events{{{.fd = child_->pidfd(), .events = POLLIN, .revents = 0},
                                      {.fd = interrupt, .events = POLLIN, .revents = 0}}};
        if (::poll(events.data(), events.size(), timeout) == -1 && errno != EINTR) throw_errno("wait for a child");
        (void)reap(child_->pid());
        mind_the_time(Clock::now());
        if (!over() && events[1].revents != 0) return false;
    }
    return true;
}

bool ChildCall::answered() const { return !given_up_ && !contents(answer_.get()).starts_with(attempt); }

std::string ChildCall::result() const {
    std::string text = contents(answer_.get());
    const char kind = text.front();
    text.erase(0, 1);
    if (given_up_)
        throw OperatorError{ExitCode::System, fmt::format("{}: no answer within --boot-timeout {}: its file system "
                                                          "hangs, or its server is gone",
                                                          text, to_string(patience_))};
    if (kind == returned) return text;
    text.resize(std::min(text.size(), longest_sentence_bytes));
    if (kind == failed) throw std::runtime_error{text};
    if (kind == attempt) throw std::runtime_error{fmt::format("{}: a process that tried it {}", text, describe(*end_))};
    const int code = static_cast<unsigned char>(kind) - 128;
    throw OperatorError{code > 0 ? static_cast<ExitCode>(code) : ExitCode::Internal, text};
}

}  // namespace preforkd
