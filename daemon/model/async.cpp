#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/recycle_policy.hpp"
#include "daemon/model/model.hpp"
#include "daemon/worker/lifeline.hpp"
#include "daemon/worker/loop.hpp"
#include "daemon/worker/reactor_fd.hpp"
#include "daemon/worker/reception.hpp"

namespace preforkd {

namespace {

using namespace std::chrono_literals;

constexpr auto hurry_limit = 2s;           // what the master grants before it kills
constexpr auto last_linger_limit = 500ms;  // for clients that have their answer and do not close

class CoroutineService final : public Service {
public:
    CoroutineService(const WorkerPlan& plan, WorkerSeat& seat, Control& control)
        : control_{control},
          stop_timeout_{plan.settings.stop_timeout},
          loop_{seat.record, plan.settings.idle_timeout, plan.parked},
          reception_{loop_, reception_settings(plan, seat)},
          signals_{loop_.context, control.signal_fd()},
          channel_{loop_.context},
          deadline_{loop_.context} {
        if (control.channel_fd() >= 0) channel_.assign(control.channel_fd());
        std::vector<int> listeners;
        for (Listener& listener : plan.listeners) {
            listeners.push_back(listener.fd.get());
            reception_.add(listener, handler_for(plan, listener));
        }
        if (control.channel_fd() >= 0) watch_lifeline(control.channel_fd(), reactor_fd(loop_.context), listeners);
    }

    ~CoroutineService() override {
        // Borrowed from `control_`, which closes them.
        (void)signals_.release();
        if (channel_.is_open()) (void)channel_.release();
    }

    int serve(const std::function<void()>& ready) {
        listen_to_signals();
        if (channel_.is_open()) listen_to_orders();
        reception_.open();
        ready();
        loop_.context.run();
        return 0;
    }

    void look() override {
        loop_.out_of_handler();  // a sign of life, which the master may have asked for
        reception_.look();
    }

    void drain(bool empty_queue) override {
        if (std::exchange(loop_.draining, true)) return;
        if (stop_timeout_ != 0ms) after(stop_timeout_, [this] { hurry(); });
        reception_.close(empty_queue);
    }

    void hurry() override {
        after(hurry_limit, [this] { loop_.context.stop(); });
        loop_.waits.cancel_all();
    }

private:
    ReceptionSettings reception_settings(const WorkerPlan& plan, const WorkerSeat& seat) {
        const int channel = control_.channel_fd();
        return {.limit = plan.connections,
                .log_connections = plan.settings.log_connections,
                .retire_after = channel < 0 ? 0 : requests_before_retiring(plan.settings.max_requests, seat.number),
                .ask_sibling =
                    [channel] {
                        if (channel >= 0) send_report(channel, Report::Kind::Paused);
                    },
                .ask_retirement = [channel] { send_report(channel, Report::Kind::Retiring); },
                .finished = [this] { loop_.linger.when_empty(last_linger_limit, [this] { loop_.context.stop(); }); }};
    }

    StreamHandler& handler_for(const WorkerPlan& plan, const Listener& listener) {
        const std::string& name = handler_of(listener.settings, plan.settings);
        auto& handler = handlers_[name];
        if (!handler) handler = plan.handlers.find(name)->make_stream({.greeting = plan.settings.greeting});
        return *handler;
    }

    void listen_to_signals() {
        signals_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
            if (error) return;
            control_.read_signals(*this);
            listen_to_signals();
        });
    }

    void listen_to_orders() {
        channel_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
            if (!error && control_.read_orders(*this)) listen_to_orders();
        });
    }

    template <class Then>
    void after(std::chrono::milliseconds patience, Then then) {
        deadline_.expires_after(patience);
        deadline_.async_wait([then](boost::system::error_code error) {
            if (!error) then();
        });
    }

    Control& control_;
    std::chrono::milliseconds stop_timeout_;
    Loop loop_;
    std::map<std::string, std::unique_ptr<StreamHandler>> handlers_{};
    Reception reception_;
    boost::asio::posix::stream_descriptor signals_;
    boost::asio::posix::stream_descriptor channel_;
    boost::asio::steady_timer deadline_;
};

}  // namespace

int serve_async(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    return CoroutineService{plan, seat, control}.serve(ready);
}

}  // namespace preforkd
