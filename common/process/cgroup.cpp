#include "common/process/cgroup.hpp"

#include <fstream>
#include <string>
#include <utility>

namespace preforkd {

std::vector<Cgroup> cgroups_of(std::string_view controller, std::istream& membership) {
    const std::filesystem::path root{"/sys/fs/cgroup"};
    const std::string wanted = ',' + std::string{controller} + ',';
    std::vector<Cgroup> groups;
    for (std::string line; std::getline(membership, line);) {  // `ID:CONTROLLERS:PATH`; v2 is `0::PATH`, and the last
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
        Cgroup group{.v2 = controllers == ",,"};
        if (!group.v2 && controllers.find(wanted) == std::string::npos) continue;
        const std::filesystem::path mount = group.v2 ? root : root / controller;
        for (std::filesystem::path path{line.substr(second + 1)};; path = path.parent_path()) {
            group.directories.push_back(mount / path.relative_path());
            if (!path.has_relative_path()) break;
        }
        groups.push_back(std::move(group));
    }
    return groups;
}

std::vector<Cgroup> own_cgroups(std::string_view controller) {
    std::ifstream membership{"/proc/self/cgroup"};
    return cgroups_of(controller, membership);
}

}  // namespace preforkd
