#pragma once
// What the ports of socketserver's tests share: servers in threads, handlers that fail, children that are nobody's.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "preforkd/preforkd.hpp"
#include "tests/process/plain_client.hpp"

namespace preforkd::testing {

inline constexpr std::chrono::seconds no_patience_needed{30};

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all{"/proc/self/fd"};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

inline std::size_t threads() {
    static std::once_flag first;  // with which ThreadSanitizer starts one of its own
    std::call_once(first, [] {
        pid_t id = 0;
        std::thread{[&] { id = ::gettid(); }}.join();
        while (std::filesystem::exists("/proc/self/task/" + std::to_string(id))) std::this_thread::yield();
    });
    const std::filesystem::directory_iterator all{"/proc/self/task"};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// serve_forever() in a thread of its own.
class Serving {
public:
    explicit Serving(Server& server) : server_{server}, thread_{[&server] { server.serve_forever(); }} {}
    ~Serving() { stop(); }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;

    void stop() {
        if (!thread_.joinable()) return;
        server_.shutdown();
        thread_.join();
    }

private:
    Server& server_;
    std::thread thread_;
};

/// Sends one line back, as the handlers of the Python tests do.
class EchoLine : public BlockingHandler, public DatagramHandler {
public:
    void serve(BlockingConnection& client) override {
        std::string line;
        getline(client.stream(), line);
        client.stream() << line << '\n';
    }
    void serve(Datagram& request) override { (void)request.reply(request.bytes()); }
};

/// A child of the test, not of the server, that exits with 72.  It must still be there to be waited for in the end.
class ForeignChild {
public:
    ForeignChild() : pid_{check(::fork(), "fork")} {
        if (pid_ == 0) ::_exit(72);
    }
    ~ForeignChild() {
        int status = 0;
        EXPECT_EQ(::waitpid(pid_, &status, 0), pid_) << "the server has stolen it";
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 72);
    }
    ForeignChild(const ForeignChild&) = delete;
    ForeignChild& operator=(const ForeignChild&) = delete;

private:
    pid_t pid_;
};

inline bool has_children() {
    siginfo_t child{};
    return ::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// What happened, where a forked child can say it, too.
struct Happened {
    std::atomic<int> called{0};
    std::atomic<int> handled{0};
};

class SharedHappened {
public:
    SharedHappened()
        : memory_{::mmap(nullptr, sizeof(Happened), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
        new (memory_) Happened{};
    }
    ~SharedHappened() { ::munmap(memory_, sizeof(Happened)); }
    SharedHappened(const SharedHappened&) = delete;
    SharedHappened& operator=(const SharedHappened&) = delete;

    Happened* operator->() const noexcept { return static_cast<Happened*>(memory_); }

private:
    void* memory_;
};

/// Throws whatever it is told to.
class BadHandler : public BlockingHandler {
public:
    BadHandler(const SharedHappened& happened, std::function<void()> failure)
        : happened_{happened}, failure_{std::move(failure)} {}

    void serve(BlockingConnection&) override {
        ++happened_->called;
        failure_();
    }
    void handle_error(const Endpoint&, std::exception_ptr) override { ++happened_->handled; }

private:
    const SharedHappened& happened_;
    std::function<void()> failure_;
};

/// A handler made of a function.
class Does : public BlockingHandler {
public:
    using Task = std::function<void(BlockingConnection&)>;
    explicit Does(Task task) : task_{std::move(task)} {}
    void serve(BlockingConnection& client) override { task_(client); }

    static HandlerEntry entry(const Task& task) {
        return {.name = "does", .model = Model::Serial, .make_blocking = [task](const HandlerOptions&) {
                    return std::make_unique<Does>(task);
                }};
    }

private:
    Task task_;
};

}  // namespace preforkd::testing
