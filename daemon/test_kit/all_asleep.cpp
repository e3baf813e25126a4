#include "daemon/test_kit/all_asleep.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "daemon/test_kit/virtual_clock.hpp"

namespace preforkd::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct TaskState {
    std::string state{};
    std::string parent{};
};

/// Empty: it is gone.
TaskState state_of(const fs::path& task) {
    std::ifstream file{task / "stat"};
    std::string stat;
    std::getline(file, stat, '\0');
    std::istringstream behind_the_name{stat.erase(0, stat.rfind(')') + 1)};
    TaskState read;
    behind_the_name >> read.state >> read.parent;
    return read;
}

/// All threads but the calling one.
bool is_asleep(const fs::path& process) {
    const std::string caller = std::to_string(::gettid());
    std::error_code gone;  // a thread that ends meanwhile
    for (const fs::directory_entry& task : fs::directory_iterator{process / "task", gone}) {
        if (task.path().filename() == caller) continue;
        const std::string state = state_of(task.path()).state;
        if (state == "R" || state == "D") return false;
    }
    return true;
}

/// This one, its children, and theirs.
std::vector<std::string> own_processes() {
    std::multimap<std::string, std::string> children;  // by parent
    std::error_code gone;
    for (const fs::directory_entry& each : fs::directory_iterator{"/proc", gone}) {
        const std::string pid = each.path().filename();
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        if (const TaskState read = state_of(each.path()); !read.parent.empty() && read.state != "Z")
            children.emplace(read.parent, pid);
    }
    std::vector<std::string> own{std::to_string(::getpid())};
    for (std::size_t index = 0; index < own.size(); ++index) {
        const auto [begin, end] = children.equal_range(own[index]);
        std::transform(begin, end, std::back_inserter(own), [](const auto& child) { return child.second; });
    }
    return own;
}

}  // namespace

/// Whoever is given something to do runs from then on.  So if all slept in two looks, and nobody's wait has ended
/// since, there is nothing left to do.
void wait_until_all_sleep() {
    const auto until = Clock::now() + 10s;
    for (int looks = 0; looks < 2;) {
        const std::uint64_t before = ended_waits();
        const std::vector<std::string> own = own_processes();
        const bool all = std::ranges::all_of(own, [](const auto& pid) { return is_asleep(fs::path{"/proc"} / pid); });
        looks = all && ended_waits() == before ? looks + 1 : 0;
        if (Clock::now() > until)
            throw std::runtime_error{"preforkd::test: a thread or child of the test ran for 10 s without a rest"};
        if (looks == 0) ::sched_yield();
    }
}

}  // namespace preforkd::test
