#include "common/net/port_holder.hpp"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <sstream>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/parse_number.hpp"
#include "common/net/host_address.hpp"
#include "common/net/sock_diag.hpp"

namespace preforkd {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Who asks is a master that has others to serve, on a machine that may have a million sockets and descriptors: 0.2 s
/// of the processor, however long others keep that from us, but no more than 2 s.
class Patience {
public:
    [[nodiscard]] bool over() const noexcept { return processor_time() >= most_ || Clock::now() >= until_; }

private:
    static std::chrono::nanoseconds processor_time() noexcept {
        timespec used{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
    }

    std::chrono::nanoseconds most_ = processor_time() + 200ms;
    Clock::time_point until_ = Clock::now() + 2s;
};

struct Row {
    std::string inode{};
    bool listening = false;
};

SocketAddress address_of(const inet_diag_msg& told) noexcept {
    if (told.idiag_family == AF_INET) {
        sockaddr_in address{.sin_family = AF_INET, .sin_port = told.id.idiag_sport, .sin_addr = {}, .sin_zero = {}};
        std::memcpy(&address.sin_addr, told.id.idiag_src, sizeof address.sin_addr);
        return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = told.id.idiag_sport;
    std::memcpy(&address.sin6_addr, told.id.idiag_src, sizeof address.sin6_addr);
    return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

/// Whether a socket on `theirs` keeps `wanted` from being bound, the ports being equal.
bool overlap(const SocketAddress& wanted, const SocketAddress& theirs) noexcept {
    return wanted.is_wildcard() || theirs.is_wildcard() || host_address_of(wanted) == host_address_of(theirs);
}

/// The sockets in these states that stand on `wanted`; the kernel looks through those at its port alone.
void collect_ip(std::vector<Row>& rows, int protocol, std::uint32_t states, const SocketAddress& wanted) {
    for (const int family : {AF_INET, AF_INET6}) {
        inet_diag_req_v2 request{};
        request.sdiag_family = static_cast<std::uint8_t>(family);
        request.sdiag_protocol = static_cast<std::uint8_t>(protocol);
        request.idiag_states = states;
        request.id.idiag_sport = htons(wanted.port());
        // Where it tells of one family alone, that is better than nothing.
        (void)ask_sock_diag(std::as_bytes(std::span{&request, 1}), true, [&](std::span<const std::byte> body) {
            if (body.size() < sizeof(inet_diag_msg)) return false;
            const auto one = read_struct<inet_diag_msg>(body);
            if (one.idiag_inode != 0 && one.id.idiag_sport == htons(wanted.port()) &&
                overlap(wanted.unmapped(), address_of(one)))
                rows.push_back({.inode = std::to_string(one.idiag_inode), .listening = true});
            return true;
        });
    }
}

/// Whoever listens; a client whose connection happens to use the port counts only if nobody does.
void collect_tcp(std::vector<Row>& rows, const SocketAddress& wanted) {
    constexpr std::uint32_t listening = 1U << TCP_LISTEN;
    constexpr std::uint32_t nobodys = 1U << TCP_TIME_WAIT | 1U << TCP_SYN_RECV;
    collect_ip(rows, IPPROTO_TCP, listening, wanted);
    if (rows.empty()) collect_ip(rows, IPPROTO_TCP, ~(listening | nobodys), wanted);
}

void collect_unix(std::vector<Row>& rows, const Endpoint& wanted, const Patience& patience) {
    const std::string name = wanted.abstract ? "@" + wanted.path : wanted.path;
    std::ifstream file{"/proc/net/unix"};
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line) && !patience.over()) {
        // Num RefCount Protocol Flags Type St Inode Path: a connection has the path of its listener, but not its flag.
        std::istringstream fields{line};
        std::string number, count, protocol, flags, type, state, inode, path;
        fields >> number >> count >> protocol >> flags >> type >> state >> inode >> std::ws;
        std::getline(fields, path);
        if (path == name) rows.push_back({.inode = inode, .listening = flags == "00010000"});
    }
}

bool has_open(pid_t pid, const std::set<std::string>& links) {
    std::error_code ignored;  // processes end, and those of other users keep their descriptors to themselves
    for (fs::directory_iterator each{fmt::format("/proc/{}/fd", pid), ignored}, end; each != end;
         each.increment(ignored)) {
        if (links.contains(fs::read_symlink(each->path(), ignored).native())) return true;
        if (ignored) ignored.clear();
    }
    return false;
}

std::string name_of(pid_t pid) {
    std::string name;
    std::ifstream comm{fmt::format("/proc/{}/comm", pid)};
    std::getline(comm, name);
    return name;
}

std::optional<PortHolder> owner_of(const std::set<std::string>& links, const Patience& patience) {
    std::vector<pid_t> pids;
    std::error_code ignored;
    for (fs::directory_iterator each{"/proc", ignored}, end; each != end; each.increment(ignored))
        if (const auto pid = parse_number<pid_t>(each->path().filename().native())) pids.push_back(*pid);
    std::ranges::sort(pids);  // a pre-fork server's master comes before its workers
    std::optional<PortHolder> storing;
    for (const pid_t pid : pids) {
        if (patience.over()) break;
        if (!has_open(pid, links)) continue;
        PortHolder holder{.pid = pid, .name = name_of(pid)};
        if (!is_service_manager(holder)) return holder;
        if (!storing) storing = std::move(holder);  // for a service, which is the one to be named
    }
    return storing;
}

}  // namespace

std::optional<PortHolder> find_holder(const SocketAddress& address, int socket_type) {
    const Patience patience;
    std::vector<Row> rows;
    if (address.family() == AF_UNIX) {
        collect_unix(rows, address.to_endpoint(socket_type), patience);
    } else if (socket_type == SOCK_DGRAM) {
        collect_ip(rows, IPPROTO_UDP, ~0U, address);
    } else {
        collect_tcp(rows, address);
    }
    const bool any_listens = std::ranges::any_of(rows, &Row::listening);
    std::set<std::string> links;
    for (const Row& row : rows)
        if (row.listening || !any_listens) links.insert(fmt::format("socket:[{}]", row.inode));
    return links.empty() ? std::nullopt : owner_of(links, patience);
}

}  // namespace preforkd
