// Crashes in the way that its client asks for.
#include <preforkd/preforkd.hpp>

#include <cstdlib>
#include <string>

void write_to_nowhere() { *reinterpret_cast<volatile int*>(0x10) = 1; }

void divide_by(volatile int divisor) {
    volatile int result = 1000 / divisor;  // 1 would need no division
    (void)result;
}

int use_up_the_stack(volatile char* above) {
    if (above == nullptr) return 0;
    volatile char here[1024];
    here[0] = *above;
    return use_up_the_stack(here) + here[0];
}

struct Crash : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        getline(client.stream(), word);
        volatile char top = 0;
        if (word == "SIGSEGV") write_to_nowhere();
        if (word == "SIGFPE") divide_by(0);
        if (word == "SIGABRT") std::abort();
        if (word == "overflow") use_up_the_stack(&top);
    }
};
PREFORKD_HANDLER(Crash);
