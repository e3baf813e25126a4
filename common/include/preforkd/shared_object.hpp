#pragma once
// A handler in a shared object: `preforkd --handler ./libupper.so`.
//
// Every worker loads it after the fork, so that its threads start in the worker; a throw-away child loads it first and
// makes one instance, so that a bad file stops the start with one sentence.  What they load is a copy in memory, made
// when the settings are read: the file may be replaced in any way, and a reload takes the new one.
// Compile it with -fPIC and BOOST_ASIO_SEPARATE_COMPILATION, and link it with nothing of preforkd: the program that
// loads it has the library.
#include <boost/version.hpp>

#include "preforkd/handler_entry.hpp"

/// What both sides must agree on.  The number grows when a class that handlers derive from or are given changes shape.
#define PREFORKD_HANDLER_ABI "preforkd 6, Boost " BOOST_LIB_VERSION

/// Makes Class what this shared object serves; see handler<Class>().  Once, at namespace scope.
#define PREFORKD_HANDLER(Class)                                                                      \
    extern "C" [[gnu::visibility("default")]] const char* preforkd_handler_abi() noexcept {          \
        return PREFORKD_HANDLER_ABI;                                                                 \
    }                                                                                                \
    extern "C" [[gnu::visibility("default")]] void preforkd_handler(preforkd::HandlerEntry& entry) { \
        entry = preforkd::handler<Class>(#Class);                                                    \
    }                                                                                                \
    static_assert(true, "takes the semicolon")
