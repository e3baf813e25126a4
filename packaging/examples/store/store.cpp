#include "store.hpp"

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Store>("store")); }
