#include "daemon/ctl/ctl.hpp"

int main(int argc, char** argv) { return preforkd::run_ctl(argc, argv); }
