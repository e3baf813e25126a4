#include "daemon/master/control/control_server.hpp"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

std::optional<ControlListener> listen_at(const Endpoint& endpoint) {
    return listen_for_control({.control = to_string(endpoint)}, {});
}

using namespace std::chrono_literals;

/// A socket's directory of its own.
class Directory {
public:
    Directory() { check(::mkdtemp(path_.data()) == nullptr ? -1 : 0, "mkdtemp"); }
    ~Directory() { std::filesystem::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    [[nodiscard]] std::string file() const { return path_ + "/control.sock"; }

private:
    std::string path_ = "/tmp/preforkd-control-XXXXXX";
};

/// Somebody who asks.
class Asker {
public:
    explicit Asker(const std::string& file)
        : fd_{testing::connect_to(resolve(parse_endpoint("unix://" + file)).at(0))} {
        ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    }
    ssize_t say(std::string_view text) const { return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
    void say_no_more() const { ::shutdown(fd_.get(), SHUT_WR); }
    void leave() { fd_ = {}; }
    [[nodiscard]] std::string hear() const {
        std::array<char, 65536> bytes;
        const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
        return {bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    }
    [[nodiscard]] bool sent_away() const {
        char byte = 0;
        const ssize_t got = ::recv(fd_.get(), &byte, 1, MSG_PEEK);
        return got == 0 || (got == -1 && errno == ECONNRESET);
    }
    /// An end that is no reset.
    [[nodiscard]] bool answered_to_the_end() const {
        char byte = 0;
        return ::recv(fd_.get(), &byte, 1, MSG_PEEK) == 0;
    }

private:
    UniqueFd fd_;
};

constexpr Ticket reload{7};

class ControlServerTest : public ::testing::Test {
protected:
    /// Serves all that there is to serve.
    void turn() {
        for (int rounds = 0; rounds < 100 && testing::is_readable(server_.fd()); ++rounds) server_.serve(now_);
    }
    void pass(Clock::duration time) {
        now_ += time;
        server_.maintain(now_);
        turn();
    }
    std::string ask(const std::string& line) {
        const Asker asker{directory_.file()};
        asker.say(line);
        turn();
        return asker.hear();
    }

    Directory directory_{};
    std::string long_answer_{};
    int asked_ = 0;
    Clock::time_point now_ = Clock::now();
    ControlServer server_{listen_at(parse_endpoint("unix://" + directory_.file())).value(),
                          [this](const ControlRequest& request) -> ControlReply {
                              ++asked_;
                              if (request.command == ControlCommand::Reload) return reload;
                              if (!long_answer_.empty()) return long_answer_;
                              return answer_line(Outcome{.sentence = "done"});
                          }};
};

constexpr const char* done = "{\"ok\":true,\"message\":\"done\"}\n";

TEST_F(ControlServerTest, a_line_is_answered_with_a_line) { EXPECT_EQ(ask("status\n"), done); }

TEST_F(ControlServerTest, requests_of_one_peer_are_answered_in_turn) {
    const Asker asker{directory_.file()};
    asker.say("status\nnonsense\n{\"command\":\"stop\"}\n");
    turn();
    const std::string heard = asker.hear();
    EXPECT_EQ(std::ranges::count(heard, '\n'), 3);
    EXPECT_EQ(heard.find(done), 0U);
    EXPECT_NE(heard.find("unknown command"), std::string::npos);
    EXPECT_EQ(asked_, 2);
}

TEST_F(ControlServerTest, one_request_is_served_in_a_turn) {
    const Asker asker{directory_.file()};
    turn();
    asker.say("status\nstatus\nstatus\n");
    server_.serve(now_);
    EXPECT_EQ(asked_, 1) << "between requests of a peer the master has its own work to do";
    turn();
    EXPECT_EQ(asked_, 3);
}

TEST_F(ControlServerTest, a_request_may_come_in_pieces_and_end_without_a_newline) {
    const Asker asker{directory_.file()};
    for (const char* piece : {"st", "at", "us"}) {
        asker.say(piece);
        turn();
        EXPECT_EQ(asker.hear(), "");
    }
    asker.say_no_more();
    turn();
    EXPECT_EQ(asker.hear(), done);
    EXPECT_TRUE(asker.sent_away());
}

TEST_F(ControlServerTest, who_says_nothing_is_sent_away_after_a_minute) {
    const Asker asker{directory_.file()};
    turn();
    ASSERT_TRUE(server_.next_deadline());
    pass(59s);
    EXPECT_FALSE(asker.sent_away());
    pass(2s);
    EXPECT_TRUE(asker.sent_away());
    EXPECT_EQ(server_.next_deadline(), std::nullopt) << "nobody is left to wait for";
}

TEST_F(ControlServerTest, a_drop_now_and_then_does_not_win_time) {
    const Asker asker{directory_.file()};
    turn();
    for (int second = 0; second < 61; ++second) {
        asker.say("s");
        pass(1s);
    }
    EXPECT_TRUE(asker.sent_away());
}

TEST_F(ControlServerTest, a_line_without_end_is_refused_and_not_kept) {
    Asker asker{directory_.file()};
    const std::string much(100'000, 'x');
    asker.say(much);
    turn();
    EXPECT_NE(asker.hear().find("at most 4096 bytes"), std::string::npos);
    EXPECT_TRUE(asker.answered_to_the_end());
    asker.leave();
    turn();
    EXPECT_EQ(server_.peers(), 0U);
    EXPECT_EQ(asked_, 0);
}

TEST_F(ControlServerTest, who_sends_on_after_the_refusal_is_heard_out_for_two_seconds) {
    const Asker asker{directory_.file()};
    asker.say(std::string(5'000, 'x'));
    turn();
    pass(1900ms);
    EXPECT_EQ(asker.say("more"), 4);
    turn();
    EXPECT_FALSE(testing::is_readable(server_.fd())) << "the master would never sleep";
    pass(200ms);
    EXPECT_EQ(server_.peers(), 0U);
}

TEST_F(ControlServerTest, who_sends_on_without_end_is_heard_out_for_a_megabyte) {
    const Asker asker{directory_.file()};
    const std::string much(100'000, 'x');
    ssize_t sent_bytes = 0;
    for (int rounds = 0; rounds < 100; ++rounds) {
        const ssize_t sent = asker.say(much);
        if (sent == -1 && errno != EAGAIN) break;
        sent_bytes += std::max<ssize_t>(sent, 0);
        turn();
    }
    EXPECT_EQ(server_.peers(), 0U);
    EXPECT_GT(sent_bytes, 1'000'000);
    EXPECT_LT(sent_bytes, 2'000'000);
}

TEST_F(ControlServerTest, garbage_is_answered_with_a_sentence) {
    std::string bytes;
    for (int value = 255; value >= 0; --value)
        if (value != '\n') bytes += static_cast<char>(value);
    const std::string heard = ask(bytes + '\n');
    EXPECT_EQ(heard.find("{\"ok\":false,\"error\":"), 0U) << heard;
    EXPECT_EQ(asked_, 0);
}

TEST_F(ControlServerTest, who_does_not_read_is_asked_nothing_more_and_sent_away_after_ten_seconds) {
    long_answer_ = std::string(1'000'000, 'x') + '\n';
    const Asker asker{directory_.file()};
    asker.say("status\nstatus\n");
    turn();
    EXPECT_EQ(asked_, 1);
    EXPECT_FALSE(testing::is_readable(server_.fd())) << "the master would never sleep";
    pass(9s);
    EXPECT_EQ(server_.peers(), 1U);
    pass(2s);
    EXPECT_EQ(server_.peers(), 0U);
}

TEST_F(ControlServerTest, a_long_answer_arrives_whole_at_who_reads) {
    long_answer_ = std::string(1'000'000, 'x') + '\n';
    const Asker asker{directory_.file()};
    asker.say("status\n");
    std::string heard;
    while (heard.size() < long_answer_.size()) {
        turn();
        const std::string more = asker.hear();
        ASSERT_FALSE(more.empty()) << heard.size();
        heard += more;
    }
    EXPECT_EQ(heard, long_answer_);
    turn();
    EXPECT_EQ(server_.peers(), 1U);
}

TEST_F(ControlServerTest, who_waits_for_an_outcome_waits_as_long_as_it_takes_and_all_are_told) {
    const Asker first{directory_.file()};
    const Asker second{directory_.file()};
    first.say("reload\n");
    second.say("reload\n");
    second.say_no_more();
    turn();
    pass(24h);
    EXPECT_EQ(first.hear(), "");
    server_.conclude(Ticket{8}, {.sentence = "another matter"});
    EXPECT_EQ(first.hear(), "");
    server_.conclude(reload, {.ok = false, .sentence = "line 3 is bad"});
    EXPECT_EQ(first.hear(), "{\"ok\":false,\"error\":\"line 3 is bad\"}\n");
    EXPECT_EQ(second.hear(), "{\"ok\":false,\"error\":\"line 3 is bad\"}\n");
    first.say("status\n");
    turn();
    EXPECT_EQ(first.hear(), done);
    EXPECT_TRUE(second.sent_away());
}

TEST_F(ControlServerTest, who_stops_waiting_for_an_outcome_is_forgotten) {
    Asker asker{directory_.file()};
    asker.say("reload\nstatus\n");
    turn();
    EXPECT_FALSE(testing::is_readable(server_.fd())) << "what it asks next is not read before";
    asker.leave();
    turn();
    EXPECT_EQ(server_.peers(), 0U);
    server_.conclude(reload, {});
}

TEST_F(ControlServerTest, one_more_than_there_is_space_for_takes_the_place_of_the_most_silent) {
    std::vector<std::optional<Asker>> askers;
    for (std::size_t i = 0; i < ControlServer::most_peers; ++i) {
        askers.emplace_back(directory_.file());
        turn();
        now_ += 1s;
    }
    askers[0]->say("status\n");
    turn();
    EXPECT_EQ(askers[0]->hear(), done);
    EXPECT_EQ(ask("status\n"), done);
    EXPECT_FALSE(askers[0]->sent_away());
    EXPECT_TRUE(askers[1]->sent_away());
    EXPECT_FALSE(askers[2]->sent_away());
}

TEST_F(ControlServerTest, who_waits_for_an_outcome_is_never_displaced) {
    std::vector<std::optional<Asker>> askers;
    for (std::size_t i = 0; i < ControlServer::most_peers; ++i) {
        askers.emplace_back(directory_.file());
        askers.back()->say("reload\n");
        turn();
    }
    EXPECT_NE(ask("status\n").find("too many"), std::string::npos);
    EXPECT_EQ(server_.peers(), ControlServer::most_peers);
}

TEST_F(ControlServerTest, at_the_end_everybody_who_waits_is_told_and_the_file_is_gone) {
    const Asker asker{directory_.file()};
    asker.say("reload\n");
    turn();
    server_.close(Ticket{1}, {.sentence = "stopped"});
    EXPECT_EQ(asker.hear(), "{\"ok\":false,\"error\":\"the daemon has stopped\"}\n");
    EXPECT_TRUE(asker.sent_away());
    EXPECT_FALSE(std::filesystem::exists(directory_.file()));
}

TEST_F(ControlServerTest, at_the_end_who_asks_nothing_is_told_too) {
    const Asker asker{directory_.file()};
    asker.say("status\n");
    turn();
    EXPECT_EQ(asker.hear(), done);
    server_.close(Ticket{1}, {.sentence = "stopped"});
    EXPECT_EQ(asker.hear(), farewell_line());
    EXPECT_TRUE(asker.answered_to_the_end());
}

TEST_F(ControlServerTest, who_waits_can_be_handed_to_the_next_image) {
    const Asker asker{directory_.file()};
    const Asker typing{directory_.file()};
    asker.say("reload\n");
    typing.say("sta");
    turn();
    const ControlHandover handover = server_.handover();
    ASSERT_EQ(handover.peers.size(), 2U);
    EXPECT_EQ(handover.peers[0].second.waits_for, reload);
    EXPECT_EQ(handover.peers[1].second.heard, "sta");

    // An exec keeps the descriptors; here they are copied instead.
    ControlServer next{{.fd = UniqueFd{::dup(handover.listener)},
                        .local = parse_endpoint("unix://" + directory_.file()),
                        .file = handover.file},
                       [](const ControlRequest&) -> ControlReply { return std::string{done}; }};
    for (const auto& [fd, state] : handover.peers) next.adopt(UniqueFd{::dup(fd)}, state, now_);
    next.conclude(reload, {.sentence = "upgraded"});
    EXPECT_EQ(asker.hear(), "{\"ok\":true,\"message\":\"upgraded\"}\n");
    typing.say("tus\n");
    next.serve(now_);
    EXPECT_EQ(typing.hear(), done);
}

TEST_F(ControlServerTest, without_descriptors_it_rests_and_does_not_spin) {
    const Asker asker{directory_.file()};
    {
        const testing::FewDescriptors none{0};
        turn();
        EXPECT_FALSE(testing::is_readable(server_.fd()));
        EXPECT_EQ(server_.next_deadline(), now_ + 500ms);
    }
    asker.say("status\n");
    pass(500ms);
    EXPECT_EQ(asker.hear(), done);
}

TEST(ControlListener, its_file_is_for_its_owner_alone) {
    const Directory directory;
    const auto listener = listen_at(parse_endpoint("unix://" + directory.file()));
    struct stat info {};
    ASSERT_EQ(::stat(directory.file().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST(ControlListener, a_live_socket_is_left_alone_and_a_stale_one_replaced) {
    const Directory directory;
    const Endpoint endpoint = parse_endpoint("unix://" + directory.file());
    auto live = listen_at(endpoint);
    ASSERT_TRUE(live);
    EXPECT_FALSE(listen_at(endpoint));
    EXPECT_TRUE(std::filesystem::exists(directory.file()));
    live.reset();  // closed without being removed: as after a crash
    EXPECT_TRUE(listen_at(endpoint));
}

TEST(ControlListener, a_directory_that_is_not_there_is_no_end_of_the_world) {
    EXPECT_FALSE(listen_at(parse_endpoint("unix:///nonexistent/control.sock")));
}

}  // namespace
}  // namespace preforkd
