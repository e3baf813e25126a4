#pragma once
// From what the operator wrote to what one generation of workers runs.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config/options.hpp"
#include "common/process/descriptors.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/upgrade/image.hpp"
#include "daemon/startup/capacity.hpp"
#include "daemon/worker/handler/handler_trial.hpp"
#include "daemon/worker/worker.hpp"
#include "preforkd/run.hpp"

namespace preforkd {

class KeyProcess;
class Sandbox;
class SharedObject;
class Signer;

/// What the process was started with; a reload reads the same again.
struct StartUp {
    Launch launch{};
    Handlers handlers{};  ///< the program's own
    About about{};
    DescriptorLimit descriptors{};
    LogFormat early_errors = LogFormat::Auto;  ///< how to tell of what fails before the log is open
};

/// One generation: settings, handlers and sockets, decided and checked.  Lives as long as a generation refers to it.
struct GenerationPlan {
    std::shared_ptr<const Settings> settings{};
    Handlers handlers{};  ///< shared objects included
    Identity identity{};
    ProgramFiles program_files{};
    ProcessChanges process_changes{};
    std::shared_ptr<const Sandbox> sandbox{};
    ObserverMain observe{};
    DescriptorLimit descriptors{};
    std::shared_ptr<TicketKeys> ticket_keys{};
    std::shared_ptr<Signer> signer{};  ///< for listeners with a key process
    std::optional<std::string> config_text{};
    std::vector<std::shared_ptr<SharedObject>> objects{};  ///< what its workers load
    std::vector<std::string> notices{};                    ///< for the log
    /// Of its listeners those with workers of their own, and the others, if any of that is so: each a plan like this,
    /// with the settings of its workers.  Their indices are Listener::service.
    std::vector<std::shared_ptr<GenerationPlan>> services{};
    std::size_t service = 0;         ///< which of these it is
    std::string name{};              ///< its endpoint; empty: that of the others
    bool changes_workers = false;    ///< run-user= and nice= are about its workers
    std::vector<Origin> asked_by{};  ///< of settings->listen, as far as somebody has given them
    // Decided with the sockets:
    std::shared_ptr<std::vector<Listener>> listeners{};
    std::shared_ptr<std::vector<Listener>> observed = std::make_shared<std::vector<Listener>>();
    Model model = Model::Async;
    Capacity capacity{};

    /// What the workers of `index` among its services run.
    [[nodiscard]] WorkerPlan worker(std::size_t index = 0) const;
};

/// Whose options these are.
[[nodiscard]] Program program_of(const StartUp& start_up);

/// Command line, environment and file; `config_text` instead of what the file says now.  Throws OperatorError.
[[nodiscard]] Invocation read_daemon_options(const StartUp& start_up,
                                             const std::optional<std::string>& config_text = {});

/// Checks whatever can be refused before a socket is opened; `trials` are over.  Throws OperatorError.
[[nodiscard]] std::shared_ptr<GenerationPlan> plan_generation(const Invocation& invocation, const StartUp& start_up,
                                                              const std::vector<HandlerTrial>& trials);
/// The same, and begins the trials and waits for them.
[[nodiscard]] std::shared_ptr<GenerationPlan> plan_generation(const Invocation& invocation, const StartUp& start_up,
                                                              OwnOptions own = OwnOptions::Try);

/// Who has asked for a listener, for sentences about it.
[[nodiscard]] Origin asked_by(const GenerationPlan& plan, const ListenSettings& listen);

/// Every cell of transport, model and handler either serves or is refused here.  Throws OperatorError.
void check_cell(const GenerationPlan& plan, const ListenSettings& listen, const Endpoint& endpoint);

/// What becomes of a listener one of whose keys names a file that cannot be read.
enum class WhenUnreadable { Refuse, AdmitNobody };

/// Gives the plan its sockets.  Throws OperatorError when a passed one cannot be served with these settings.
void take_listeners(GenerationPlan& plan, std::vector<Listener> listeners,
                    WhenUnreadable when_unreadable = WhenUnreadable::Refuse);

/// One line: where clients, or those who observe, find it.
void say_where_it_listens(const Listener& listener);

/// The plan as the master sees it.  `keys`: see key_process_of().
[[nodiscard]] Generation to_generation(const std::shared_ptr<GenerationPlan>& plan,
                                       std::shared_ptr<KeyProcess> keys = {});

/// What has the private keys of the plan's listeners, which it has been given; not begun yet.  Null: nobody wants that.
[[nodiscard]] std::shared_ptr<KeyProcess> key_process_of(const std::shared_ptr<GenerationPlan>& plan);

/// The same, once it has read them and is ready.  Throws OperatorError.
[[nodiscard]] std::shared_ptr<KeyProcess> start_key_process(const std::shared_ptr<GenerationPlan>& plan);

/// Whether the files of `listen` can be served with, private keys included.  Throws OperatorError.
void check_tls_files(const ListenSettings& listen, const GenerationPlan& plan);

}  // namespace preforkd
