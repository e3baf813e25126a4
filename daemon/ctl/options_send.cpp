#include "daemon/ctl/options_send.hpp"

#include <boost/program_options.hpp>

#include <stdexcept>

#include "common/units.hpp"

namespace preforkd {

namespace po = boost::program_options;

SendRequest read_send_options(const std::vector<std::string>& arguments) {
    po::options_description options;
    options.add_options()("endpoint", po::value<std::string>())("text", po::value<std::string>())(
        "expect", po::value<std::string>())("timeout", po::value<std::string>());
    po::positional_options_description positions;
    positions.add("endpoint", 1).add("text", 1);

    po::variables_map values;
    try {
        const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        po::store(po::command_line_parser{arguments}.options(options).positional(positions).style(style).run(), values);
    } catch (const po::error& error) { throw std::invalid_argument{error.what()}; }

    SendRequest request;
    if (values.count("endpoint") == 0)
        throw std::invalid_argument{"send: name an endpoint, such as tcp://localhost:10000"};
    request.endpoint = parse_endpoint(values["endpoint"].as<std::string>());
    if (request.endpoint.transport != Transport::Tcp && request.endpoint.transport != Transport::Unix)
        throw std::invalid_argument{"send: only tcp:// and unix:// endpoints can be talked to"};
    if (request.endpoint.transport == Transport::Tcp && request.endpoint.port == 0)
        throw std::invalid_argument{"send: port 0 is nobody's; name the port"};
    if (values.count("text") != 0) request.text = values["text"].as<std::string>();
    if (values.count("expect") != 0) request.expect = values["expect"].as<std::string>();
    if (values.count("timeout") != 0) {
        const auto timeout = parse_duration(values["timeout"].as<std::string>());
        if (!timeout) throw std::invalid_argument{"--timeout: expected a duration such as 500ms or 5s"};
        request.timeout = *timeout;
    }
    return request;
}

}  // namespace preforkd
