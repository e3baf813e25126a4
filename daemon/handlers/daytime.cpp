#include <array>
#include <ctime>
#include <string_view>

#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// The local date and time: "Sunday, November 22, 2026 16:02:11-UTC", the form RFC 867 shows.
class Line {
public:
    Line() {
        const std::time_t now = std::time(nullptr);
        std::tm local{};
        ::localtime_r(&now, &local);
        size_ = std::strftime(text_.data(), text_.size(), "%A, %B %d, %Y %H:%M:%S-%Z\r\n", &local);
    }
    [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

private:
    std::array<char, 64> text_{};
    std::size_t size_ = 0;
};

/// RFC 867: says the local date and time in one line, and closes.
class Daytime final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        const Line line;
        (void)co_await client.write_last(line.text());
    }
};

/// RFC 867 for datagrams: answers each with the line.
class DaytimeDatagrams final : public DatagramHandler {
public:
    void serve(Datagram& request) override { (void)request.reply(Line{}.text()); }
};

}  // namespace

HandlerEntry daytime_handler() {
    return {.name = "daytime",
            .summary = "says date and time and closes (RFC 867)",
            .answers_any_datagram = true,
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Daytime>(); },
            .make_datagram = [](const HandlerOptions&) { return std::make_unique<DaytimeDatagrams>(); }};
}

}  // namespace preforkd
