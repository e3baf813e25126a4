#include "daemon/worker/process/worker_control.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <string>

#include "common/channel/channel.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::in_child;  // signal masks and the log outlive a test

/// Writes down what it is asked.
struct Diary final : WorkerActions {
    std::string text{};
    void look() override { text += "look "; }
    void drain(const ClosingListeners& closing, FinishTime within) override {
        text += closing.all ? "drain+empty " : "drain ";
        if (within) text += "(within " + std::to_string(within->count()) + " ms) ";
        for (const std::uint32_t index : closing.indices) text += "(empty " + std::to_string(index) + ") ";
    }
    void hurry() override { text += "hurry "; }
    void retire() override { text += "retire "; }
};

/// What a worker's service is asked after `happens(master end)`, in a process that may be `master` itself.
template <class Happens>
std::string asked(Happens happens, pid_t master_if_not_itself = 0) {
    return in_child([&] {
        const pid_t master = master_if_not_itself != 0 ? master_if_not_itself : ::getpid();
        ChannelPair channel = open_channel();
        WorkerControl control{std::move(channel.worker), master};
        Diary diary;
        happens(channel.master.orders);
        control.read_signals(diary);
        if (!control.read_orders(diary)) diary.text += "end";
        return diary.text;
    });
}

/// What the service of a process without a master is asked after `signals`, one after the other.
std::string asked_alone(std::initializer_list<int> signals, const LogSettings& log = {}) {
    return in_child([&] {
        Diary diary;
        WorkerControl control{OperatorHooks{.before_stop = [&] { diary.text += "before "; }, .log = log}};
        WorkerRecord record;
        Lifeline lifeline{{.record = record, .ends = Lifeline::Ends::Alone, .takes_stop_signals = true}};
        control.attach(lifeline);
        if (control.has_master()) return std::string{"a channel"};
        const UniqueFd quiet{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
        ::dup2(quiet.get(), STDERR_FILENO);
        for (const int signo : signals) {
            ::raise(signo);
            if (std::ranges::none_of(control.signal_fds(), testing::is_readable)) return std::string{"signal not read"};
            control.read_signals(diary);
        }
        return diary.text;
    });
}

TEST(WorkerControl, nothing_said_is_nothing_asked) {
    EXPECT_EQ(asked([](const UniqueFd&) {}), "");
}

TEST(WorkerControl, quit_drains_and_leaves_the_queue_to_the_siblings) {
    EXPECT_EQ(asked([](const UniqueFd&) { ::raise(SIGQUIT); }), "drain ");
}

TEST(WorkerControl, term_drains_and_hurries) {
    EXPECT_EQ(asked([](const UniqueFd&) { ::raise(SIGTERM); }), "drain hurry ");
}

TEST(WorkerControl, from_somebody_else_they_ask_for_a_successor_and_only_the_second_time_for_more) {
    const auto together = [](std::initializer_list<int> signals) {
        return asked(
            [&](const UniqueFd&) {
                for (const int signo : signals) ::raise(signo);  // QUIT is read first: it has the lower number
            },
            ::getpid());
    };
    EXPECT_EQ(together({SIGTERM}), "retire ");
    EXPECT_EQ(together({SIGQUIT}), "retire ");
    EXPECT_EQ(together({SIGQUIT, SIGTERM}), "retire drain hurry ");
}

TEST(WorkerControl, an_order_to_empty_the_queue_counts_for_the_signal_that_follows_it) {
    const auto ordered_and = [](int signo) {
        return [signo](const UniqueFd& master) {
            send_order(master.get(), Order::EmptyQueue);
            ::raise(signo);
        };
    };
    EXPECT_EQ(asked(ordered_and(SIGQUIT)), "drain+empty ");
    EXPECT_EQ(asked(ordered_and(SIGTERM)), "drain+empty hurry ");
}

TEST(WorkerControl, a_reload_says_how_long_what_runs_may_take_and_a_stop_that_follows_takes_that_back) {
    const auto reload = [](const UniqueFd& master) {
        send_order(master.get(), Order::FinishWithin, 0);
        ::raise(SIGQUIT);
    };
    const auto stop = [](const UniqueFd& master) {
        send_order(master.get(), Order::EmptyQueue);
        ::raise(SIGQUIT);
    };
    EXPECT_EQ(asked(reload), "drain (within 0 ms) ");
    EXPECT_EQ(asked([](const UniqueFd& master) {
                  send_order(master.get(), Order::FinishWithin, 150);
                  ::raise(SIGQUIT);
              }),
              "drain (within 1500 ms) ");
    EXPECT_EQ(asked([&](const UniqueFd& master) {
                  reload(master);
                  stop(master);  // the second signal is lost in the first
              }),
              "drain+empty ");
}

TEST(WorkerControl, the_time_that_a_reload_leaves_holds_for_one_drain) {
    EXPECT_EQ(in_child([] {
                  ChannelPair channel = open_channel();
                  WorkerControl control{std::move(channel.worker), ::getpid()};
                  Diary diary;
                  send_order(channel.master.orders.get(), Order::FinishWithin, 0);
                  for (int times = 0; times < 2; ++times) {
                      ::raise(SIGQUIT);
                      control.read_signals(diary);
                  }
                  return diary.text;
              }),
              "drain (within 0 ms) drain ");
}

TEST(WorkerControl, single_listeners_can_be_emptied) {
    EXPECT_EQ(asked([](const UniqueFd& master) {
                  send_order(master.get(), Order::EmptyQueue, 2);
                  send_order(master.get(), Order::EmptyQueue, 0);
                  ::raise(SIGQUIT);
              }),
              "drain (empty 0) (empty 2) ");
}

TEST(WorkerControl, an_order_to_look_is_passed_on_each_time) {
    EXPECT_EQ(asked([](const UniqueFd& master) {
                  send_order(master.get(), Order::LookForClients);
                  send_order(master.get(), Order::LookForClients);
              }),
              "look look ");
}

TEST(WorkerControl, a_worker_whose_master_is_gone_drains_and_leaves_the_queue) {
    const std::string report = in_child([] {
        ChannelPair channel = open_channel();
        WorkerControl control{std::move(channel.worker)};
        const UniqueFd quiet{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
        ::dup2(quiet.get(), STDERR_FILENO);
        Diary diary;
        send_order(channel.master.orders.get(), Order::LookForClients);
        channel.master = {};
        const bool goes_on = control.read_orders(diary);
        return diary.text + (goes_on ? "goes on" : "end");
    });
    EXPECT_EQ(report, "look drain end");
}

TEST(WorkerControl, an_order_of_another_version_is_passed_over) {
    EXPECT_EQ(in_child([] {
                  ChannelPair channel = open_channel();
                  WorkerControl control{std::move(channel.worker)};
                  Diary diary;
                  (void)!::write(channel.master.orders.get(), "\2\0\0\0\0", 5);
                  send_order(channel.master.orders.get(), Order::LookForClients);
                  return control.read_orders(diary) ? diary.text : "end";
              }),
              "look ");
}

TEST(WorkerControl, an_operators_first_term_is_graceful_and_its_second_is_fast) {
    EXPECT_EQ(asked_alone({SIGTERM}), "before drain+empty ");
    EXPECT_EQ(asked_alone({SIGTERM, SIGTERM}), "before drain+empty drain+empty hurry ");
    EXPECT_EQ(asked_alone({SIGQUIT, SIGTERM}), "before drain+empty drain+empty hurry ");
}

TEST(WorkerControl, an_operators_int_is_fast) {
    EXPECT_EQ(asked_alone({SIGINT}), "before drain+empty hurry ");
    EXPECT_EQ(asked_alone({SIGTERM, SIGINT}), "before drain+empty drain+empty hurry ");
}

TEST(WorkerControl, without_a_master_there_is_no_reload_upgrade_or_resize_and_no_death_of_it) {
    EXPECT_EQ(asked_alone({SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}), "");
}

TEST(WorkerControl, usr1_reopens_the_log_file) {
    const testing::TemporaryDirectory directory;
    EXPECT_EQ(in_child([&] {
                  const LogSettings settings{.format = LogFormat::Text, .file = directory / "log"};
                  open_log(settings);
                  WorkerControl control{OperatorHooks{.before_stop = [] {}, .log = settings}};
                  std::filesystem::rename(settings.file, directory / "old");
                  ::raise(SIGUSR1);
                  Diary diary;
                  control.read_signals(diary);
                  return std::string{std::filesystem::exists(settings.file) ? "reopened" : "not there"};
              }),
              "reopened");
}

TEST(WorkerControl, a_log_file_that_cannot_be_reopened_does_not_end_the_service) {
    EXPECT_EQ(asked_alone({SIGUSR1}, {.file = "/no/such/directory/log"}), "");
}

}  // namespace
}  // namespace preforkd
