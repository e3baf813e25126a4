#include "daemon/ctl/options.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <stdexcept>

#include "common/base/quoted.hpp"
#include "common/config/control_endpoint.hpp"

namespace preforkd {
namespace {

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument{sentence}; }

bool is_endpoint(const std::string& word) {
    try {
        (void)parse_endpoint(word);
        return true;
    } catch (const std::invalid_argument&) { return false; }
}

void read_words(SendRequest& request, const std::vector<std::string>& words) {
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
    if (request.expect && request.expect->empty())
        refuse("--expect: is empty, which every answer contains; name a text, or leave it");
    if (request.no_reply && !is_datagram(transport))
        refuse(fmt::format("--no-reply: is for udp and unixgram; the answer of {} ends by itself",
                           to_string(request.endpoint)));
    if (request.no_reply && request.expect) refuse("--no-reply: contradicts --expect; keep one");
}

Endpoint read_control(const std::string& text) {
    try {
        return parse_control_endpoint(text);
    } catch (const std::invalid_argument& error) { refuse(fmt::format("--control: {}", error.what())); }
}

/// Those whose outcome takes as long as workers take to start and clients to finish.
bool takes_its_time(ControlCommand command) {
    using enum ControlCommand;
    return command == Reload || command == Upgrade || command == Stop;
}

}  // namespace

SendRequest read_send_request(const CommandLine& line) {
    SendRequest request{
        .expect = line.value("expect"), .no_reply = line.has("no-reply"), .verbose = line.has("verbose")};
    if (const auto timeout = line.value("timeout")) request.timeout = read_ctl_timeout(*timeout);
    read_words(request, line.words);
    check(request);
    return request;
}

ControlOrder read_control_order(const CommandLine& line) {
    // The words are what the daemon understands, too.
    ControlOrder order{
        .request = parse_control_request(fmt::format("{} {}", line.command->name, fmt::join(line.words, " "))),
        .json = line.has("json"),
        .watch = line.has("watch")};
    if (line.has("force")) order.request.force = true;
    if (takes_its_time(order.request.command)) order.timeout = std::chrono::minutes{5};
    if (const auto timeout = line.value("timeout")) order.timeout = read_ctl_timeout(*timeout);
    if (const auto control = line.value("control")) order.control = read_control(*control);
    order.instance = line.value("instance");
    if (order.control && order.instance) refuse("--instance: contradicts --control; keep one");
    return order;
}

}  // namespace preforkd
