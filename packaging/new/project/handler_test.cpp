// The handler in this process, whose client the test is: `ctest` runs it.
#include <iostream>
#include <preforkd/test.hpp>
#include <string>

#include "handler.hpp"

int main() {
    @CLASS@ handler;
    preforkd::test::Client client{handler};
    client.send("hello\n");
    const std::string answer = client.receive_line();
    if (answer == "hello\n") return 0;
    std::cerr << "expected hello, got: " << answer;
    return 1;
}
