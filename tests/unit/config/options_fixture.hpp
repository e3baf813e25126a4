#pragma once
// A configuration file for one test, and what reading options comes to.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/config/options.hpp"

namespace preforkd {

using Texts = std::vector<std::string>;

/// A configuration file that is there for one test.
class TextFile {
public:
    explicit TextFile(const std::string& text) { std::ofstream{path_, std::ios::binary} << text; }
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;
    ~TextFile() { std::remove(path_.c_str()); }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    // Several test programs may run at once.
    std::string path_ = testing::TempDir() + "preforkd." + std::to_string(std::random_device{}()) + ".conf";
};

inline Settings settings_of(const Texts& arguments, const Texts& environment = {}) {
    return read_options(arguments, environment).settings;
}

struct Refusal {
    std::string sentence{};
    ExitCode code = ExitCode::Ok;
};

inline Refusal refusal(const Texts& arguments, const Texts& environment = {}) {
    try {
        static_cast<void>(read_options(arguments, environment));
        return {};
    } catch (const OperatorError& error) {
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        EXPECT_LT(std::string_view{error.what()}.size(), 700u);
        return {.sentence = error.what(), .code = error.code()};
    }
}

/// The same of a file of that text, which is FILE in the sentence.
inline Refusal file_refusal(const std::string& text, Texts arguments = {}) {
    const TextFile file{text};
    arguments.insert(arguments.begin(), {"-C", file.path()});
    Refusal refused = refusal(arguments);
    const auto at = refused.sentence.find(file.path());
    if (at != std::string::npos) refused.sentence.replace(at, file.path().size(), "FILE");
    return refused;
}

}  // namespace preforkd
