// A server object: what Python's socketserver does, in a program that does other things too.
#include <preforkd/blocking_connection.hpp>
#include <preforkd/handler_entry.hpp>
#include <preforkd/server.hpp>

#include <iostream>
#include <string>
#include <thread>

class Echo : public preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) client.output() << line << '\n';
    }
};

int main() {
    preforkd::Server server{preforkd::handler<Echo>("echo"),
                            {.listen = "tcp://127.0.0.1:0", .model = preforkd::Model::Thread}};
    std::cout << to_string(server.server_address()) << std::endl;

    std::thread serving{[&] { server.serve_forever(); }};
    for (std::string line; std::getline(std::cin, line);) {}  // until our own input ends
    server.shutdown();
    serving.join();
}
