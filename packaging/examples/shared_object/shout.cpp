// A handler for `preforkd --handler ./libshout.so`.
#include <preforkd/log.hpp>
#include <preforkd/shared_object.hpp>

#include <string>

class Shout : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "answers what --greeting says, louder with each line";

    explicit Shout(const preforkd::HandlerOptions& options) : word_{options.greeting} {}

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        std::string answer = word_;
        while (const auto chunk = co_await client.read_some()) {
            answer += '!';
            preforkd::log(preforkd::LogLevel::Debug, "shouting {heard}", {{"heard", chunk.text()}});
            const std::error_code error = co_await client.write(answer + '\n');
            if (error) co_return;
        }
    }

private:
    std::string word_;
};

PREFORKD_HANDLER(Shout);
