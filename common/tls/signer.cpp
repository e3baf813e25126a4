#include "common/tls/signer.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <new>
#include <string>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/counted.hpp"
#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

/// Robust: who is killed with the lock in his hand leaves it to the next one.  Source: pthread_mutexattr_setrobust(3).
struct Signer::Shared {
    pthread_mutex_t one_at_a_time{};
    std::uint64_t last_number = 0;  ///< behind the lock
    std::atomic<std::uint64_t> untold{};
    std::atomic<Clock::rep> told_at = (Clock::now() - 1h).time_since_epoch().count();

    Shared() {
        pthread_mutexattr_t how;
        ::pthread_mutexattr_init(&how);
        ::pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutex_init(&one_at_a_time, &how);
        ::pthread_mutexattr_destroy(&how);
    }

    [[nodiscard]] bool lock(Clock::time_point limit) noexcept {
        const auto since = limit.time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
        const timespec until{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds{since - seconds}.count()};
        const int error = ::pthread_mutex_clocklock(&one_at_a_time, CLOCK_MONOTONIC, &until);
        if (error == EOWNERDEAD) ::pthread_mutex_consistent(&one_at_a_time);
        return error == 0 || error == EOWNERDEAD;
    }
    void unlock() noexcept { ::pthread_mutex_unlock(&one_at_a_time); }
};

Signer::~Signer() {
    if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared));
}

void Signer::connect(SigningEnd end) {
    void* const page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw_errno("map a lock");
    shared_ = new (page) Shared{};
    end_ = std::move(end);
}

std::optional<std::size_t> Signer::sign(const KeyName& key, SigningKind kind, std::span<const std::uint8_t> bytes,
                                        std::span<std::uint8_t> signature) noexcept {
    if (bytes.size() > most_signed_bytes) return std::nullopt;
    SigningRequest request{.key = key, .kind = kind, .size = static_cast<std::uint32_t>(bytes.size())};
    std::ranges::copy(bytes, request.bytes.begin());
    SigningAnswer answer;
    const Failure failure = ask(request, answer);
    if (failure != Failure::None || answer.size > std::min(signature.size(), answer.bytes.size())) {
        tell_of(failure);
        return std::nullopt;
    }
    std::copy_n(answer.bytes.begin(), answer.size, signature.begin());
    return answer.size;
}

Signer::Failure Signer::ask(SigningRequest& request, SigningAnswer& answer) noexcept {
    if (!end_) return Failure::NotConnected;
    const auto limit = Clock::now() + patience;
    if (!shared_->lock(limit)) return Failure::Late;
    request.number = ++shared_->last_number;
    const Failure failure = exchange(request, answer, limit);
    shared_->unlock();
    return failure;
}

Signer::Failure Signer::exchange(SigningRequest& request, SigningAnswer& answer,
                                 Clock::time_point limit) const noexcept {
    if (const Failure failure = send(request); failure != Failure::None) return failure;
    bool asked_again = false;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now());
        pollfd answers{.fd = end_.answers.get(), .events = POLLIN, .revents = 0};
        const int ready = left > 0ms ? ::poll(&answers, 1, static_cast<int>(left.count())) : 0;
        if (ready == -1 && errno == EINTR) continue;
        if (ready <= 0) return Failure::Late;
        if (::read(end_.answers.get(), &answer, sizeof answer) != sizeof answer) return Failure::Gone;
        if (answer.number == request.number) return answer.size == 0 ? Failure::Refused : Failure::None;
        // The process before may have taken it along; who did not gets two answers, of which one is passed over.
        if (answer.number == 0 && !std::exchange(asked_again, true))
            if (const Failure failure = send(request); failure != Failure::None) return failure;
    }
}

Signer::Failure Signer::send(const SigningRequest& request) const noexcept {
    if (::write(end_.requests.get(), &request, sizeof request) == sizeof request) return Failure::None;
    return errno == EAGAIN ? Failure::Busy : Failure::Gone;
}

void Signer::tell_of(Failure failure) noexcept {
    if (shared_ == nullptr) return;
    shared_->untold.fetch_add(1);
    const auto now = Clock::now().time_since_epoch();
    auto before = shared_->told_at.load();
    if (now - Clock::duration{before} < 1s || !shared_->told_at.compare_exchange_strong(before, now.count())) return;
    const std::string handshakes = counted(shared_->untold.exchange(0), "TLS handshake");
    const char* cause = "the key process has none of its certificate's key: reload";
    switch (failure) {
        case Failure::None:
        case Failure::Refused: break;
        case Failure::NotConnected:
        case Failure::Gone: cause = "there is no key process"; break;
        case Failure::Busy: cause = "the key process has not answered for a while"; break;
        case Failure::Late: cause = "the key process has not answered within 1 s"; break;
    }
    log(LogLevel::Warning, "{handshakes} failed: {cause}", {{"handshakes", handshakes}, {"cause", cause}});
}

}  // namespace preforkd
