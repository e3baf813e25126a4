#include "daemon/worker/accept/refusals.hpp"

namespace preforkd {

using namespace std::chrono_literals;

void Refusals::add(const SocketAddress& peer, std::string_view cause) {
    ++total_;
    last_peer_ = peer;
    last_cause_ = cause;
    if (!silent_) say();
}

void Refusals::say() {
    log(level_, sentence_,
        {{"peer", address_of(last_peer_.to_endpoint(SOCK_STREAM))},
         {"listener", to_string(listener_)},
         {"cause", last_cause_},
         {"total", total_}});
    said_ = total_;
    silent_ = true;
    if (!timer_) timer_ = reactor_.make_timer();
    timer_->set(1s, [this] {
        silent_ = false;
        if (said_ != total_) say();
    });
}

}  // namespace preforkd
