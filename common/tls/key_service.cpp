#include "common/tls/key_service.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/passed_descriptors.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/wiped_text.hpp"
#include "common/process/call_filter.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/helper_user.hpp"
#include "common/process/isolation.hpp"
#include "common/tls/certificate.hpp"
#include "common/tls/key_ring.hpp"
#include "common/tls/key_service_policy.hpp"
#include "common/tls/server_context.hpp"

namespace preforkd {

namespace {

constexpr std::size_t longest_report_bytes = 4096;
constexpr int most_arenas = 4;  // of malloc(3), which else looks into /sys to decide it, by then out of reach

/// It ends when nobody needs it any more, whatever somebody tells all of a service's processes earlier.
void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    check(::sigprocmask(SIG_SETMASK, &all, nullptr), "block signals");
    ::signal(SIGPIPE, SIG_IGN);
}

std::string packet_of(char kind, std::string_view text) {
    return std::string{kind}.append(text.substr(0, longest_report_bytes - 1));
}

/// By a call that the filter leaves, too.
void tell(int master, char kind, std::string_view text) {
    const std::string packet = packet_of(kind, text);
    (void)!::write(master, packet.data(), packet.size());
}

KeyPtr read_key(const KeyToServe& wanted) {
    try {
        const WipedText text{read_tls_file("key", wanted.file)};
        KeyPtr key = read_private_key(text.text());
        if (openssl().X509_check_private_key(wanted.parsed, key.get()) == 1) return key;
        openssl().ERR_clear_error();
    } catch (const std::invalid_argument& error) {
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("{}: key={}: {}", wanted.listener, wanted.file, error.what())};
    } catch (const OperatorError& error) {
        throw OperatorError{error.code(), fmt::format("{}: {}", wanted.listener, error.what())};
    }
    throw OperatorError{ExitCode::Configuration,
                        fmt::format("{}: key={}: is not the key of certificate={}; name each pair in turn",
                                    wanted.listener, wanted.file, wanted.certificate)};
}

KeyRing read_keys(const std::vector<KeyToServe>& keys, int master) {
    KeyRing ring;
    for (const KeyToServe& wanted : keys) {
        const std::string packet = packet_of('k', fmt::format("{}: key={}", wanted.listener, wanted.file));
        (void)::send(master, packet.data(), packet.size(), MSG_DONTWAIT);  // of many keys some need not be told of
        ring.add(key_name_of(wanted.parsed), read_key(wanted));
    }
    return ring;
}

/// Where there is no libseccomp, or a filter that forbids another, the workers have gone without, too.
void put_on_filter() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (why_no_filter()) return;
    FilterProgram filter;
    try {
        filter = make_allow_filter(key_service::calls);
    } catch (const std::runtime_error&) { return; }
    install_filter(filter);
#endif
}

/// What the master has passed.
struct Passed {
    SigningEnd end{};
    bool again = false;  ///< the worker's requests were another process's to answer
};

