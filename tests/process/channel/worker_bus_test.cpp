#include "common/channel/worker_bus.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using Texts = std::vector<std::string>;

constexpr std::size_t places = 4;

void call(const std::function<void()>& hear) { hear(); }

UniqueFd copy_of(int fd) { return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)}; }

/// A worker of a service, as far as the bus goes; several of them may be in one process.
struct End {
    End(const BusMemory& memory, std::size_t place)
        : opened{memory.open_place(place)}, bus{memory.memory_fd(), copy_of(memory.wakeup_fd()), place} {}

    std::shared_ptr<WorkerBus::Subscription> hear(const char* topic) {
        return bus.subscribe(topic, [this](std::string_view text) { heard.emplace_back(text); });
    }
    Texts deliver() {
        while (bus.deliver(call)) {}
        return std::exchange(heard, {});
    }

    bool opened;
    WorkerBus bus;
    Texts heard{};
};

TEST(WorkerBus, what_one_publishes_all_who_have_subscribed_hear) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    End two{memory, 1};
    one.bus.publish("news", "before");
    const auto first = one.hear("news");
    const auto second = two.hear("news");
    (void)one.deliver();
    EXPECT_EQ(two.deliver(), Texts{});
    one.bus.publish("news", "one");
    one.bus.publish("other", "two");
    two.bus.publish("news", "three");
    EXPECT_TRUE(testing::comes(one.bus.fd(), POLLIN));
    EXPECT_TRUE(testing::comes(two.bus.fd(), POLLIN));
    EXPECT_EQ(one.deliver(), (Texts{"one", "three"}));
    EXPECT_EQ(two.deliver(), (Texts{"one", "three"}));
    End late{memory, 2};
    const auto third = late.hear("news");
    late.bus.publish("news", "four");
    EXPECT_EQ(one.deliver(), Texts{"four"}) << "a worker that came later is heard from its first message on";
    EXPECT_EQ(late.deliver(), Texts{"four"});
}

TEST(WorkerBus, who_has_unsubscribed_hears_no_more_and_is_not_woken) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    const auto first = one.hear("news");
    const auto second = one.hear("news");
    one.bus.publish("news", "one");
    EXPECT_EQ(one.deliver(), (Texts{"one", "one"}));
    one.bus.unsubscribe({first});
    one.bus.publish("news", "two");
    EXPECT_EQ(one.deliver(), Texts{"two"});
    one.bus.unsubscribe({second});
    one.bus.publish("news", "three");
    EXPECT_FALSE(testing::is_readable(one.bus.fd()));
    const auto third = one.hear("news");
    EXPECT_EQ(one.deliver(), Texts{}) << "what was published meanwhile is not for it";
}

TEST(WorkerBus, a_callback_may_end_subscriptions_and_begin_others) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    std::vector<std::shared_ptr<WorkerBus::Subscription>> mine;
    mine.push_back(one.bus.subscribe("news", [&](std::string_view text) {
        one.heard.push_back("once " + std::string{text});
        one.bus.unsubscribe(mine);
        mine = {one.hear("news")};
    }));
    one.bus.publish("news", "one");
    one.bus.publish("news", "two");
    EXPECT_EQ(one.deliver(), (Texts{"once one"})) << "with its last subscription what was waiting is gone";
    one.bus.publish("news", "three");
    EXPECT_EQ(one.deliver(), (Texts{"three"}));
}

TEST(WorkerBus, who_is_slow_is_told_how_many_it_has_lost_and_has_kept_nobody) {
    const BusMemory memory{::geteuid(), places};
    End fast{memory, 0};
    End slow{memory, 1};
    const auto hears = slow.hear("news");
    std::uint64_t lost = 0;
    const auto hears_of_loss = slow.bus.subscribe_to_loss([&](std::uint64_t messages) { lost += messages; });
    for (int n = 0; n < 5000; ++n) fast.bus.publish("news", std::to_string(n));
    const Texts heard = slow.deliver();
    EXPECT_EQ(heard.size(), bus_ring_messages);
    EXPECT_EQ(heard.back(), "4999");
    EXPECT_EQ(lost, 5000 - bus_ring_messages);
}

