#pragma once
// A Connection as a stream of Boost.Asio, for what is written for one: async_read(), async_write(), Boost.Beast.
// Only for who uses it, and not part of preforkd.hpp, because it costs compile time.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "preforkd/connection.hpp"
#include "preforkd/socket_waiter.hpp"

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
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;

    /// What a system call, or one of OpenSSL's, came to.
    struct Attempt {
        std::optional<SocketEvent> waits_for{};  ///< unset: it is done
        Error error{};
        std::size_t bytes = 0;
    };

    /// What operations ask of the connection.
    struct Link {
        [[nodiscard]] Attempt read(const boost::asio::mutable_buffer& first) const;
        [[nodiscard]] Attempt write(std::span<const boost::asio::const_buffer> buffers) const;
        [[nodiscard]] Error begin_wait(bool is_write, Deadline& until) const;
        void wait(bool is_write, SocketEvent what, SocketWaiter& waiter) const;
        [[nodiscard]] Error end_wait(bool is_write) const;
        void withdraw(bool is_write) const;
        [[nodiscard]] Error end_output() const;
        void cut() const;

        ConnectionCore* core;
        boost::asio::io_context* context;
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
            if (canceling.is_connected()) canceling.template emplace<Cancel<Kind>>(link_);
            const Attempt done = attempt();
            if (done.waits_for) return wait(*done.waits_for);
            complete_later(done.error, done.bytes);
        }

    private:
        /// While it waits.
        struct Waiting final : SocketWaiter {
            explicit Waiting(Operation&& its_operation)
                : SocketWaiter{[](SocketWaiter& self, bool goes_on) {
                      auto& waiting = static_cast<Waiting&>(self);
                      Operation ended{std::move(waiting.operation)};
                      Memory memory{ended.memory()};
                      std::allocator_traits<Memory>::destroy(memory, &waiting);
                      memory.deallocate(&waiting, 1);
                      if (goes_on) ended.go_on();
                  }},
                  operation{std::move(its_operation)} {}
            Operation operation;
        };
        using Memory = typename std::allocator_traits<boost::asio::associated_allocator_t<
            Handler, boost::asio::recycling_allocator<void>>>::template rebind_alloc<Waiting>;

        [[nodiscard]] Memory memory() const noexcept {
            return Memory{boost::asio::get_associated_allocator(handler_, boost::asio::recycling_allocator<void>{})};
        }

        /// The socket is ready, or the wait was ended.
        void go_on() {
            if (const Error error = link_.end_wait(writes<Kind>)) return complete(error, 0);
            const Attempt done = attempt();
            if (done.waits_for) return wait(*done.waits_for);
            complete(done.error, done.bytes);
        }

        using executor_type = boost::asio::associated_executor_t<Handler, Stream::executor_type>;
        [[nodiscard]] executor_type get_executor() const noexcept {
            return boost::asio::get_associated_executor(handler_, link_.context->get_executor());
        }
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
            return done;
        }

        void wait(SocketEvent what) {
            if (const Error error = link_.begin_wait(writes<Kind>, until_)) return complete_later(error, 0);
            const Link link = link_;
            Memory memory{this->memory()};
            auto* const waiting = memory.allocate(1);
            std::allocator_traits<Memory>::construct(memory, waiting, std::move(*this));
            link.wait(writes<Kind>, what, *waiting);
        }

        void complete(const Error& error, std::size_t bytes) {
            forget_cancel();
            const auto executor = get_executor();
            if (is_ours(executor)) return std::move(handler_)(error, bytes);
            boost::asio::dispatch(executor, [error, bytes, handler = std::move(handler_)]() mutable {
                std::move(handler)(error, bytes);
            });
        }
        /// No operation may complete before the function that starts it has returned.
        void complete_later(const Error& error, std::size_t bytes) {
            forget_cancel();
            const auto executor = get_executor();
            auto completion = [error, bytes, handler = std::move(handler_)]() mutable {
                std::move(handler)(error, bytes);
            };
            // As such it is not allocated twice.
            if (is_ours(executor)) return boost::asio::post(link_.context->get_executor(), std::move(completion));
            boost::asio::post(executor, std::move(completion));
        }
        /// A coroutine's is of any kind, and ours as a rule.
        [[nodiscard]] bool is_ours(const executor_type& executor) const noexcept {
            const auto ours = link_.context->get_executor();
            if constexpr (std::is_same_v<executor_type, Stream::executor_type>) {
                return executor == ours;
            } else if constexpr (std::is_same_v<executor_type, boost::asio::any_io_executor>) {
                const auto* const target = executor.template target<Stream::executor_type>();
                return target != nullptr && *target == ours;
            } else {
                return false;
            }
        }
        /// The signal may live on, and the connection not.
        void forget_cancel() {
            auto canceling = boost::asio::get_associated_cancellation_slot(handler_);
            if (canceling.is_connected()) canceling.clear();
        }

        Link link_;
        Buffers buffers_;
        Handler handler_;
        Deadline until_{};
    };

    template <class Kind>
    struct Cancel {
        explicit Cancel(const Link& its_link) noexcept : link{its_link} {}
        void operator()(boost::asio::cancellation_type_t) { link.withdraw(writes<Kind>); }
        Link link;
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
