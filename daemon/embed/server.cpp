#include "preforkd/server.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/shared_ends.hpp"
#include "common/channel/source_table.hpp"
#include "common/channel/stopping.hpp"
#include "common/config/access_reading.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/own_options.hpp"
#include "common/tls/tls_reading.hpp"
#include "daemon/embed/stop_event.hpp"
#include "daemon/embed/watched_handler.hpp"
#include "daemon/startup/capacity.hpp"
#include "daemon/startup/compatibility.hpp"
#include "daemon/worker/model/serve_model.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// The server whose request the calling thread runs, or ran last.
thread_local const void* served_here = nullptr;

ListenSettings read_listen(const std::string& text) {
    ListenSettings listen = parse_listen(text);
    if (!listen.handler.empty()) throw std::invalid_argument{text + ": a server has one handler; leave handler= away"};
    if (listen.tls && listen.tls->key_process)
        throw std::invalid_argument{text + ": a server in a program makes no processes; leave key-process= away"};
    return listen;
}

std::size_t descriptor_limit() {
    rlimit limit{};
    check(::getrlimit(RLIMIT_NOFILE, &limit), "get the limit on open files");
    return limit.rlim_cur;
}

std::vector<Listener> bind_listeners_of(const ListenSettings& listen, const HandlerEntry& entry) {
    const std::shared_ptr<const AccessTable> access = read_access(listen);
    const std::shared_ptr<const TlsContext> tls = read_tls(listen, std::make_shared<RotatingTicketKeys>(), nullptr);
    std::vector<Listener> listeners = bind_listeners({listen}, {});
    for (Listener& listener : listeners) {
        listener.access = access;
        listener.tls = tls;
        listener.replies_per_source = replies_per_source(listen, entry.answers_any_datagram);
        make_sources(listener);
    }
    return listeners;
}

/// handle_request() is called again and again, and cannot serve the next while the last is lingering.
constexpr std::chrono::milliseconds linger_of_one{20};

}  // namespace

/// What the serving thread, those that stop it, and the destructor share.
class Server::State {
public:
    State(const HandlerEntry& entry, const ServerSettings& wanted)
        : settings_{.listen = {read_listen(wanted.listen)},
                    .handler = entry.name,
                    .idle_timeout = wanted.idle_timeout,
                    .stop_timeout = wanted.stop_timeout,
                    .line_max_bytes = wanted.line_max_bytes,
                    .greeting = wanted.handler.greeting,
                    .log_connections = wanted.log_connections ? LogConnections::Begin : LogConnections::No},
          model_{wanted.model.value_or(entry.model)},
          is_coroutine_{entry.make_stream || entry.make_async_datagram},
          connections_{model_ == Model::Serial ? 1 : wanted.connections.value_or(wanted_connections({}, model_))},
          areas_{entry.uses_shared_memory, entry.uses_bus},
          handlers_{watch_handler(checked(entry), with_standards(wanted.handler, entry), watching_)},
          listeners_{bind_listeners_of(settings_.listen.front(), entry)},
          local_{listeners_.front().local} {}

    /// Serves until asked to leave, or, if `just_one`, one client or none within `patience`.  How many it was.
    std::uint64_t serve(bool just_one, std::chrono::milliseconds patience) {
        if (!enter_service()) return 0;
        const Leaving leaving{*this};
        wakeup_.ring_after(patience);
        WorkerRecord record;
        run(record, just_one);
        log_cut_connections(record.cut.load(std::memory_order_relaxed));
        if (exit_) std::rethrow_exception(std::exchange(exit_, nullptr));
        return record.accepted.load(std::memory_order_relaxed);
    }

    void shutdown() {
        std::unique_lock lock{mutex_};
        stop_asked_ = true;
        wakeup_.ring();
        const bool would_wait_for_itself = served_here == this || server_thread_ == std::this_thread::get_id();
        if (!would_wait_for_itself) left_.wait(lock, [this] { return !serving_; });
    }

    void close() noexcept {
        for (const Listener& listener : listeners_) remove_socket_file(listener);
        listeners_.clear();
    }

