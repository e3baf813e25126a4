// Code that has taken its worker over: does on a client's word what harms others, if it can.
#include <preforkd/preforkd.hpp>

#include <sys/mman.h>
#include <sys/socket.h>
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

bool is_channel(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/// Where reports go, as a worker writes them: a byte, and perhaps a text.
void report(std::string_view packet) {
    for_each_descriptor([&](int fd) {
        if (is_channel(fd)) (void)!::write(fd, packet.data(), packet.size());
    });
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

struct Hostile : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (std::getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "scribble") scribble(), client.output() << "scribbled" << std::endl;
            if (word == "ready") report(std::string_view{"\0", 1});
            if (word == "unknown") report("\x7f");
            if (word == "failures")
                for (;;) report("\x03\x1b[2Jforged\n<0>a line of its own");
            if (word == "pauses")
                for (;;) report("\x01");
            if (word == "shut down") shut_listeners_down();
        }
    }
};
PREFORKD_HANDLER(Hostile);
