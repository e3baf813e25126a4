#pragma once
// A Connection as a stream of Boost.Asio, for what is written for one: async_read(), async_write(), Boost.Beast.
// Only for who uses it, and not part of preforkd.hpp, because it costs compile time.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "preforkd/connection.hpp"

namespace boost::beast {
enum class role_type;  // Beast need not be there. NOLINT(readability-identifier-naming)
}  // namespace boost::beast

namespace preforkd {

/// What Asio calls an AsyncReadStream and an AsyncWriteStream; over TLS, too:
///
///     preforkd::Stream stream{client};
///     co_await http::async_read(stream, buffer, request, use_awaitable);
///
/// It keeps what a Connection promises: the idle timeout (asio::error::timed_out), the stop
/// (asio::error::operation_aborted), cancellation, one read and one write that wait at once, the counts of bytes.  The
/// end of the client's output is asio::error::eof.  While an operation waits, the worker counts as waiting for its
/// client.  Behind a write that was canceled while it waited, each other fails.
///
/// A copy is the same stream, valid as long as the connection.  What that has read and nobody taken, buffered(), is
/// read first; what is read here, the connection no longer has.
class Stream {
    using Error = boost::system::error_code;

public:
    using executor_type = boost::asio::io_context::executor_type;  // cheaper than any of them

    explicit Stream(Connection& client);

    [[nodiscard]] executor_type get_executor() const noexcept { return link_.context->get_executor(); }

    /// Reads what there is, once there is something, into the first of `buffers`.
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return initiate<Reading>(buffers, std::forward<Token>(token));
    }

    /// Writes what the client's side takes of `buffers`, once it takes something; over TLS at most a record.
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return initiate<Writing>(buffers, std::forward<Token>(token));
    }

    /// How Beast ends a websocket whose own time is up (websocket::stream_base::timeout): what waits fails, and
    /// whatever comes after.
    friend void beast_close_socket(Stream& stream) { stream.link_.cut(); }

    /// And another: our output ends, and the rest is preforkd's once the handler has returned.
    template <class Handler>
    friend void async_teardown(boost::beast::role_type, Stream& stream, Handler&& handler) {
        const Error error = stream.link_.end_output();
        const auto executor = boost::asio::get_associated_executor(handler, stream.get_executor());
        boost::asio::post(executor, [error, handler = std::decay_t<Handler>(std::forward<Handler>(handler))]() mutable {
            std::move(handler)(error);
        });
    }

