// Throws at the start what is no exception.
#include <preforkd/preforkd.hpp>

struct ThrowingANumber : preforkd::BlockingHandler {
    void worker_started() override { throw 7; }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(ThrowingANumber);
