#include "common/net/port_holder.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/parse_number.hpp"

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

/// An IP address the way /proc/net/tcp prints it: each 32-bit word of the network order read as a number.
std::string hex_words(const SocketAddress& address) {
    if (address.family() == AF_INET) return fmt::format("{:08X}", address.as<sockaddr_in>().sin_addr.s_addr);
    const auto raw = address.as<sockaddr_in6>();
    std::string text;
    for (const std::uint32_t word : raw.sin6_addr.s6_addr32) text += fmt::format("{:08X}", word);
    return text;
}

bool all_zero(std::string_view hex) { return hex.find_first_not_of('0') == std::string_view::npos; }

/// Whether a socket on `theirs` (in hex) keeps `wanted` from being bound, the ports being equal.
bool overlaps(const SocketAddress& wanted, std::string_view theirs) {
    const SocketAddress plain = wanted.unmapped();
    const std::string ours = hex_words(plain);
    if (plain.is_wildcard() || all_zero(theirs) || ours == theirs) return true;
    const std::string mapped = fmt::format("{:016X}{:08X}", 0, htonl(0xffff)) + ours;
    return plain.family() == AF_INET && theirs == mapped;
}

struct Row {
    std::string inode{};
    bool listening = false;
};

/// The sockets of one table of /proc/net that stand on `wanted`.
void collect_ip(std::vector<Row>& rows, const char* table, const SocketAddress& wanted, const Patience& patience) {
    const std::string port = fmt::format("{:04X}", wanted.port());
    std::ifstream file{table};
    std::string line;
    std::getline(file, line);  // the heading
    const std::string at_port = ':' + port + ' ';
    while (std::getline(file, line) && !patience.over()) {
        if (line.find(at_port) == std::string::npos) continue;  // of tens of thousands in TIME-WAIT, say
        // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
        std::istringstream fields{line};
        std::string number, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
        fields >> number >> local;
        const std::size_t colon = local.find(':');
        if (colon == std::string::npos || local.substr(colon + 1) != port) continue;
        fields >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
        if (inode != "0" && overlaps(wanted, std::string_view{local}.substr(0, colon)))
            rows.push_back({.inode = inode, .listening = state == "0A"});
    }
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
        collect_ip(rows, "/proc/net/udp", address, patience);
        collect_ip(rows, "/proc/net/udp6", address, patience);
    } else {
        collect_ip(rows, "/proc/net/tcp", address, patience);
        collect_ip(rows, "/proc/net/tcp6", address, patience);
    }
    // A client whose connection happens to use the port counts only if nobody listens.
    const bool any_listens = std::ranges::any_of(rows, &Row::listening);
    std::set<std::string> links;
    for (const Row& row : rows)
        if (row.listening || !any_listens) links.insert(fmt::format("socket:[{}]", row.inode));
    return links.empty() ? std::nullopt : owner_of(links, patience);
}

}  // namespace preforkd
