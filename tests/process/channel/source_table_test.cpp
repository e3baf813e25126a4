#include "common/channel/source_table.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/listen_settings.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::end_of;
using testing::killed;

/// Sources that all belong into one set of the table, so that they take each other's rows.
std::vector<Source> sources_of_one_set(const SourceTable& table, std::size_t how_many) {
    std::vector<Source> found;
    for (std::uint32_t number = 0; found.size() < how_many; ++number)
        if (const Source source = source_of(ipv4_host(number), {});
            hash_of(source, table.cells().key()) % source_layout::sets == 7)
            found.push_back(source);
    return found;
}

/// How many really have a client of each source: kept by the kernel, which takes back what a killed process holds.
class Truth {
public:
    Truth(std::size_t sources, int limit)
        : semaphores_{check(::semget(IPC_PRIVATE, static_cast<int>(sources), 0600), "make semaphores")} {
        for (std::size_t source = 0; source < sources; ++source)
            check(::semctl(semaphores_, static_cast<int>(source), SETVAL, limit), "set a semaphore");
    }
    ~Truth() { ::semctl(semaphores_, 0, IPC_RMID); }
    Truth(const Truth&) = delete;
    Truth& operator=(const Truth&) = delete;

    /// False: there would be more than the limit.
    [[nodiscard]] bool enter(std::size_t source) const { return change(source, -1); }
    void leave(std::size_t source) const { (void)change(source, 1); }

private:
    [[nodiscard]] bool change(std::size_t source, short by) const {
        sembuf how{.sem_num = static_cast<unsigned short>(source), .sem_op = by, .sem_flg = IPC_NOWAIT | SEM_UNDO};
        return ::semop(semaphores_, &how, 1) == 0;
    }
    int semaphores_;
};

/// What a child says, in memory that it shares with the test.
struct Shared {
    std::atomic<std::uint64_t> admitted{};
    std::atomic<std::uint64_t> refused{};
};

template <class T>
T& in_shared_memory() {
    void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc{};
    return *new (memory) T{};
}

struct Arena {
    const SourceTable& table;
    const Truth& truth;
    std::vector<Source> sources;
    SourceQuota quota;
};

/// Processes that are not left behind, whatever is found.
struct Children {
    std::vector<ChildProcess> all{};
    Children() = default;
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children() {
        for (const ChildProcess& child : all) child.signal(SIGKILL);
    }
};

constexpr int over_the_limit = 9;

/// Enters and leaves for ever, until it is killed; or until it finds that too many have entered.
int come_and_go(const Arena& arena, SourceCells::Column column, Shared& shared) {
    std::minstd_rand random{static_cast<std::uint32_t>(::getpid())};
    const SourceCells& cells = arena.table.cells();
    for (;;) {
        const std::size_t which = random() % arena.sources.size();
        const auto entered = cells.enter(column, arena.sources[which], arena.quota, std::chrono::hours{1});
        if (entered.refused) {
            shared.refused.fetch_add(1);
            continue;
        }
        if (entered.row == SourceCells::no_row) continue;  // the set was full: nobody counts it
        if (!arena.truth.enter(which)) return over_the_limit;
        shared.admitted.fetch_add(1);
        if (random() % 4 == 0) ::sched_yield();
        arena.truth.leave(which);
        cells.leave(column, entered.row);
    }
}

/// Not before the child has gone on for a while, at whatever instruction it is then.
bool goes_on(const ChildProcess& child, const Shared& shared, std::uint64_t for_so_many) {
    for (const std::uint64_t until = shared.admitted + shared.refused + for_so_many;
         shared.admitted + shared.refused < until; ::sched_yield())
        if (testing::is_readable(child.pidfd())) return false;
    return true;
}

TEST(SourceTable, a_limit_is_exact_whoever_is_killed_when_and_no_count_is_left_behind) {
    constexpr std::uint32_t limit = 2;
    constexpr std::size_t workers = 5;
    constexpr int kills = 300;
    const SourceTable table;
    const Truth truth{12, limit};
    const Arena arena{
        .table = table, .truth = truth, .sources = sources_of_one_set(table, 12), .quota = {.at_once = limit}};
    std::array<Shared*, workers> shared{};
    Children children;
    const auto start = [&](SourceCells::Column column) {
        return spawn([&, column] { return come_and_go(arena, column, *shared.at(column)); });
    };
    for (SourceCells::Column column = 0; column < workers; ++column) {
        shared.at(column) = &in_shared_memory<Shared>();
        table.cells().open_column(column);
        children.all.push_back(start(column));
    }
    std::mt19937 random{std::random_device{}()};
    for (int kill = 0; kill < kills; ++kill) {
        const auto column = static_cast<SourceCells::Column>(random() % workers);
        ASSERT_TRUE(goes_on(children.all[column], *shared.at(column), random() % 500)) << "more than the limit";
        children.all[column].signal(SIGKILL);
        ASSERT_EQ(end_of(children.all[column]), killed(SIGKILL)) << "more than the limit";
        table.cells().clear_column(column);
        children.all[column] = start(column);
    }
    std::uint64_t refused = 0;
    for (SourceCells::Column column = 0; column < workers; ++column) {
        children.all[column].signal(SIGKILL);
        ASSERT_EQ(end_of(children.all[column]), killed(SIGKILL)) << "more than the limit";
        table.cells().clear_column(column);
        refused += shared.at(column)->refused;
    }
    EXPECT_GT(refused, 0u) << "nobody was ever at the limit";
    for (const ListedSource& each : table.cells().top_sources(20)) EXPECT_EQ(each.at_once, 0u);
    for (const Source& source : arena.sources)
        EXPECT_FALSE(table.cells().enter(0, source, {.at_once = 1}, std::chrono::hours{1}).refused);
}

