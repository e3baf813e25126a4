#include "daemon/worker/datagram/datagram_intake.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/source_table.hpp"
#include "common/net/error_queue.hpp"
#include "common/net/local_addresses.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr std::size_t buffer_bytes = longest_datagram_bytes + 1;  // one more, so that each begins on a page
/// What fills the error queue may be all that has woken us, and it takes its space from the receive buffer: under load,
/// when there is always something to receive, datagrams would be dropped for it.
constexpr int received_between_looks = 32;

void switch_on(int fd, int level, int option, const char* attempt) {
    int on = 0;
    socklen_t size = sizeof on;
    if (::getsockopt(fd, level, option, &on, &size) == 0 && on != 0) return;
    on = 1;
    check(::setsockopt(fd, level, option, &on, sizeof on), attempt);
}

/// `family`: of a socket whose datagrams may have been sent to several addresses of this host, or AF_UNSPEC.
///
/// These stay on the socket, also on systemd's copy of a passed one, whose other options we leave alone.  But without
/// the first (PassPacketInfo= in a .socket unit) a reply could come from another address than the client asked, who
/// would not take it for one; and both only add to what a receiver is told if it asks.
void ask_for_notes(int fd, int family) {
    if (family == AF_INET) switch_on(fd, IPPROTO_IP, IP_PKTINFO, "set IP_PKTINFO");
    if (family == AF_INET6) switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, "set IPV6_RECVPKTINFO");
    switch_on(fd, SOL_SOCKET, SO_RXQ_OVFL, "set SO_RXQ_OVFL");
}

}  // namespace

DatagramInlet datagram_inlet(const WorkerPlan& plan, const Listener& listener, Acceptor& acceptor) {
    return {.listener = listener,
            .log_connections = logs_begin(log_connections_of(listener.settings, plan.settings)),
            .acceptor = acceptor,
            .limit = plan.connections,
            .rules = datagram_rules(plan, listener)};
}

DatagramSource::DatagramSource(const DatagramInlet& inlet)
    : listener_{inlet.listener},
      acceptor_{inlet.acceptor},
      log_connections_{inlet.log_connections},
      bound_{SocketAddress::local_of(inlet.listener.fd.get())},
      names_destinations_{has_notes() && !is_one_of_this_host(bound_)},
      check_{inlet.rules},
      counter_{inlet.acceptor.open_counter(inlet.listener)},
      tally_{inlet.acceptor.open_tally(inlet.listener, counter_)} {
    if (has_notes()) ask_for_notes(inlet.listener.fd.get(), names_destinations_ ? bound_.family() : AF_UNSPEC);
    if (listener_.settings.proxy)
        announced_ = std::make_unique<AnnouncedDatagrams>(listener_, inlet.acceptor.reactor());
    if (!listener_.sources) return;
    clients_ = std::make_unique<ClientCheck>(listener_, inlet.acceptor);
    max_ = listener_.settings.limits.max.value_or(0);
}

std::shared_ptr<UniqueFd> DatagramSource::keep_open(int socket) {
    std::shared_ptr<UniqueFd> kept = kept_open_.lock();
    if (!kept) {
        kept = std::make_shared<UniqueFd>(check(::fcntl(socket, F_DUPFD_CLOEXEC, 0), "keep a socket for replies"));
        kept_open_ = kept;
    }
    return kept;
}

bool DatagramSource::admits(ArrivedDatagram& arrived) {
    if (announced_ && announced_->expects(arrived.sender)) {
        auto read = announced_->read(arrived.sender, arrived.bytes);
        if (!read) return false;
        arrived.bytes = read->payload;
        arrived.announced = std::move(read->announced);
    }
    auto fault = check_.fault_of(arrived.sender, arrived.local);  // whoever is announced, the sender is answered
    if (!fault && clients_)
        if (const auto reason =
                clients_->refusal_of({.host = host_address_of(arrived.peer())}, arrived.peer(), arrived.place))
            fault = fault_for(*reason);
    if (fault) tally_->unserved[static_cast<std::size_t>(*fault)].fetch_add(1, std::memory_order_relaxed);
    if (fault) return false;
    tally_->traffic.received(arrived.bytes.size());
    if (!check_.amplifies()) arrived.longest_reply = arrived.bytes.size();
    return true;
}

SourceFault DatagramSource::fault_for(RefusalReason reason) const noexcept {
    switch (reason) {
        case RefusalReason::Denied: return SourceFault::NotAdmitted;
        case RefusalReason::PerSource: return SourceFault::TooManyAtOnce;
        case RefusalReason::Rate: break;
    }
    return listener_.settings.limits.rate ? SourceFault::TooOften : SourceFault::TooMany;
}

