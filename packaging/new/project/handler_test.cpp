// The handler behind a real socket, without a master: `ctest` runs it.
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <iostream>
#include <string>
#include <thread>

#include "handler.hpp"

namespace {

using boost::asio::ip::tcp;

std::string ask(const preforkd::Endpoint& server, const std::string& line) {
    boost::asio::io_context context;
    tcp::socket client{context};
    boost::asio::connect(client, tcp::resolver{context}.resolve(server.host, std::to_string(server.port)));
    boost::asio::write(client, boost::asio::buffer(line));
    std::string answer;
    boost::asio::read_until(client, boost::asio::dynamic_buffer(answer), '\n');
    return answer;
}

}  // namespace

int main() {
    preforkd::Server server{preforkd::handler<@CLASS@>("@NAME@")};
    std::thread serving{[&] { server.serve_forever(); }};
    const std::string answer = ask(server.server_address(), "hello\n");
    server.shutdown();
    serving.join();
    if (answer == "hello\n") return 0;
    std::cerr << "expected hello, got: " << answer;
    return 1;
}
