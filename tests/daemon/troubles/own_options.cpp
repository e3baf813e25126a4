// Declares an option, which a shared object cannot.
#include <preforkd/preforkd.hpp>

struct OwnOptions : preforkd::BlockingHandler {
    static void options(preforkd::Options& own) { own.add("banner-file", "FILE", "what to say"); }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(OwnOptions);
