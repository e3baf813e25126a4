#include "daemon/worker/handler/handler_trial.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "common/config/own_options.hpp"
#include "common/process/child_process.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/isolation.hpp"
#include "daemon/worker/handler/handler_instances.hpp"
#include "daemon/worker/handler/shared_object_copy.hpp"
#include "daemon/worker/handler/shared_object_loading.hpp"
#include "daemon/worker/process/take_place.hpp"
#include "daemon/worker/process/worker_sandbox.hpp"

namespace preforkd {

namespace {

constexpr std::array every_model{Model::Async, Model::Serial, Model::Thread, Model::Fork};
constexpr unsigned bit_of(Model model) { return 1U << static_cast<unsigned>(model); }

// --- In the throw-away child ---

/// A text of the author's as one line of the report.
std::string in_a_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
}

void be_a_worker(const Settings& settings, const Identity& identity, const Sandbox& sandbox) {
    leave_terminal();
    (void)raise_descriptor_limit();
    take_place(settings, {identity}, sandbox);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // another user's: it has to be set anew
}

/// Which kinds there are, in the order of HandlerEntry.  Throws a sentence.
std::array<bool, 4> make_instances(const HandlerEntry& entry, const Settings& settings) {
    // Not destroyed: the child leaves by _exit(), and a destructor may join threads that wait for clients.
    static HandlerInstances instances;
    const HandlerOptions options = options_for(entry, settings);
    const auto makes_one = [&options](const auto& make) { return make && instances.get(make, options) != nullptr; };
    try {
        return {makes_one(entry.make_stream), makes_one(entry.make_blocking), makes_one(entry.make_datagram),
                makes_one(entry.make_async_datagram)};
    } catch (const std::exception& error) {
        throw std::runtime_error{std::string{"its constructor failed: "} + error.what()};
    } catch (...) { throw std::runtime_error{"its constructor failed with something not derived from std::exception"}; }
}

/// A line for each fact.  Throws a sentence.
std::string examine(const std::string& path, int copy, const Settings& settings, const Identity& identity,
                    const Sandbox& sandbox) {
    be_a_worker(settings, identity, sandbox);
    std::optional<std::string> why_not_copied = copy_shared_object(path, copy);
    const LoadedObject loaded = load_shared_object(path, why_not_copied ? -1 : copy);
    ::close(copy);
    if (loaded.why_not_the_copy) why_not_copied = loaded.why_not_the_copy;
    const HandlerEntry& entry = loaded.entry;
    if (!entry.options.empty())
        throw std::runtime_error{"it has options of its own, such as --" + entry.options.front().name +
                                 ", which are not known before it is loaded: link it into a program that calls run()"};
    std::ostringstream facts;
    unsigned allowed = 0;
    for (const Model model : entry.models) allowed |= bit_of(model);
    facts << static_cast<int>(entry.model) << ' ' << entry.owns_threads << ' ' << entry.uses_shared_memory << ' '
          << entry.uses_bus << ' ' << allowed;
    for (const bool makes : make_instances(entry, settings)) facts << ' ' << makes;
    facts << '\n' << in_a_line(entry.summary) << '\n' << in_a_line(entry.why_models) << '\n';
    facts << why_not_copied.value_or("");
    return facts.str();
}

// --- In the master ---

constexpr std::size_t longest_print_bytes = std::size_t{1} << 20;  // what comes behind that is lost

/// What the child has told.  Code that it ran may have written that.
struct TrialFacts {
    Model model{};
    bool owns_threads = false;
    bool uses_shared_memory = false;
    bool uses_bus = false;
    std::vector<Model> models{};
    std::array<bool, 4> makes{};
    std::string summary{};
    std::string why_models{};
    std::string why_not_copied{};
};

TrialFacts facts_from(const std::string& report) {
    std::istringstream lines{report};
    int model = 0;
    unsigned allowed = 0;
    TrialFacts facts;
    lines >> model >> facts.owns_threads >> facts.uses_shared_memory >> facts.uses_bus >> allowed;
    for (bool& makes : facts.makes) lines >> makes;
    if (!lines || model < 0 || model > static_cast<int>(Model::Fork))
        throw std::runtime_error{"it wrote over the report of the process that loaded it for a trial"};
    facts.model = static_cast<Model>(model);
    std::ranges::copy_if(every_model, std::back_inserter(facts.models),
                         [allowed](Model each) { return (allowed & bit_of(each)) != 0; });
    std::string rest;
    std::getline(lines, rest);
    std::getline(lines, facts.summary);
    std::getline(lines, facts.why_models);
    std::getline(lines, facts.why_not_copied);
    return facts;
}

/// The last line that was printed, such as that of a failed assert().
std::string last_words(int printed) {
    std::array<char, 512> end{};
    const off_t size = std::min<off_t>(::lseek(printed, 0, SEEK_CUR), longest_print_bytes);  // where it has got to
    const off_t from = std::max<off_t>(0, size - off_t{end.size()});
    const ssize_t got = ::pread(printed, end.data(), static_cast<std::size_t>(std::max<off_t>(0, size - from)), from);
    std::string_view text{end.data(), static_cast<std::size_t>(std::max<ssize_t>(0, got))};
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (const auto before = text.rfind('\n'); before != text.npos) text.remove_prefix(before + 1);
    return text.empty() ? "" : fmt::format("; it printed: {}", printable(std::string{text}));
}

HandlerEntry entry_of(const std::string& name, const TrialFacts& facts, const std::shared_ptr<SharedObject>& object) {
    HandlerEntry entry{.name = name,
                       .summary = facts.summary,
                       .model = facts.model,
                       .owns_threads = facts.owns_threads,
                       .uses_shared_memory = facts.uses_shared_memory,
                       .uses_bus = facts.uses_bus,
                       .models = facts.models,
                       .why_models = facts.why_models};
    const std::array<bool, 4>& makes = facts.makes;
    const auto load = [object] { return object->load(); };
    if (makes[0]) entry.make_stream = [=](const HandlerOptions& options) { return load().make_stream(options); };
    if (makes[1]) entry.make_blocking = [=](const HandlerOptions& options) { return load().make_blocking(options); };
    if (makes[2]) entry.make_datagram = [=](const HandlerOptions& options) { return load().make_datagram(options); };
    if (makes[3])
        entry.make_async_datagram = [=](const HandlerOptions& options) { return load().make_async_datagram(options); };
    return entry;
}

/// Everywhere that the settings name a handler.
std::vector<NamedObject> handlers_in(const Settings& settings, const Origins& origins) {
    std::vector<NamedObject> found;
    if (settings.program.empty()) found.push_back({settings.handler, origin_of(origins, "handler"), "handler"});
    for (std::size_t i = 0; i < settings.listen.size(); ++i)
        if (!settings.listen[i].handler.empty())
            found.push_back({settings.listen[i].handler, origin_of(origins, "listen", i), "listen"});
    return found;
}

std::vector<NamedObject> shared_objects_in(const Settings& settings, const Origins& origins, const Handlers& known) {
    std::vector<NamedObject> found = handlers_in(settings, origins);
    std::erase_if(found, [&known](const NamedObject& each) {
        return !is_shared_object(each.name) || known.find(each.name) != nullptr;
    });
    return found;
}

/// Those with which clients are served, and each once; the daemon's own need no trial.
std::vector<NamedObject> known_handlers_in(const Settings& settings, const Origins& origins, const Handlers& known,
                                           bool with_options) {
    const Handlers builtin = builtin_handlers();
    std::set<std::string> names;
    if (!with_options)
        for (const HandlerEntry& each : builtin.entries()) names.insert(each.name);
    const bool has_default =
        std::ranges::any_of(settings.listen, [](const ListenSettings& each) { return each.handler.empty(); });
    std::vector<NamedObject> found = handlers_in(settings, origins);
    std::erase_if(found, [&](const NamedObject& each) {
        if (each.option == "handler" && !has_default) return true;
        const HandlerEntry* const entry = known.find(each.name);
        return entry == nullptr || entry->options.empty() == with_options || !names.insert(each.name).second;
    });
    return found;
}

/// For who reads what the constructor said: `; it was given --limit (/etc/kv.conf:3)`.  No values: one may be secret.
std::string own_options_given(const HandlerEntry& entry, const Origins& origins) {
    std::vector<std::string> given;
    for (const HandlerOption& option : entry.options)
        if (const Origin origin = origin_of(origins, option.name); origin.kind != Origin::Kind::Default)
            given.push_back(fmt::format("--{} ({})", option.name, to_string(origin)));
    return given.empty() ? "" : fmt::format("; it was given {}", fmt::join(given, ", "));
}

/// What the child has to say.  Throws std::runtime_error with a sentence when that is nothing good.
std::string report_of(const ChildCall& call, std::chrono::milliseconds patience, int printed) {
    if (call.given_up())
        throw std::runtime_error{"its constructor did not return within --boot-timeout " + to_string(patience)};
    if (!call.answered())
        throw std::runtime_error{"it ended a process that loaded it for a trial: " + describe(*call.end()) +
                                 last_words(printed)};
    return call.result();
}

[[noreturn]] void refuse(const NamedObject& named, const std::string& why) {
    throw OperatorError{ExitCode::Configuration,
                        fmt::format("{} {}{}: {}", name_at(named.origin, named.option),
                                    named.option == "handler" ? "" : "handler=", named.name, why)};
}

}  // namespace