TEST(SourceTable, of_two_who_meet_at_the_last_place_one_has_it) {
    SourceTable table;
    constexpr int rounds = 20'000;
    for (const SourceCells::Column column : {0u, 1u}) table.cells().open_column(column);
    const Source source = source_of_user(1);
    std::array<std::uint32_t, 2> rows{};
    std::barrier together{2};
    const auto worker = [&](SourceCells::Column column) {
        int wrong = 0;
        for (int round = 0; round < rounds; ++round) {
            together.arrive_and_wait();
            const auto entered = table.cells().enter(column, source, {.at_once = 1}, std::chrono::hours{1});
            rows.at(column) = entered.row;
            together.arrive_and_wait();
            const bool other_has_it = rows.at(1 - column) != SourceCells::no_row;
            if (other_has_it == (entered.row != SourceCells::no_row)) ++wrong;
            together.arrive_and_wait();
            table.cells().leave(column, entered.row);
        }
        return wrong;
    };
    int wrong_beside = 0;
    std::thread beside{[&] { wrong_beside = worker(1); }};
    EXPECT_EQ(worker(0), 0);
    beside.join();
    EXPECT_EQ(wrong_beside, 0);
}

/// A worker that has been kept from the processor while it brings a source in finds that another has done so.
TEST(SourceTable, of_those_who_bring_in_a_new_source_together_none_gives_back_what_it_has_spent) {
    SourceTable table;
    constexpr SourceCells::Column workers = 8;
    constexpr std::uint32_t rounds = 10'000;
    constexpr SourceQuota quota{.per_second = 3, .burst = 6};
    for (SourceCells::Column column = 0; column < workers; ++column) table.cells().open_column(column);
    std::vector<std::atomic<unsigned>> served(rounds);
    std::barrier together{std::ptrdiff_t{workers}};
    const auto worker = [&](SourceCells::Column column) {
        for (std::uint32_t round = 0; round < rounds; ++round) {
            together.arrive_and_wait();
            const Source source = source_of_user(round + 1);
            const auto now =
                std::chrono::hours{1} + std::chrono::milliseconds{round};  // no two have spent until one ns
            for (std::uint32_t times = 0; times < quota.burst; ++times)
                if (!table.cells().spend(column, source, quota, now)) ++served[round];
        }
    };
    std::vector<std::thread> beside;
    for (SourceCells::Column column = 1; column < workers; ++column) beside.emplace_back(worker, column);
    worker(0);
    for (std::thread& each : beside) each.join();
    for (const auto& each : served) EXPECT_EQ(each, quota.burst);
}

TEST(SourceTable, another_image_goes_on_with_its_counts) {
    const SourceTable table;
    table.cells().open_column(3);
    EXPECT_FALSE(table.cells().enter(3, source_of_user(1), {.at_once = 1}, std::chrono::hours{1}).refused);
    const SourceTable adopted{UniqueFd{::fcntl(table.memory_fd(), F_DUPFD_CLOEXEC, 3)}};
    adopted.cells().open_column(4);
    EXPECT_TRUE(adopted.cells().enter(4, source_of_user(1), {.at_once = 1}, std::chrono::hours{1}).refused);
    adopted.cells().clear_column(3);
    EXPECT_FALSE(adopted.cells().enter(4, source_of_user(1), {.at_once = 1}, std::chrono::hours{1}).refused);
}

