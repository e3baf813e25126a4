#include "chat.hpp"

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Chat>("chat")); }