HandlerTrial::HandlerTrial(NamedObject object, const Settings& settings, const Identity& identity,
                           const Sandbox& sandbox)
    : object_{std::move(object)},
      // Workers may change their directory; and not the file behind a symbolic link, which a reload may find changed.
      path_{std::filesystem::absolute(object_.name)},
      patience_{settings.boot_timeout},
      printed_{make_bounded_file("preforkd-trial", longest_print_bytes)},
      shared_{std::make_shared<SharedObject>(path_, make_object_copy(path_))},
      call_{[&](const ChildCall::Attempt&) { return examine(path_, shared_->copy(), settings, identity, sandbox); },
            patience_, printed_.get(), shared_->copy()} {}

HandlerTrial::HandlerTrial(NamedObject named, const HandlerEntry& entry, const Settings& settings,
                           const Identity& identity, const Sandbox& sandbox, const Origins& origins)
    : object_{std::move(named)},
      given_{own_options_given(entry, origins)},
      patience_{settings.boot_timeout},
      printed_{make_bounded_file("preforkd-trial", longest_print_bytes)},
      call_{[&](const ChildCall::Attempt&) {
                be_a_worker(settings, identity, sandbox);
                (void)make_instances(entry, settings);
                return std::string{};
            },
            patience_, printed_.get()} {}

