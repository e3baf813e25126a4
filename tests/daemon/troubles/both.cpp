// Counts its clients, of streams and datagrams alike, and writes a line into the file --greeting for each instance.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>

struct Both : preforkd::BlockingHandler, preforkd::DatagramHandler {
    explicit Both(const preforkd::HandlerOptions& options) {
        std::ofstream{options.greeting, std::ios::app} << ::getpid() << std::endl;
    }
    void serve(preforkd::BlockingConnection& client) override { client.stream() << next() << std::flush; }
    void serve(preforkd::Datagram& request) override { (void)request.reply(next()); }

    std::string next() { return std::to_string(++clients); }
    std::atomic<int> clients{0};
};
PREFORKD_HANDLER(Both);
