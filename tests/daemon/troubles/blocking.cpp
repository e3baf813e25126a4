// Does what its client says, line by line: whatever a handler should not do.
#include <preforkd/preforkd.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

void spin_for_ever() {
    for (volatile int turns = 0;;) turns = turns + 1;
}

void block_for_ever() {
    for (;;) ::pause();
}

/// Half a second each; what did not last as long, or was interrupted.
std::string rest() {
    std::string cut_short;
    const auto lasts = [&](const char* how, auto sleeps) {
        const auto start = std::chrono::steady_clock::now();
        if (sleeps() != 0 || std::chrono::steady_clock::now() - start < 500ms) cut_short += how;
    };
    const timespec half{.tv_sec = 0, .tv_nsec = 500'000'000};
    timeval half_for_select{.tv_sec = 0, .tv_usec = 500'000};
    lasts(" nanosleep", [&] { return ::nanosleep(&half, nullptr); });
    lasts(" poll", [&] { return ::poll(nullptr, 0, 500); });
    lasts(" select", [&] { return ::select(0, nullptr, nullptr, nullptr, &half_for_select); });
    lasts(" sleep", [&] { return static_cast<int>(::sleep(1)); });
    return cut_short.empty() ? "rested" : "cut short:" + cut_short;
}

volatile std::sig_atomic_t rings = 0;

/// The real-time timer and SIGALRM, which are a handler's own.
std::string ring_in_a_second() {
    struct sigaction ringing {};
    ringing.sa_handler = [](int) { rings = rings + 1; };
    ::sigaction(SIGALRM, &ringing, nullptr);
    const itimerval second{.it_interval = {}, .it_value = {.tv_sec = 1, .tv_usec = 0}};
    const auto start = std::chrono::steady_clock::now();
    ::setitimer(ITIMER_REAL, &second, nullptr);
    while (rings == 0 && std::chrono::steady_clock::now() - start < 3s) ::usleep(10'000);
    return rings == 1 && std::chrono::steady_clock::now() - start >= 990ms ? "rang" : "did not ring in time";
}

/// What a program that a handler forks and executes ignores and blocks, as proc(5) tells.
std::string signals_of_a_child() {
    std::FILE* const kept = std::tmpfile();
    if (const pid_t child = ::fork(); child == 0) {
        ::dup2(::fileno(kept), STDOUT_FILENO);
        ::execl("/bin/sed", "sed", "-n", "s/^SigBlk:.//p;s/^SigIgn:.//p", "/proc/self/status", nullptr);
        std::_Exit(1);
    } else {
        (void)::waitpid(child, nullptr, 0);
    }
    std::rewind(kept);
    char blocked[32] = "";
    char ignored[32] = "";
    (void)!std::fscanf(kept, "%31s %31s", blocked, ignored);
    std::fclose(kept);
    return std::string{blocked} + ' ' + ignored;
}

struct Trouble : preforkd::BlockingHandler {
    void worker_started() override {
        if (const char* bytes = std::getenv("TROUBLE_BYTES")) own.assign(std::strtoul(bytes, nullptr, 10), 'x');
        if (const char* lines = std::getenv("TROUBLE_LINES"))
            for (int line = std::atoi(lines); line > 0; --line) std::puts("started");
    }
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "spin") spin_for_ever();
            if (word == "throw") throw std::runtime_error{"as told"};
            if (word == "throw 7") throw 7;
            if (word == "block") block_for_ever();
            if (word == "exit") ::_exit(3);
            if (word == "rest") client.output() << rest() << std::endl;
            if (word == "ring") client.output() << ring_in_a_second() << std::endl;
            if (word == "signals") client.output() << signals_of_a_child() << std::endl;
            if (word.starts_with("print ")) std::cout << word.substr(6) << '\n';
            if (word.starts_with("begin ")) std::cout << word.substr(6);
            if (word.starts_with("crash ")) {
                std::cout << word.substr(6) << std::flush;
                std::raise(SIGSEGV);
            }
            if (word == "flood") {
                for (int line = 0; line < 20000; ++line) std::printf("line %d\n", line);
                client.output() << "printed" << std::endl;
            }
            if (word == "doze") ::sleep(30);
            if (word.starts_with("open "))
                file = ::open(word.c_str() + 5, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
            if (word == "put") client.output() << ::write(file, "0123456789", 10) << std::endl;
            if (word.starts_with("run ")) (void)!std::system(word.c_str() + 4);
            if (word == "work") {
                for (const auto until = std::chrono::steady_clock::now() + 300ms;
                     std::chrono::steady_clock::now() < until;) {}
            }
            if (word == "leak") {  // 8 MiB
                auto& piece = leaked.emplace_back(std::size_t{8} << 20);
                std::memset(piece.data(), 1, piece.size());
            }
        }
    }
    int file = -1;
    std::vector<char> own{};  // before the first client
    static inline thread_local std::vector<std::vector<char>> leaked{};
};
PREFORKD_HANDLER(Trouble);
