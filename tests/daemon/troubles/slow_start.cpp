// Whose workers never become ready.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

struct SlowStart : preforkd::BlockingHandler {
    void worker_started() override {
        for (;;) ::pause();
    }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(SlowStart);
