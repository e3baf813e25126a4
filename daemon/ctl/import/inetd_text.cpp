#include "daemon/ctl/import/inetd_text.hpp"

#include <fmt/core.h>

#include <cstddef>

#include "common/base/quoted.hpp"
#include "common/base/take_until.hpp"
#include "common/config/option_values.hpp"
#include "daemon/ctl/import/old_words.hpp"

namespace preforkd {
namespace {

constexpr std::string_view switched_off = "#<off>#";

class InetdReader {
public:
    InetdReader(std::string_view text, std::string_view file) : rest_{text}, file_{file} {}

    OldText read() {
        for (int number = 1; !rest_.empty(); ++number) {
            place_ = fmt::format("{}:{}", file_, number);
            std::string line{take_until(rest_, '\n')};
            for (; line[0] != '#' && !rest_.empty() && word_blanks.find(rest_.front()) != word_blanks.npos; ++number)
                line.append(1, ' ').append(take_until(rest_, '\n'));
            read_line(line);
        }
        return std::move(text_);
    }

private:
    void remark(std::string sentence) { text_.remarks.push_back({place_, std::move(sentence)}); }

    void read_line(std::string_view line) {
        const bool is_off = line.starts_with(switched_off);
        if (is_off) line.remove_prefix(switched_off.size());
        if (!is_off && line.starts_with('#')) return;
        const std::vector<std::string> words = words_of_line(line);
        if (words.empty()) return;
        if (words.size() == 1 && words[0].ends_with(':')) {
            hosts_ = words[0].substr(0, words[0].size() - 1);
            return;
        }
        constexpr std::size_t program = 5;
        if (words.size() <= program)
            return remark(fmt::format("expected SERVICE TYPE PROTOCOL wait|nowait USER PROGRAM [ARGUMENT...], not {}",
                                      in_quotes(line)));
        read_service(words, is_off);
    }

    void read_service(const std::vector<std::string>& words, bool is_off) {
        const std::size_t colon = words[2].starts_with("unix") ? words[0].npos : words[0].rfind(':');
        const std::string hosts = colon == words[0].npos ? hosts_ : words[0].substr(0, colon);
        for (const std::string_view host : split_at_commas(hosts)) {
            entry_ = {.kind = OldEntry::Kind::InetdService,
                      .name = colon == words[0].npos ? words[0] : words[0].substr(colon + 1),
                      .place = place_};
            if (is_off) say("disable", {"yes"});
            say("socket_type", {words[1]});
            read_protocol(words[2]);
            read_wait(words[3]);
            read_user(words[4]);
            if (host != "*") say("bind", {std::string{host}});
            read_program({words.begin() + 5, words.end()});
            text_.entries.push_back(entry_);
        }
    }

    void say(std::string_view name, std::vector<std::string> values) {
        entry_.attributes.push_back({.name = std::string{name}, .values = std::move(values), .place = place_});
    }

    /// `tcp6,rcvbuf=64k`
    void read_protocol(std::string_view text) {
        std::string_view protocol = take_until(text, ',');
        if (protocol.starts_with("rpc/")) {
            say("type", {"RPC"});
            protocol.remove_prefix(4);
        } else if (entry_.name.starts_with("tcpmux/")) {
            say("type", {"TCPMUX"});
        }
        for (const std::string_view ending : {"46", "4", "6", "6only"})
            if (protocol == fmt::format("tcp{}", ending) || protocol == fmt::format("udp{}", ending)) {
                say(family_attribute, {std::string{ending.substr(0, ending.find('o'))}});
                protocol = protocol.substr(0, 3);
                break;
            }
        say("protocol", {std::string{protocol}});
        while (!text.empty()) {
            std::string_view value = take_until(text, ',');
            const std::string_view name = take_until(value, '=');
            say(name == "rcvbuf" ? receive_buffer_attribute : name, {std::string{value}});
        }
    }

    void read_wait(std::string_view text) {
        const std::string_view word = take_until(text, '.');
        say("wait", {word == "wait" ? "yes" : word == "nowait" ? "no" : std::string{word}});
        if (!text.empty()) say(invocations_attribute, {std::string{text}});
    }

    /// A name may have dots of its own; a colon is no part of one.
    void read_user(const std::string& text) {
        const std::size_t colon = text.find(':');
        const std::size_t end = colon == text.npos ? text.rfind('.') : colon;
        say("user", {text.substr(0, end)});
        if (end != text.npos) say("group", {text.substr(end + 1)});
        say("groups", {"yes"});
    }

    void read_program(std::vector<std::string> words) {
        if (words[0] == "internal") return say("type", {"INTERNAL"});
        say("server", {words[0]});
        words.erase(words.begin());
        if (words.empty()) return;
        say("flags", {"NAMEINARGS"});
        say("server_args", std::move(words));
    }

    std::string_view rest_;
    std::string_view file_;
    std::string place_{};
    std::string hosts_ = "*";
    OldEntry entry_{};
    OldText text_{};
};

}  // namespace

OldText parse_inetd(std::string_view text, std::string_view file) { return InetdReader{text, file}.read(); }

}  // namespace preforkd
