// Keys of session tickets in systemd's store: never older than they have to be, and back with the next master.
#include "common/systemd/stored_ticket_keys.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "service_manager.hpp"

namespace preforkd {
namespace {

using namespace testing;

constexpr auto forgotten = "FDSTOREREMOVE=1\nFDNAME=preforkd,ticket-keys";
constexpr auto stored = "FDSTORE=1\nFDPOLL=0\nFDNAME=preforkd,ticket-keys";

/// As the next master has it.
std::vector<PassedSocket> passed(UniqueFd fd) {
    std::vector<PassedSocket> sockets;
    sockets.push_back({.fd = std::move(fd), .name = "preforkd,ticket-keys", .flaw = "is not a socket"});
    return sockets;
}

UniqueFd file_with(const std::string& text) {
    UniqueFd file{check(::memfd_create("test", MFD_CLOEXEC), "memfd")};
    check(static_cast<int>(::write(file.get(), text.data(), text.size())), "write");
    return file;
}

class StoredTicketKeysTest : public Notify {
protected:
    StoredTicketKeysTest() {
        set("NOTIFY_SOCKET", name());
        set("FDSTORE", "4");
        systemd_.emplace();
    }
    // Notify's would take the variables away again.
    void SetUp() override {}

    Manager manager_{name()};
    std::optional<SystemdNotify> systemd_{};
    TicketKeys::Time now_ = std::chrono::system_clock::now();
};

TEST_F(StoredTicketKeysTest, the_next_master_knows_the_tickets_of_the_one_before) {
    RotatingTicketKeys keys;
    StoredTicketKeys{*systemd_}.maintain(&keys, now_);
    EXPECT_EQ(manager_.receive(), forgotten) << "what an earlier image has left there";
    std::vector<PassedSocket> sockets = passed(manager_.receive_descriptor());
    const auto taken = take_ticket_keys(sockets);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->current(now_), keys.current(now_));
    EXPECT_TRUE(sockets.empty()) << "it is no listener";
    EXPECT_EQ(manager_.receive(), "");
}

TEST_F(StoredTicketKeysTest, nobody_writes_into_what_is_kept) {
    RotatingTicketKeys keys;
    StoredTicketKeys{*systemd_}.maintain(&keys, now_);
    (void)manager_.receive();
    const UniqueFd kept = manager_.receive_descriptor();
    EXPECT_EQ(::pwrite(kept.get(), "1", 1, 0), -1);
    EXPECT_EQ(::ftruncate(kept.get(), 0), -1);
}

TEST_F(StoredTicketKeysTest, with_each_period_they_are_replaced_and_the_old_ones_nowhere_any_more) {
    RotatingTicketKeys keys;
    StoredTicketKeys kept{*systemd_};
    const TicketKey first = keys.current(now_);
    kept.maintain(&keys, now_);
    (void)manager_.receive();
    EXPECT_EQ(manager_.receive(), stored);
    kept.maintain(&keys, now_);
    EXPECT_EQ(manager_.receive(), "") << "nothing has changed";
    const auto later = now_ + 2 * RotatingTicketKeys::period;
    kept.maintain(&keys, later);
    EXPECT_EQ(manager_.receive(), forgotten);
    std::vector<PassedSocket> sockets = passed(manager_.receive_descriptor());
    const auto taken = take_ticket_keys(sockets);
    ASSERT_TRUE(taken);
    EXPECT_FALSE(taken->find(first.name, now_)) << "not by turning the clock back either";
    EXPECT_FALSE(RotatingTicketKeys{keys.to_text()}.find(first.name, now_)) << "nor by the next image";
    EXPECT_EQ(taken->current(later), keys.current(later));
}

TEST_F(StoredTicketKeysTest, nobody_s_are_not_kept) {
    RotatingTicketKeys keys;
    StoredTicketKeys kept{*systemd_};
    kept.maintain(nullptr, now_);
    EXPECT_EQ(manager_.receive(), forgotten);
    kept.maintain(nullptr, now_);
    EXPECT_EQ(manager_.receive(), "");
    kept.maintain(&keys, now_);
    EXPECT_EQ(manager_.receive(), forgotten);
    EXPECT_EQ(manager_.receive(), stored);
    kept.maintain(nullptr, now_);
    EXPECT_EQ(manager_.receive(), forgotten);
    EXPECT_EQ(manager_.receive(), "");
}

TEST_F(StoredTicketKeysTest, without_a_store_nothing_is_said) {
    set("NOTIFY_SOCKET", name());
    SystemdNotify systemd;
    RotatingTicketKeys keys;
    StoredTicketKeys{systemd}.maintain(&keys, now_);
    EXPECT_EQ(manager_.receive(), "");
}

TEST_F(StoredTicketKeysTest, what_is_none_is_left_and_other_sockets_are) {
    for (const char* text : {"", "1", "\1\2\3"}) {
        std::vector<PassedSocket> sockets = passed(file_with(text));
        sockets.push_back({.fd = file_with(""), .name = "web"});
        EXPECT_FALSE(take_ticket_keys(sockets));
        ASSERT_EQ(sockets.size(), 1U);
        EXPECT_EQ(sockets.front().name, "web");
    }
}

TEST(UseOwnTicketKeys, are_listeners_with_tls_and_tickets_and_no_file_of_keys) {
    const auto use = [](std::optional<TlsSettings> tls) {
        std::vector<Listener> listeners;
        listeners.push_back({.settings = {.tls = std::move(tls)}});
        return use_own_ticket_keys(listeners);
    };
    EXPECT_FALSE(use(std::nullopt));
    EXPECT_TRUE(use(TlsSettings{}));
    EXPECT_TRUE(use(TlsSettings{.tickets = 1}));
    EXPECT_FALSE(use(TlsSettings{.tickets = 0}));
    EXPECT_FALSE(use(TlsSettings{.ticket_keys = "/file"}));
}

}  // namespace
}  // namespace preforkd
