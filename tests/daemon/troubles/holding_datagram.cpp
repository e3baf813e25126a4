// `hold FILE`: makes FILE.held, and keeps its request in work until FILE is gone.  Echoes all else.
#include <unistd.h>
#include <preforkd/preforkd.hpp>

#include <fstream>
#include <string>

struct Holding : preforkd::DatagramHandler {
    void serve(preforkd::Datagram& request) override {
        const std::string text{request.text()};
        if (!text.starts_with("hold ")) return void(request.reply(text));
        std::ofstream{text.substr(5) + ".held"};
        while (::access(text.c_str() + 5, F_OK) == 0) ::usleep(5000);
        (void)request.reply("let go");
    }
};
PREFORKD_HANDLER(Holding);
