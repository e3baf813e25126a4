#pragma once
#include <preforkd/preforkd.hpp>

/// Answers each line with the same.  preforkd-handler(3) says what else a handler has.
class @CLASS@ : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "answers each line with the same";

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (co_await client.next_request()) {
            const auto line = co_await client.read_line();
            if (!line || co_await client.write(line.text())) co_return;
        }
    }
};
