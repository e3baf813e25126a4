// Computes until its worker has been told to leave, and waits for nothing meanwhile.
#include <preforkd/preforkd.hpp>

struct Computing : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        (void)client.write("begun\n");
        while (!client.draining()) continue;
        (void)client.write("told\n");
    }
};
PREFORKD_HANDLER(Computing);
