// The same for code that blocks.
#include <preforkd/preforkd.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Exact : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::vector<std::byte> space(200'000);
        for (;;) {
            const auto seen = client.peek(2);
            if (!seen) return;
            const bool is_kept = client.buffered().text().starts_with(seen.text());
            const auto head = client.read_exactly(2);
            if (!head || !is_kept) return;
            const std::size_t size = head.text() == "++" ? space.size() : std::stoul(std::string{head.text()});
            const auto body = client.read_exactly(std::span{space}.first(size));
            const std::string_view last = body ? "]" : "cut]";
            if (client.write({std::string_view{"["}, text_of(body.bytes), last}) || !body) return;
        }
    }
};

}  // namespace

PREFORKD_HANDLER(Exact);
