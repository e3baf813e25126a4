// The private keys of listeners that have a process for them.
#include <algorithm>
#include <iterator>
#include <utility>

#include "common/tls/tls_reading.hpp"
#include "daemon/master/pool/key_process.hpp"
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

namespace {

bool has_filter(const Settings& settings) { return settings.sandbox != SandboxMode::Off; }

/// Reads them, and goes no further.
void wait_for(KeyProcess& keys) {
    keys.begin(Clock::now());
    keys.wait();
}

}  // namespace

std::shared_ptr<KeyProcess> key_process_of(const std::shared_ptr<GenerationPlan>& plan) {
    std::vector<KeyToServe> keys;
    std::vector<std::shared_ptr<const TlsContext>> contexts;  // whose certificates these are
    for (const Listener& listener : *plan->listeners) {
        if (!listener.tls) continue;
        std::ranges::move(keys_to_serve(listener.settings, *listener.tls), std::back_inserter(keys));
        contexts.push_back(listener.tls);
    }
    if (keys.empty()) return nullptr;
    return std::make_shared<KeyProcess>(
        [plan, keys = std::move(keys), contexts = std::move(contexts)](UniqueFd master) {
            return run_key_service(keys, std::move(master), has_filter(*plan->settings));
        });
}

std::shared_ptr<KeyProcess> start_key_process(const std::shared_ptr<GenerationPlan>& plan) {
    std::shared_ptr<KeyProcess> keys = key_process_of(plan);
    if (keys) wait_for(*keys);
    return keys;
}

void check_tls_files(const ListenSettings& listen, const GenerationPlan& plan) {
    const std::shared_ptr<const TlsContext> context =
        read_tls(listen, plan.ticket_keys, plan.signer, asked_by(plan, listen));
    if (!context) return;
    const std::vector<KeyToServe> wanted = keys_to_serve(listen, *context);
    if (wanted.empty()) return;
    KeyProcess keys{
        [&](UniqueFd master) { return run_key_service(wanted, std::move(master), has_filter(*plan.settings)); }};
    wait_for(keys);
}

}  // namespace preforkd
