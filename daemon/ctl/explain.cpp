#include "daemon/ctl/explain.hpp"

#include <boost/json.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/json_fields.hpp"
#include "daemon/ctl/control_line.hpp"
#include "daemon/ctl/death_sentences.hpp"
#include "daemon/ctl/findings.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/several_daemons.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

struct Explanation {
    Looks looks{};
    std::vector<Finding> findings{};
    std::vector<ExplainedDeaths> deaths{};
};

/// Until the two are of one daemon: another one has counted nothing yet of what is asked.
Looks look_twice(ControlLine& line, std::chrono::milliseconds interval) {
    Looks looks{.now = ask_status(line)};
    do {
        const Clock::time_point began = Clock::now();
        looks.before = std::move(looks.now);
        line.pause(interval);
        looks.now = ask_status(line);
        looks.between = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    } while (!counts_on(looks.now, looks.before));
    return looks;
}

std::string text_of(const Explanation& told) {
    std::string text;
    if (!limits_now(told.findings)) text += unlimited_text(told.looks) + '\n';
    for (const Finding& each : told.findings) text += sentence_of(each) + '\n';
    for (const ExplainedDeaths& each : told.deaths) text += sentence_of(each) + '\n';
    return told.deaths.empty() ? text + "no worker has died\n" : text;
}

std::string json_of(const Explanation& told) {
    json::array findings;
    for (const Finding& each : told.findings)
        findings.push_back({{"harm", harm_names[static_cast<std::size_t>(each.harm)]},
                            {"listener", or_null(each.listener)},
                            {"limit", each.limit},
                            {"remedy", each.remedy}});
    json::array deaths;
    for (const ExplainedDeaths& each : told.deaths)
        deaths.push_back({{"pids", json::array(each.pids.begin(), each.pids.end())},
                          {"expected", each.expected},
                          {"death", each.death},
                          {"remedy", or_null(each.remedy)}});
    return json::serialize(json::object{{"limited", limits_now(told.findings)},
                                        {"between_ms", told.looks.between.count()},
                                        {"findings", std::move(findings)},
                                        {"deaths", std::move(deaths)}}) +
           '\n';
}

}  // namespace

bool explain(const ControlOrder& order) {
    ControlLine line{the_daemon_of(order), order.timeout};
    Explanation told{.looks = look_twice(line, order.interval)};
    told.deaths = explained(ask_deaths(line));
    told.findings = findings_of(told.looks, std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
    print(harmless(order.json ? json_of(told) : text_of(told), order.json));
    return !limits_now(told.findings);
}

}  // namespace preforkd
