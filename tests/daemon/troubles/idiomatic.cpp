// co_await as the bare condition of loops and ifs, in coroutines without a local variable.
#include <preforkd/preforkd.hpp>

#include <cstddef>

struct Unknown;
preforkd::awaitable<void> do_nothing_with(Unknown&) { co_return; }

struct Idiomatic : preforkd::StreamHandler {
    void worker_started(preforkd::Worker& worker) override {
        if (worker.model() != Model::Fork) worker.spawn(count());
    }

    preforkd::awaitable<bool> counts() { co_return ++counted_ % 5 != 0; }
    preforkd::awaitable<void> count() {
        while (co_await counts()) {}
    }
    static preforkd::awaitable<void> drain(preforkd::Connection& client) {
        while (co_await client.read_some()) {}
    }
    static preforkd::awaitable<void> answer(preforkd::Connection& client) {
        while (co_await client.next_request()) {
            if (!co_await client.read_line()) co_return;
            if (co_await client.write("read\n")) co_return;
            if (client.buffered().text() == "rest") break;
        }
        if (co_await client.write("and the rest\n")) co_return;
        co_await drain(client);
    }
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        co_await count();
        if (co_await client.write("hello\n")) co_return;
        do co_await answer(client);
        while (co_await client.read_some());
        switch ((co_await client.write_last("end\n")).value()) {
            case 0: co_return;
            default: (void)client.half_close();
        }
    }

    int counted_ = 0;
};
PREFORKD_HANDLER(Idiomatic);
