// Frames of two digits and so many bytes, or `++` and 200 000, which come back in brackets.
#include <preforkd/preforkd.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Exact : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        std::vector<std::byte> space(200'000);
        for (;;) {
            const auto seen = co_await client.peek(2);
            if (!seen) co_return;
            const bool is_kept = client.buffered().text().starts_with(seen.text());
            const auto head = co_await client.read_exactly(2);
            if (!head || !is_kept) co_return;
            const std::size_t size = head.text() == "++" ? space.size() : std::stoul(std::string{head.text()});
            const auto body = co_await client.read_exactly(std::span{space}.first(size));
            const std::string_view last = body ? "]" : "cut]";
            const auto error = co_await client.write({std::string_view{"["}, text_of(body.bytes), last});
            if (error || !body) co_return;
        }
    }
};

}  // namespace

PREFORKD_HANDLER(Exact);