private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;

    /// What a system call, or one of OpenSSL's, came to.
    struct Attempt {
        std::optional<Socket::wait_type> waits_for{};  ///< unset: it is done
        Error error{};
        std::size_t bytes = 0;
        bool receives = false;  ///< the socket is to receive, and not only to wait
    };

    /// What operations ask of the connection.
    struct Link {
        [[nodiscard]] Attempt read(const boost::asio::mutable_buffer& first) const;
        [[nodiscard]] Attempt end_read(const Error& woken, const boost::asio::mutable_buffer& received) const;
        [[nodiscard]] Attempt write(std::span<const boost::asio::const_buffer> buffers) const;
        [[nodiscard]] Error begin_wait(bool is_write, Deadline& until) const;
        [[nodiscard]] Error end_wait(bool is_write, const Error& woken) const;
        [[nodiscard]] bool woken_in_vain(bool is_write, const Error& woken) const noexcept;
        void withdraw(bool is_write) const noexcept;
        [[nodiscard]] Error end_output() const;
        void cut() const;

        ConnectionCore* core;
        boost::asio::io_context* context;
        Socket* socket;
    };

    struct Reading {
        using Buffer = boost::asio::mutable_buffer;
        static constexpr std::size_t most_buffers = 1;
        [[nodiscard]] static Attempt attempt(const Link& link, std::span<const Buffer> buffers) {
            return link.read(buffers.front());
        }
    };
    struct Writing {
        using Buffer = boost::asio::const_buffer;
        static constexpr std::size_t most_buffers = 16;  // in one system call
        [[nodiscard]] static Attempt attempt(const Link& link, std::span<const Buffer> buffers) {
            return link.write(buffers);
        }
    };
    template <class Kind>
    static constexpr bool writes = std::is_same_v<Kind, Writing>;

    /// One read or write, from its beginning to its completion.
    template <class Kind, class Buffers, class Handler>
    class Operation {
    public:
        template <class Given>
        Operation(const Link& link, const Buffers& buffers, Given&& handler)
            : link_{link}, buffers_{buffers}, handler_{std::forward<Given>(handler)} {}

        void start() {
            auto canceling = boost::asio::get_associated_cancellation_slot(handler_);
            if (canceling.is_connected()) canceling_ = canceling.template emplace<Cancel<Kind>>(link_).wait.slot();
            const Attempt done = attempt();
            if (done.waits_for) return wait();
            complete_later(done.error, done.bytes);
        }

        /// The socket is ready, or has received, or the wait was ended.
        void operator()(const Error& woken, std::size_t bytes = 0) {
            if (woken && link_.woken_in_vain(writes<Kind>, woken)) return wait_on_socket();
            if constexpr (!writes<Kind>) {
                if (receives_) {
                    const Attempt done = link_.end_read(woken, {space_.data(), bytes});
                    return complete(done.error, done.bytes);
                }
            }
            if (const Error error = link_.end_wait(writes<Kind>, woken)) return complete(error, 0);
            const Attempt done = attempt();
            if (done.waits_for) return wait();
            complete(done.error, done.bytes);
        }

        using executor_type = boost::asio::associated_executor_t<Handler, Stream::executor_type>;
        [[nodiscard]] executor_type get_executor() const noexcept {
            return boost::asio::get_associated_executor(handler_, link_.context->get_executor());
        }
        using allocator_type = boost::asio::associated_allocator_t<Handler>;
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return boost::asio::get_associated_allocator(handler_);
        }
        using cancellation_slot_type = boost::asio::cancellation_slot;
        [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return canceling_; }

    private:
        [[nodiscard]] Attempt attempt() {
            using Buffer = typename Kind::Buffer;
            std::array<Buffer, Kind::most_buffers> some;
            std::size_t count = 0;
            for (auto each = boost::asio::buffer_sequence_begin(buffers_);
                 each != boost::asio::buffer_sequence_end(buffers_) && count < some.size(); ++each) {
                const Buffer buffer{*each};
                if (buffer.size() != 0) some[count++] = buffer;
            }
            Attempt done;
            if (count != 0) done = Kind::attempt(link_, std::span{some}.first(count));
            waits_for_ = done.waits_for.value_or(waits_for_);
            receives_ = done.receives;
            if constexpr (!writes<Kind>) space_ = some.front();
            return done;
        }

        void wait() {
            if (const Error error = link_.begin_wait(writes<Kind>, until_)) return complete_later(error, 0);
            wait_on_socket();
        }
        void wait_on_socket() {
            Socket& socket = *link_.socket;
            if constexpr (!writes<Kind>) {
                // A read that may be canceled takes what can be kept for the next one.
                const std::size_t most = canceling_.is_connected() ? Connection::longest_read_bytes : space_.size();
                if (receives_) return socket.async_receive(boost::asio::buffer(space_, most), std::move(*this));
            }
            socket.async_wait(waits_for_, std::move(*this));
        }

        void complete(const Error& error, std::size_t bytes) {
            forget_cancel();
            std::move(handler_)(error, bytes);
        }
        /// No operation may complete before the function that starts it has returned.
        void complete_later(const Error& error, std::size_t bytes) {
            forget_cancel();
            const auto executor = get_executor();
            auto completion = [error, bytes, handler = std::move(handler_)]() mutable {
                std::move(handler)(error, bytes);
            };
            // A coroutine's is of any kind, and ours as a rule: as such it is not allocated twice.
            if constexpr (std::is_same_v<executor_type, boost::asio::any_io_executor>) {
                const auto* const ours = executor.template target<Stream::executor_type>();
                if (ours != nullptr && *ours == link_.context->get_executor())
                    return boost::asio::post(*ours, std::move(completion));
            }
            boost::asio::post(executor, std::move(completion));
        }
        /// The signal may live on, and the connection not.
        void forget_cancel() {
            if (canceling_.is_connected()) boost::asio::get_associated_cancellation_slot(handler_).clear();
        }

        Link link_;
        Buffers buffers_;
        Handler handler_;
        Deadline until_{};
        boost::asio::cancellation_slot canceling_{};
        Socket::wait_type waits_for_{};
        bool receives_ = false;
        boost::asio::mutable_buffer space_{};  ///< of a read
    };

    /// Cancels a wait.  That may have ended a moment ago, and its operation not know it.
    template <class Kind>
    struct Cancel {
        explicit Cancel(const Link& its_link) noexcept : link{its_link} {}
        void operator()(boost::asio::cancellation_type_t type) {
            link.withdraw(writes<Kind>);
            wait.emit(type);
        }

        Link link;
        boost::asio::cancellation_signal wait{};
    };

    template <class Kind, class Buffers, class Token>
    auto initiate(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, void(Error, std::size_t)>(
            [link = link_]<class Handler>(Handler&& handler, const Buffers& its_buffers) {
                Operation<Kind, Buffers, std::decay_t<Handler>>{link, its_buffers, std::forward<Handler>(handler)}
                    .start();
            },
            token, buffers);
    }

    Link link_;
};

}  // namespace preforkd
