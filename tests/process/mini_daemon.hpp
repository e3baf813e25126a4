#pragma once
// A whole daemon with handlers of the test's own, in a child.
#include <fcntl.h>
#include <sys/prctl.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "child_report.hpp"
#include "preforkd/blocking_connection.hpp"
#include "preforkd/handler.hpp"
#include "preforkd/run.hpp"
#include "waiting.hpp"

namespace preforkd::testing {

/// One client of it.
class Caller {
public:
    explicit Caller(const SocketAddress& where) : fd_{connect_to(where)} {}

    void say(std::string_view text) const { (void)!::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
    void half_close() const { ::shutdown(fd_.get(), SHUT_WR); }

    /// The next answer; empty at the end, or if none comes.
    [[nodiscard]] std::string hear(int limit_ms = patience_ms) const {
        char text[4096];
        if (!comes(fd_.get(), POLLIN, limit_ms)) return "";
        const ssize_t size = ::read(fd_.get(), text, sizeof text);
        return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
    }
    [[nodiscard]] std::string ask(std::string_view text) const {
        say(text);
        return hear();
    }
    [[nodiscard]] bool is_answered() const { return is_readable(fd_.get()); }

private:
    UniqueFd fd_;
};

class MiniDaemon {
public:
    /// `arguments` beside the endpoint and the log.
    MiniDaemon(const Handlers& handlers, std::vector<std::string> arguments) {
        Pipe ready = make_pipe();
        std::vector<std::string> words{"mini",        "--listen", "tcp://127.0.0.1:0", "--log-file", log_,
                                       "--log-level", "debug",    "--ready-fd"};
        words.push_back(std::to_string(ready.writer.get()));
        for (std::string& argument : arguments) words.push_back(std::move(argument));
        process_.emplace(spawn([&] {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nobody behind
            ready.reader = UniqueFd{};
            std::vector<char*> argv;
            for (std::string& word : words) argv.push_back(word.data());
            argv.push_back(nullptr);
            return run(static_cast<int>(words.size()), argv.data(), handlers);
        }));
        ready.writer = UniqueFd{};
        const std::string endpoints = read_to_end(ready.reader.get());
        where_ = resolve(parse_endpoint(endpoints.substr(0, endpoints.find('\n')))).at(0);
    }
    ~MiniDaemon() {
        if (!process_) return;
        process_->signal(SIGKILL);
        (void)end_of(*process_);
    }
    MiniDaemon(const MiniDaemon&) = delete;
    MiniDaemon& operator=(const MiniDaemon&) = delete;

    [[nodiscard]] Caller call() const { return Caller{where_}; }
    void signal(int signo) const { process_->signal(signo); }

    /// Waits for its end.  Throws, with its log, if that does not come.
    [[nodiscard]] ExitReport end() {
        const std::optional<ChildProcess> process = std::exchange(process_, std::nullopt);  // not to be reaped twice
        try {
            return end_of(process.value());
        } catch (const std::runtime_error& error) {
            std::ifstream log{log_};
            throw std::runtime_error{error.what() + (":\n" + std::string{std::istreambuf_iterator<char>{log}, {}})};
        }
    }
    [[nodiscard]] ExitReport stop(int signo) {
        signal(signo);
        return end();
    }

private:
    TemporaryDirectory directory_{};
    std::string log_ = directory_ / "log";
    std::optional<ChildProcess> process_{};
    SocketAddress where_{};
};

/// Answers each word with itself in brackets.  `stall` never comes back, `throw` throws, `mask` says whether the thread
/// would take a signal.
class Bracketing final : public BlockingHandler {
public:
    void serve(BlockingConnection& client) override {
        while (const Received word = client.read_some()) {
            if (word.text() == "throw") throw 42;
            if (word.text() == "stall") {
                (void)client.write("[stall]");
                for (;;) ::pause();
            }
            if (word.text() == "mask" ? client.write(deaf() ? "[deaf]" : "[hears]")
                                      : client.write('[' + std::string{word.text()} + ']'))
                return;
        }
    }

private:
    static bool deaf() {
        sigset_t blocked;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
        for (const int signo : {SIGTERM, SIGQUIT, SIGIO, SIGCHLD, SIGHUP, SIGUSR1})
            if (::sigismember(&blocked, signo) != 1) return false;
        return true;
    }
};

inline Handlers bracketing(Model model) {
    return Handlers{}.add({.name = "bracketing", .model = model, .make_blocking = [](const HandlerOptions&) {
                               return std::make_unique<Bracketing>();
                           }});
}

/// Writes a letter for each hook that is called, and nothing else.
class HookNotes final : public BlockingHandler {
public:
    explicit HookNotes(int notes) : notes_{notes} {}
    void worker_started() override { note("started "); }
    void service_actions() override { note("awake "); }
    void worker_leaving() override { note("leaving "); }
    void serve(BlockingConnection& client) override { (void)client.write_last("served"); }

private:
    void note(std::string_view what) const { (void)!::write(notes_, what.data(), what.size()); }
    int notes_;
};

/// What the hooks of one worker that serves one client note.
inline std::string hooks_called(const std::string& model) {
    Pipe notes = make_pipe();
    const int writer = notes.writer.get();
    MiniDaemon daemon{
        Handlers{}.add({.name = "notes",
                        .make_blocking = [=](const HandlerOptions&) { return std::make_unique<HookNotes>(writer); }}),
        {"--handler", "notes", "--workers", "0", "--model", model}};
    notes.writer = UniqueFd{};
    {
        const Caller caller = daemon.call();
        if (caller.hear() != "served") return "not served";
    }
    if (daemon.stop(SIGTERM) != success) return "ended badly";
    return read_to_end(notes.reader.get());
}

}  // namespace preforkd::testing
