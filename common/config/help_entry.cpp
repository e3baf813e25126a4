#include "common/config/help_entry.hpp"

#include "common/base/take_until.hpp"

namespace preforkd {

void append_help_entry(std::string& help, const std::string& left, std::string_view text, HelpColumns columns) {
    std::string line = left;
    if (!left.empty() && line.size() + 2 > columns.text) {
        help += line + '\n';
        line.clear();
    }
    line.resize(columns.text, ' ');
    while (!text.empty()) {
        const std::string_view word = take_until(text, ' ');
        if (line.size() + 1 + word.size() > columns.width) {
            help += line + '\n';
            line.assign(columns.text, ' ');
        }
        if (!line.empty() && line.back() != ' ') line += ' ';
        line += word;
    }
    help += line + '\n';
}

}  // namespace preforkd
