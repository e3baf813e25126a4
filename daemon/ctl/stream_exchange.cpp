#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/base/counted.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/dial.hpp"
#include "daemon/ctl/exchange.hpp"
#include "daemon/ctl/tls_files.hpp"
#include "daemon/ctl/tls_sentences.hpp"
#include "daemon/ctl/wire.hpp"

namespace preforkd {
namespace {

constexpr std::size_t piece_bytes = std::size_t{64} * 1024;

class StreamExchange {
    using Kind = TlsResult::Kind;

public:
    StreamExchange(const SendRequest& request, const SendChannels& channels, Listening listening)
        : request_{request}, listening_{listening}, input_{request.text ? -1 : channels.input} {
        if (request.text) unsent_ = *request.text;
        if (request.tls) client_.emplace(read_tls_files(*request.tls));
    }

    void connect() {
        wire_ = Wire{first_that_works(request_, patience_, listening_.trace,
                                      [this](const SocketAddress& address, Deadline until) {
                                          UniqueFd connected = connect_within(until, address, SOCK_STREAM);
                                          listening_.trace.connected(name_of(address));
                                          if (request_.proxy) announce(connected.get(), address);
                                          return connected;
                                      })};
        if (client_) speak_tls();
    }

    /// Sends and reads at once: a server may answer before it has read everything.
    void talk() {
        if (nothing_to_send()) half_close();
        while (!listening_.answer.is_as_expected()) {
            const bool waits_for_space = has_output() ? !output_wants_input_ : input_wants_output_;
            const auto events = static_cast<short>(waits_for_space ? POLLIN | POLLOUT : POLLIN);
            std::array<pollfd, 2> watched{{{.fd = wire_.fd(), .events = events, .revents = 0},
                                           {.fd = wants_input() ? input_ : -1, .events = POLLIN, .revents = 0}}};
            wait(watched);
            if (watched[1].revents != 0) read_input();
            if (!unsent_.empty()) send_some();
            if (output_ == Output::Ending) half_close();
            if (((watched[0].revents & ~POLLOUT) != 0 || input_wants_output_) && !receive_some()) return;
        }
        if (output_ == Output::Open) half_close();  // so that a server with TLS does not take it for cut off
    }

private:
    enum class Output { Open, Ending, Ended };

    /// One piece of the input at a time, so that a slow server slows its source down.
    [[nodiscard]] bool wants_input() const { return input_ != -1 && unsent_.empty(); }
    [[nodiscard]] bool nothing_to_send() const { return input_ == -1 && unsent_.empty(); }
    [[nodiscard]] bool has_output() const { return !unsent_.empty() || output_ == Output::Ending; }

