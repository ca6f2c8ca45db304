#include "spec_main.h"

#ifdef QUARTET_IN_PROCESS
#include "in_process_backend.h"
#endif

int main(int argc, char** argv) {
#ifdef QUARTET_IN_PROCESS
  return quartet::test::spec_main(argc, argv, quartet::test::make_in_process_backend,
                                  quartet::test::make_divided_backend);
#else
  return quartet::test::spec_main(argc, argv);
#endif
}
