#include "common/config/listen_section.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

#include "common/base/quoted.hpp"
#include "common/config/command_words.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

Origin origin_at(const ConfigLine& line) { return {.kind = Origin::Kind::File, .place = line.place}; }

template <class Read>
auto read_at(const Origin& origin, const Read& read) {
    try {
        return read();
    } catch (const std::invalid_argument& error) { blame(origin, "listen", error.what()); }
}

/// As many write it who know --listen.
void refuse_keys_in(std::string_view head) {
    const std::size_t blank = head.find_first_of(" \t");
    const std::size_t key = head.find_first_not_of(" \t", blank);
    if (blank == head.npos || key == head.npos) return;
    const std::string_view first = head.substr(key, head.find_first_of(" \t", key) - key);
    throw std::invalid_argument{
        fmt::format("in brackets stands the endpoint alone: write [{}], and {} in a line below it",
                    printable(head.substr(0, blank)), in_quotes(first))};
}

/// nullptr: it is none.
const ListenKey* key_called(std::string_view name) {
    const auto found = std::ranges::find(listen_keys(), name, &ListenKey::name);
    return found == listen_keys().end() ? nullptr : &*found;
}

}  // namespace

ListenSection::ListenSection(const ConfigLine& head)
    : origin_{origin_at(head)}, text_{head.name}, reader_{read_at(origin_, [&] {
          refuse_keys_in(head.name);
          return ListenReader{head.name};
      })} {}

void ListenSection::read(const ConfigLine& line) {
    const ListenKey* const key = key_called(line.name);
    const std::string value = key != nullptr && key->plain_in_section ? percent_encoded(line.value) : line.value;
    read_at(origin_at(line), [&] {
        if (find_option(line.name) != nullptr && key == nullptr)
            throw std::invalid_argument{
                fmt::format("{} is no key of an endpoint; it belongs above the first section", line.name)};
        reader_.read(line.name, value);
    });
    text_ += fmt::format(" {}={}", line.name, value);
}

std::string ListenSection::finish() const {
    read_at(origin_, [&] { (void)reader_.finish(); });
    return text_;
}

}  // namespace preforkd
