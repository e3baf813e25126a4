#include "preforkd/run.hpp"

int main(int argc, char** argv) { return preforkd::run(argc, argv); }
