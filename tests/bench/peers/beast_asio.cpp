// Over a plain socket of Boost.Asio, in one thread.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdio>

#include "beast_echo.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

asio::awaitable<void> serve(tcp::socket client) {
    client.set_option(tcp::no_delay{true});
    co_await echo_posts(client);
}

asio::awaitable<void> accept_all(tcp::acceptor& listening) {
    for (;;)
        co_spawn(listening.get_executor(), serve(co_await listening.async_accept(asio::use_awaitable)), asio::detached);
}

}  // namespace

int main() {
    asio::io_context loop{1};
    tcp::acceptor listening{loop, {asio::ip::address_v4::loopback(), 0}};
    std::printf("tcp://127.0.0.1:%u\n", static_cast<unsigned>(listening.local_endpoint().port()));
    std::fflush(stdout);
    co_spawn(loop, accept_all(listening), asio::detached);
    loop.run();
}
