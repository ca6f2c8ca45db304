// Takes the place of base/hash.cc in this program: the order of tables, and with it what SPOP and the walk for expired
// entries meet first, is the same in every process, so that a seed replays.
#include "base/hash.h"

namespace quartet {

uint64_t hash_secret() { return 0x9e3779b97f4a7c15; }

}  // namespace quartet
