#include "common/base/loaded_library.hpp"

#include <dlfcn.h>

#include <stdexcept>

namespace preforkd {

void LoadedLibrary::Close::operator()(void* library) const noexcept { ::dlclose(library); }

LoadedLibrary::LoadedLibrary(const char* soname) : library_{::dlopen(soname, RTLD_NOW | RTLD_LOCAL)} {
    if (!library_) throw std::runtime_error{::dlerror()};
}

void* LoadedLibrary::address_of(const char* name) const {
    void* const symbol = ::dlsym(library_.get(), name);
    if (symbol == nullptr) throw std::runtime_error{::dlerror()};
    return symbol;
}

}  // namespace preforkd
