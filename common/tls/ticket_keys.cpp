#include "common/tls/ticket_keys.hpp"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "common/base/parse_number.hpp"
#include "common/base/sys_error.hpp"
#include "common/tls/openssl.hpp"

namespace preforkd {
namespace {

constexpr std::size_t key_bytes = 80;
static_assert(sizeof(TicketKey) == key_bytes);

std::int64_t period_of(TicketKeys::Time now) {
    return std::chrono::floor<std::chrono::seconds>(now).time_since_epoch() / RotatingTicketKeys::period;
}

/// HMAC-SHA256: of the secret, for a purpose.
std::array<std::uint8_t, 32> derive_from(const std::array<std::uint8_t, 32>& secret, std::string_view purpose) {
    std::array<std::uint8_t, 32> derived{};
    const auto* const text = reinterpret_cast<const unsigned char*>(purpose.data());
    if (openssl().HMAC(openssl().EVP_sha256(), secret.data(), static_cast<int>(secret.size()), text, purpose.size(),
                       derived.data(), nullptr) == nullptr)
        throw_openssl_error("derive a ticket key");
    return derived;
}

TicketKey key_from(const std::array<std::uint8_t, 32>& secret) {
    TicketKey key{.mac = derive_from(secret, "mac"), .cipher = derive_from(secret, "cipher")};
    const auto name = derive_from(secret, "name");
    std::copy_n(name.begin(), key.name.size(), key.name.begin());
    return key;
}

std::optional<std::uint8_t> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return std::nullopt;
}

}  // namespace

RotatingTicketKeys::RotatingTicketKeys() : first_{period_of(std::chrono::system_clock::now()) - 1} {
    check(static_cast<int>(::getrandom(secret_.data(), secret_.size(), 0)), "make ticket keys");
}

RotatingTicketKeys::RotatingTicketKeys(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto first = parse_number<std::int64_t>(text.substr(0, colon));
    const std::string_view digits = colon == text.npos ? std::string_view{} : text.substr(colon + 1);
    bool valid = first && digits.size() == 2 * secret_.size();
    for (std::size_t i = 0; valid && i < secret_.size(); ++i) {
        const auto high = hex_digit(digits[2 * i]);
        const auto low = hex_digit(digits[2 * i + 1]);
        valid = high && low;
        if (valid) secret_[i] = static_cast<std::uint8_t>(*high << 4 | *low);
    }
    if (!valid) throw std::invalid_argument{"no ticket keys"};
    first_ = *first;
}

std::int64_t RotatingTicketKeys::advance(Time now) {
    const std::lock_guard guard{mutex_};
    return derive(now).period;
}

std::string RotatingTicketKeys::to_text() {
    const std::lock_guard guard{mutex_};
    std::string text = fmt::format("{}:", first_);
    for (const std::uint8_t byte : secret_) text += fmt::format("{:02x}", byte);
    return text;
}

void RotatingTicketKeys::forget() noexcept {
    ::explicit_bzero(secret_.data(), secret_.size());
    if (derived_) ::explicit_bzero(&*derived_, sizeof(Derived));
    derived_.reset();
}

/// A clock that is set back changes nothing: what is forgotten stays so.
const RotatingTicketKeys::Derived& RotatingTicketKeys::derive(Time now) {
    const std::int64_t wanted = std::max(period_of(now), first_ + 1);
    if (derived_ && derived_->period == wanted) return *derived_;
    for (; first_ < wanted - 1; ++first_) secret_ = derive_from(secret_, "next");
    return derived_.emplace(
        Derived{.period = wanted, .before = key_from(secret_), .now = key_from(derive_from(secret_, "next"))});
}

TicketKey RotatingTicketKeys::current(Time now) {
    const std::lock_guard guard{mutex_};
    return derive(now).now;
}

std::optional<TicketKeys::Found> RotatingTicketKeys::find(const Name& name, Time now) {
    const std::lock_guard guard{mutex_};
    const Derived& derived = derive(now);
    if (derived.now.name == name) return Found{.key = derived.now, .is_current = true};
    if (derived.before.name == name) return Found{.key = derived.before};
    return std::nullopt;
}

GivenTicketKeys::GivenTicketKeys(std::string_view file) {
    if (file.empty() || file.size() % key_bytes != 0)
        throw std::invalid_argument{
            fmt::format("has {} bytes; expected 80 for each key, as `openssl rand 80` makes them", file.size())};
    for (; !file.empty(); file.remove_prefix(key_bytes)) std::memcpy(&keys_.emplace_back(), file.data(), key_bytes);
}

std::optional<TicketKeys::Found> GivenTicketKeys::find(const Name& name, Time) {
    const auto found = std::ranges::find(keys_, name, &TicketKey::name);
    if (found == keys_.end()) return std::nullopt;
    return Found{.key = *found, .is_current = found == keys_.begin()};
}

}  // namespace preforkd
