#include "spec_main.h"

int main(int argc, char** argv) { return quartet::test::spec_main(argc, argv); }