    [[nodiscard]] const Endpoint& local() const noexcept { return local_; }
    [[nodiscard]] int fd() const noexcept { return listeners_.empty() ? -1 : listeners_.front().fd.get(); }

private:
    /// Says, whatever happens, that the loop has been left.
    struct Leaving {
        State& state;
        explicit Leaving(State& its_state) : state{its_state} {}
        Leaving(const Leaving&) = delete;
        Leaving& operator=(const Leaving&) = delete;
        ~Leaving() {
            const std::scoped_lock lock{state.mutex_};
            served_here = nullptr;
            state.serving_ = state.stop_asked_ = false;
            state.server_thread_ = {};
            (void)state.wakeup_.take();
            state.left_.notify_all();
        }
    };

    [[nodiscard]] const HandlerEntry& checked(const HandlerEntry& entry) const {
        const ListenSettings& listen = settings_.listen.front();
        if (const auto refusal = why_not(entry, listen.endpoint.transport, model_))
            throw std::invalid_argument{to_string(listen.endpoint) + ": " + *refusal};
        return entry;
    }

    /// False when shutdown() came first.
    bool enter_service() {
        const std::scoped_lock lock{mutex_};
        if (listeners_.empty()) throw std::logic_error{"the server is closed"};
        if (serving_) throw std::logic_error{"the server is serving already"};
        if (std::exchange(stop_asked_, false)) {
            (void)wakeup_.take();
            return false;
        }
        serving_ = true;
        server_thread_ = std::this_thread::get_id();
        return true;
    }

    void run(WorkerRecord& record, bool just_one) {
        Settings settings = settings_;
        if (just_one) settings.stop_timeout = 0ms;  // the one is served to its end
        std::vector<Listener> copies;               // the worker takes what it is given
        for (const Listener& listener : listeners_) {
            Listener& copy = copies.emplace_back(
                Listener{.fd = UniqueFd{check(::fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 0), "copy the socket")},
                         .settings = listener.settings,
                         .local = listener.local,
                         .access = listener.access,
                         .tls = listener.tls,
                         .sources = listener.sources,
                         .replies_per_source = listener.replies_per_source});
            if (just_one) copy.settings.linger = std::min(copy.settings.linger.value_or(linger_of_one), linger_of_one);
        }
        const Capacity capacity =
            fit_capacity(connections_, descriptor_limit(), copies.size(),
                         descriptors_each(model_, is_coroutine_ ? ServedBy::Coroutine : ServedBy::BlockingHandler));
        const WorkerPlan plan{.settings = settings,
                              .handlers = handlers_,
                              .listeners = copies,
                              .model = model_,
                              .connections = just_one ? 1 : capacity.connections,
                              .parked = capacity.parked,
                              .leave_after = just_one ? 1u : 0u};
        WorkerHandoff handoff{.record = record, .shared = areas_.ends()};
        WorkerControl control{EmbedderHooks{.fd = wakeup_.fd(), .stop_asked = [this] { return wakeup_.take(); }}};
        (void)serve_model(plan, handoff, control, [] {});
    }

    void leave_for(std::exception_ptr exit) {
        if (model_ != Model::Serial && model_ != Model::Async) return;  // in a thread or child of its own
        exit_ = std::move(exit);
        wakeup_.ring();
    }

    Settings settings_;
    Model model_;
    bool is_coroutine_;
    std::size_t connections_;
    Watching watching_{.entered = [this] { served_here = this; },
                       .left_for = [this](std::exception_ptr exit) { leave_for(std::move(exit)); }};
    OwnAreas areas_;  ///< of all its servings
    Handlers handlers_;
    std::vector<Listener> listeners_;
    Endpoint local_;
    StopEvent wakeup_{};
    std::exception_ptr exit_{};  ///< in the serving thread

    std::mutex mutex_{};
    std::condition_variable left_{};
    bool serving_ = false;
    bool stop_asked_ = false;
    std::thread::id server_thread_{};
};

Server::Server(const HandlerEntry& handler, ServerSettings settings)
    : state_{std::make_unique<State>(handler, settings)} {}

Server::~Server() { server_close(); }

void Server::serve_forever() { (void)state_->serve(false, 0ms); }
bool Server::handle_request(std::chrono::milliseconds patience) { return state_->serve(true, patience) > 0; }
void Server::shutdown() { state_->shutdown(); }
void Server::server_close() noexcept { state_->close(); }
const Endpoint& Server::server_address() const noexcept { return state_->local(); }
int Server::fd() const noexcept { return state_->fd(); }

}  // namespace preforkd
