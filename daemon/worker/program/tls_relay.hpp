#pragma once
// Between a client that speaks TLS and a program that knows nothing of it.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/stream/client_tls.hpp"

namespace preforkd {

/// One connection: its handshake, then what either side sends to the other, and the end of either side's output.
///
/// Knows no loop: act() does what can be done now; wanted_of_client() and wanted_of_program() say, as events of
/// epoll(7), what it then waits for (unset: nothing, not even an error: it would be told of that for ever).
class TlsRelay {
public:
    enum class State { Handshaking, Relaying, Over };

    /// `account` outlives it.
    TlsRelay(AcceptedStream stream, ConnectionAccount& account)
        : stream_{std::move(stream)}, account_{account}, tls_{stream_.listener, stream_.fd.get()} {}

    void act();

    /// Once the handshake is over: `ours` is connected to the program.
    void connect(UniqueFd ours) { program_ = std::move(ours); }

    /// The handshake has taken too long.
    void give_up() { fail(std::make_error_code(std::errc::timed_out)); }

    /// There is no time any more for who still shakes hands, or is slow to take what a program has left.
    void hurry();

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] bool has_program() const noexcept { return static_cast<bool>(program_); }
    [[nodiscard]] AcceptedStream& stream() noexcept { return stream_; }
    [[nodiscard]] ClientTls& tls() noexcept { return tls_; }
    [[nodiscard]] int program() const noexcept { return program_.get(); }
    /// Whether SHUT_WR is done.
    [[nodiscard]] bool output_ended() const noexcept { return output_ended_; }

    [[nodiscard]] std::optional<std::uint32_t> wanted_of_client() const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> wanted_of_program() const noexcept;

private:
    /// What is on its way in one direction.
    struct Piece {
        std::vector<std::byte> bytes{};
        std::size_t begin = 0;

        [[nodiscard]] bool empty() const noexcept { return begin == bytes.size(); }
        [[nodiscard]] std::span<const std::byte> rest() const noexcept { return std::span{bytes}.subspan(begin); }
        void clear() {
            bytes = {};
            begin = 0;
        }
    };
    enum class Moved { Some, Nothing };

    void shake_hands();
    [[nodiscard]] Moved take_from_client();
    [[nodiscard]] Moved give_to_program();
    [[nodiscard]] Moved take_from_program();
    [[nodiscard]] Moved give_to_client();
    void end_output();
    void conclude();
    /// The events for which a call of TLS has to wait; zero if it does not.
    [[nodiscard]] static std::uint32_t events_of(const TlsResult& result) noexcept;
    void fail(const std::error_code& error);

    AcceptedStream stream_;
    ConnectionAccount& account_;
    ClientTls tls_;
    UniqueFd program_{};
    State state_ = State::Handshaking;
    Piece to_program_{};
    Piece to_client_{};
    std::uint32_t reading_waits_for_ = 0;
    std::uint32_t writing_waits_for_ = 0;
    bool client_ended_ = false;       ///< its output
    bool program_ended_ = false;      ///< its output
    bool program_takes_ = true;       ///< until it has closed its input
    bool said_client_ended_ = false;  ///< to the program
    bool output_ended_ = false;       ///< ours: close_notify and FIN are sent
    bool hurried_ = false;
};

}  // namespace preforkd
