#include "daemon/startup/config_check.hpp"

#include <cstdlib>

#include "common/log/log_output.hpp"
#include "common/net/listener.hpp"
#include "common/process/descriptors.hpp"
#include "daemon/master/control/control_listener.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::vector<Listener> look_at_all(const Settings& settings) {
    std::vector<ListenSettings> all = settings.listen;
    for (ListenSettings& each : observed_endpoints(settings)) all.push_back(std::move(each));
    return look_at_listeners(all, settings.backlog);
}

}  // namespace

void check_start(GenerationPlan& plan, const Invocation& invocation) {
    const Settings& settings = *plan.settings;
    look_at_log(settings.log);
    plan.descriptors = raise_descriptor_limit();
    take_listeners(plan, look_at_all(settings));
    for (const ListenSettings& listen : settings.listen) check_tls_files(listen, plan);
    try_constructors(plan.handlers, settings, invocation.origins);
    look_at_control(settings, std::getenv("RUNTIME_DIRECTORY"));
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
}

}  // namespace preforkd
