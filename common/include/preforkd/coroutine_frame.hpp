#pragma once
// What makes `while (co_await client.read_some()) {}` safe with GCC 12.
//
// In a coroutine without any local variable that has co_await in the condition of an if, a switch or a loop, GCC 12.2
// puts what it keeps of that condition first into the frame, before the two functions that resume and destroy it: who
// looks for these at the beginning jumps to anywhere.  Source: PR c++/106188.
//
// The frames of all coroutines that are members of a handler, or take a Connection&, Datagram&, Stream& or Worker&, are
// looked at when they are made.  One that is shifted is resumed and destroyed by way of a ForeignEntry.  Of the others,
// which the compiler knows at -O1 and above, nothing of this is left.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace preforkd {

class Connection;
class Datagram;
class Handler;
class Stream;
class Worker;

namespace detail {

/// What std::coroutine_handle sees in the place of a frame that does not begin as it should.
struct ForeignEntry {
    using Function = void (*)(void*);
    struct Functions {
        Function resume;
        Function destroy;
    };

    static void resume(void* self) {
        const ForeignEntry& entry = *static_cast<ForeignEntry*>(self);
        entry.of_frame.resume(entry.frame);
    }
    static void destroy(void* self) {
        const ForeignEntry entry = *static_cast<ForeignEntry*>(self);
        delete static_cast<ForeignEntry*>(self);
        entry.of_frame.destroy(entry.frame);
    }

    Functions functions{.resume = resume, .destroy = destroy};  ///< first: the beginning of a frame
    Functions of_frame;
    void* frame;
};

/// Asio's own, but for frames that are shifted, which it knows by an address that no allocation has: of up to eight
/// bytes of conditions.
template <class T, class Executor>
class CoroutineFrame : public boost::asio::detail::awaitable_frame<T, Executor> {
    using Base = boost::asio::detail::awaitable_frame<T, Executor>;
    static constexpr std::size_t alignment = 16;  ///< of a frame, and so of the promise behind its two functions

    template <class Result>
    struct Awaited {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        Result await_resume() { return awaitable.await_resume(); }
        boost::asio::awaitable<Result, Executor> awaitable;
    };

public:
    static void* operator new(std::size_t bytes) {
        return __builtin_assume_aligned(Base::operator new(bytes), alignment);
    }
    static void operator delete(void* frame, std::size_t bytes) { Base::operator delete(frame, bytes); }

    auto get_return_object() {
        auto object = Base::get_return_object();
        if (const std::size_t shift = reinterpret_cast<std::uintptr_t>(this) % alignment; shift != 0) enter_by(shift);
        return object;
    }

    using Base::await_transform;

    /// Suspends at once, since this knows where the promise is: std::coroutine_handle would look in the wrong place.
    template <class Result>
    auto await_transform(boost::asio::awaitable<Result, Executor> awaited) {
        Awaited<Result> result{Base::await_transform(std::move(awaited))};
        result.awaitable.await_suspend(std::coroutine_handle<Base>::from_promise(*this));
        return result;
    }

private:
    void enter_by(std::size_t shift) {
        char* const functions = static_cast<char*>(this->coro_.address());
        auto* const entry = new ForeignEntry{.of_frame = *reinterpret_cast<ForeignEntry::Functions*>(functions),
                                             .frame = functions - shift};
        this->coro_ = std::coroutine_handle<>::from_address(entry);
    }
};

template <class Type, class... Among>
concept OneOf = (std::same_as<Type, Among> || ...);

template <class Type>
concept Complete = requires {
    sizeof(Type);
};

template <class Type>
concept AnyHandler = Complete<Type> && std::is_base_of_v<Handler, Type>;  ///< also of both kinds

/// The object of a member function is one of its parameters.
template <class Parameter, class Type = std::remove_cvref_t<Parameter>>
concept Ours = OneOf<Type, Connection, Datagram, Stream, Worker> || AnyHandler<Type>;

}  // namespace detail
}  // namespace preforkd

template <class T, class Executor, class... Parameters>
    requires(preforkd::detail::Ours<Parameters> || ...)
struct std::coroutine_traits<boost::asio::awaitable<T, Executor>, Parameters...> {
    using promise_type = preforkd::detail::CoroutineFrame<T, Executor>;
};
#endif