TEST(WorkerBus, one_turn_of_the_loop_has_an_end_however_much_is_published) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    std::size_t heard = 0;
    const auto hears = one.bus.subscribe("news", [&](std::string_view) {
        ++heard;
        one.bus.publish("news", "again");
    });
    one.bus.publish("news", "begin");
    EXPECT_TRUE(one.bus.deliver(call)) << "there is more";
    EXPECT_EQ(heard, 1024U);
}

TEST(WorkerBus, another_image_s_workers_hear_those_of_before) {
    const BusMemory before{::geteuid(), places};
    End old{before, 0};
    UniqueFd memory = copy_of(before.memory_fd());
    UniqueFd wakeup = copy_of(before.wakeup_fd());
    const BusMemory after{memory, wakeup};
    EXPECT_EQ(after.owner(), ::geteuid());
    End recent{after, 1};
    const auto first = old.hear("news");
    const auto second = recent.hear("news");
    old.bus.publish("news", "one");
    recent.bus.publish("news", "two");
    EXPECT_EQ(recent.deliver(), (Texts{"one", "two"}));
    EXPECT_EQ(old.deliver(), (Texts{"one", "two"}));
}

TEST(WorkerBus, one_of_another_layout_is_left_as_it_is) {
    const BusMemory before{::geteuid(), places};
    const std::uint64_t another = 99;
    ASSERT_EQ(::pwrite(before.memory_fd(), &another, sizeof another, 0), ssize_t{sizeof another});
    UniqueFd memory = copy_of(before.memory_fd());
    UniqueFd wakeup = copy_of(before.wakeup_fd());
    EXPECT_THROW((BusMemory{memory, wakeup}), std::runtime_error);
    EXPECT_TRUE(memory);
    EXPECT_TRUE(wakeup);
    EXPECT_FALSE(before.open_place(places)) << "there is none";
    EXPECT_EQ(::ftruncate(before.memory_fd(), 0), -1) << "its size is nobody's to change";
}

TEST(WorkerBus, what_one_has_filled_who_means_harm_still_wakes) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    End two{memory, 1};
    const auto hears = two.hear("news");
    ASSERT_EQ(::eventfd_write(memory.wakeup_fd(), ~eventfd_t{0} - 1), 0);
    (void)two.deliver();
    one.bus.publish("news", "one");
    EXPECT_TRUE(testing::comes(two.bus.fd(), POLLIN));
    EXPECT_EQ(two.deliver(), Texts{"one"});
}

TEST(WorkerBus, whatever_a_worker_writes_the_others_live) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    const auto hears = one.hear("news");
    const auto hears_of_loss = one.bus.subscribe_to_loss([](std::uint64_t) {});
    std::mt19937_64 random{1};
    const std::size_t bytes = static_cast<std::size_t>(::lseek(memory.memory_fd(), 0, SEEK_END));
    auto* const all =
        static_cast<std::uint64_t*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.memory_fd(), 0));
    for (int round = 0; round < 100; ++round) {
        for (int word = 0; word < 2000; ++word) all[random() % (bytes / sizeof *all)] = random();
        for (std::size_t ring = 0; ring <= places; ++ring) all[(ring << 16) / sizeof *all] = random();
        one.bus.publish("news", "text");
        (void)one.bus.deliver(call);
        (void)memory.open_place(static_cast<std::size_t>(round) % 8);
    }
    ::munmap(all, bytes);
}

TEST(WorkerBus, what_is_too_long_or_from_a_forked_process_is_refused) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    EXPECT_THROW(one.bus.publish("x", std::string(Bus::longest_bytes, 'x')), std::length_error);
    one.bus.publish("x", std::string(Bus::longest_bytes - 1, 'x'));
    EXPECT_EQ(testing::in_child([&] {
                  one.bus.publish("news", "of a child");
                  return std::string{};
              }),
              "exception: Bus: what a handler has forked cannot publish");
}