TEST(SourceTable, whom_tables_have_refused_that_are_gone_is_not_forgotten) {
    Listener listener;
    listener.settings.limits.rate = 1;
    make_sources(listener);
    const auto leaving = listener.sources;  // of workers that finish what they serve
    leaving->cells().note_refusal(RefusalReason::Rate);
    listener.settings.limits = {};
    make_sources(listener);
    EXPECT_EQ(listener.sources, nullptr);
    listener.settings.limits.max = 1;
    make_sources(listener);
    listener.sources->cells().note_refusal(RefusalReason::Denied);
    leaving->cells().note_refusal(RefusalReason::Rate);
    EXPECT_EQ(listener.refused->sum(), (RefusalTotals::Counts{1, 0, 2}));
    const Listener next = duplicate({.fd = UniqueFd{::fcntl(0, F_DUPFD_CLOEXEC, 3)}, .refused = listener.refused});
    listener = {};
    EXPECT_EQ(next.refused->sum(), (RefusalTotals::Counts{1, 0, 2}));
}

TEST(SourceTable, another_image_adds_to_what_that_of_before_had_refused) {
    Listener listener;
    listener.settings.limits.rate = 1;
    listener.refused = std::make_shared<RefusalTotals>(RefusalTotals::Counts{10, 0, 0});
    make_sources(listener);
    listener.sources->cells().note_refusal(RefusalReason::Denied);
    EXPECT_EQ(listener.refused->sum()[0], 11u);
}

TEST(SourceTable, what_is_no_table_of_this_version_is_not_adopted) {
    UniqueFd small{check(::memfd_create("other", MFD_CLOEXEC), "memfd")};
    EXPECT_THROW(SourceTable{std::move(small)}, std::runtime_error);
    UniqueFd empty{check(::memfd_create("other", MFD_CLOEXEC), "memfd")};
    check(::ftruncate(empty.get(), static_cast<off_t>(SourceCells::size_words() * 8)), "size");
    EXPECT_THROW(SourceTable{std::move(empty)}, std::runtime_error);
}

TEST(SourceTable, its_size_is_nobodys_to_change) {
    const SourceTable table;
    EXPECT_EQ(::ftruncate(table.memory_fd(), 0), -1);
    EXPECT_EQ(errno, EPERM);
}

TEST(SourceTable, what_is_forked_after_the_worker_has_it_not) {
    const SourceTable table;
    const auto mapped = []() -> std::string {
        std::ifstream maps{"/proc/self/maps"};
        for (std::string line; std::getline(maps, line);)
            if (line.find("preforkd-sources") != std::string::npos) return "mapped";
        return "none";
    };
    EXPECT_EQ(testing::in_child(mapped), "mapped");
    table.keep_from_children();
    EXPECT_EQ(testing::in_child(mapped), "none");
}

TEST(SourceTable, a_listener_has_one_if_its_clients_can_be_refused_or_are_counted) {
    Listener listener;
    make_sources(listener);
    EXPECT_EQ(listener.sources, nullptr);
    listener.settings.limits.max = 1;
    make_sources(listener);
    ASSERT_NE(listener.sources, nullptr);
    const auto before = listener.sources;
    listener.settings.limits = {.rate = 3};
    make_sources(listener);
    EXPECT_EQ(listener.sources, before);
    listener.settings.limits = {.rate = 0};
    make_sources(listener);
    EXPECT_EQ(listener.sources, nullptr);
    listener.settings.deny = parse_access_list("192.0.2.1");
    make_sources(listener);
    EXPECT_NE(listener.sources, nullptr);
}

TEST(SourceTable, what_a_source_may_have_is_what_the_keys_say_or_over_udp_the_handler) {
    const auto quota = [](const char* text, std::uint32_t replies = 0) {
        Listener listener{.settings = parse_listen(text), .replies_per_source = replies};
        listener.local = listener.settings.endpoint;
        return quota_of(listener);
    };
    EXPECT_EQ(quota("tcp://:7 per-source=3 rate=4/s"), (SourceQuota{.at_once = 3, .per_second = 4}));
    EXPECT_EQ(quota("tcp://:7", 1000), SourceQuota{});
    EXPECT_EQ(quota("udp://:7", 1000), (SourceQuota{.per_second = 1000, .burst = 2000}));
    EXPECT_EQ(quota("udp://:7 per-source=3 rate=4/s", 1000), (SourceQuota{.at_once = 3, .per_second = 4}));
    EXPECT_EQ(quota("udp://:7 rate=off", 1000), SourceQuota{});
    EXPECT_EQ(quota("unixgram:///x", 1000), SourceQuota{}) << "nobody can forge a Unix sender";
    EXPECT_EQ(replies_per_source(parse_listen("udp://:7"), true), 1000u);
    EXPECT_EQ(replies_per_source(parse_listen("udp://:7"), false), 0u);
    EXPECT_EQ(replies_per_source(parse_listen("udp://:7 replies-per-source=off"), true), 0u);
    EXPECT_EQ(replies_per_source(parse_listen("udp://:7 replies-per-source=5/s"), false), 5u);
}

}  // namespace
}  // namespace preforkd