bool DatagramSource::take_place(CountedPlace& place) const {
    const SourceCells& cells = listener_.sources->cells();
    if (!cells.enter_listener(acceptor_.column(), max_)) return false;
    place.add_total(cells, acceptor_.column());
    return true;
}

void DatagramSource::begin(const ArrivedDatagram& arrived) const {
    acceptor_.datagram_begun(counter_);
    acceptor_.met(arrived.peer());
    if (!log_connections_ || !log_enabled(LogLevel::Info)) return;
    const std::string peer = address_of(arrived.peer().to_endpoint(SOCK_DGRAM));
    const std::string listener = to_string(listener_.local);
    if (arrived.announced)
        return log(
            LogLevel::Info, "got datagram from {peer} via {balancer}",
            {{"peer", peer}, {"balancer", address_of(arrived.announced->said.balancer)}, {"listener", listener}});
    log(LogLevel::Info, "got datagram from {peer}", {{"peer", peer}, {"listener", listener}});
}

DatagramIntake::DatagramIntake(std::size_t most) : headers_(most), messages_(most), used_{most} {
    void* const memory =
        ::mmap(nullptr, most * buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_errno("map the buffers of datagrams");
    // A huge page would be 2 MiB touched by the first small datagram.  Where the kernel has none, this fails.
    (void)::madvise(memory, most * buffer_bytes, MADV_NOHUGEPAGE);
    buffers_ = static_cast<std::byte*>(memory);
    arrived_.reserve(most);
}

DatagramIntake::~DatagramIntake() { ::munmap(buffers_, headers_.size() * buffer_bytes); }

int DatagramIntake::receive(int socket, std::size_t limit, DatagramSource& source) {
    arrived_.clear();
    CountedPlace place;
    if (source.has_max()) {  // before: what was received cannot go back into the queue
        if (!source.take_place(place)) return Acceptor::at_max;
        limit = 1;
    }
    const std::size_t wanted = std::clamp<std::size_t>(limit, 1, headers_.size());
    prepare(wanted, source.has_notes());
    int received = -1;
    // As many tries as there can be errors in a row that say nothing about this socket.
    for (std::size_t tries = 0; received == -1 && tries <= headers_.size(); ++tries) {
        received =
            ::recvmmsg(socket, headers_.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT | MSG_TRUNC, nullptr);
        if (received == -1 && errno != EINTR && !tells_of_earlier_datagram(errno)) break;
    }
    // The kernel writes into the headers of what it has received; of the next one it may have begun to.
    used_ = std::max(used_, std::min(headers_.size(), static_cast<std::size_t>(std::max(received, 0)) + 1));
    const int error = received != -1 ? 0 : tells_of_earlier_datagram(errno) || errno == EINTR ? EAGAIN : errno;
    if (error == EAGAIN || (received_since_look_ += std::max(received, 0)) >= received_between_looks) {
        received_since_look_ = 0;
        empty_error_queue(socket);
    }
    if (error != 0) return error;
    for (std::size_t index = 0; index < static_cast<std::size_t>(received); ++index) examine(index, source, place);
    return 0;
}

/// Those that it has written to: usually far fewer have come than there was space for.
void DatagramIntake::prepare(std::size_t wanted, bool with_notes) noexcept {
    if (std::exchange(with_notes_, with_notes) != with_notes) used_ = headers_.size();
    for (std::size_t index = 0; index < std::min(wanted, used_); ++index)
        prepare_to_receive(headers_[index].msg_hdr, messages_[index],
                           {buffers_ + index * buffer_bytes, longest_datagram_bytes}, with_notes);
    if (wanted >= used_) used_ = 0;
}

void DatagramIntake::examine(std::size_t index, DatagramSource& source, CountedPlace& place) {
    msghdr& header = headers_[index].msg_hdr;
    DatagramMessage& message = messages_[index];
    message.address.resize(header.msg_namelen);
    const DatagramNotes notes = read_notes(header, source.bound().port());
    if (notes.dropped) source.tally()->dropped.store(*notes.dropped, std::memory_order_relaxed);
    if ((header.msg_flags & MSG_TRUNC) != 0) {
        // Half a request is no request: a handler that takes it for a whole one would do the wrong thing.
        source.tally()->too_long.fetch_add(1, std::memory_order_relaxed);
        source.counter().turned_away();
        return;
    }
    ArrivedDatagram& arrived = arrived_.emplace_back();
    arrived.bytes = {buffers_ + index * buffer_bytes, headers_[index].msg_len};
    arrived.sender = message.address;
    arrived.place = std::move(place);
    arrived.local = notes.destination.value_or(source.bound());
    if (source.admits(arrived)) return;
    arrived_.pop_back();
    source.counter().turned_away();
}

}  // namespace preforkd