TEST(WorkerBus, subscriptions_end_with_their_bus) {
    const BusMemory memory{::geteuid(), places};
    End one{memory, 0};
    const std::shared_ptr<WorkerBus> borrowed{std::shared_ptr<void>{}, &one.bus};
    Bus lasting{borrowed};
    std::string heard;
    {
        Bus bus{borrowed};
        bus.subscribe("news", [&](std::string_view text) { heard += text; });
        lasting.publish("news", "one ");
        (void)one.deliver();
    }
    lasting.publish("news", "two");
    (void)one.deliver();
    EXPECT_EQ(heard, "one ");
}

/// Each text is its number many times, of many sizes: half of one would not pass for a whole one.
std::string text_of(std::uint64_t number) {
    std::string text;
    for (std::uint64_t times = 0; times <= number % 40; ++times) text += std::to_string(number) + ' ';
    return text;
}

/// A number that a killed process leaves behind.
struct Left {
    Left()
        : number{*new (::mmap(nullptr, sizeof number, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                     std::atomic<std::uint64_t>{}} {}
    ~Left() { ::munmap(&number, sizeof number); }
    Left(const Left&) = delete;
    Left& operator=(const Left&) = delete;
    std::atomic<std::uint64_t>& number;
};

/// Killed at any instruction; `published` is the last number of which publish() has returned.
pid_t start_publisher(const BusMemory& memory, std::size_t place, std::uint64_t first,
                      std::atomic<std::uint64_t>& published) {
    return spawn([&] {
               ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nobody behind
               WorkerBus bus{memory.memory_fd(), copy_of(memory.wakeup_fd()), place};
               for (std::uint64_t number = first;; ++number) {
                   bus.publish("n", text_of(number));
                   published = number;
               }
               return 0;
           })
        .pid();
}

TEST(WorkerBus, workers_that_are_killed_at_any_instruction_lose_at_most_their_own_message) {
    const BusMemory memory{::geteuid(), places};
    End reader{memory, 0};
    std::map<std::uint64_t, std::uint64_t> last;  // by publisher: numbers of one begin with its millions
    std::uint64_t heard = 0;
    std::uint64_t lost = 0;
    std::string wrong;
    const auto hears = reader.bus.subscribe("n", [&](std::string_view text) {
        const std::uint64_t number = std::stoull(std::string{text});
        std::uint64_t& before = last[number / 100'000'000];
        if (text != text_of(number)) wrong = "half of two: " + std::string{text.substr(0, 40)};
        if (number <= before) wrong = std::to_string(number) + " after " + std::to_string(before);
        before = number;
        ++heard;
    });
    const auto hears_of_loss = reader.bus.subscribe_to_loss([&](std::uint64_t messages) { lost += messages; });
    std::mt19937 random{static_cast<unsigned>(::getpid())};
    const Left published_last;
    constexpr std::uint64_t killings = 60;
    for (std::uint64_t publisher = 1; publisher <= killings && wrong.empty(); ++publisher) {
        const std::size_t place = 1 + publisher % (places - 1);
        ASSERT_TRUE(memory.open_place(place));
        const std::uint64_t told_before = heard + lost;
        const std::uint64_t none = publisher * 100'000'000;
        published_last.number = none;
        const pid_t pid = start_publisher(memory, place, none + 1, published_last.number);
        const std::uint64_t enough = heard + random() % 3000 + 1;
        while (heard < enough && wrong.empty()) {
            ASSERT_TRUE(testing::comes(reader.bus.fd(), POLLIN));
            reader.bus.deliver(call);
        }
        ::kill(pid, SIGKILL);
        ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
        while (reader.bus.deliver(call)) {}
        const std::uint64_t published = published_last.number - none;
        const std::uint64_t told = heard + lost - told_before;
        EXPECT_GE(told, published) << "what was published before is not lost";
        EXPECT_LE(told, published + 1) << "it may have been killed on its way out of publish()";
    }
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(last.size(), killings) << "a ring whose writer was killed serves the next one";
    BusRings rings{memory.memory_fd()};
    std::uint64_t published = 0;
    for (std::size_t place = 0; place < places; ++place) published += rings[place].published;
    EXPECT_EQ(heard + lost, published) << "nothing is lost that nobody is told of";
}

}  // namespace
}  // namespace preforkd
