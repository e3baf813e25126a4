// Frames of two digits and so many bytes, which come back in brackets.
#include <preforkd/preforkd.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace {

std::size_t size_in(std::string_view digits) { return std::stoul(std::string{digits}); }
std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Exact : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        std::array<std::byte, 100> space{};
        for (;;) {
            const auto seen = co_await client.peek(2);
            if (!seen) co_return;
            const bool is_kept = client.buffered().text().starts_with(seen.text());
            const auto head = co_await client.read_exactly(2);
            if (!head || !is_kept) co_return;
            const std::span<std::byte> wanted = std::span{space}.first(size_in(head.text()));
            const auto body = co_await client.read_exactly(wanted);
            const std::string_view last = body ? "]" : "cut]";
            const auto error = co_await client.write({std::string_view{"["}, text_of(body.bytes), last});
            if (error || !body) co_return;
        }
    }
};

}  // namespace

PREFORKD_HANDLER(Exact);