/// An empty end: the master wants this process no more.
Passed receive_end(int master) {
    char again = 0;
    iovec part{&again, sizeof again};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(2 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(master, &message, MSG_CMSG_CLOEXEC);
    if (size <= 0) return {};
    std::vector<UniqueFd> fds = received_descriptors(message);
    if (fds.size() != 2) return {};
    return {.end = {.requests = std::move(fds[0]), .answers = std::move(fds[1])}, .again = again != 0};
}

/// The threads that sign, one for each worker: none waits for another's.
class SigningThreads {
public:
    explicit SigningThreads(const KeyRing& keys) : keys_{keys} {}

    void start(Passed passed) {
        {
            const std::scoped_lock lock{mutex_};
            ++running_;
        }
        std::thread{[this, passed = std::move(passed)] {
            serve(passed);
            const std::scoped_lock lock{mutex_};
            if (--running_ == 0) none_.notify_all();
        }}.detach();
    }

    void wait_for_all() {
        std::unique_lock lock{mutex_};
        none_.wait(lock, [this] { return running_ == 0; });
    }

private:
    /// A message of another size is none of a worker's: it is heard no more.
    void serve(const Passed& passed) const {
        KeyRing::Use use{keys_};
        SigningRequest request;
        SigningAnswer answer;
        const auto send = [&] {
            return ::write(passed.end.answers.get(), &answer, sizeof answer) == ssize_t{sizeof answer};
        };
        if (passed.again && !send()) return;
        while (::read(passed.end.requests.get(), &request, sizeof request) == ssize_t{sizeof request}) {
            use.answer(request, answer);
            if (!send()) return;
        }
    }

    const KeyRing& keys_;
    std::mutex mutex_{};
    std::condition_variable none_{};
    std::size_t running_ = 0;
};

void sign_for_workers(const KeyRing& keys, int master) {
    SigningThreads threads{keys};
    for (;;) {
        Passed passed = receive_end(master);
        if (!passed.end) break;
        threads.start(std::move(passed));
    }
    threads.wait_for_all();
}

}  // namespace

int run_key_service(const std::vector<KeyToServe>& keys, UniqueFd master, bool filtered) {
    std::array kept{master.get()};
    close_all_descriptors_except(kept);
    block_signals();
    leave_terminal();
    discard_standard_output();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // one that waits for a file that does not answer
    name_process("-key", "key process");
    try {
        ::mallopt(M_ARENA_MAX, most_arenas);
        const KeyRing ring = read_keys(keys, master.get());
        ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);  // workers may outlive its master
        const uid_t user = become_helper_user(Helper::Keys);
        allow_tracing(false);  // a change of user may have said otherwise
        ring.warm_up();
        std::thread{[] {}}.join();  // with the first one the C library takes a signal for itself
        if (filtered) put_on_filter();
        tell(master.get(), 'r', fmt::format("{}", user));
        sign_for_workers(ring, master.get());
        return 0;
    } catch (const OperatorError& error) {
        tell(master.get(), 'f', fmt::format("{} {}", static_cast<int>(error.code()), error.what()));
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        tell(master.get(), 'f', fmt::format("{} {}", static_cast<int>(ExitCode::System), with_remedy(error)));
        return static_cast<int>(ExitCode::System);
    }
}

KeyServiceSocket open_key_service_socket() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "open a socket for the key process");
    return {.master = UniqueFd{ends[0]}, .service = UniqueFd{ends[1]}};
}

std::optional<KeyReport> receive_key_report(int master) {
    std::array<char, longest_report_bytes> space{};
    ssize_t size = 0;
    // ECONNRESET: it has left what we passed unread; its own is still to come.
    do size = ::recv(master, space.data(), space.size(), MSG_DONTWAIT);
    while (size == -1 && (errno == EINTR || errno == ECONNRESET));
    if (size <= 0) return std::nullopt;
    std::string_view text{space.data() + 1, static_cast<std::size_t>(size) - 1};
    switch (space[0]) {
        case 'r': return KeyReport{.kind = KeyReport::Kind::Ready, .user = parse_number<uid_t>(text).value_or(0)};
        case 'f': {
            const auto code = take_number<int>(text).value_or(static_cast<int>(ExitCode::System));
            text.remove_prefix(text.empty() ? 0 : 1);
            return KeyReport{
                .kind = KeyReport::Kind::Failed, .text = std::string{text}, .code = static_cast<ExitCode>(code)};
        }
        default: return KeyReport{.kind = KeyReport::Kind::Reading, .text = std::string{text}};
    }
}

bool pass_signing_end(int master, const SigningEnd& end, bool again) noexcept {
    char byte = again ? 1 : 0;
    iovec part{&byte, sizeof byte};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const std::array fds{end.requests.get(), end.answers.get()};
    const PassedDescriptors<2> passed{message, fds};
    return ::sendmsg(master, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1;
}

}  // namespace preforkd
