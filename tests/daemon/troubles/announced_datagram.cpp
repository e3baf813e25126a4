// Says who its client is, then what that has sent.
#include "announced.hpp"

struct Announced : preforkd::DatagramHandler {
    void serve(preforkd::Datagram& request) override {
        (void)request.reply(told_of(request) + std::string{request.text()});
    }
};
PREFORKD_HANDLER(Announced);
