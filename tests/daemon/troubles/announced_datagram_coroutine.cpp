// The same for coroutines.
#include "announced.hpp"

struct Announced : preforkd::AsyncDatagramHandler {
    preforkd::awaitable<void> serve(preforkd::Datagram& request) override {
        (void)request.reply(told_of(request) + std::string{request.text()});
        co_return;
    }
};
PREFORKD_HANDLER(Announced);
