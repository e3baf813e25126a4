// Code that has taken its worker over: does on a client's word what harms others, if it can.
#include <preforkd/preforkd.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// The descriptors that this process has.
void for_each_descriptor(const std::function<void(int)>& use) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
        use(std::stoi(entry.path().filename().string()));
}

bool takes_orders(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/// What it logs into, where standard error is that, too.
bool takes_log(int fd) {
    struct stat file {};
    struct stat standard_error {};
    return ::fstat(fd, &file) == 0 && ::fstat(STDERR_FILENO, &standard_error) == 0 &&
           file.st_ino == standard_error.st_ino;
}

/// A pipe that does not block and is not the log; what it prints to does.
bool takes_reports(int fd) {
    struct stat file {};
    const int flags = ::fcntl(fd, F_GETFL);
    return ::fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode) && (flags & O_ACCMODE) == O_WRONLY && flags & O_NONBLOCK &&
           !takes_log(fd);
}

/// Where reports go, as a worker writes them: a kind, the length of a text in the third byte and the fourth, a text.
void report(std::string_view packet) {
    for_each_descriptor([&](int fd) {
        if (takes_reports(fd)) (void)!::write(fd, packet.data(), packet.size());
    });
}

/// To the master, if it can: whoever closes such a connection last waits for its client for as long as SO_LINGER says.
std::string pass_lingering_connection() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener, place, size) != 0 || ::listen(listener, 1) != 0) return "cannot listen";
    ::getsockname(listener, place, &size);
    if (::connect(client, place, size) != 0) return "cannot connect";
    const int lingering = ::accept(listener, nullptr, nullptr);
    const linger seconds{.l_onoff = 1, .l_linger = 20};
    ::setsockopt(lingering, SOL_SOCKET, SO_LINGER, &seconds, sizeof seconds);
    const std::vector<char> unread(1 << 20);
    while (::send(lingering, unread.data(), unread.size(), MSG_DONTWAIT) > 0) continue;

    char byte = 1;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &part, message.msg_iovlen = 1;
    message.msg_control = control, message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &lingering, sizeof lingering);
    std::string outcome = "refused";
    for_each_descriptor([&](int fd) {
        if (takes_orders(fd) && ::sendmsg(fd, &message, MSG_NOSIGNAL) != -1) outcome = "passed";
    });
    if (outcome == "passed") ::close(lingering);  // whose other end stays open, unread, with this process
    return outcome;
}

void shut_listeners_down() {
    for_each_descriptor([](int fd) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
            ::shutdown(fd, SHUT_RDWR);
    });
}

struct Mapping {
    char* begin = nullptr;
    std::size_t size = 0;
};

/// Memory that this process shares with others and can write.  Source: proc(5), /proc/pid/maps.
std::vector<Mapping> shared_mappings() {
    std::vector<Mapping> found;
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char rights[5] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) == 3 && std::strcmp(rights, "rw-s") == 0)
            found.push_back({reinterpret_cast<char*>(begin), end - begin});
    }
    return found;
}

/// Overwrites what it shares, and what it can have from there without a descriptor: the pages around it in its file.
void scribble() {
    constexpr std::size_t page = 4096;
    for (const Mapping& each : shared_mappings()) {
        std::memset(each.begin, 0xff, each.size);
        for (const std::size_t old_size : {std::size_t{0}, each.size}) {
            void* const grown = ::mremap(each.begin, old_size, 2 * each.size, MREMAP_MAYMOVE);
            if (grown != MAP_FAILED) std::memset(grown, 0xff, 2 * each.size);
        }
    }
    for (const Mapping& each : shared_mappings())
        for (std::size_t number = 0; number < 4; ++number)
            if (::remap_file_pages(each.begin, page, 0, number, 0) == 0) std::memset(each.begin, 0xff, page);
    for_each_descriptor([](int fd) { (void)!::ftruncate(fd, 0); });
}

/// Files, and what it logs into.
void for_each_file(const std::function<void(int)>& use) {
    for_each_descriptor([&](int fd) {
        struct stat file {};
        if (::fstat(fd, &file) == 0 && (S_ISREG(file.st_mode) || takes_log(fd))) use(fd);
    });
}

/// Empties, overwrites, cuts holes into and rewrites whatever it can write into.
void spoil_files() {
    for_each_file([](int fd) {
        (void)!::ftruncate(fd, 0);
        (void)!::pwrite(fd, "spoilt", 6, 0);
        (void)!::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100);
        (void)!::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 100);
        (void)!::fcntl(fd, F_SETFL, 0);
        (void)!::lseek(fd, 0, SEEK_SET);
        (void)!::write(fd, "spoilt\n", 7);
        const std::string link = "/proc/self/fd/" + std::to_string(fd);
        for (const int flags : {O_WRONLY | O_TRUNC, O_RDWR | O_NONBLOCK, O_RDONLY | O_NONBLOCK})
            if (const int own = ::open(link.c_str(), flags); own != -1) {
                (void)!::pwrite(own, "spoilt", 6, 0);
                ::close(own);
            }
    });
}

/// Leaves a line without an end.
void tear_a_line() {
    for_each_file([](int fd) { (void)!::write(fd, "{\"time\":\"torn", 13); });
}

/// Makes whoever shares what it logs into wait, and leaves no space there.
void fill_the_log() {
    for_each_file([](int fd) {
        (void)!::fcntl(fd, F_SETFL, O_NONBLOCK);
        constexpr int more_than_a_pipe_holds = 1 << 18;
        for (int line = 0; line<more_than_a_pipe_holds&& ::write(fd, "filling\n", 8)> 0; ++line) continue;
        (void)!::fcntl(fd, F_SETFL, 0);
    });
}

struct Hostile : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (std::getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "scribble") scribble(), client.output() << "scribbled" << std::endl;
            if (word == "spoil") spoil_files(), client.output() << "spoilt" << std::endl;
            if (word == "tear") tear_a_line(), client.output() << "torn" << std::endl;
            if (word == "fill") fill_the_log(), client.output() << "filled" << std::endl;
            if (word == "ready") report({"\0\0\0", 4});
            if (word == "unknown") report({"\x7f\0\0", 4});
            if (word == "failures")
                for (;;) report({"\3\0\x1f\0\x1b[2Jforged\n<0>a line of its own", 35});
            if (word == "pauses")
                for (;;) report({"\1\0\0", 4});
            if (word == "pass") client.output() << pass_lingering_connection() << std::endl;
            if (word == "shut down") shut_listeners_down();
        }
    }
};
PREFORKD_HANDLER(Hostile);
