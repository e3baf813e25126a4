#include "common/systemd/stored_ticket_keys.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

/// As a listener's: a version that knows no such keys closes them as a socket of its own that nobody asks for.
constexpr std::string_view name = "preforkd,ticket-keys";

constexpr std::int64_t not_known = -1;  // what the store has: another master's, perhaps
constexpr std::int64_t nothing = 0;

UniqueFd make_memory(const std::string& text) {
    UniqueFd memory{check(::memfd_create("preforkd-ticket-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create a memfd")};
    if (check(static_cast<int>(::write(memory.get(), text.data(), text.size())), "write") !=
        static_cast<int>(text.size()))
        throw std::runtime_error{"write: cut short"};
    check(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal");
    return memory;
}

}  // namespace

bool use_own_ticket_keys(const std::vector<Listener>& listeners) noexcept {
    return std::ranges::any_of(listeners, [](const Listener& each) {
        return each.settings.tls && each.settings.tls->ticket_keys.empty() && each.settings.tls->tickets != 0;
    });
}

std::shared_ptr<RotatingTicketKeys> take_ticket_keys(std::vector<PassedSocket>& passed) {
    std::shared_ptr<RotatingTicketKeys> keys;
    std::erase_if(passed, [&](const PassedSocket& each) {
        if (each.name != name) return false;
        std::array<char, 256> text{};
        const ssize_t size = ::pread(each.fd.get(), text.data(), text.size(), 0);
        try {
            keys = std::make_shared<RotatingTicketKeys>(
                std::string_view{text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
        } catch (const std::invalid_argument&) {
            log(LogLevel::Notice,
                "what systemd's store has as ticket keys is none of this version's: clients with TLS "
                "shake hands anew");
        }
        return true;
    });
    return keys;
}

StoredTicketKeys::StoredTicketKeys(SystemdNotify& systemd) noexcept : systemd_{systemd}, kept_{not_known} {}

void StoredTicketKeys::maintain(RotatingTicketKeys* keys, TicketKeys::Time now) {
    try {
        const std::int64_t wanted = keys != nullptr ? keys->advance(now) : nothing;
        if (wanted == kept_) return;
        kept_ = wanted;
        replace(keys);
        failing_ = false;
    } catch (const std::exception& error) {
        if (std::exchange(failing_, true)) return;
        log(LogLevel::Warning,
            "cannot have systemd keep ticket keys: {cause}; after a restart clients shake hands anew",
            {{"cause", error.what()}});
    }
}

void StoredTicketKeys::replace(RotatingTicketKeys* keys) {
    if (systemd_.store_limit() == 0) return;
    systemd_.forget(name);
    if (keys != nullptr) systemd_.store(name, make_memory(keys->to_text()).get());
}

}  // namespace preforkd
