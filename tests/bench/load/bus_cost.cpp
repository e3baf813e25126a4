// What a message on the bus costs who publishes it, and when eight others have heard it: in processes of its own, which
// do nothing else.  Prints the nanoseconds as JSON.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/channel/worker_bus.hpp"

using namespace preforkd;

namespace {

constexpr std::size_t readers = 8;
constexpr int rounds = 2000;
constexpr int burst = 200;

/// What a reader has heard last, and how late.
struct Reader {
    alignas(64) std::atomic<std::int64_t> heard_ns{};
    std::atomic<std::uint64_t> messages{};
};

std::int64_t now_ns() { return Clock::now().time_since_epoch().count(); }

UniqueFd copy_of(int fd) { return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)}; }

[[noreturn]] void read_for_ever(const BusMemory& memory, std::size_t place, Reader& reader) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    WorkerBus bus{memory.memory_fd(), copy_of(memory.wakeup_fd()), place};
    const auto hears = bus.subscribe("news", [&](std::string_view) {
        reader.heard_ns = now_ns();
        ++reader.messages;
    });
    ++reader.messages;
    for (;;) {
        pollfd wanted{.fd = bus.fd(), .events = POLLIN, .revents = 0};
        (void)::poll(&wanted, 1, -1);
        while (bus.deliver([](const std::function<void()>& hear) { hear(); })) {}
    }
}

void rest() {
    const timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&time, nullptr);
}

void wait_for(std::array<Reader, readers>& all_readers, std::uint64_t messages) {
    while (!std::ranges::all_of(all_readers, [=](const Reader& reader) { return reader.messages >= messages; })) rest();
}

double median(std::vector<std::int64_t>& values) {
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return static_cast<double>(values[values.size() / 2]);
}

}  // namespace

int main() {
    const BusMemory memory{::geteuid(), readers + 1};
    auto& all_readers = *new (::mmap(nullptr, sizeof(std::array<Reader, readers>), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::array<Reader, readers>;
    for (std::size_t place = 0; place <= readers; ++place) (void)memory.open_place(place);
    std::vector<pid_t> children;
    for (std::size_t place = 0; place < readers; ++place) {
        const pid_t child = ::fork();
        if (child == 0) read_for_ever(memory, place, all_readers[place]);
        children.push_back(child);
    }
    WorkerBus bus{memory.memory_fd(), copy_of(memory.wakeup_fd()), readers};
    const std::string text(64, 'x');
    std::uint64_t sent = 1;
    wait_for(all_readers, sent);
    std::vector<std::int64_t> alone, all, many;
    for (int round = 0; round < rounds; ++round) {
        rest();  // all sleep
        const std::int64_t before = now_ns();
        bus.publish("news", text);
        alone.push_back(now_ns() - before);
        wait_for(all_readers, ++sent);
        std::int64_t last_ns = 0;
        for (const Reader& reader : all_readers) last_ns = std::max(last_ns, reader.heard_ns.load());
        all.push_back(last_ns - before);
    }
    for (int round = 0; round < rounds / 20; ++round) {
        rest();
        const std::int64_t before = now_ns();
        for (int n = 0; n < burst; ++n) bus.publish("news", text);
        many.push_back((now_ns() - before) / burst);
        wait_for(all_readers, sent += burst);
    }
    for (const pid_t child : children) {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
    std::printf("{\"alone\": %.0f, \"burst\": %.0f, \"heard\": %.0f}\n", median(alone), median(many), median(all));
}
