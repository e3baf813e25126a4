#include "daemon/worker/datagram/datagram_outbox.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/net/error_queue.hpp"

namespace preforkd {

namespace {

constexpr int never_wait = MSG_DONTWAIT | MSG_NOSIGNAL;

/// sendmmsg(2) that has told of earlier datagrams first: the number sent, or -1 and errno.
int send_some(int socket, std::span<mmsghdr> headers) noexcept {
    constexpr int most_tries = 4;  // siblings may make the next error on the same socket as fast
    for (int tries = 1;; ++tries) {
        const int sent = ::sendmmsg(socket, headers.data(), static_cast<unsigned>(headers.size()), never_wait);
        if (sent >= 0) return sent;
        if (errno == EINTR) continue;
        if (tries >= most_tries || !tells_of_earlier_datagram(errno)) return -1;
        if (tries > 1) empty_error_queue(socket);  // of several in the queue each is told for itself
    }
}

void count_loss(DatagramTally& tally) noexcept { tally.lost_replies.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

std::error_code send_reply(const ReplyRoute& route, std::span<const std::byte> payload) noexcept {
    DatagramMessage message;
    mmsghdr header{};
    prepare_to_send(header.msg_hdr, message, payload, route.peer);
    if (route.names_source) name_source(header.msg_hdr, message, route.local);
    if (send_some(route.socket, {&header, 1}) == 1) {
        route.tally.traffic.sent(payload.size());
        return {};
    }
    const std::error_code error{errno, std::generic_category()};
    if (error != std::errc::message_size) count_loss(route.tally);
    return error;
}

std::error_code DatagramOutbox::post(const ReplyRoute& route, std::span<const std::byte> payload) {
    if (!gathering_) return send_reply(route, payload);
    if (payload.size() > longest_gathered_bytes) {
        flush();  // replies leave in the order they were given
        return send_reply(route, payload);
    }
    make_space(payload.size());
    std::byte* const copy = copies_.get() + used_bytes_;
    if (!payload.empty()) std::memcpy(copy, payload.data(), payload.size());  // GCC 12 copies spans byte by byte
    prepare_to_send(headers_[count_].msg_hdr, messages_[count_], {copy, payload.size()}, route.peer);
    if (route.names_source) name_source(headers_[count_].msg_hdr, messages_[count_], route.local);
    socket_ = route.socket;
    tally_ = &route.tally;
    used_bytes_ += payload.size();
    ++count_;
    return {};
}

void DatagramOutbox::make_space(std::size_t payload_bytes) {
    if (!copies_) {
        headers_.resize(most);
        messages_.resize(most);
        copies_ = std::make_unique_for_overwrite<std::byte[]>(copies_bytes);
    }
    if (count_ == most || copies_bytes - used_bytes_ < payload_bytes) flush();
}

void DatagramOutbox::flush() noexcept {
    for (std::size_t next = 0; next < count_;) {
        int sent = send_some(socket_, std::span{headers_}.subspan(next, count_ - next));
        if (sent > 0) {
            for (; sent > 0; --sent) tally_->traffic.sent(headers_[next++].msg_len);
            continue;
        }
        count_loss(*tally_);  // that one; those behind it have receivers of their own
        ++next;
    }
    count_ = 0;
    used_bytes_ = 0;
}

}  // namespace preforkd
