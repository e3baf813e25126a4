#include "daemon/observe/agent_session.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <string>

#include "daemon/observe/agent_line.hpp"

namespace preforkd {

namespace asio = boost::asio;

asio::awaitable<void> serve_agent(asio::generic::stream_protocol::socket socket, Snapshots& snapshots) {
    const Snapshots::Pointer snapshot = co_await snapshots.fresh();
    const std::string line = agent_line(snapshots.ended() ? nullptr : snapshot.get());
    boost::system::error_code ignored;
    co_await asio::async_write(socket, asio::buffer(line), asio::redirect_error(asio::use_awaitable, ignored));
    socket.shutdown(asio::socket_base::shutdown_send, ignored);
}

}  // namespace preforkd
