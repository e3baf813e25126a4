#pragma once
// Sending replies to datagrams: at once, or gathered and several with one system call.
#include <sys/socket.h>

#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "daemon/worker/accept/datagram_tally.hpp"
#include "daemon/worker/datagram/datagram_message.hpp"

namespace preforkd {

/// Whom to reply to, and how.
struct ReplyRoute {
    int socket = -1;
    const SocketAddress& peer;
    const SocketAddress& local;
    bool names_source = true;  ///< the kernel has to be told that it leaves from `local`
    DatagramTally& tally;
};

/// Sends one reply without waiting.  A reply that is lost is counted; one that no transport would carry is an error
/// (EMSGSIZE) and not counted.
std::error_code send_reply(const ReplyRoute& route, std::span<const std::byte> payload) noexcept;

/// Gathers the replies to a batch.
class DatagramOutbox {
public:
    /// Gathers what is posted to the route's socket until it is destroyed, which sends.
    class Gathering {
    public:
        explicit Gathering(DatagramOutbox& outbox) noexcept : outbox_{outbox} { outbox_.gathering_ = true; }
        ~Gathering() {
            outbox_.flush();
            outbox_.gathering_ = false;
        }
        Gathering(const Gathering&) = delete;
        Gathering& operator=(const Gathering&) = delete;

    private:
        DatagramOutbox& outbox_;
    };

    /// Keeps a copy until the batch ends; sends at once what is long, and everything while nobody gathers.  All routes
    /// of one gathering have one socket and one tally, and the tally outlives it.
    std::error_code post(const ReplyRoute& route, std::span<const std::byte> payload);

private:
    void flush() noexcept;
    void make_space(std::size_t payload_bytes);

    static constexpr std::size_t most = 32;
    static constexpr std::size_t longest_gathered_bytes = 4096;  // a system call costs little beside copying more
    static constexpr std::size_t copies_bytes = 8 * longest_gathered_bytes;

    std::vector<mmsghdr> headers_{};  // allocated with the first reply
    std::vector<DatagramMessage> messages_{};
    std::unique_ptr<std::byte[]> copies_{};
    std::size_t count_ = 0;
    std::size_t used_bytes_ = 0;
    int socket_ = -1;
    DatagramTally* tally_ = nullptr;
    bool gathering_ = false;
};

}  // namespace preforkd
