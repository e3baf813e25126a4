#include "daemon/worker/handler/shared_object_loading.hpp"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "preforkd/shared_object.hpp"

namespace preforkd {

namespace {

template <class Function>
Function* find_function(void* object, const char* name) {
    return reinterpret_cast<Function*>(::dlsym(object, name));
}

/// dlerror(3) tells no errno.
const char* remedy_for(const std::string& path) {
    if (::access(path.c_str(), F_OK) == -1) return "; name a file that is there, or one of --list-handlers";
    if (::access(path.c_str(), R_OK) == -1) return "; let the workers' user read it";
    return "; build it for this machine as a shared object, linked with all that it uses";
}

/// Everything is resolved now: a symbol that is missing must not end a worker in the middle of a request.
void* open_object(const std::string& path) { return ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }

/// nullptr: dlerror(3) tells why.
void* open_copy(int copy, const std::string& path) {
    void* const object = open_object("/proc/self/fd/" + std::to_string(copy));
    link_map* loaded = nullptr;
    // Whoever asks where code is from (stack traces, debuggers, the handler itself) shall hear of the file.
    if (object != nullptr && ::dlinfo(object, RTLD_DI_LINKMAP, &loaded) == 0) loaded->l_name = ::strdup(path.c_str());
    return object;
}

}  // namespace

LoadedObject load_shared_object(const std::string& path, int copy) {
    LoadedObject loaded;
    void* object = copy < 0 ? nullptr : open_copy(copy, path);
    if (object == nullptr) {
        if (copy >= 0) loaded.why_not_the_copy = ::dlerror();
        object = open_object(path);
    }
    if (object == nullptr) throw std::runtime_error{"cannot be loaded: " + std::string{::dlerror()} + remedy_for(path)};
    // It is never unloaded: instances, threads and exceptions of it may outlive any moment to do so.
    auto* const abi = find_function<const char*() noexcept>(object, "preforkd_handler_abi");
    auto* const fill_entry = find_function<void(HandlerEntry&)>(object, "preforkd_handler");
    if (abi == nullptr || fill_entry == nullptr)
        throw std::runtime_error{"has no handler for preforkd in it; write PREFORKD_HANDLER(CLASS); in its source"};
    if (abi() != std::string_view{PREFORKD_HANDLER_ABI})
        throw std::runtime_error{"was built for \"" + std::string{abi()} +
                                 "\" and this is \"" PREFORKD_HANDLER_ABI
                                 "\"; build it again with the headers of this version"};
    fill_entry(loaded.entry);
    return loaded;
}

const HandlerEntry& SharedObject::load() {
    if (!entry_) entry_ = load_shared_object(path_, copy_.get()).entry;
    copy_ = {};
    return *entry_;
}

}  // namespace preforkd
