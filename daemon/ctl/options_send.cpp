#include "daemon/ctl/options_send.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <stdexcept>

#include "common/nearest_name.hpp"
#include "common/quoted.hpp"
#include "common/units.hpp"

namespace preforkd {
namespace {

namespace po = boost::program_options;
using Texts = std::vector<std::string>;

constexpr std::array<std::string_view, 4> option_names{"expect", "timeout", "no-reply", "verbose"};

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument{sentence}; }

bool is_option(std::string_view word) {
    return word.starts_with("--") && std::ranges::count(option_names, word.substr(2, word.find('=') - 2)) != 0;
}

[[noreturn]] void refuse_unknown(const std::string& word) {
    const std::string shown = word.substr(0, word.find('='));
    const std::string_view name = std::string_view{shown}.substr(std::min(shown.find_first_not_of('-'), shown.size()));
    const auto same_letter = std::ranges::find_if(
        option_names, [&](std::string_view each) { return name.size() == 1 && each.starts_with(name); });
    const auto nearest = same_letter != option_names.end() ? *same_letter : nearest_name(name, option_names);
    if (nearest) refuse(fmt::format("unknown option {}; did you mean --{}?", in_quotes(shown), *nearest));
    refuse(fmt::format("unknown option {}; a TEXT that begins with - stands behind --: send ENDPOINT -- TEXT",
                       in_quotes(shown)));
}

po::options_description describe_options() {
    po::options_description description;
    description.add_options()("expect", po::value<Texts>())("timeout", po::value<Texts>())(
        "no-reply", new po::untyped_value(true))("verbose", new po::untyped_value(true));
    return description;
}

/// `po::options_description` and its messages are for programs; this refuses in our words.
std::vector<po::option> split(const Texts& arguments) {
    using namespace po::command_line_style;
    const po::options_description description = describe_options();
    try {
        po::command_line_parser parser{arguments};
        return parser.options(description)
            .style(unix_style & ~allow_guessing & ~allow_sticky)
            .allow_unregistered()
            .run()
            .options;
    } catch (const po::invalid_command_line_syntax& error) {
        const std::string name = error.get_option_name();
        if (name == "--no-reply" || name == "--verbose") refuse(fmt::format("{0}: takes no value; write {0}", name));
        refuse(fmt::format("{0}: has no value; write {0} {1}", name, name == "--timeout" ? "5s" : "TEXT"));
    }
}

std::chrono::milliseconds read_timeout(const std::string& text) {
    const auto timeout = parse_duration(text);
    if (!timeout)
        refuse(fmt::format("--timeout: {} is no duration; expected such as 500ms, 5s or 1m30s, 0 is for ever",
                           in_quotes(text)));
    return *timeout;
}

void read_option(SendRequest& request, const po::option& option) {
    const std::string& name = option.string_key;
    const Texts& tokens = option.original_tokens;
    if (tokens.size() == 2 && is_option(tokens[1]))
        refuse(fmt::format("--{0}: has no value, {1} is an option; if it is meant: --{0}={1}", name, tokens[1]));
    if (name == "no-reply") request.no_reply = true;
    if (name == "verbose") request.verbose = true;
    if (name == "timeout") request.timeout = read_timeout(option.value.at(0));
    if (name != "expect") return;
    if (option.value.at(0).empty()) refuse("--expect: is empty, which every answer contains; name a text, or leave it");
    request.expect = option.value.at(0);
}

bool is_endpoint(const std::string& word) {
    try {
        (void)parse_endpoint(word);
        return true;
    } catch (const std::invalid_argument&) { return false; }
}

void read_words(SendRequest& request, const Texts& words) {
    if (words.empty()) refuse("send: name an endpoint, such as tcp://localhost:10000");
    if (words.size() > 2)
        refuse(fmt::format("send: {} is one word too many; quote a TEXT of several words", in_quotes(words[2])));
    if (words.size() == 2 && !is_endpoint(words[0]) && is_endpoint(words[1]))
        refuse("send: the endpoint stands before the text: send ENDPOINT TEXT");
    request.endpoint = parse_endpoint(words[0]);
    if (words.size() == 2) request.text = words[1];
    if (request.text == "-") request.text = std::nullopt;
}

void check(const SendRequest& request) {
    const Transport transport = request.endpoint.transport;
    if (transport == Transport::Passed)
        refuse("send: fd:// is a socket that systemd passes to a server; name its tcp, udp, unix or unixgram endpoint");
    if ((transport == Transport::Tcp || transport == Transport::Udp) && request.endpoint.port == 0)
        refuse("send: port 0 is nobody's; name the port, which the server's log tells");
    if (request.no_reply && !is_datagram(transport))
        refuse(fmt::format("--no-reply: is for udp and unixgram; the answer of {} ends by itself",
                           to_string(request.endpoint)));
    if (request.no_reply && request.expect) refuse("--no-reply: contradicts --expect; keep one");
}

}  // namespace

SendRequest read_send_options(const Texts& arguments) {
    SendRequest request;
    Texts words;
    Texts seen;
    for (const po::option& option : split(arguments)) {
        if (option.unregistered) refuse_unknown(option.original_tokens.front());
        if (option.position_key != -1) {
            words.push_back(option.value.at(0));
            continue;
        }
        if (std::ranges::count(seen, option.string_key) != 0)
            refuse(fmt::format("--{}: given twice; keep one", option.string_key));
        seen.push_back(option.string_key);
        read_option(request, option);
    }
    read_words(request, words);
    check(request);
    return request;
}

}  // namespace preforkd