    /// Nothing else has been sent yet, so there is space for it.
    void announce(int connection, const SocketAddress& server) {
        const std::string header = proxy_header_for(*request_.proxy, server, SOCK_STREAM);
        if (::send(connection, header.data(), header.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(header.size()))
            throw_errno("send the PROXY header");
        listening_.trace.announced(to_string(*request_.proxy));
    }

    void speak_tls() {
        auto tls = client_->connect(wire_.fd());
        for (TlsResult result = tls->handshake(); result.kind != Kind::Done; result = tls->handshake()) {
            if (result.kind != Kind::WantsInput && result.kind != Kind::WantsOutput) refuse(*tls, result, true);
            const short events = result.kind == Kind::WantsInput ? POLLIN : POLLOUT;
            pollfd watched{.fd = wire_.fd(), .events = events, .revents = 0};
            if (!wait_until(patience_.until(), {&watched, 1}))
                throw std::runtime_error{fmt::format("{}: no TLS handshake within --timeout {}; does it speak TLS?",
                                                     to_string(request_), to_string(request_.timeout))};
        }
        listening_.trace.secured(facts_sentence(tls->facts(), *request_.tls));
        wire_.speak(std::move(tls));
    }

    [[noreturn]] void refuse(const TlsStream& tls, const TlsResult& result, bool in_handshake) const {
        const bool ended = result.kind == Kind::End;
        const std::string sentence =
            in_handshake && client_->distrust() && !request_.tls->insecure
                ? distrust_sentence(*client_->distrust(), *request_.tls)
                : failure_sentence({.reason = tls.failure_reason(),
                                    .text = tls.failure(),
                                    .error = ended ? std::make_error_code(std::errc::connection_aborted) : result.error,
                                    .in_handshake = in_handshake,
                                    .asked_for_certificate = client_->was_asked_for_certificate(),
                                    .without_tls = to_string(request_.endpoint)},
                                   *request_.tls);
        throw std::runtime_error{fmt::format("{}: {}", to_string(request_), sentence)};
    }

    void wait(std::span<pollfd> watched) {
        if (wants_input()) {
            patience_.excuse([&] { (void)wait_until(std::nullopt, watched); });
            return;
        }
        if (wait_until(patience_.until(), watched)) return;
        std::string sentence =
            fmt::format("{}: the answer has not ended within --timeout {}, after {}", to_string(request_),
                        to_string(request_.timeout), counted(listening_.trace.received_bytes(), "byte"));
        if (listening_.trace.received_bytes() == 0)
            sentence =
                fmt::format("{}: no answer within --timeout {}", to_string(request_), to_string(request_.timeout));
        else if (request_.expect)
            sentence += fmt::format(" without --expect {}", in_quotes(*request_.expect));
        throw std::runtime_error{sentence};
    }

    void read_input() {
        piece_.resize(piece_bytes);
        const ssize_t got = ::read(input_, piece_.data(), piece_.size());
        if (got == -1 && errno != EAGAIN && errno != EINTR) throw_errno("read standard input");
        if (got > 0) unsent_ = std::string_view{piece_}.substr(0, static_cast<std::size_t>(got));
        if (got == 0) {
            input_ = -1;
            half_close();
        }
    }

    void send_some() {
        const TlsResult sent = wire_.write(unsent_);
        output_wants_input_ = sent.kind == Kind::WantsInput;
        if (sent.kind == Kind::Done) {
            unsent_.remove_prefix(sent.bytes);
            listening_.trace.sent(sent.bytes);
        } else if (sent.kind == Kind::Failed) {  // it takes no more; it may have answered all the same
            unsent_ = {};
            input_ = -1;
        }
        if (nothing_to_send()) half_close();
    }

    /// Fails only when the server has reset, which the next read tells.
    void half_close() { output_ = wire_.end_output().kind == Kind::WantsOutput ? Output::Ending : Output::Ended; }

    /// False at the end of the answer.
    bool receive_some() {
        chunk_.resize(piece_bytes);
        do {
            const TlsResult got = wire_.read(chunk_);
            input_wants_output_ = got.kind == Kind::WantsOutput;
            switch (got.kind) {
                case Kind::Done:
                    listening_.trace.received(got.bytes);
                    listening_.answer.pass_on(std::string_view{chunk_}.substr(0, got.bytes));
                    break;
                case Kind::WantsInput:
                case Kind::WantsOutput: return true;
                case Kind::End: return false;
                case Kind::Failed:
                    if (wire_.tls() != nullptr) refuse(*wire_.tls(), got, false);
                    throw std::system_error{got.error, "read the answer of " + to_string(request_)};
            }
        } while (wire_.has_pending());
        return true;
    }

    const SendRequest& request_;
    Listening listening_;
    int input_;  ///< borrowed; -1 once all of it is read
    Patience patience_{request_.timeout};
    std::optional<TlsClient> client_{};
    Wire wire_{};
    Output output_ = Output::Open;
    bool output_wants_input_ = false;  ///< as only TLS does, and likewise:
    bool input_wants_output_ = false;
    std::string piece_{};  ///< of the input
    std::string_view unsent_{};
    std::string chunk_{};  ///< of the answer
};

}  // namespace

void exchange_stream(const SendRequest& request, const SendChannels& channels, Listening listening) {
    StreamExchange exchange{request, channels, listening};
    exchange.connect();
    exchange.talk();
}

}  // namespace preforkd