std::string HandlerTrial::report() const { return report_of(call_, patience_, printed_.get()); }

std::string HandlerTrial::judged() const {
    try {
        return report();
    } catch (const std::runtime_error& error) { refuse(object_, error.what() + given_); }
}

HandlerEntry HandlerTrial::entry() const {
    const std::string told = judged();
    try {
        const TrialFacts facts = facts_from(told);
        if (!facts.why_not_copied.empty() || !seal_object_copy(shared_->copy())) shared_->load_its_file();
        return entry_of(object_.name, facts, shared_);
    } catch (const std::runtime_error& error) { refuse(object_, error.what()); }
}

std::string HandlerTrial::notice() const {
    if (shared_->copy() >= 0) return {};
    const std::string why = facts_from(report()).why_not_copied;
    return fmt::format(
        "{} is loaded from its file, not from a copy: replace that with mv, since cp into it crashes the "
        "workers that have it: {}",
        printable(object_.name), printable(why));
}

std::vector<HandlerTrial> begin_trials(const Handlers& known, const Settings& settings, const Origins& origins,
                                       OwnOptions own) {
    std::vector<HandlerTrial> trials;
    std::set<std::string> begun;
    const std::vector<NamedObject> objects = shared_objects_in(settings, origins, known);
    std::vector<NamedObject> handlers;
    if (own == OwnOptions::Try) handlers = known_handlers_in(settings, origins, known, true);
    if (objects.empty() && handlers.empty()) return trials;
    const Identity identity = look_up_identity(settings.user, settings.group);
    const auto sandbox_for = [&settings](Model otherwise) {
        return make_sandbox(settings, {.model = settings.model.value_or(otherwise), .is_trial = true});
    };
    try {
        for (const NamedObject& object : objects)
            if (begun.insert(object.name).second)
                trials.emplace_back(object, settings, identity, *sandbox_for(Model::Thread));
        for (const NamedObject& named : handlers) {
            const HandlerEntry& entry = *known.find(named.name);
            trials.emplace_back(named, entry, settings, identity, *sandbox_for(entry.model), origins);
        }
        return trials;
    } catch (const std::exception&) {
        for (HandlerTrial& trial : trials) trial.call().give_up();
        throw;
    }
}

void try_constructors(const Handlers& known, const Settings& settings, const Origins& origins) {
    const Identity identity = look_up_identity(settings.user, settings.group);
    for (const NamedObject& named : known_handlers_in(settings, origins, known, false)) {
        const HandlerEntry& entry = *known.find(named.name);
        const auto sandbox = make_sandbox(settings, {.model = settings.model.value_or(entry.model), .is_trial = true});
        HandlerTrial trial{named, entry, settings, identity, *sandbox, origins};
        (void)trial.call().wait();
        trial.check();
    }
}

}  // namespace preforkd
