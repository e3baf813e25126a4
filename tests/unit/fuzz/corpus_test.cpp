// What `./dev fuzz` starts from, and every input that it has found a fault with: all of it must be survived.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/fuzz/targets.hpp"

namespace preforkd {
namespace {

namespace fs = std::filesystem;

const fs::path corpus = PREFORKD_FUZZ_CORPUS;

std::string bytes_of(const fs::path& file) {
    std::ifstream stream{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{stream}, {}};
}

TEST(FuzzCorpus, every_input_is_survived) {
    for (const fuzz::Target& target : fuzz::targets()) {
        int inputs = 0;
        for (const fs::directory_entry& input : fs::directory_iterator{corpus / target.name}) {
            SCOPED_TRACE(input.path());
            EXPECT_NO_THROW(target.read(bytes_of(input.path())));
            ++inputs;
        }
        EXPECT_GT(inputs, 0) << target.name;
    }
}

TEST(FuzzCorpus, every_directory_of_it_is_a_target_s) {
    std::set<std::string> names;
    for (const fuzz::Target& target : fuzz::targets()) names.emplace(target.name);
    for (const fs::directory_entry& directory : fs::directory_iterator{corpus})
        EXPECT_TRUE(names.contains(directory.path().filename())) << directory.path();
}

TEST(FuzzCorpus, junk_is_refused_by_each_in_its_own_way) {
    for (const fuzz::Target& target : fuzz::targets())
        EXPECT_NO_THROW(target.read({"\xff\0{\n[\x1b", 6})) << target.name;
}

}  // namespace
}  // namespace preforkd
