// Answers with the version that it was compiled as.
#include <preforkd/preforkd.hpp>

#ifndef ANSWER
#define ANSWER "one"
#endif
#ifdef PART
const char* part();
#endif

struct Answering : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
#ifdef PART
        (void)co_await client.write_last(part());
#else
        (void)co_await client.write_last(ANSWER);
#endif
    }
};
PREFORKD_HANDLER(Answering);
