// Answers each DNS query with its question alone.  Source: RFC 1035, 4.1.1.
#include <preforkd/preforkd.hpp>

#include <string>

struct NameServer : preforkd::DatagramHandler {
    void serve(preforkd::Datagram& request) override {
        std::string message{request.text()};
        if (message.size() < 12) return;
        message[2] = static_cast<char>(message[2] | 0x80);  // QR: it is a response
        (void)request.reply(message);
    }
};
PREFORKD_HANDLER(NameServer);
