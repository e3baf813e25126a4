// Says who its client is, then what the client has sent.
#include "announced.hpp"

struct Announced : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        client.output() << told_of(client) << std::flush;
        for (std::string line; getline(client.stream(), line);) client.output() << line << std::endl;
    }
};
PREFORKD_HANDLER(Announced);
