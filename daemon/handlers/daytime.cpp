#include <array>
#include <ctime>

#include "daemon/handlers/builtin.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// RFC 867: says the local date and time in one line, and closes.
class Daytime final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        const std::time_t now = std::time(nullptr);
        std::tm local{};
        ::localtime_r(&now, &local);
        std::array<char, 64> line{};  // "Sunday, November 22, 2026 16:02:11-UTC", the form RFC 867 shows
        const std::size_t size = std::strftime(line.data(), line.size(), "%A, %B %d, %Y %H:%M:%S-%Z\r\n", &local);
        (void)co_await client.write_last(std::string_view{line.data(), size});
    }
};

}  // namespace

HandlerEntry daytime_handler() {
    return {.name = "daytime",
            .summary = "says date and time and closes (RFC 867)",
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Daytime>(); }};
}

}  // namespace preforkd
